//! What a wrong declaration is told, and where.

use syn::DeriveInput;

use crate::input::Input;

/// Checks that `item` is refused with an error that begins with `message` and points at `place`.
fn refused(item: &str, place: &str, message: &str) {
    let parsed: DeriveInput = syn::parse_str(item).unwrap();
    let Err(error) = Input::new(&parsed) else { panic!("accepted: {item}") };
    assert!(error.to_string().starts_with(message), "{item}: {error}");
    assert_eq!(error.span().source_text().as_deref(), Some(place), "{item}: {error}");
}

#[test]
fn wrong_types_are_told_where() {
    refused("struct Thing { a: u8 }", "Thing", "a struct needs a descriptor");
    refused("struct Thing;", "Thing", "a struct needs a descriptor");
    refused("struct Thing(u8, u8);", "Thing", "a tuple struct must have exactly one field");
    refused("struct Thing();", "Thing", "a tuple struct must have exactly one field");
    refused("union Thing { a: u8 }", "union", "a union cannot be encoded");
    refused("struct Thing<T>(T);", "T", "a type with parameters other than a lifetime");
    refused("struct Thing<const N: usize>(u8);", "const N: usize", "a type with parameters other than a lifetime");
    refused("struct Thing<'a, 'b>(&'a str, &'b str);", "'b", "everything is borrowed from one input");
}

#[test]
fn wrong_descriptors_are_told_where() {
    refused(r#"#[amqp(name = "a:b")] struct Thing {}"#, r#""a:b""#, "a descriptor needs a `code`");
    refused("#[amqp(code = 0x1)] struct Thing {}", "0x1", "a descriptor needs a `name`");
    refused(r#"#[amqp(name = "ä", code = 1)] struct Thing {}"#, r#""ä""#, "a symbolic descriptor may hold ASCII");
    let large = "0x1_0000_0000_0000_0000";
    refused(&format!(r#"#[amqp(name = "a", code = {large})] struct Thing {{}}"#), large, "number too large");
    refused(r#"#[amqp(name = 7, code = 1)] struct Thing {}"#, "7", "expected string literal");
    refused(r#"#[amqp(name = "a", code = "b")] struct Thing {}"#, r#""b""#, "expected integer literal");
    refused("#[amqp(map, map)] struct Thing {}", "map", "this stands here twice");
    refused("#[amqp(mapp)] struct Thing {}", "mapp", "not known at a struct; known are: name, code, map, keys, crate");
    refused("#[amqp(map)] struct Thing(u8);", "map", "not known at a newtype");
    refused(r#"#[amqp(crate = "1")] struct Thing(u8);"#, r#""1""#, "expected identifier");
}

#[test]
fn wrong_fields_are_told_where() {
    let list = |field: &str| format!(r#"#[amqp(name = "a", code = 1)] struct Thing {{ {field} }}"#);
    let map = |field: &str| format!("#[amqp(map)] struct Thing {{ {field} }}");
    refused(&list(r#"#[amqp(rename = "b")] a: u8"#), "rename", "not known at a field of a list, which has no name");
    refused(&list("#[amqp(default)] a: Option<u8>"), "Option<u8>", "an `Option` has no default");
    refused(&list("#[amqp(default, default = 3)] a: u8"), "default = 3", "this stands here twice");
    refused(&map(r#"#[amqp(name = "b")] a: u8"#), "name", "not known at a field of a map; known are: rename, default");
    refused(&map(r#"a: u8, #[amqp(rename = "a")] b: u8"#), r#""a""#, "two fields have this key");
    refused(r#"#[amqp(keys = "symbol")] struct Thing {}"#, r#""symbol""#, "only a `map` has keys");
    refused(r#"#[amqp(map, keys = "blob")] struct Thing {}"#, r#""blob""#, "keys are \"symbol\" or \"string\"");
    let umlaut = r#"#[amqp(map, keys = "symbol")] struct Thing { #[amqp(rename = "ä")] a: u8 }"#;
    refused(umlaut, r#""ä""#, "a symbol may hold ASCII characters only");
    refused("struct Thing(#[amqp(default)] u8);", "default", "not known at the field of a newtype");
}

#[test]
fn wrong_choices_are_told_where() {
    let choice = |source: &str, variants: &str| format!("#[amqp(source = \"{source}\")] enum Thing {{ {variants} }}");
    refused("enum Thing { A }", "Thing", "an enum needs the type of its values");
    refused(&choice("u8", "A"), r#""u8""#, "a source is one of boolean, ubyte");
    refused(&choice("ubyte", "A"), "A", "a variant needs its value");
    refused(&choice("ubyte", "#[amqp(value = 1)] A(u8)"), "(u8)", "a variant may have no fields");
    refused(&choice("ubyte", r#"#[amqp(value = "1")] A"#), r#""1""#, "the value must not be a text");
    refused(&choice("symbol", "#[amqp(value = 1)] A"), "1", "the value must be a text");
    refused(&choice("symbol", r#"#[amqp(value = "ä")] A"#), r#""ä""#, "a symbol may hold ASCII characters only");
    refused(&choice("uint", "#[amqp(value = 1)] A, #[amqp(value = 1)] B"), "1", "two variants have this value");
    refused(&choice("uint", "#[amqp(name = \"a\")] A"), "name", "not known at a variant; known are: value");
}
