//! Which tests name which requirements.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

/// As many requirements as a test may name: one that names more asserts none of them well.
const MOST: usize = 5;

/// The requirements that tests name, and where the first of these stands.
#[derive(Default)]
pub(crate) struct Named(pub(crate) BTreeMap<String, String>);

impl Named {
    /// Reads every Rust file under `crates` and `tests`, but for this binary, whose own tests need wrong names.
    pub(crate) fn of_repository(root: &Path, problems: &mut Vec<String>) -> io::Result<Self> {
        let mut named = Self::default();
        for folder in ["crates", "tests"] {
            named.folder(root, folder, problems)?;
        }
        Ok(named)
    }

    fn folder(&mut self, root: &Path, folder: &str, problems: &mut Vec<String>) -> io::Result<()> {
        let entries = fs::read_dir(root.join(folder))?;
        let mut entries: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
        entries.sort();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let path = format!("{folder}/{name}");
            if entry.is_dir() && path != "tests/conformance" {
                self.folder(root, &path, problems)?;
            } else if path.ends_with(".rs") {
                self.read(&path, &fs::read_to_string(&entry)?, problems);
            }
        }
        Ok(())
    }

    /// Reads one file, which is as rustfmt leaves it: a test ends with the brace that stands below its attribute.
    pub(crate) fn read(&mut self, path: &str, text: &str, problems: &mut Vec<String>) {
        let lines: Vec<&str> = text.lines().collect();
        let tests = tests(&lines);
        let mut of_test = vec![BTreeSet::new(); tests.len()];
        for (at, line) in lines.iter().enumerate() {
            let ids = ids(line);
            let Some(first) = ids.first() else { continue };
            let place = format!("{path}:{}", at + 1);
            let Some(test) = tests.iter().position(|test| test.first <= at && at <= test.last) else {
                problems.push(format!(
                    "{place}: {first} is named outside a test; a requirement is named only at the test that asserts it"
                ));
                continue;
            };
            if !is_in_form(line) {
                problems.push(format!(
                    "{place}: {first} is not named in the form `// ID, ID: text` on a line of its own; \
                     write it so, or do not name it"
                ));
                continue;
            }
            for id in ids {
                of_test[test].insert(id.to_owned());
                self.0.entry(id.to_owned()).or_insert_with(|| place.clone());
            }
        }
        for (test, ids) in tests.iter().zip(of_test) {
            if ids.len() > MOST {
                problems.push(format!(
                    "{path}:{}: {} requirements at `{}`, which may name {MOST}; split it into tests of their own",
                    test.name_at + 1,
                    ids.len(),
                    test.name
                ));
            }
        }
    }
}

/// From the first line that belongs to a test, comments and attributes above it included, to its closing brace.
struct Test<'a> {
    first: usize,
    last: usize,
    name_at: usize,
    name: &'a str,
}

fn tests<'a>(lines: &[&'a str]) -> Vec<Test<'a>> {
    let is_above = |line: &str| line.trim_start().starts_with("//") || line.trim_start().starts_with("#[");
    let mut tests: Vec<Test<'a>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let attribute = line.trim_start();
        if !(attribute == "#[test]" || attribute.starts_with("#[tokio::test")) {
            continue;
        }
        let indent = line.len() - attribute.len();
        let first = (0..at).rev().take_while(|above| is_above(lines[*above])).last().unwrap_or(at);
        let Some(name_at) = (at..lines.len()).find(|at| lines[*at].contains("fn ")) else { continue };
        let brace = format!("{}}}", &line[..indent]);
        let last = (name_at..lines.len()).find(|at| lines[*at].trim_end() == brace).unwrap_or(name_at);
        let name = lines[name_at].split("fn ").nth(1).unwrap_or_default().split('(').next().unwrap_or_default();
        tests.push(Test { first, last, name_at, name });
    }
    tests
}

/// Everything in a line that looks like the id of a requirement, a section and a number, be it a wrong one.
fn ids(line: &str) -> Vec<&str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'))
        .map(|word| word.trim_end_matches(['.', '-']))
        .filter(|word| is_id(word))
        .collect()
}

fn is_id(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let Some((section, number)) = word.split_once('-') else { return false };
    section.contains('.') && section.split('.').all(digits) && digits(number)
}

fn is_in_form(line: &str) -> bool {
    let Some(comment) = line.trim_start().strip_prefix("// ") else { return false };
    let (named, text) = comment.split_once(':').unwrap_or((comment, ""));
    named.split(", ").all(is_id) && ids(text).is_empty()
}
