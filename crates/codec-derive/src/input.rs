//! What the attributes say, checked as far as it can be without the types.

use std::collections::HashSet;

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, GenericArgument, GenericParam, Ident, Lifetime, Lit, LitInt,
    LitStr, Path, PathArguments, Result, Token, Type, parse_quote,
};

/// A type to derive for.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    /// The lifetime of what it borrows.
    pub(crate) life: Option<Lifetime>,
    /// The path of amqp10-codec.
    pub(crate) codec: Path,
    pub(crate) descriptor: Option<Descriptor>,
    pub(crate) form: Form,
}

pub(crate) struct Descriptor {
    pub(crate) name: LitStr,
    pub(crate) code: LitInt,
}

pub(crate) enum Form {
    List(Vec<Field>),
    Map { symbols: bool, fields: Vec<Field> },
    Newtype(Box<Type>),
    Choice { source: Source, variants: Vec<Variant> },
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// Its key in a map, and its name in errors.
    pub(crate) name: LitStr,
    pub(crate) presence: Presence,
}

/// What it means that a field is absent or null.
pub(crate) enum Presence {
    Mandatory,
    /// An `Option` of this.
    Optional(Box<Type>),
    /// A `Multiple`, which is empty then.
    Multiple,
    Default(Box<Expr>),
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) value: Expr,
}

/// The primitive type that an enum chooses values of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// By the name of the Rust type.
    Number(&'static str),
    String,
    Symbol,
}

impl Source {
    const ALL: [(&str, Self); 11] = [
        ("boolean", Self::Number("bool")),
        ("ubyte", Self::Number("u8")),
        ("ushort", Self::Number("u16")),
        ("uint", Self::Number("u32")),
        ("ulong", Self::Number("u64")),
        ("byte", Self::Number("i8")),
        ("short", Self::Number("i16")),
        ("int", Self::Number("i32")),
        ("long", Self::Number("i64")),
        ("string", Self::String),
        ("symbol", Self::Symbol),
    ];
}

/// The attributes of a type, field or variant; each place knows some of them.
#[derive(Default)]
struct Attributes {
    name: Option<LitStr>,
    code: Option<LitInt>,
    map: Option<Span>,
    keys: Option<LitStr>,
    source: Option<LitStr>,
    codec: Option<Path>,
    rename: Option<LitStr>,
    default: Option<Expr>,
    value: Option<Expr>,
}

fn set<T>(slot: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("this stands here twice")),
    }
}

impl Attributes {
    fn new(attributes: &[Attribute], known: &[&str], place: &str) -> Result<Self> {
        let mut found = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("amqp")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
                if !known.contains(&name.as_str()) {
                    return Err(meta.error(format!("not known at {place}; known are: {}", known.join(", "))));
                }
                match name.as_str() {
                    "name" => set(&mut found.name, meta.value()?.parse()?, &meta),
                    "code" => set(&mut found.code, meta.value()?.parse()?, &meta),
                    "map" => set(&mut found.map, meta.path.span(), &meta),
                    "keys" => set(&mut found.keys, meta.value()?.parse()?, &meta),
                    "source" => set(&mut found.source, meta.value()?.parse()?, &meta),
                    "crate" => set(&mut found.codec, meta.value()?.parse::<LitStr>()?.parse()?, &meta),
                    "rename" => set(&mut found.rename, meta.value()?.parse()?, &meta),
                    "default" if !meta.input.peek(Token![=]) => {
                        let default = Expr::Path(parse_quote!(::core::default::Default::default));
                        set(&mut found.default, parse_quote!(#default()), &meta)
                    }
                    "default" => set(&mut found.default, meta.value()?.parse()?, &meta),
                    _ => set(&mut found.value, meta.value()?.parse()?, &meta),
                }
            })?;
        }
        Ok(found)
    }

    fn descriptor(&self) -> Result<Option<Descriptor>> {
        match (&self.name, &self.code) {
            (Some(name), _) if !name.value().is_ascii() => {
                Err(Error::new(name.span(), "a symbolic descriptor may hold ASCII characters only"))
            }
            (Some(name), Some(code)) => {
                code.base10_parse::<u64>()?;
                Ok(Some(Descriptor { name: name.clone(), code: code.clone() }))
            }
            (Some(name), None) => Err(Error::new(name.span(), "a descriptor needs a `code` besides its `name`")),
            (None, Some(code)) => Err(Error::new(code.span(), "a descriptor needs a `name` besides its `code`")),
            (None, None) => Ok(None),
        }
    }
}

impl Input {
    pub(crate) fn new(item: &DeriveInput) -> Result<Self> {
        let life = lifetime(item)?;
        let attributes;
        let form = match &item.data {
            Data::Struct(data) => match &data.fields {
                Fields::Unnamed(fields) => {
                    attributes = Attributes::new(&item.attrs, &["name", "code", "crate"], "a newtype")?;
                    let mut fields = fields.unnamed.iter();
                    let (Some(field), None) = (fields.next(), fields.next()) else {
                        return Err(Error::new(item.ident.span(), "a tuple struct must have exactly one field"));
                    };
                    Attributes::new(&field.attrs, &[], "the field of a newtype")?;
                    Form::Newtype(Box::new(field.ty.clone()))
                }
                fields => {
                    attributes = Attributes::new(&item.attrs, &["name", "code", "map", "keys", "crate"], "a struct")?;
                    struct_form(&item.ident, &attributes, fields)?
                }
            },
            Data::Enum(data) => {
                attributes = Attributes::new(&item.attrs, &["name", "code", "source", "crate"], "an enum")?;
                let source = source(&item.ident, &attributes)?;
                let variants =
                    data.variants.iter().map(|variant| choice(variant, source)).collect::<Result<Vec<_>>>()?;
                distinct(variants.iter().map(|variant| &variant.value))?;
                Form::Choice { source, variants }
            }
            Data::Union(data) => return Err(Error::new(data.union_token.span, "a union cannot be encoded")),
        };
        let descriptor = attributes.descriptor()?;
        if matches!(form, Form::List(_)) && descriptor.is_none() {
            let message =
                "a struct needs a descriptor, `#[amqp(name = \"…\", code = …)]`, or to be a map, `#[amqp(map)]`";
            return Err(Error::new(item.ident.span(), message));
        }
        let codec = attributes.codec.unwrap_or_else(|| parse_quote!(::amqp10_codec));
        Ok(Self { ident: item.ident.clone(), life, codec, descriptor, form })
    }
}

