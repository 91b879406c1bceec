//! Replays the corpora of the fuzz targets without a fuzzer.

#[allow(unreachable_pub, reason = "a library there, a module here")]
#[path = "../../fuzz/src/lib.rs"]
mod checks;

use std::fs;
use std::path::Path;

/// Calls `check` with every input of a target.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        // Shown when the check panics.
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 100, "only {inputs} inputs");
}

#[test]
fn frames() {
    replay("frame", checks::frame);
}

#[test]
fn frames_cut_anywhere() {
    // The work grows with the square of the length; most inputs are shorter.
    replay("frame", |octets| (0..octets.len().min(256)).for_each(|cut| checks::frame(&octets[..cut])));
}

#[test]
fn values() {
    replay("value", checks::value);
}

#[test]
fn messages() {
    replay("message", checks::message);
}

#[test]
fn performatives() {
    replay("performative", checks::performative);
}

#[test]
fn roundtrips() {
    replay("roundtrip", checks::roundtrip);
}

#[test]
fn chunks() {
    replay("chunking", checks::chunking);
}

#[test]
fn engine_inputs() {
    replay("engine_input", checks::engine_input);
}

#[test]
fn engine_operations() {
    replay("engine_ops", checks::engine_ops);
}
