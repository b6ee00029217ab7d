//! The safetensors container, read strictly and written reproducibly.
//!
//! A file is `N` (u64, little-endian) · `N` bytes of JSON header · the tensors' bytes, without holes or
//! overlaps. Stranger's files are read with limits far below the format's own; headers are written
//! with sorted keys, because the reference writer keeps metadata in a random order (trap W3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use half::f16;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value, json};

const MAX_HEADER: u64 = 16 << 20;
const MAX_TENSORS: usize = 100_000;
const MAX_RANK: usize = 8;
const MAX_DIMENSION: u64 = 1 << 31;

/// Element types that weights and counters may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    #[serde(rename = "BF16")]
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Signed counter.
    I64,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::I64 => "I64",
        }
    }
}

/// One tensor of a file that was read: bytes are little-endian, row-major, and fit shape and type.
#[derive(Clone, Debug, PartialEq)]
pub struct View<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements.
    pub bytes: &'a [u8],
}

/// The content of a file.
#[derive(Debug)]
pub struct Container<'a> {
    /// By name.
    pub tensors: BTreeMap<String, View<'a>>,
    /// `__metadata__`; empty when absent.
    pub metadata: BTreeMap<String, String>,
}

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Unique name.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Axes.
    pub shape: Vec<usize>,
    /// Elements, little-endian.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// An f32 tensor.
    pub fn f32(name: impl Into<String>, shape: Vec<usize>, data: &[f32]) -> Self {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::F32, shape, bytes }
    }

    /// A tensor rounded to half precision.
    pub fn f16(name: impl Into<String>, shape: Vec<usize>, data: &[f32]) -> Self {
        let bytes = data.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::F16, shape, bytes }
    }

    /// An i64 tensor.
    pub fn i64(name: impl Into<String>, shape: Vec<usize>, data: &[i64]) -> Self {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::I64, shape, bytes }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The header's entries in file order, with duplicate names refused: not every parser notices them.
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, RawTensor)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { metadata: BTreeMap::new(), tensors: Vec::new() };
                let mut seen = BTreeSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format!("`{name}` stands there twice")));
                    }
                    if name == "__metadata__" {
                        header.metadata = map.next_value()?;
                    } else if header.tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Where a header says that a tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Element type.
    pub dtype: Dtype,
    /// Axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// First byte in the file and the one after the last.
    pub range: [u64; 2],
}

/// What a header says, for whoever does not have the whole file at once.
#[derive(Debug)]
pub struct Index {
    /// By name.
    pub tensors: BTreeMap<String, Entry>,
    /// `__metadata__`; empty when absent.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a file that may come from a stranger; nothing is allocated beyond a small multiple of its size.
///
/// # Errors
/// One line saying which rule of the format, or which of our limits, is broken.
pub fn parse(file: &[u8]) -> Result<Container<'_>, String> {
    let Index { tensors, metadata } = index(file, file.len() as u64)?;
    let view = |(name, Entry { dtype, shape, range: [from, to] })| {
        // Within the file: the index was checked against its length.
        (name, View { dtype, shape, bytes: &file[from as usize..to as usize] })
    };
    Ok(Container { tensors: tensors.into_iter().map(view).collect(), metadata })
}

