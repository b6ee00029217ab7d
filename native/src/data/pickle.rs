//! Reads the pickles of CIFAR without running them.
//!
//! A pickle is a program for a stack machine that may call anything by name. Here only the opcodes that a dictionary of
//! text, numbers, lists and NumPy byte arrays takes are known, and three names, which make an array and call nothing.
//! Everything else is an error with the opcode's name.

mod value;

use std::collections::BTreeMap;

pub(super) use value::Value;

/// What a pickle may name: an array is `_reconstruct` of `ndarray`, its items' type is a `dtype`.
const NAMES: [(&str, &str); 4] = [
    ("numpy.core.multiarray _reconstruct", "_reconstruct"),
    ("numpy._core.multiarray _reconstruct", "_reconstruct"),
    ("numpy ndarray", "ndarray"),
    ("numpy dtype", "dtype"),
];

/// Opcodes that other pickles have, for messages.
const OTHERS: &[(u8, &str)] = &[
    (b'0', "POP"),
    (b'1', "POP_MARK"),
    (b'2', "DUP"),
    (b'F', "FLOAT"),
    (b'G', "BINFLOAT"),
    (b'I', "INT"),
    (b'L', "LONG"),
    (b'P', "PERSID"),
    (b'Q', "BINPERSID"),
    (b'S', "STRING"),
    (b'V', "UNICODE"),
    (b'd', "DICT"),
    (b'g', "GET"),
    (b'i', "INST"),
    (b'l', "LIST"),
    (b'o', "OBJ"),
    (b'p', "PUT"),
    (0x81, "NEWOBJ"),
    (0x82, "EXT1"),
    (0x83, "EXT2"),
    (0x84, "EXT4"),
    (0x8a, "LONG1"),
    (0x8b, "LONG4"),
    (0x92, "NEWOBJ_EX"),
    (0x93, "STACK_GLOBAL"),
    (0x95, "FRAME"),
    (0x97, "NEXT_BUFFER"),
];

/// How deep values may lie in each other.
const DEPTH: usize = 8;

