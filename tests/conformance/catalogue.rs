//! `requirements.csv` and `states.csv`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Who may owe a requirement.
pub(crate) const OWNERS: [&str; 5] = ["amqp10-codec", "amqp10-link", "amqp10-transport", "amqp10", "amqp10-broker"];

/// What is said of a requirement that no test asserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    OwedBy(&'static str),
    NotApplicable(String),
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        if let Some(owner) = text.strip_prefix("owed by ") {
            return OWNERS.into_iter().find(|known| *known == owner).map(Self::OwedBy);
        }
        let reason = text.strip_prefix("not applicable: ")?.trim();
        (!reason.is_empty()).then(|| Self::NotApplicable(reason.to_owned()))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwedBy(owner) => write!(f, "owed by {owner}"),
            Self::NotApplicable(reason) => write!(f, "not applicable: {reason}"),
        }
    }
}

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) section: String,
}

pub(crate) struct Catalogue {
    /// In file order.
    pub(crate) rows: Vec<Row>,
    pub(crate) states: BTreeMap<String, State>,
}

impl Catalogue {
    pub(crate) fn new(requirements: &str, states: &str, problems: &mut Vec<String>) -> Self {
        let mut rows = Vec::new();
        let mut ids = HashSet::new();
        for (line, fields) in records(requirements) {
            let [id, _, section, ..] = &fields[..] else {
                problems.push(format!("requirements.csv:{line}: a row has eight columns"));
                continue;
            };
            if !ids.insert(id.clone()) {
                problems.push(format!("requirements.csv:{line}: {id} stands there twice; an id is never given again"));
            }
            rows.push(Row { id: id.clone(), section: section.clone() });
        }
        let mut found = BTreeMap::new();
        for (line, fields) in records(states) {
            let [id, state, _] = &fields[..] else {
                problems.push(format!("states.csv:{line}: a row has three columns: id, state, note"));
                continue;
            };
            let Some(state) = State::parse(state) else {
                let owners = OWNERS.join("|");
                problems.push(format!(
                    "states.csv:{line}: {id}: \"{state}\" is neither `owed by {owners}` nor `not applicable: REASON`"
                ));
                continue;
            };
            if !ids.contains(id) {
                problems.push(format!("states.csv:{line}: {id} is not in the catalogue; correct the id"));
            }
            if found.insert(id.clone(), state).is_some() {
                problems.push(format!("states.csv:{line}: {id} stands there twice; a row has one state, so drop one"));
            }
        }
        Self { rows, states: found }
    }
}

/// The records behind the header of a table of comma-separated values, with the lines on which they begin. RFC 4180
fn records(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut records = Vec::new();
    let mut fields = vec![String::new()];
    let (mut line, mut began, mut quoted) = (1, 1, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\n' {
            line += 1;
        }
        let field = fields.last_mut().expect("a record has a field");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            '\n' if !quoted => {
                records.push((began, std::mem::replace(&mut fields, vec![String::new()])));
                began = line;
            }
            other => field.push(other),
        }
    }
    records.into_iter().skip(1).collect()
}
