//! Reading compounds whose size ends before their elements do.

use std::time::{Duration, Instant};

use allocation_counter::measure;
use amqp10_codec::{DecodeError, DecodeErrorKind, Limits, Map, Reader, Value, encode_to_vec};
use proptest::collection::vec;
use proptest::prelude::*;

fn strict(octets: &[u8]) -> Result<Value<'_>, DecodeError> {
    let value: Value<'_> = Reader::sized(octets).read()?;
    value.validate()?;
    Ok(value)
}

/// The octets that the value at the start of these becomes, and how many were read.
fn by_count(octets: &[u8]) -> Result<(Vec<u8>, usize), DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read_by_count(&Limits::default())?;
    Ok((encode_to_vec(&value), reader.offset()))
}

fn refusal(octets: &[u8]) -> DecodeErrorKind {
    by_count(octets).expect_err("it is malformed").kind()
}

fn wide(constructor: u8, count: u32, octets: &[u8]) -> Vec<u8> {
    let size = octets.len() as u32 + 4;
    [&[constructor][..], &size.to_be_bytes(), &count.to_be_bytes(), octets].concat()
}

#[test]
fn sizes_that_end_before_the_elements() {
    let rows: [(&[u8], &[u8]); 13] = [
        // Nothing of a list, of a map, of an array inside; a part of the elements; a part of an element.
        (&[0xc0, 1, 1, 0x40], &[0xc0, 2, 1, 0x40]),
        (&[0xc1, 1, 2, 0x43, 0x40], &[0xc1, 3, 2, 0x43, 0x40]),
        (&[0xe0, 2, 1, 0x50, 7], &[0xe0, 3, 1, 0x50, 7]),
        (&[0xc0, 2, 2, 0x40, 0x41], &[0xc0, 3, 2, 0x40, 0x41]),
        (&[0xc0, 3, 1, 0xa1, 1, b'x'], &[0xc0, 4, 1, 0xa1, 1, b'x']),
        (&[0xe0, 3, 2, 0xa1, 0, 1, b'x'], &[0xe0, 5, 2, 0xa1, 0, 1, b'x']),
        (&[0xe0, 5, 2, 0, 0x53, 9, 0x50, 1, 2], &[0xe0, 7, 2, 0, 0x53, 9, 0x50, 1, 2]),
        // Four octets of size and count become one only outside, where the shortest form is taken.
        (&[0xd0, 0, 0, 0, 4, 0, 0, 0, 1, 0x40], &[0xc0, 2, 1, 0x40]),
        (&[0xc0, 10, 1, 0xd0, 0, 0, 0, 4, 0, 0, 0, 1, 0x40], &[0xc0, 11, 1, 0xd0, 0, 0, 0, 5, 0, 0, 0, 1, 0x40]),
        // Inside something whose size is right, and in a described value, which has none.
        (&[0xc0, 5, 1, 0xc0, 1, 1, 0x40], &[0xc0, 5, 1, 0xc0, 2, 1, 0x40]),
        (&[0, 0x53, 9, 0xc0, 1, 1, 0x40], &[0, 0x53, 9, 0xc0, 2, 1, 0x40]),
        // On two levels, with an element behind the inner one; the size of a list goes for nothing where its element is cut.
        (&[0xc0, 4, 2, 0xc0, 1, 1, 0x40, 0x41], &[0xc0, 6, 2, 0xc0, 2, 1, 0x40, 0x41]),
        (&[0xc0, 3, 1, 0xe0, 2, 1, 0x50, 7], &[0xc0, 6, 1, 0xe0, 3, 1, 0x50, 7]),
    ];
    for (octets, put_right) in rows {
        let error = strict(octets).expect_err("its size is too small");
        assert!(matches!(error.kind(), DecodeErrorKind::CountTooLarge | DecodeErrorKind::Overrun), "{octets:02x?}");
        for behind in [&[][..], &[0x40, 0xff, 0xc0]] {
            let (found, read) =
                by_count(&[octets, behind].concat()).unwrap_or_else(|error| panic!("{octets:02x?}: {error}"));
            assert_eq!((&*found, read), (put_right, octets.len()));
        }
        assert_eq!(encode_to_vec(&strict(put_right).unwrap()), put_right);
        for cut in 1..octets.len() {
            assert!(by_count(&octets[..cut]).is_err(), "{octets:02x?}: cut at {cut}");
            let error = Reader::new(&octets[..cut]).read_by_count(&Limits::default()).unwrap_err();
            assert!(error.is_incomplete(), "{octets:02x?}: cut at {cut}: {error}");
        }
    }
}

#[test]
fn a_list_that_outgrows_its_form() {
    let mut octets = vec![0xc0, 1, 255];
    octets.extend([0x52, 1].repeat(255));
    let (found, read) = by_count(&octets).unwrap();
    assert_eq!((found, read), (wide(0xd0, 255, &[0x52, 1].repeat(255)), octets.len()));
}

