//! The documents tell the truth, as far as a program can judge.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every Rust source of the workspace's members.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of tests of hostile cases, `hNN_…`, that stand behind `prefix` in a text.
fn hostile_cases(text: &str, prefix: &str) -> BTreeSet<String> {
    let places = text.match_indices(prefix).map(|(at, _)| &text[at + prefix.len()..]);
    let names =
        places.map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>());
    names.filter(|name| matches!(name.as_bytes(), [b'h', b'0'..=b'9', b'0'..=b'9', b'_', ..])).collect()
}

#[test]
fn every_hostile_case_of_security_md_is_tested_and_every_test_is_listed() {
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&root().join(folder), &mut found);
    }
    let tested: BTreeSet<_> = found.iter().flat_map(|source| hostile_cases(source, "fn ")).collect();
    let listed = hostile_cases(&read("SECURITY.md"), "`");
    let missing: Vec<_> = listed.difference(&tested).collect();
    assert!(missing.is_empty(), "SECURITY.md lists tests that do not exist: {missing:#?}");
    let unlisted: Vec<_> = tested.difference(&listed).collect();
    assert!(unlisted.is_empty(), "SECURITY.md does not list these tests: {unlisted:#?}");
    assert!(listed.len() > 200, "only {} tests found", listed.len());
}

/// The code of a document's fenced blocks of Rust, without the lines that rustdoc hides.
fn examples(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut inside = None::<String>;
    for line in markdown.lines() {
        match &mut inside {
            None if line.starts_with("```rust") => inside = Some(String::new()),
            None => {}
            Some(block) if line == "```" => {
                blocks.push(std::mem::take(block));
                inside = None;
            }
            Some(_) if line.starts_with("# ") || line == "#" => {}
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

#[test]
fn the_examples_of_the_readme_are_those_that_compile() {
    let compiled = examples(&read("crates/iot/README.md")).concat();
    let shown = examples(&read("README.md"));
    assert!(!shown.is_empty());
    for example in shown {
        let lines: Vec<_> = example.lines().filter(|line| !compiled.contains(*line)).collect();
        assert!(lines.is_empty(), "not in crates/iot/README.md, whose examples are compiled: {lines:#?}");
    }
}

#[test]
fn the_table_of_crates_is_complete() {
    let readme = read("README.md");
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("](crates/{name})")), "README.md does not name crates/{name}");
        assert!(read("ARCHITECTURE.md").contains(&format!("  {name}/")), "ARCHITECTURE.md does not name crates/{name}");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = read(name);
        for (at, _) in text.match_indices("](") {
            let target: String = text[at + 2..].chars().take_while(|c| *c != ')').collect();
            if !target.starts_with("http") {
                assert!(root().join(&target).exists(), "{name} links to {target}");
            }
        }
    }
}
