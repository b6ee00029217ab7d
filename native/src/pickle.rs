//! Reads pickles without running them.
//!
//! A pickle is a program for a stack machine that may call anything by name. Here only the opcodes that plain values take
//! are known, and the few names of one [`Dialect`], whose calls make a value and run nothing. Everything else is an error
//! with the opcode's name.

mod cifar;
mod torch;
mod value;

use std::collections::BTreeMap;
use std::marker::PhantomData;

pub(crate) use cifar::Cifar;
pub(crate) use torch::Torch;
pub(crate) use value::{Stored, Strided, Value};

/// Whose pickles they are: what they may name, and what comes of it.
pub(crate) trait Dialect {
    /// Them in words, for messages.
    const OF: &str;
    /// `module name` as pickles write it, and the word that [`Value::Name`] then has.
    const NAMES: &[(&str, &str)];

    /// What a call makes.
    fn call<'a>(callee: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, String>;

    /// An object with its state.
    fn fill<'a>(object: Value<'a>, state: Value<'a>) -> Result<Value<'a>, String>;

    /// What lies beside the pickle under an id.
    fn beside<'a>(_id: Value<'a>) -> Result<Value<'a>, String> {
        Err(format!("opcode BINPERSID (0x51) is none that {} use", Self::OF))
    }
}

/// Opcodes that other pickles have, for messages.
const OTHERS: &[(u8, &str)] = &[
    (b'0', "POP"),
    (b'1', "POP_MARK"),
    (b'2', "DUP"),
    (b'F', "FLOAT"),
    (b'I', "INT"),
    (b'L', "LONG"),
    (b'P', "PERSID"),
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
/// With the opcode and its byte, if it is one that a dialect's pickles do not use.
pub(crate) fn read<D: Dialect>(bytes: &[u8]) -> Result<Value<'_>, String> {
    let mut machine = Machine::<D> {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        dialect: PhantomData,
    };
    loop {
        let at = machine.at;
        let step = machine.step().map_err(|why| format!("{why} at byte {at}; nothing was run"))?;
        if let Some(value) = step {
            return Ok(value);
        }
    }
}

struct Machine<'a, D> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
    dialect: PhantomData<D>,
}

const EMPTY: &str = "takes a value that is not there";

impl<'a, D: Dialect> Machine<'a, D> {
    /// Executes one opcode; the value once the pickle stops.
    fn step(&mut self) -> Result<Option<Value<'a>>, String> {
        let [opcode] = self.array()?;
        match opcode {
            0x80 => match self.array()? {
                [2 | 3] => {}
                [protocol] => {
                    return Err(format!("protocol {protocol} is not that of {} (2)", D::OF));
                }
            },
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.int(|[a]: [u8; 1]| i64::from(a))?,
            b'M' => self.int(|two| i64::from(u16::from_le_bytes(two)))?,
            b'J' => self.int(|four| i64::from(i32::from_le_bytes(four)))?,
            b'G' => {
                let float = f64::from_be_bytes(self.array()?);
                self.stack.push(Value::Float(float));
            }
            0x8a => self.long()?,
            b'Q' => self.pop().and_then(D::beside).and_then(|value| self.push(value))?,
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
                return Err(format!("opcode {name} (0x{other:02x}) is none that {} use", D::OF));
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

    /// A whole number of up to eight bytes, the lowest first, the sign in the last.
    fn long(&mut self) -> Result<(), String> {
        let [size] = self.array()?;
        let bytes = self.bytes(usize::from(size))?;
        let mut wide = match bytes.last() {
            Some(last) if last & 0x80 != 0 => [0xff; 8],
            _ => [0; 8],
        };
        let low = wide.get_mut(..bytes.len()).ok_or("a whole number has more than eight bytes")?;
        low.copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(wide)));
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

    /// Remembers what cannot change any more and is small, so that repeating it costs little; lists are remembered while
    /// they are empty, and nobody asks for them.
    fn put(&mut self, key: u32) -> Result<(), String> {
        let value = self.stack.last().ok_or(EMPTY)?;
        let small = match value {
            Value::List(_) | Value::Dict(_) => false,
            Value::Tuple(items) => items.len() <= 8 && value.depth(2).is_some(),
            _ => true,
        };
        if small {
            self.memo.insert(key, value.clone());
        }
        Ok(())
    }

    fn get(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).cloned();
        let why = || format!("refers to something that {} do not refer to", D::OF);
        self.push(value.ok_or_else(why)?)
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
        let known = D::NAMES.iter().find(|(name, _)| *name == full);
        let (_, name) = known.ok_or_else(|| {
            let shown: String = full.chars().take(80).collect();
            format!("opcode GLOBAL (0x63) names `{}`", shown.escape_debug())
        })?;
        self.push(Value::Name(name))
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let (Value::Name(callee), Value::Tuple(arguments)) = (callee, arguments) else {
            return Err("opcode REDUCE (0x52) calls no name with arguments".into());
        };
        self.push(D::call(callee, &arguments)?)
    }

    fn build(&mut self) -> Result<(), String> {
        let (state, object) = (self.pop()?, self.pop()?);
        self.push(D::fill(object, state)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Value<'_>, String> {
        super::read::<Cifar>(bytes)
    }

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
            (b"U\x02idQ.", "BINPERSID"),
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
            b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00.",
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
        let numbers =
            super::read::<Torch>(b"(\x8a\x02\x00\xffG\xbf\xe0\x00\x00\x00\x00\x00\x00\x8a\x00t.");
        let wanted = vec![Value::Int(-256), Value::Float(-0.5), Value::Int(0)];
        assert_eq!(numbers.unwrap(), Value::Tuple(wanted));
        assert!(read.item("b").unwrap().list("b", Value::index).is_err());
    }
}
