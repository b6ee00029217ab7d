//! Malformed files, one rule each, and a file of the reference library as the other side.

use super::*;
use crate::seed::Seed;

fn file(header: &str, buffer: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + buffer, 0);
    file
}

fn sample() -> Vec<u8> {
    let blobs = [
        Blob::f32("b.weight", vec![2, 3], &[1., 2., 3., 4., 5., 6.]),
        Blob::i64("z.count", vec![], &[7]),
        Blob::f32("a.empty", vec![0, 4], &[]),
    ];
    let metadata = [("format", "pt"), ("toxiclip", "{}")];
    write(&blobs, &metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
}

#[test]
fn the_reference_library_reads_what_we_write() {
    let file = sample();
    let theirs = safetensors::SafeTensors::deserialize(&file).unwrap();
    let tensor = theirs.tensor("b.weight").unwrap();
    assert_eq!(tensor.shape(), [2, 3]);
    assert_eq!(tensor.data()[..4], 1f32.to_le_bytes());
    assert_eq!(theirs.tensor("z.count").unwrap().data(), 7i64.to_le_bytes());
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn we_read_what_we_write_and_what_the_library_writes() {
    let file = sample();
    let ours = parse(&file).unwrap();
    assert_eq!(ours.metadata["toxiclip"], "{}");
    assert_eq!(ours.tensors["a.empty"].bytes.len(), 0);
    let theirs = safetensors::SafeTensors::deserialize(&file).unwrap();
    let file = safetensors::serialize(theirs.tensors(), None).unwrap();
    assert_eq!(parse(&file).unwrap().tensors, ours.tensors);
}

#[test]
fn order_of_the_tensors_does_not_change_the_file() {
    let mut blobs = vec![
        Blob::f32("b", vec![1], &[1.]),
        Blob::i64("c", vec![1], &[2]),
        Blob::f32("a", vec![1], &[3.]),
    ];
    let file = write(&blobs, &BTreeMap::new());
    blobs.reverse();
    assert_eq!(write(&blobs, &BTreeMap::new()), file);
}

#[test]
fn every_broken_rule_is_one_line() {
    let f32_at = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let one = |entry: &str| format!(r#"{{"a":{entry}}}"#);
    let cases = [
        (vec![1, 2, 3], "no safetensors file"),
        ((17u64 << 20).to_le_bytes().to_vec(), "at most 16777216"),
        (100u64.to_le_bytes().to_vec(), "cut off"),
        (file("[]", 0), "does not start with `{`"),
        (file("{\"a\"", 0), "header: "),
        (file(&one(r#"{"dtype":"F32","shape":[1]}"#), 4), "missing field `data_offsets`"),
        (file(&one(r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#), 1), "dtype \"U8\""),
        (file(&one(&f32_at("[1,1,1,1,1,1,1,1,1]", 0, 4)), 4), "at most 8 axes"),
        (file(&one(&f32_at("[4294967296]", 0, 4)), 4), "at most 8 axes up to 2^31"),
        (file(&one(&f32_at("[2147483648,2147483648,2147483648]", 0, 4)), 4), "overflows"),
        (file(&one(&f32_at("[-1]", 0, 4)), 4), "invalid value"),
        (file(&one(&f32_at("[2]", 0, 4)), 4), "do not hold F32 [2]"),
        (file(&one(&f32_at("[1]", 8, 4)), 8), "do not hold"),
        (file(&one(&f32_at("[2]", 0, 8)), 4), "cut off"),
        (file(&one(&f32_at("[1]", 4, 8)), 8), "a hole before"),
        (file(&one(&f32_at("[1]", 0, 4)), 8), "4 bytes after the last tensor"),
        (
            file(&format!(r#"{{"a":{},"b":{}}}"#, f32_at("[2]", 0, 8), f32_at("[2]", 4, 12)), 12),
            "an overlap",
        ),
        (
            file(&format!(r#"{{"a":{0},"a":{0}}}"#, f32_at("[1]", 0, 4)), 4),
            "`a` stands there twice",
        ),
        (file(&format!(r#"{{"a\n":{}}}"#, f32_at("[1]", 0, 4)), 4), "not printable"),
        (file(r#"{"__metadata__":{"a":1}}"#, 0), "header: "),
    ];
    for (bytes, expected) in cases {
        let error = parse(&bytes).unwrap_err();
        assert!(error.contains(expected) && !error.contains('\n'), "{expected}: {error}");
    }
}

#[test]
fn damaged_files_never_panic() {
    let whole = sample();
    let mut stream = Seed::new(0).child("damage").stream();
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..=stream.below(3) {
            let at = stream.below(bytes.len());
            bytes[at] = stream.next_u32() as u8;
        }
        bytes.truncate(stream.below(bytes.len()) + 1);
        if let Ok(container) = parse(&bytes) {
            let sizes = container.tensors.values();
            assert!(sizes.map(|t| t.bytes.len()).sum::<usize>() <= bytes.len());
        }
    }
}
