//! What `benches/peers/run` starts: the octets for others, instructions under callgrind, and time.
//!
//! `measure octets FOLDER` | `measure check INPUT <OCTETS` | `measure steps PEER CASE STEPS` | `measure time PEER CASE`

use std::io::Read;
use std::time::Instant;

use amqp10_benches::measured_step;
use amqp10_peers::{check, inputs, work};

/// Steps before those that are measured, in which buffers grow to the size they keep.
const WARM_UP: u32 = 20;
/// Of so many runs the quickest counts, each as long as this many nanoseconds or more.
const RUNS: u32 = 15;
const RUN: u128 = 4_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["octets", folder] => {
            for (name, octets) in inputs() {
                std::fs::write(std::path::Path::new(folder).join(name), octets).expect("the folder can be written to");
            }
        }
        // Fails unless the standard input is another encoding of an input.
        ["check", name] => {
            let mut encoded = Vec::new();
            std::io::stdin().read_to_end(&mut encoded).expect("the octets can be read");
            check(name, &encoded);
        }
        // Prints how many messages or frames a step handles; nothing if the peer has no such case.
        ["steps", peer, case, steps] => {
            let Some(mut work) = work(peer, case) else { return };
            println!("{}", work.units());
            for _ in 0..WARM_UP {
                work.step();
            }
            for _ in 0..steps.parse().expect("how many steps") {
                measured_step(work.as_mut());
            }
        }
        ["time", peer, case] => {
            let Some(mut work) = work(peer, case) else { return };
            let mut run = |steps: u32| {
                let start = Instant::now();
                for _ in 0..steps {
                    measured_step(work.as_mut());
                }
                start.elapsed().as_nanos()
            };
            let mut steps = 1;
            while run(steps) < RUN {
                steps *= 2;
            }
            let least = (0..RUNS).map(|_| run(steps)).min().unwrap_or_default();
            println!("{}", least as f64 / f64::from(steps) / f64::from(work.units()));
        }
        other => panic!("these arguments mean nothing: {other:?}"),
    }
}
