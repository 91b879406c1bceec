//! How many requirements are in which state.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::catalogue::{Catalogue, State};
use crate::sources::Named;

#[derive(Default)]
struct Count {
    rows: usize,
    tested: usize,
    owed: BTreeMap<&'static str, usize>,
    not_applicable: usize,
}

impl Count {
    fn add(&mut self, tested: bool, state: Option<&State>) {
        self.rows += 1;
        match state {
            _ if tested => self.tested += 1,
            Some(State::OwedBy(owner)) => *self.owed.entry(owner).or_default() += 1,
            Some(State::NotApplicable(_)) => self.not_applicable += 1,
            None => {}
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owed: usize = self.owed.values().sum();
        write!(f, "{} | {} | {owed} | {} |", self.rows, self.tested, self.not_applicable)?;
        let owners = self.owed.iter().map(|(owner, count)| {
            let short = owner.strip_prefix("amqp10-").unwrap_or(owner);
            format!("{short} {count}")
        });
        let owners = owners.collect::<Vec<_>>().join(", ");
        if owners.is_empty() { write!(f, " |") } else { write!(f, " {owners} |") }
    }
}

/// By section, by part and in all.
pub(crate) struct Table {
    sections: Vec<(String, Count)>,
    parts: Vec<(String, Count)>,
    all: Count,
}

impl Table {
    pub(crate) fn new(catalogue: &Catalogue, named: &Named, problems: &mut Vec<String>) -> Self {
        let mut table = Self { sections: Vec::new(), parts: Vec::new(), all: Count::default() };
        let mut known = HashMap::new();
        for row in &catalogue.rows {
            let (state, place) = (catalogue.states.get(&row.id), named.0.get(&row.id));
            match (state, place) {
                (None, None) => problems.push(format!(
                    "{0}: is in none of the three states; name it at a test that asserts it (`// {0}`), \
                     or say in tests/conformance/states.csv who owes it or why it is not applicable",
                    row.id
                )),
                (Some(state), Some(place)) => problems.push(format!(
                    "{place}: {} is named at a test, but states.csv says \"{state}\"; if the test asserts it, \
                     take it out of tests/conformance/states.csv",
                    row.id
                )),
                _ => {}
            }
            let part = format!("Part {}", row.section.split('.').next().unwrap_or_default());
            for count in [of(&mut table.sections, &row.section), of(&mut table.parts, &part), &mut table.all] {
                count.add(place.is_some(), state);
            }
            known.insert(row.id.as_str(), ());
        }
        for (id, place) in &named.0 {
            if !known.contains_key(id.as_str()) {
                problems.push(format!("{place}: {id} is not in the catalogue; correct the id"));
            }
        }
        table
    }
}

/// The count of this name, which is the last one or a new one: rows come in the order of the catalogue.
fn of<'a>(counts: &'a mut Vec<(String, Count)>, name: &str) -> &'a mut Count {
    if counts.last().is_none_or(|(last, _)| last != name) {
        counts.push((name.to_owned(), Count::default()));
    }
    &mut counts.last_mut().expect("there is one now").1
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Conformance\n")?;
        writeln!(
            f,
            "Written by `cargo run -q -p amqp10-tests --bin conformance -- --write`; [README.md](README.md) explains it.\n"
        )?;
        let head = |f: &mut fmt::Formatter<'_>, first: &str| {
            writeln!(f, "| {first} | rows | tested | owed | not applicable | owed by |")?;
            writeln!(f, "| --- | ---: | ---: | ---: | ---: | --- |")
        };
        head(f, "part")?;
        for (name, count) in &self.parts {
            writeln!(f, "| {name} | {count}")?;
        }
        writeln!(f, "| All | {}\n", self.all)?;
        head(f, "section")?;
        self.sections.iter().try_for_each(|(name, count)| writeln!(f, "| {name} | {count}"))
    }
}
