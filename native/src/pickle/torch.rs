//! What the pickles of `torch.save` may name: what it takes to make dictionaries of tensors.

use super::{Dialect, Stored, Strided, Value};

/// Checkpoints: dictionaries, plain values, and tensors whose numbers lie in files beside the pickle.
pub(crate) struct Torch;

/// Axes that a tensor may have.
const RANK: usize = 8;

impl Dialect for Torch {
    const OF: &str = "checkpoints of tensors";
    const NAMES: &[(&str, &str)] = &[
        ("collections OrderedDict", "OrderedDict"),
        ("torch._utils _rebuild_tensor_v2", "_rebuild_tensor_v2"),
        ("torch._utils _rebuild_parameter", "_rebuild_parameter"),
        ("torch FloatStorage", "Float"),
        ("torch HalfStorage", "Half"),
        ("torch BFloat16Storage", "BFloat16"),
        ("torch DoubleStorage", "Double"),
        ("torch LongStorage", "Long"),
        ("torch IntStorage", "Int"),
        ("torch ShortStorage", "Short"),
        ("torch CharStorage", "Char"),
        ("torch ByteStorage", "Byte"),
        ("torch BoolStorage", "Bool"),
    ];

    fn call<'a>(callee: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
        match (callee, arguments) {
            ("OrderedDict", []) => Ok(Value::Dict(Vec::new())),
            ("_rebuild_parameter", [Value::Strided(tensor), ..]) => {
                Ok(Value::Strided(tensor.clone()))
            }
            (
                "_rebuild_tensor_v2",
                [
                    Value::Stored(storage),
                    offset,
                    Value::Tuple(shape),
                    Value::Tuple(strides),
                    Value::Bool(_),
                    ..,
                ],
            ) => {
                let numbers = |all: &[Value<'_>]| -> Option<Vec<usize>> {
                    (all.len() <= RANK).then(|| all.iter().map(Value::index).collect())?
                };
                let parts = offset.index().zip(numbers(shape)).zip(numbers(strides));
                let ((offset, shape), strides) =
                    parts.ok_or("a tensor's place or shape is no number")?;
                if shape.len() != strides.len() {
                    return Err("a tensor has not one stride per axis".into());
                }
                Ok(Value::Strided(Strided { storage: *storage, offset, shape, strides }))
            }
            _ => Err("opcode REDUCE (0x52) makes no tensor and no empty dictionary".into()),
        }
    }

    /// Dictionaries have attributes that say nothing about tensors.
    fn fill<'a>(object: Value<'a>, state: Value<'a>) -> Result<Value<'a>, String> {
        match (object, state) {
            (Value::Dict(items), Value::Dict(_)) => Ok(Value::Dict(items)),
            _ => Err("opcode BUILD (0x62) fills something else than a dictionary".into()),
        }
    }

    fn beside<'a>(id: Value<'a>) -> Result<Value<'a>, String> {
        let Value::Tuple(id) = id else { return Err("a storage without a description".into()) };
        match id.as_slice() {
            [
                Value::Bytes(b"storage"),
                Value::Name(kind),
                Value::Bytes(key),
                Value::Bytes(_),
                count,
            ] => {
                let count = count.index().ok_or("a storage without a size")?;
                Ok(Value::Stored(Stored { kind, key, count }))
            }
            _ => Err("a storage in another form than that of `torch.save`".into()),
        }
    }
}
