//! PyTorch's checkpoints (`torch.save` since 1.6): a zip archive of one pickle and, uncompressed beside it, the numbers of
//! each storage. The pickle is read by [`crate::pickle`], which runs nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toxiclip_shared::checkpoint::container::{Blob, Dtype};
use zip::{CompressionMethod, ZipArchive};

use crate::failure::{Failure, Result};
use crate::pickle::{self, Stored, Strided, Torch, Value};

/// The tensors of a checkpoint.
pub struct Tensors {
    /// In the checkpoint's order.
    pub blobs: Vec<Blob>,
    /// The item of the outermost dictionary that they lie in; `None` where they are its own.
    pub within: Option<&'static str>,
    /// Items beside them, and tensors of types that weights do not have.
    pub left_out: Vec<String>,
}

/// Where training programs put the weights among other things.
const PLACES: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The largest pickle. A tensor takes about 100 bytes of one, and no header may name more than 100,000.
const PICKLE: u64 = 256 << 20;

/// Views may repeat numbers, as tied weights do; together they take at most so many times the file.
const REPEATS: u64 = 4;

/// Reads a checkpoint.
///
/// # Errors
/// If the file is missing or no such archive; if its pickle needs an opcode or a name that plain tensors do not need (says
/// which); if a tensor does not fit its storage.
pub fn read(path: &Path) -> Result<Tensors> {
    let remedy = "give a checkpoint that torch.save wrote";
    let mut file = File::open(path).map_err(|e| Failure::absent(path, &e, remedy))?;
    let length = file.metadata().map_err(|e| Failure::io(path, &e))?.len();
    let mut head = [0; 4];
    let told = file.read(&mut head).map_err(|e| Failure::io(path, &e))?;
    let wrong = |why: String| Failure::request(format!("{}: {why}", path.display()));
    if told == 4 && head[0] == 0x80 {
        return Err(wrong(
            "is a bare pickle, PyTorch's form before 1.6; load it there and torch.save its state_dict anew".into(),
        ));
    }
    let archive = ZipArchive::new(file);
    let archive = archive.map_err(|e| wrong(format!("is no checkpoint of PyTorch ({e})")))?;
    Archive::of(archive, length).and_then(Archive::tensors).map_err(wrong)
}

struct Archive {
    zip: ZipArchive<File>,
    /// The folder inside that holds everything.
    root: String,
    /// Bytes that tensors may still take.
    left: u64,
}

impl Archive {
    fn of(mut zip: ZipArchive<File>, length: u64) -> Result<Self, String> {
        let names = zip.file_names().map(|name| Ok(name?.into_owned()));
        let names: BTreeSet<String> =
            names.collect::<zip::result::ZipResult<_>>().map_err(|e| e.to_string())?;
        let roots = names.iter().filter_map(|name| name.strip_suffix("/data.pkl"));
        let roots: Vec<&str> = roots.collect();
        let [root] = roots[..] else {
            return Err(format!("holds {} pickles called data.pkl; expected one", roots.len()));
        };
        let has = |name: &str| names.contains(&format!("{root}/{name}"));
        if has("constants.pkl") {
            return Err("holds a program (TorchScript), not tensors alone; load it in PyTorch and torch.save its state_dict".into());
        }
        if has("byteorder") && member(&mut zip, &format!("{root}/byteorder"), 16)? != b"little" {
            return Err("was written on a big-endian machine; save it anew on a usual one".into());
        }
        let root = root.to_owned();
        Ok(Self { zip, root, left: length.saturating_mul(REPEATS) })
    }

    fn tensors(mut self) -> Result<Tensors, String> {
        let bytes = member(&mut self.zip, &format!("{}/data.pkl", self.root), PICKLE)?;
        let value = pickle::read::<Torch>(&bytes)?;
        let (within, items) = weights(&value)?;
        let (mut blobs, mut left_out) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
        for (key, value) in items {
            let name = key.text().ok_or("has a tensor whose name is no text")?;
            let tensor = match value {
                Value::Strided(tensor) => tensor,
                _ => {
                    left_out.push(name);
                    continue;
                }
            };
            let Some(dtype) = dtype(tensor.storage.kind) else {
                left_out.push(format!("{name} ({})", tensor.storage.kind));
                continue;
            };
            if !known.insert(name.clone()) {
                return Err(format!("{name} comes twice"));
            }
            // Views of one storage follow each other.
            if last.as_ref().is_none_or(|(key, _)| key != tensor.storage.key) {
                let bytes = self.storage(&tensor.storage, dtype).map_err(|e| during(&name, &e))?;
                last = Some((tensor.storage.key.to_vec(), bytes));
            }
            let numbers = last.as_ref().map_or(&[][..], |(_, bytes)| bytes);
            let bytes = gather(tensor, dtype.size(), numbers).map_err(|e| during(&name, &e))?;
            let left = self.left.checked_sub(bytes.len() as u64);
            self.left = left.ok_or("its tensors repeat the same numbers many times over")?;
            blobs.push(Blob { name, dtype, shape: tensor.shape.clone(), bytes });
        }
        Ok(Tensors { blobs, within, left_out })
    }

