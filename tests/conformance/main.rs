//! Says of every requirement of the catalogue whether a test asserts it, and checks that this is so.
//!
//! `README.md` beside this file tells what is checked and how a test names a requirement.
//!
//! ```text
//! cargo run -q -p amqp10-tests --bin conformance             prints the table, and what is wrong
//! cargo run -q -p amqp10-tests --bin conformance -- --write  writes it to table.md first
//! ```

mod catalogue;
mod sources;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use catalogue::Catalogue;
use sources::Named;
use table::Table;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The table of this repository, and everything that is wrong with its catalogue.
fn look() -> io::Result<(Table, Vec<String>)> {
    let folder = root().join("tests/conformance");
    let mut problems = Vec::new();
    let catalogue =
        Catalogue::new(&read(&folder.join("requirements.csv"))?, &read(&folder.join("states.csv"))?, &mut problems);
    let named = Named::of_repository(&root(), &mut problems)?;
    let table = Table::new(&catalogue, &named, &mut problems);
    Ok((table, problems))
}

fn check(write: bool) -> io::Result<Vec<String>> {
    let (table, mut problems) = look()?;
    let path = root().join("tests/conformance/table.md");
    let text = table.to_string();
    print!("{text}");
    if write {
        fs::write(&path, &text)?;
    } else if read(&path).unwrap_or_default() != text {
        problems.push(
            "tests/conformance/table.md: is not the table above; write it anew with \
             `cargo run -q -p amqp10-tests --bin conformance -- --write`"
                .into(),
        );
    }
    Ok(problems)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let write = match arguments[..] {
        [] => false,
        ["--write"] => true,
        _ => {
            eprintln!("usage: conformance [--write]");
            return ExitCode::from(2);
        }
    };
    match check(write) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            eprintln!();
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("conformance: {} problems; tests/conformance/README.md has the rules", problems.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIREMENTS: &str = "\
id,part,section,level,who,requirement,how-to-test,notes
2.1-01,2,2.1,MUST,peer,\"One, \"\"two\"\"\",so,
2.1-02,2,2.1,MUST,peer,Two,so,
2.2.3-01,2,2.2.3,MAY,codec,Three,so,
";
    const STATES: &str = "id,state,note\n2.1-02,owed by amqp10-link,untested\n";
    const TEST: &str = "\
#[test]
fn works() {
    // 2.1-01, 2.2.3-01: the first and the last.
    assert!(true);
}
";

    fn found(requirements: &str, states: &str, source: &str) -> (Table, Vec<String>) {
        let mut problems = Vec::new();
        let catalogue = Catalogue::new(requirements, states, &mut problems);
        let mut named = Named::default();
        named.read("a.rs", source, &mut problems);
        (Table::new(&catalogue, &named, &mut problems), problems)
    }

    #[track_caller]
    fn complains(states: &str, source: &str, words: &[&str]) {
        let (_, problems) = found(REQUIREMENTS, states, source);
        assert!(
            problems.iter().any(|problem| words.iter().all(|word| problem.contains(word))),
            "{words:?} are not in {problems:#?}"
        );
    }

    #[test]
    fn this_repository_keeps_the_rules_of_its_catalogue() {
        let problems = check(false).unwrap();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    #[test]
    fn a_whole_catalogue_is_counted() {
        let (table, problems) = found(REQUIREMENTS, STATES, TEST);
        assert_eq!(problems, [""; 0]);
        let text = table.to_string();
        for line in [
            "| 2.1 | 2 | 1 | 1 | 0 | link 1 |",
            "| 2.2.3 | 1 | 1 | 0 | 0 | |",
            "| Part 2 | 3 | 2 | 1 | 0 | link 1 |",
            "| All | 3 | 2 | 1 | 0 | link 1 |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn tests_of_every_kind_name_requirements() {
        for source in [
            "// 2.1-01, 2.2.3-01\n#[test]\nfn a() {\n}\n",
            "#[test]\n// 2.1-01, 2.2.3-01\nfn a() {\n}\n",
            "#[tokio::test(start_paused = true)]\nasync fn a() {\n    // 2.1-01\n    x();\n    // 2.2.3-01\n}\n",
            "proptest! {\n    // 2.1-01\n    #[test]\n    fn a(x in 0..1) {\n        // 2.2.3-01: text\n    }\n}\n",
            "mod tests {\n    #[test]\n    fn a() {\n        {\n        }\n        // 2.2.3-01, 2.1-01\n    }\n}\n",
        ] {
            assert_eq!(found(REQUIREMENTS, STATES, source).1, [""; 0], "{source}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_told_with_the_way_out() {
        complains("id,state,note\n", TEST, &["2.1-02", "in none of the three states", "states.csv"]);
        complains(STATES, &TEST.replace("2.2.3-01", "2.2.3-07"), &["a.rs:3", "2.2.3-07", "not in the catalogue"]);
        complains(STATES, &TEST.replace("2.2.3-01", "2.2.3-1"), &["a.rs:3", "2.2.3-1", "not in the catalogue"]);
        complains(&format!("{STATES}9.9-01,owed by amqp10,\n"), TEST, &["9.9-01", "not in the catalogue"]);
        complains(&format!("{STATES}2.1-01,owed by amqp10,\n"), TEST, &["2.1-01", "a.rs", "owed by amqp10"]);
        complains(&format!("{STATES}2.1-01,not applicable: no,\n"), TEST, &["2.1-01", "a.rs", "not applicable"]);
        complains(&format!("{STATES}2.1-02,owed by amqp10,\n"), TEST, &["2.1-02", "twice"]);
        for state in ["owed by nobody", "owed", "not applicable", "not applicable: ", "tested"] {
            complains(&format!("id,state,note\n2.1-02,{state},\n"), TEST, &["2.1-02", "neither"]);
        }
        complains("id,state,note\n2.1-02\n", TEST, &["states.csv:2", "three columns"]);
    }

    #[test]
    fn at_most_five_requirements_at_a_test() {
        let ids = |count: usize| (0..count).map(|n| format!("    // 2.1-0{n}\n")).collect::<String>();
        let source = |count| format!("#[test]\nfn a() {{\n{}}}\n", ids(count));
        complains(STATES, &source(6), &["a.rs:2", "`a`", "6 requirements"]);
        assert!(!found(REQUIREMENTS, STATES, &source(5)).1.iter().any(|problem| problem.contains("requirements at")));
        // The same one again is no other one.
        assert_eq!(
            found(REQUIREMENTS, STATES, &TEST.replace("    assert", &ids(3).replace("00", "01").replace("02", "01")))
                .1
                .len(),
            0
        );
    }

    #[test]
    fn a_requirement_is_named_at_a_test_and_in_the_right_form() {
        for (source, at) in [
            ("//! 2.1-01\n", "a.rs:1"),
            ("// 2.1-01\nfn helper() {\n}\n", "a.rs:1"),
            ("// 2.1-01\n\n#[test]\nfn a() {\n}\n", "a.rs:1"),
            ("#[test]\nfn a() {\n}\n// 2.1-01\n", "a.rs:4"),
        ] {
            complains(STATES, source, &[at, "2.1-01", "outside a test"]);
        }
        for line in ["// see 2.1-01", "x(); // 2.1-01", "x(\"2.1-01\");", "// 2.1-01 2.2.3-01", "// 2.1-01 text"] {
            complains(STATES, &format!("#[test]\nfn a() {{\n    {line}\n}}\n"), &["a.rs:3", "2.1-01", "form"]);
        }
    }
}
