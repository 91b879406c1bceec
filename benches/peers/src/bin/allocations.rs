//! `allocations PEER CASE` prints the allocations per message or frame. A program of its own, because counting them takes
//! instructions.

use amqp10_peers::work;

const WARM_UP: u32 = 20;
const STEPS: u32 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [peer, case] = arguments.as_slice() else { panic!("a peer and a case are needed") };
    let Some(mut work) = work(peer, case) else { return };
    for _ in 0..WARM_UP {
        work.step();
    }
    let counted = allocation_counter::measure(|| (0..STEPS).for_each(|_| work.step()));
    println!("{}", counted.count_total as f64 / f64::from(STEPS * work.units()));
}
