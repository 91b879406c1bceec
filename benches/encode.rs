//! How fast messages and frames are encoded, in octets and in messages or frames per second.

use std::hint::black_box;

use amqp10_benches::{
    attach, built_device_message, built_map_message, data_message, device_message, disposition, encode, encoded, flow,
    map_keys, map_message, transfer, write_frame,
};
use amqp10_codec::{Encode, Message};
use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

fn each(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, octets: usize, mut write: impl FnMut()) {
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: octets as u64 });
    group.bench_function(name, |bencher| bencher.iter(&mut write));
}

fn prebuilt(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, message: &Message) {
    let mut out = Vec::new();
    each(group, name, encoded(message).len(), || encode(message, &mut out));
}

fn slices(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, message: &Message) {
    each(group, name, encoded(message).len(), || {
        black_box(black_box(message).to_slices());
    });
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message encoded");
    let mut out = Vec::new();
    prebuilt(&mut group, "device message", &device_message());
    let body = Bytes::from(vec![b'x'; 256]);
    let octets = encoded(&built_device_message(&body)).len();
    each(&mut group, "device message, built", octets, || encode(&built_device_message(&body), &mut out));
    for (name, size) in [("1 KiB body", 1 << 10), ("64 KiB body", 64 << 10)] {
        let message = data_message(size);
        prebuilt(&mut group, name, &message);
        slices(&mut group, &format!("{name}, as slices"), &message);
    }
    prebuilt(&mut group, "map of 50 entries", &map_message());
    let keys = map_keys();
    let octets = encoded(&map_message()).len();
    each(&mut group, "map of 50 entries, built", octets, || encode(&built_map_message(&keys), &mut out));
    group.finish();
}

fn frame(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, body: &impl Encode, payload: &[u8]) {
    let mut out = Vec::new();
    write_frame(body, payload, &mut out);
    let octets = out.len();
    each(group, name, octets, || {
        out.clear();
        write_frame(black_box(body), black_box(payload), &mut out);
        black_box(out.as_slice());
    });
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame encoded");
    frame(&mut group, "transfer", &transfer(70_000), &encoded(&device_message()));
    frame(&mut group, "flow", &flow(70_000, 1000), &[]);
    frame(&mut group, "disposition", &disposition(70_000, 70_099), &[]);
    frame(&mut group, "attach", &attach(), &[]);
    group.finish();
}

criterion_group!(benches, messages, frames);
criterion_main!(benches);
