//! `measure CASE STEPS`: runs a case for `benches/check`, which counts the instructions inside `measured_step`.
//! Without arguments: the names of all cases and how many messages or frames a step of each handles.

use amqp10_benches::{CASES, measured_step};

/// Steps before those that are measured, in which buffers grow to the size they keep.
const WARM_UP: u32 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, steps] = arguments.as_slice() else {
        for case in &CASES {
            println!("{}\t{}", case.name, (case.work)().units());
        }
        return;
    };
    let case = CASES.iter().find(|case| case.name == name).expect("the name of a case");
    let steps: u32 = steps.parse().expect("how many steps");
    let mut work = (case.work)();
    for _ in 0..WARM_UP {
        work.prepare();
        work.step();
    }
    for _ in 0..steps {
        work.prepare();
        measured_step(work.as_mut());
    }
}
