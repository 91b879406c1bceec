//! Prints the allocations per message or frame of every case, for `benches/check`. A program of its own, because counting them
//! takes instructions.

use amqp10_benches::{CASES, Case};

/// Steps before those that are counted, in which buffers grow to the size they keep.
const WARM_UP: u32 = 20;
/// Steps that are counted; of large ones fewer.
const STEPS: u32 = 200;
const UNITS: u32 = 25_600;

fn main() {
    for case in &CASES {
        println!("{}\t{:.2}\t{:.2}", case.name, allocations(case), case.allocations);
    }
}

/// Allocations per message or frame in steady state.
fn allocations(case: &Case) -> f64 {
    let mut work = (case.work)();
    let mut found = 0;
    let steps = (UNITS / work.units()).min(STEPS);
    let warm_up = WARM_UP.min(steps);
    for step in 0..warm_up + steps {
        work.prepare();
        let counted = allocation_counter::measure(|| work.step());
        if step >= warm_up {
            found += counted.count_total;
        }
    }
    found as f64 / f64::from(steps * work.units())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_case_allocates_more_than_it_may() {
        for case in &CASES {
            let found = allocations(case);
            assert!(found <= case.allocations, "{}: {found} allocations, at most {}", case.name, case.allocations);
        }
    }
}
