//! Labels of ImageNet's validation pictures where these lie in one folder.
//!
//! The development kit numbers its synsets in an order of its own; `meta.mat`, a MATLAB 5 file, says which is which: an
//! array of structs `synsets` with `ILSVRC2012_ID` and `WNID`, inner nodes of the tree behind the 1,000 classes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::failure::{Failure, Result};

/// File stem → WordNet id.
pub(super) type Labels = BTreeMap<String, String>;

/// A file of 100 kB unpacks to about 1 MB.
const LIMIT: u64 = 64 << 20;

/// From Kaggle's table: `ImageId,PredictionString`, the latter starting with the WordNet id.
pub(super) fn kaggle(path: &Path) -> Result<Labels> {
    let text = read(path)?;
    let line = |(i, line): (usize, &str)| {
        let parts = line.split_once(',').filter(|(id, _)| !id.is_empty());
        match parts.and_then(|(id, rest)| Some((id, rest.split_whitespace().next()?))) {
            Some((id, wnid)) => Ok((id.to_owned(), wnid.trim_matches('"').to_owned())),
            None => Err(Failure::request(format!(
                "{}:{}: expected ImageId,PredictionString; get the file anew",
                path.display(),
                i + 1
            ))),
        }
    };
    text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()).map(line).collect()
}

/// From the development kit: line `n` of the ground truth is the label of picture `n`.
pub(super) fn ground_truth(kit: &Path) -> Result<Labels> {
    let path = kit.join("ILSVRC2012_validation_ground_truth.txt");
    let meta = kit.join("meta.mat");
    let bytes = std::fs::read(&meta).map_err(|e| Failure::io(&meta, &e))?;
    let names = synsets(&bytes).map_err(|why| {
        Failure::request(format!(
            "{}: {why}; it is the file of ILSVRC2012_devkit_t12 as image-net.org has it",
            meta.display()
        ))
    })?;
    let text = read(&path)?;
    let line = |(i, line): (usize, &str)| {
        let wnid =
            line.trim().parse().ok().and_then(|id: u64| names.get(&id)).ok_or_else(|| {
                let place = path.display();
                Failure::request(format!("{place}:{}: `{line}` is no synset of meta.mat", i + 1))
            })?;
        Ok((format!("ILSVRC2012_val_{:08}", i + 1), wnid.clone()))
    };
    text.lines().enumerate().map(line).collect()
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Failure::io(path, &e))
}

/// What a reader of MATLAB files says is wrong.
type Wrong = &'static str;

const CUT: Wrong = "ends in the middle";

/// Number → WordNet id of all synsets.
fn synsets(file: &[u8]) -> Result<BTreeMap<u64, String>, Wrong> {
    // Text of 116 bytes, 8 of an offset, version, and the letters that show the byte order.
    if file.get(124..128) != Some(&[0, 1, b'I', b'M']) {
        return Err("no MATLAB 5 file in little-endian order");
    }
    let mut rest = &file[128..];
    while !rest.is_empty() {
        let (kind, data) = element(&mut rest)?;
        let mut unpacked = Vec::new();
        let mut data = data;
        let mut kind = kind;
        if kind == COMPRESSED {
            let stream = ZlibDecoder::new(data).take(LIMIT);
            { stream }.read_to_end(&mut unpacked).map_err(|_| "is damaged")?;
            let mut inner = unpacked.as_slice();
            (kind, data) = element(&mut inner)?;
        }
        if kind != MATRIX {
            continue;
        }
        if let Matrix::Structs(structs) = matrix(data, true)? {
            let mut names = BTreeMap::new();
            for fields in &structs {
                match (fields.get("ILSVRC2012_ID"), fields.get("WNID")) {
                    (Some(Matrix::Number(id)), Some(Matrix::Text(wnid))) => {
                        names.insert(*id as u64, wnid.clone());
                    }
                    _ => return Err("has a synset without ILSVRC2012_ID or WNID"),
                }
            }
            return Ok(names);
        }
    }
    Err("holds no array of synsets")
}

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// As much of an array as synsets need.
#[derive(Debug)]
enum Matrix {
    Structs(Vec<BTreeMap<String, Matrix>>),
    Text(String),
    /// The first value.
    Number(f64),
    Other,
}

