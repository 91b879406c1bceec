//! Text that a test produces, kept beside it.

use std::path::Path;
use std::{env, fs};

/// Set to anything, the files are written anew instead of compared. What changed is then seen by `git diff`.
const REWRITE: &str = "AMQP10_REWRITE_SNAPSHOTS";

/// Compares `text` with `tests/snapshots/NAME.txt`.
#[track_caller]
pub(crate) fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name).with_extension("txt");
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let mut section = "";
    let mut lines = kept.lines();
    for line in text.lines() {
        if line.starts_with('#') {
            section = line;
        }
        let before = lines.next().unwrap_or("nothing");
        assert_eq!(line, before, "{section}, new and kept; {REWRITE}=1 writes {} anew", path.display());
    }
    assert_eq!(lines.next(), None, "more is kept in {}; {REWRITE}=1 writes it anew", path.display());
}
