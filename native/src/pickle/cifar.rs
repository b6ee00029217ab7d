//! What the pickles of CIFAR may name: what it takes to make a NumPy array of bytes.

use super::{Dialect, Value};

/// Dictionaries of text, numbers, lists and arrays of bytes, written by Python 2.
pub(crate) struct Cifar;

impl Dialect for Cifar {
    const OF: &str = "CIFAR's files";
    const NAMES: &[(&str, &str)] = &[
        ("numpy.core.multiarray _reconstruct", "_reconstruct"),
        ("numpy._core.multiarray _reconstruct", "_reconstruct"),
        ("numpy ndarray", "ndarray"),
        ("numpy dtype", "dtype"),
    ];

    /// An empty array or the type of its items.
    fn call<'a>(callee: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
        match (callee, arguments) {
            ("_reconstruct", [Value::Name("ndarray"), ..]) => {
                Ok(Value::Array { shape: vec![0], data: &[] })
            }
            ("dtype", [Value::Bytes(b"u1" | b"|u1"), ..]) => Ok(Value::Byte),
            _ => Err("opcode REDUCE (0x52) makes no array of unsigned bytes".into()),
        }
    }

    /// An array with its shape and bytes.
    fn fill<'a>(object: Value<'a>, state: Value<'a>) -> Result<Value<'a>, String> {
        let Value::Tuple(state) = state else {
            return Err("opcode BUILD (0x62) without a state".into());
        };
        match (object, state.as_slice()) {
            // A byte has no order; the other fields are those of types with parts.
            (Value::Byte, [Value::Int(_), Value::Bytes(b"|"), ..]) => Ok(Value::Byte),
            (
                Value::Array { .. },
                [
                    Value::Int(1),
                    Value::Tuple(shape),
                    Value::Byte,
                    Value::Bool(false) | Value::Int(0),
                    Value::Bytes(data),
                ],
            ) => {
                let shape: Option<Vec<usize>> = shape.iter().map(Value::index).collect();
                let size = |shape: &Vec<usize>| {
                    shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side))
                };
                let shape = shape.filter(|shape| size(shape) == Some(data.len()));
                Ok(Value::Array { shape: shape.ok_or("an array's shape is not its size")?, data })
            }
            _ => Err("opcode BUILD (0x62) fills no array of bytes, row by row".into()),
        }
    }
}