/// The one value of a pickle.
///
/// # Errors
/// With the opcode and its byte, if it is one that CIFAR's files do not use.
pub(super) fn read(bytes: &[u8]) -> Result<Value<'_>, String> {
    let mut machine = Machine { bytes, ..Machine::default() };
    loop {
        let at = machine.at;
        let step = machine.step().map_err(|why| format!("{why} at byte {at}; nothing was run"))?;
        if let Some(value) = step {
            return Ok(value);
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
}

const EMPTY: &str = "takes a value that is not there";

impl<'a> Machine<'a> {
    /// Executes one opcode; the value once the pickle stops.
    fn step(&mut self) -> Result<Option<Value<'a>>, String> {
        let [opcode] = self.array()?;
        match opcode {
            0x80 => match self.array()? {
                [2 | 3] => {}
                [protocol] => return Err(format!("protocol {protocol} is not that of CIFAR (2)")),
            },
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.int(|[a]: [u8; 1]| i64::from(a))?,
            b'M' => self.int(|two| i64::from(u16::from_le_bytes(two)))?,
            b'J' => self.int(|four| i64::from(i32::from_le_bytes(four)))?,
            b'U' | b'C' => self.short_text()?,
            b'T' | b'X' | b'B' => self.text()?,
            b'}' => self.stack.push(Value::Dict(vec![])),
            b']' => self.stack.push(Value::List(vec![])),
            b')' => self.stack.push(Value::Tuple(vec![])),
            b't' => self.marked().and_then(|items| self.push(Value::Tuple(items)))?,
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b'e' => self.marked().and_then(|items| self.append(items))?,
            b'a' => self.pop().and_then(|item| self.append(vec![item]))?,
            b'u' => self.marked().and_then(|items| self.set(items))?,
            b's' => self.take(2).and_then(|items| self.set(items))?,
            b'q' => self.array().map(|[a]: [u8; 1]| u32::from(a)).and_then(|key| self.put(key))?,
            b'r' => self.array().map(u32::from_le_bytes).and_then(|key| self.put(key))?,
            b'h' => self.array().map(|[a]: [u8; 1]| u32::from(a)).and_then(|key| self.get(key))?,
            b'j' => self.array().map(u32::from_le_bytes).and_then(|key| self.get(key))?,
            b'c' => self.name()?,
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => {
                let known = OTHERS.iter().find(|(byte, _)| *byte == other).map(|(_, name)| *name);
                let name = known.unwrap_or("unknown");
                return Err(format!(
                    "opcode {name} (0x{other:02x}) is none that CIFAR's files use"
                ));
            }
        }
        Ok(None)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count);
        let found = end.and_then(|end| self.bytes.get(self.at..end)).ok_or("the file ends")?;
        self.at += count;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.bytes(N)?.try_into().map_err(|_| "the file ends".to_owned())
    }

    /// Where the values since the last mark begin; without a mark, all are.
    fn floor(&self) -> usize {
        self.marks.last().map_or(0, |mark| *mark)
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        let floor = self.floor();
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or_else(|| EMPTY.to_owned()),
            false => Err(EMPTY.to_owned()),
        }
    }

    /// The last `count` values.
    fn take(&mut self, count: usize) -> Result<Vec<Value<'a>>, String> {
        let floor = self.floor();
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= floor);
        Ok(self.stack.split_off(start.ok_or(EMPTY)?))
    }

    /// The values since the last mark.
    fn marked(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), String> {
        if value.depth(DEPTH).is_none() {
            return Err(format!("values lie more than {DEPTH} deep in each other"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn int<const N: usize>(&mut self, of: impl Fn([u8; N]) -> i64) -> Result<(), String> {
        let value = of(self.array()?);
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn short_text(&mut self) -> Result<(), String> {
        let [size] = self.array()?;
        let text = self.bytes(usize::from(size))?;
        self.stack.push(Value::Bytes(text));
        Ok(())
    }

    fn text(&mut self) -> Result<(), String> {
        let size = u32::from_le_bytes(self.array()?) as usize;
        let text = self.bytes(size)?;
        self.stack.push(Value::Bytes(text));
        Ok(())
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let items = self.take(count)?;
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), String> {
        let Value::List(mut list) = self.pop()? else { return Err("appends to no list".into()) };
        list.extend(items);
        self.push(Value::List(list))
    }

    fn set(&mut self, items: Vec<Value<'a>>) -> Result<(), String> {
        let Value::Dict(mut dict) = self.pop()? else {
            return Err("sets an item of no dictionary".into());
        };
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            dict.push((key, items.next().ok_or("sets an item without a value")?));
        }
        self.push(Value::Dict(dict))
    }

    /// Remembers what cannot change any more; lists are remembered while they are empty, and nobody asks for them.
    fn put(&mut self, key: u32) -> Result<(), String> {
        let value = self.stack.last().ok_or(EMPTY)?;
        if !matches!(value, Value::List(_) | Value::Dict(_) | Value::Tuple(_)) {
            self.memo.insert(key, value.clone());
        }
        Ok(())
    }

    fn get(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).cloned();
        self.push(value.ok_or("refers to something that CIFAR's files do not refer to")?)
    }

    fn name(&mut self) -> Result<(), String> {
        let mut line = || {
            let rest = &self.bytes[self.at..];
            let end = rest.iter().position(|b| *b == b'\n').ok_or("the file ends")?;
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            self.at += end + 1;
            Ok::<_, String>(text)
        };
        let full = format!("{} {}", line()?, line()?);
        let known = NAMES.iter().find(|(name, _)| *name == full);
        let (_, name) = known.ok_or_else(|| {
            let shown: String = full.chars().take(80).collect();
            format!("opcode GLOBAL (0x63) names `{}`", shown.escape_debug())
        })?;
        self.push(Value::Name(name))
    }

    /// Of all calls, those that make an empty array or the type of its items.
    fn call(&mut self) -> Result<(), String> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let Value::Tuple(arguments) = arguments else {
            return Err("opcode REDUCE (0x52) without arguments".into());
        };
        let made = match (&callee, arguments.as_slice()) {
            (Value::Name("_reconstruct"), [Value::Name("ndarray"), ..]) => {
                Value::Array { shape: vec![0], data: &[] }
            }
            (Value::Name("dtype"), [Value::Bytes(b"u1" | b"|u1"), ..]) => Value::Byte,
            _ => return Err("opcode REDUCE (0x52) makes no array of unsigned bytes".into()),
        };
        self.push(made)
    }

    /// Fills what [`Machine::call`] made.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let object = self.pop()?;
        let Value::Tuple(state) = state else {
            return Err("opcode BUILD (0x62) without a state".into());
        };
        let filled = match (object, state.as_slice()) {
            // A byte has no order; the other fields are those of types with parts.
            (Value::Byte, [Value::Int(_), Value::Bytes(b"|"), ..]) => Value::Byte,
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
                let side = |v: &Value<'_>| match v {
                    Value::Int(n) => usize::try_from(*n).ok(),
                    _ => None,
                };
                let shape: Option<Vec<usize>> = shape.iter().map(side).collect();
                let size = |shape: &Vec<usize>| {
                    shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side))
                };
                let shape = shape.filter(|shape| size(shape) == Some(data.len()));
                Value::Array { shape: shape.ok_or("an array's shape is not its size")?, data }
            }
            _ => return Err("opcode BUILD (0x62) fills no array of bytes, row by row".into()),
        };
        self.push(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_is_an_error_that_names_it() {
        for (bytes, named) in [
            (&b"\x80\x02cposix\nsystem\nU\x02id\x85R."[..], "GLOBAL (0x63) names `posix system`"),
            (b"(U\x02idios\nsystem\n.", "INST (0x69)"),
            (b"\x80\x04\x95\x00", "protocol 4"),
            (b"\x93.", "STACK_GLOBAL"),
            (b"cnumpy\ndtype\nU\x02O8\x85R.", "REDUCE (0x52)"),
            (b"cnumpy\nndarray\n)R.", "REDUCE (0x52)"),
            (b"U\x02id)b.", "BUILD (0x62)"),
            (b"Pid\n.", "PERSID"),
            (b"\xff", "unknown (0xff)"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(named) && error.contains("nothing was run"), "{error}");
        }
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let mut deep = vec![b')'];
        deep.extend(std::iter::repeat_n(0x85, 100_000));
        assert!(read(&deep).unwrap_err().contains("deep in each other"));
        for bytes in [
            &b""[..],
            b".",
            b"(.",
            b"t.",
            b"U\x09x",
            b"T\xff\xff\xff\xffx",
            b"h\x00.",
            b"}U\x01ks.",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        // A list cannot reach below the mark that it stands behind.
        assert!(read(b"](a.").is_err());
    }

    #[test]
    fn plain_values_are_read() {
        let read =
            read(b"\x80\x02}(U\x01aK\x05U\x01b](K\x01M\x00\x02J\xff\xff\xff\xffeu.").unwrap();
        assert_eq!(read.item("a").unwrap().index(), Some(5));
        let list = read.item("b").unwrap().list("b", |v| match v {
            Value::Int(n) => Some(*n),
            _ => None,
        });
        assert_eq!(list.unwrap(), [1, 512, -1]);
        assert_eq!(read.item("c").unwrap_err(), "has no `c`");
        assert!(read.item("b").unwrap().list("b", Value::index).is_err());
    }
}