/// Reads the header of a file of `length` bytes; `head` are at least as many of its first ones as [`head_end`] says.
///
/// # Errors
/// As [`parse`]: tensors beyond the length of the file are refused too.
pub fn index(head: &[u8], length: u64) -> Result<Index, String> {
    let start = head_end(head, length)?;
    let Some(header) = head.get(8..start as usize) else {
        return Err(format!("{} bytes of a header that ends at {start} were given", head.len()));
    };
    if header.first() != Some(&b'{') {
        return Err("the header does not start with `{`: no safetensors file".to_owned());
    }
    let Header { metadata, tensors } =
        serde_json::from_slice(header).map_err(|e| format!("header: {e}").replace('\n', "\\n"))?;
    let mut ranges = Vec::with_capacity(tensors.len());
    let mut entries = BTreeMap::new();
    for (name, raw) in tensors {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(format!("the tensor name {name:?} is not printable"));
        }
        let entry =
            entry(&raw, [start, length]).map_err(|why| format!("tensor `{name}`: {why}"))?;
        ranges.push((raw.data_offsets, name.clone()));
        entries.insert(name, entry);
    }
    ranges.sort();
    let mut end = 0;
    for ([from, to], name) in ranges {
        if from != end {
            let what = if from > end { "a hole before" } else { "an overlap with" };
            return Err(format!("tensor `{name}`: {what} its bytes {from}..{to}"));
        }
        end = to;
    }
    if start + end != length {
        return Err(format!("{} bytes after the last tensor", length - start - end));
    }
    Ok(Index { tensors: entries, metadata })
}

/// Where the header of a file of `length` bytes ends, which its first eight say.
///
/// # Errors
/// If the file is shorter, or the header longer than is read.
pub fn head_end(head: &[u8], length: u64) -> Result<u64, String> {
    let Some(header) = head.first_chunk::<8>() else {
        return Err(format!("{length} bytes are no safetensors file"));
    };
    let header = u64::from_le_bytes(*header);
    if header > MAX_HEADER {
        return Err(format!("header of {header} bytes; at most {MAX_HEADER} are read"));
    }
    if header + 8 > length {
        return Err(format!("cut off: a header of {header} bytes in a file of {length}"));
    }
    Ok(header + 8)
}

/// A tensor in the buffer between these two places of the file.
fn entry(raw: &RawTensor, [start, length]: [u64; 2]) -> Result<Entry, String> {
    let dtype = Dtype::deserialize(Value::from(raw.dtype.as_str()))
        .map_err(|_| format!("dtype {:?}; only F16, BF16, F32, F64, I64 are read", raw.dtype))?;
    if raw.shape.len() > MAX_RANK || raw.shape.iter().any(|&d| d > MAX_DIMENSION) {
        return Err(format!("shape {:?}; at most {MAX_RANK} axes up to 2^31", raw.shape));
    }
    let bytes = raw
        .shape
        .iter()
        .try_fold(dtype.size() as u64, |n, &d| n.checked_mul(d))
        .ok_or_else(|| format!("shape {:?} overflows", raw.shape))?;
    let [from, to] = raw.data_offsets;
    if to.checked_sub(from) != Some(bytes) {
        return Err(format!("bytes {from}..{to} do not hold {} {:?}", dtype.name(), raw.shape));
    }
    if to > length - start {
        return Err(format!("cut off: bytes {from}..{to} of {}", length - start));
    }
    let shape = raw.shape.iter().map(|&d| d as usize).collect();
    Ok(Entry { dtype, shape, range: [start + from, start + to] })
}

/// The same tensors and metadata in any order: the same bytes.
///
/// # Panics
/// If two tensors have one name.
pub fn write(blobs: &[Blob], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut order: Vec<&Blob> = blobs.iter().collect();
    // Large elements first keeps every tensor aligned to its element.
    order.sort_by(|a, b| (b.dtype.size(), &a.name).cmp(&(a.dtype.size(), &b.name)));
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut end = 0;
    for blob in &order {
        let from = end;
        end += blob.bytes.len();
        let entry = json!({
            "dtype": blob.dtype.name(), "shape": blob.shape, "data_offsets": [from, end],
        });
        assert!(header.insert(blob.name.clone(), entry).is_none(), "{}: given twice", blob.name);
    }
    let mut text = crate::digest::canonical_json(&header).into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut file = Vec::with_capacity(8 + text.len() + end);
    file.extend_from_slice(&(text.len() as u64).to_le_bytes());
    file.extend_from_slice(&text);
    for blob in order {
        file.extend_from_slice(&blob.bytes);
    }
    file
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