/// Kind and bytes of the next element, which is taken off `rest`. Short ones keep their bytes beside the length.
fn element<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), Wrong> {
    let word = |at: usize| {
        let bytes = rest.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let tag = word(0).ok_or(CUT)?;
    let (kind, size, start) = match tag >> 16 {
        0 => (tag, word(4).ok_or(CUT)? as usize, 8),
        size => (tag & 0xffff, size as usize, 4),
    };
    let data = rest.get(start..).and_then(|d| d.get(..size)).ok_or(CUT)?;
    let end = match start {
        4 => 8,
        _ if kind == COMPRESSED => 8 + size,
        _ => 8 + size.next_multiple_of(8),
    };
    // The padding of a file's last element may be missing.
    *rest = &rest[end.min(rest.len())..];
    Ok((kind, data))
}

/// `outer`: structs inside structs are passed over.
fn matrix(mut data: &[u8], outer: bool) -> Result<Matrix, Wrong> {
    // An empty matrix has no content at all.
    if data.is_empty() {
        return Ok(Matrix::Other);
    }
    let (_, flags) = element(&mut data)?;
    let (_, dimensions) = element(&mut data)?;
    let (_, _name) = element(&mut data)?;
    let count = dimensions
        .chunks_exact(4)
        .try_fold(1_usize, |n, d| n.checked_mul(u32::from_le_bytes(d.try_into().ok()?) as usize));
    match flags.first() {
        Some(2) if outer => structs(data, count.ok_or(CUT)?),
        Some(4) => {
            let (kind, text) = element(&mut data)?;
            // 16-bit characters, or bytes of ASCII or UTF-8.
            let wide = |pair: &[u8]| char::from(pair[0]);
            Ok(Matrix::Text(match kind {
                4 => text.chunks_exact(2).map(wide).collect(),
                _ => String::from_utf8_lossy(text).into_owned(),
            }))
        }
        Some(6..=15) => Ok(number(element(&mut data)?).map_or(Matrix::Other, Matrix::Number)),
        _ => Ok(Matrix::Other),
    }
}

fn structs(mut data: &[u8], count: usize) -> Result<Matrix, Wrong> {
    let (_, width) = element(&mut data)?;
    let width = usize::from(*width.first().ok_or(CUT)?);
    let (_, names) = element(&mut data)?;
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let names: Vec<String> = names.chunks_exact(width.max(1)).map(name).collect();
    if names.is_empty() {
        return Err("holds structs without fields");
    }
    let mut all = Vec::new();
    for _ in 0..count {
        let mut fields = BTreeMap::new();
        for name in &names {
            let (kind, value) = element(&mut data)?;
            if kind != MATRIX {
                return Err("has a field that is no matrix");
            }
            fields.insert(name.clone(), matrix(value, false)?);
        }
        all.push(fields);
    }
    Ok(Matrix::Structs(all))
}

/// The first value of a numeric array, whatever type it is stored in.
fn number((kind, data): (u32, &[u8])) -> Option<f64> {
    let low = |n: usize| {
        let mut bytes = [0; 8];
        bytes[..n].copy_from_slice(data.get(..n)?);
        Some(u64::from_le_bytes(bytes))
    };
    Some(match kind {
        1 | 2 => low(1)? as f64,
        3 | 4 => low(2)? as f64,
        5 | 6 => low(4)? as f64,
        7 => f64::from(f32::from_bits(low(4)? as u32)),
        9 => f64::from_bits(low(8)?),
        12 | 13 => low(8)? as f64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = include_bytes!("../../tests/datasets/imagenet/plain.mat");

    #[test]
    fn a_file_that_is_not_packed_says_what_scipy_reads() {
        let text = include_str!("../../tests/datasets/imagenet/plain.txt");
        let pair = |line: &str| {
            let (id, wnid) = line.split_once(' ').unwrap();
            (id.parse().unwrap(), wnid.to_owned())
        };
        let expected: BTreeMap<u64, String> = text.lines().map(pair).collect();
        assert_eq!(synsets(PLAIN).unwrap(), expected);
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        assert!(synsets(b"MATLAB").is_err());
        // Every cut, and every byte of the head of the array turned over.
        for end in (0..PLAIN.len()).step_by(7) {
            assert!(synsets(&PLAIN[..end]).is_err(), "cut at {end}");
        }
        for at in 124..400 {
            let mut bytes = PLAIN.to_vec();
            bytes[at] ^= 0xff;
            drop(synsets(&bytes));
        }
    }
}