fn lifetime(item: &DeriveInput) -> Result<Option<Lifetime>> {
    let mut life = None;
    for parameter in &item.generics.params {
        match parameter {
            GenericParam::Lifetime(parameter) if life.is_none() => life = Some(parameter.lifetime.clone()),
            GenericParam::Lifetime(second) => {
                return Err(Error::new(second.span(), "everything is borrowed from one input: one lifetime is enough"));
            }
            other => {
                return Err(Error::new(other.span(), "a type with parameters other than a lifetime cannot be derived"));
            }
        }
    }
    Ok(life)
}

fn struct_form(ident: &Ident, attributes: &Attributes, fields: &Fields) -> Result<Form> {
    let symbols = match &attributes.keys {
        None => false,
        Some(keys) if attributes.map.is_none() => return Err(Error::new(keys.span(), "only a `map` has keys")),
        Some(keys) => match keys.value().as_str() {
            "symbol" => true,
            "string" => false,
            _ => return Err(Error::new(keys.span(), "keys are \"symbol\" or \"string\"")),
        },
    };
    let mut list = Vec::new();
    for field in fields {
        let Some(name) = &field.ident else { return Err(Error::new(ident.span(), "fields must have names")) };
        list.push(self::field(field, name, attributes.map.is_some())?);
    }
    if attributes.map.is_none() {
        return Ok(Form::List(list));
    }
    let mut keys = HashSet::new();
    for field in &list {
        if symbols && !field.name.value().is_ascii() {
            return Err(Error::new(field.name.span(), "a symbol may hold ASCII characters only"));
        }
        if !keys.insert(field.name.value()) {
            return Err(Error::new(field.name.span(), "two fields have this key"));
        }
    }
    Ok(Form::Map { symbols, fields: list })
}

fn field(field: &syn::Field, ident: &Ident, in_map: bool) -> Result<Field> {
    let known: &[&str] = if in_map { &["rename", "default"] } else { &["default"] };
    let place = if in_map { "a field of a map" } else { "a field of a list, which has no name on the wire" };
    let attributes = Attributes::new(&field.attrs, known, place)?;
    let ty = field.ty.clone();
    let presence = match (attributes.default, argument_of("Option", &ty)) {
        (Some(default), None) => Presence::Default(Box::new(default)),
        (Some(_), Some(_)) => {
            return Err(Error::new(
                ty.span(),
                "an `Option` has no default: make it a plain type, or leave `default` out",
            ));
        }
        (None, Some(inner)) => Presence::Optional(Box::new(inner)),
        (None, None) if argument_of("Multiple", &ty).is_some() => Presence::Multiple,
        (None, None) => Presence::Mandatory,
    };
    let plain = ident.to_string();
    let plain = plain.strip_prefix("r#").unwrap_or(&plain);
    let name = attributes.rename.unwrap_or_else(|| LitStr::new(plain, ident.span()));
    Ok(Field { ident: ident.clone(), ty, name, presence })
}

/// The `T` of a `Wrapper<T>`.
fn argument_of(wrapper: &str, ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) if last.ident == wrapper => Some(inner.clone()),
        _ => None,
    }
}

fn source(ident: &Ident, attributes: &Attributes) -> Result<Source> {
    let names = || Source::ALL.map(|(name, _)| name).join(", ");
    let Some(name) = &attributes.source else {
        let message = format!("an enum needs the type of its values, `#[amqp(source = \"…\")]`: one of {}", names());
        return Err(Error::new(ident.span(), message));
    };
    let known = Source::ALL.iter().find(|(known, _)| *known == name.value());
    known.map(|(_, source)| *source).ok_or_else(|| Error::new(name.span(), format!("a source is one of {}", names())))
}

fn choice(variant: &syn::Variant, source: Source) -> Result<Variant> {
    if !matches!(variant.fields, Fields::Unit) {
        return Err(Error::new(variant.fields.span(), "a variant may have no fields: it stands for one value"));
    }
    let attributes = Attributes::new(&variant.attrs, &["value"], "a variant")?;
    let Some(value) = attributes.value else {
        return Err(Error::new(variant.ident.span(), "a variant needs its value, `#[amqp(value = …)]`"));
    };
    let text = match &value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    };
    match (source, text) {
        (Source::Symbol, Some(text)) if !text.is_ascii() => {
            Err(Error::new(value.span(), "a symbol may hold ASCII characters only"))
        }
        (Source::Symbol | Source::String, None) => Err(Error::new(value.span(), "the value must be a text in quotes")),
        (Source::Number(_), Some(_)) => Err(Error::new(value.span(), "the value must not be a text")),
        _ => Ok(Variant { ident: variant.ident.clone(), value }),
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a Expr>) -> Result<()> {
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(quote::quote!(#value).to_string()) {
            return Err(Error::new(value.span(), "two variants have this value"));
        }
    }
    Ok(())
}