#[test]
fn what_is_wrong_otherwise_stays_wrong() {
    let rows: [(&[u8], DecodeErrorKind); 13] = [
        // A size that is too large, outside and inside.
        (&[0xc0, 3, 1, 0x40], DecodeErrorKind::Overrun),
        (&[0xc0, 2, 0, 0x40], DecodeErrorKind::LeftOver),
        (&[0xc0, 1, 1, 0xc0, 3, 1, 0x40, 0x40], DecodeErrorKind::LeftOver),
        // No count, and no constructor.
        (&[0xc0, 0, 0], DecodeErrorKind::Overrun),
        (&[0xe0, 1, 1, 0x40], DecodeErrorKind::Overrun),
        (&[0xe0, 2, 1, 0, 0x53, 9, 0x40], DecodeErrorKind::Overrun),
        // Fewer elements than the count, with everything behind.
        (&[0xc0, 1, 2, 0x40], DecodeErrorKind::Overrun),
        // Inside what was put right.
        (&[0xc0, 1, 1, 0xff], DecodeErrorKind::UnknownConstructor(0xff)),
        (&[0xc0, 1, 1, 0xa1, 1, 0xff], DecodeErrorKind::InvalidUtf8),
        (&[0xc1, 1, 1, 0x40], DecodeErrorKind::OddMapCount),
        (&[0xc1, 1, 4, 0x43, 0x40, 0x43, 0x40], DecodeErrorKind::DuplicateKey),
        // The elements of an array are taken by their sizes: a list of one value with none, then a null.
        (&[0xe0, 4, 1, 0xc0, 1, 1, 0x40], DecodeErrorKind::CountTooLarge),
        (&[0xf0, 0, 0, 0, 5, 0, 1, 0, 1, 0x40], DecodeErrorKind::CountTooLarge),
    ];
    for (octets, kind) in rows {
        assert_eq!(refusal(octets), kind, "{octets:02x?}");
    }
    // The offset is that of the input, though the octets before it were put right.
    let error = by_count(&[0xc0, 2, 2, 0x40, 0xc0, 1, 1, 0xa1, 1, 0xff]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::InvalidUtf8, 9));
}

#[test]
fn the_limits_hold() {
    let mut limits = Limits::default();
    limits.elements = 1;
    let read = |octets: &[u8]| Reader::sized(octets).read_by_count(&limits).map(drop).map_err(|error| error.kind());
    assert_eq!(read(&[0xc0, 1, 1, 0x40]), Ok(()));
    assert_eq!(read(&[0xc0, 1, 2, 0x40, 0x40]), Err(DecodeErrorKind::TooManyElements));
    assert_eq!(read(&[0xc0, 3, 2, 0x40, 0x40]), Err(DecodeErrorKind::TooManyElements), "also where the size is right");

    let nested = |depth: usize| [[0xc0, 1, 1].repeat(depth), vec![0x40]].concat();
    assert!(by_count(&nested(64)).is_ok());
    assert_eq!(refusal(&nested(65)), DecodeErrorKind::TooDeep);
    let described = |depth: usize| [[0, 0x53, 9].repeat(depth), vec![0xc0, 1, 1, 0x40]].concat();
    assert!(by_count(&described(63)).is_ok());
    assert_eq!(refusal(&described(64)), DecodeErrorKind::TooDeep);
    assert_eq!(refusal(&[0xc0, 1, 1].repeat(100_000)), DecodeErrorKind::TooDeep);
}

/// 1 MiB that claims much more: time and memory in proportion to what there is.
#[test]
fn counts_cost_no_more_than_the_octets() {
    let all = u32::MAX;
    let zero_width = [vec![0xc0, 1, 1], wide(0xf0, 1 << 16, &[0x40]).repeat(100_000)].concat();
    let inputs = [
        wide(0xd0, all, &[]),
        [wide(0xd0, all, &[]), vec![0x40; 1 << 20]].concat(),
        [wide(0xf0, all, &[0x50]), vec![0; 1 << 20]].concat(),
        wide(0xf0, all, &[0x40]),
        [wide(0xd0, all, &[]), zero_width].concat(),
        [[0xc0, 1, 1].repeat(60), wide(0xd0, all, &[]), vec![0x40; 1 << 20]].concat(),
    ];
    for octets in &inputs {
        let start = Instant::now();
        let info = measure(|| assert!(by_count(octets).is_err()));
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(info.bytes_max <= 4 << 20, "{} octets at once", info.bytes_max);
    }
}

proptest! {
    #[test]
    fn what_is_right_is_the_same(octets in vec(any::<u8>(), 0..40), head in 0_usize..6, count in 0_u8..4) {
        // Heads that are often those of compounds.
        let head = [&[][..], &[0xc0], &[0xc1], &[0xe0], &[0, 0x53, 1, 0xc0], &[0xc0, 9, 2, 0xc0]][head];
        let octets = [head, &[octets.len() as u8 + 1, count], &octets].concat();
        let mut reader = Reader::sized(&octets);
        let read = reader.read::<Value<'_>>();
        match (strict(&octets), by_count(&octets)) {
            (Ok(value), found) => prop_assert_eq!(found, Ok((encode_to_vec(&value), reader.offset()))),
            (Err(_), Ok((found, _))) => prop_assert!(strict(&found).is_ok()),
            (Err(_), Err(_)) => {}
        }
        drop(read);
    }

    /// A map whose size was made smaller is read as the one it was.
    #[test]
    fn a_size_made_smaller_does_not_matter(entries in vec(("[a-z]{1,8}", any::<u32>()), 1..9), less in 1_u8..) {
        let map = entries.iter().enumerate().fold(Map::new(), |map, (at, (key, value))| map.with(format!("{key}{at}"), *value));
        let octets = encode_to_vec(&map);
        let mut shorter = octets.clone();
        shorter[1] = (octets[1] - 1).saturating_sub(less) + 1;
        prop_assert!(strict(&shorter).is_err());
        prop_assert_eq!(by_count(&shorter), Ok((octets.clone(), octets.len())));
    }
}