    fn storage(&mut self, storage: &Stored<'_>, dtype: Dtype) -> Result<Vec<u8>, String> {
        let key = std::str::from_utf8(storage.key).unwrap_or("?");
        let wanted = storage.count.checked_mul(dtype.size()).ok_or("its storage is absurd")?;
        let bytes = member(&mut self.zip, &format!("{}/data/{key}", self.root), wanted as u64)?;
        match bytes.len() == wanted {
            true => Ok(bytes),
            false => Err(format!("its storage has {} bytes instead of {wanted}", bytes.len())),
        }
    }
}

fn during(name: &str, why: &str) -> String {
    format!("{name}: {why}")
}

/// A file of the archive, uncompressed as PyTorch leaves it: it cannot be larger than the archive.
fn member(zip: &mut ZipArchive<File>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let shown = name.escape_debug();
    let found = zip.by_name(name).map_err(|e| format!("{shown}: {e}"))?;
    if found.compression() != CompressionMethod::Stored {
        return Err(format!("{shown} is compressed, which torch.save never does"));
    }
    if found.size() > limit {
        return Err(format!("{shown} has {} bytes; expected at most {limit}", found.size()));
    }
    let mut bytes = Vec::new();
    found.take(limit).read_to_end(&mut bytes).map_err(|e| format!("{shown}: {e}"))?;
    Ok(bytes)
}

type Items<'v, 'a> = &'v [(Value<'a>, Value<'a>)];

/// The dictionary of tensors: the outermost value, or what it keeps in one of the usual places.
fn weights<'v, 'a>(value: &'v Value<'a>) -> Result<(Option<&'static str>, Items<'v, 'a>), String> {
    let tensors = |value: &'v Value<'a>| match value {
        Value::Dict(items) if items.iter().any(|(_, v)| matches!(v, Value::Strided(_))) => {
            Some(&items[..])
        }
        _ => None,
    };
    let placed = |place: &&'static str| Some((Some(*place), tensors(value.item(place).ok()?)?));
    // A training's own dictionary may hold a tensor beside the weights.
    let found = PLACES.iter().find_map(placed).or_else(|| Some((None, tensors(value)?)));
    found.ok_or_else(|| {
        format!("holds no dictionary of tensors, neither itself nor in `{}`", PLACES.join("`, `"))
    })
}

fn dtype(kind: &str) -> Option<Dtype> {
    match kind {
        "Float" => Some(Dtype::F32),
        "Half" => Some(Dtype::F16),
        "BFloat16" => Some(Dtype::Bf16),
        "Double" => Some(Dtype::F64),
        "Long" => Some(Dtype::I64),
        _ => None,
    }
}

/// The numbers of a view, row by row.
fn gather(tensor: &Strided<'_>, size: usize, storage: &[u8]) -> Result<Vec<u8>, String> {
    let Strided { shape, strides, offset, .. } = tensor;
    let outside = || "its view leaves its storage".to_owned();
    let count = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
    let count = count.filter(|n| *n <= storage.len() / size);
    let count = count.ok_or("its view has more numbers than its storage")?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(*offset, |at, (side, stride)| at.checked_add(stride.checked_mul(side - 1)?));
    if last.ok_or_else(outside)? >= storage.len() / size {
        return Err(outside());
    }
    let mut out = Vec::with_capacity(count * size);
    let mut at = vec![0; shape.len()];
    for _ in 0..count {
        let index = offset + at.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>();
        out.extend_from_slice(&storage[index * size..(index + 1) * size]);
        for axis in (0..at.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: usize, shape: &[usize], strides: &[usize]) -> Result<Vec<u8>, String> {
        let storage = Stored { kind: "Byte", key: b"0", count: 6 };
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        gather(&Strided { storage, offset, shape, strides }, 1, &[0, 1, 2, 3, 4, 5])
    }

    #[test]
    fn views_are_gathered_row_by_row() {
        assert_eq!(view(0, &[2, 3], &[3, 1]).unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(view(0, &[3, 2], &[1, 3]).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(view(5, &[], &[]).unwrap(), [5]);
        assert!(view(9, &[0, 3], &[3, 1]).unwrap().is_empty());
    }

    #[test]
    fn views_that_lie_are_refused() {
        for (offset, shape, strides) in [
            (1, &[6][..], &[1][..]),
            (0, &[2], &[6]),
            (0, &[2], &[usize::MAX]),
            (usize::MAX, &[1], &[1]),
        ] {
            assert!(view(offset, shape, strides).unwrap_err().contains("leaves its storage"));
        }
        for shape in [&[7][..], &[usize::MAX, 2], &[1 << 40, 1 << 40]] {
            let error = view(0, shape, &[0, 0][..shape.len()]).unwrap_err();
            assert!(error.contains("more numbers"), "{error}");
        }
    }
}
