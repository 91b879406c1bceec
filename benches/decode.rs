//! How fast messages and frames are decoded, in octets and in messages or frames per second.

use std::hint::black_box;

use amqp10_benches::{
    attach_frame, data_message, device_message, disposition_frame, encoded, flow_frame, map_message, read_frame,
    read_map, read_message, transfer_frame,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn each(criterion: &mut Criterion, group: &str, inputs: &[(&str, Vec<u8>)], mut read: impl FnMut(&[u8])) {
    let mut group = criterion.benchmark_group(group);
    for (name, octets) in inputs {
        group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: octets.len() as u64 });
        group.bench_function(*name, |bencher| bencher.iter(|| read(black_box(octets))));
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let messages = [
        ("device message", encoded(&device_message())),
        ("1 KiB body", encoded(&data_message(1 << 10))),
        ("64 KiB body", encoded(&data_message(64 << 10))),
    ];
    each(criterion, "message decoded", &messages, |octets| read_message(octets).expect("it is a message"));
    let map = [("map of 50 entries", encoded(&map_message()))];
    each(criterion, "message decoded", &map, |octets| read_map(octets).expect("it is a message"));
}

fn frames(criterion: &mut Criterion) {
    let frames = [
        ("transfer", transfer_frame(70_000, &encoded(&device_message()))),
        ("flow", flow_frame(70_000, 1000)),
        ("disposition", disposition_frame(70_000, 70_099)),
        ("attach", attach_frame()),
    ];
    each(criterion, "frame decoded", &frames, |octets| read_frame(octets).expect("it is a frame"));
}

criterion_group!(benches, messages, frames);
criterion_main!(benches);
