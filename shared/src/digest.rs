//! One way to hash: SHA-256 over bytes, or over canonical JSON (keys sorted, no spaces).

use std::fmt;
use std::io::Read;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Bytes that are taken in at once.
const PIECE: usize = 1 << 16;

/// A SHA-256 digest; printed and serialised as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of raw bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digest of bytes that come in parts: that of all of them, one behind the other.
    pub fn of_parts(parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            // In pieces: a browser runs the first call of a function to its end before it takes optimised code.
            part.chunks(PIECE).for_each(|piece| hasher.update(piece));
        }
        Self(hasher.finalize().into())
    }

    /// Digest of all bytes that are left in `source`, read piece by piece.
    ///
    /// # Errors
    /// Those of reading.
    pub fn of_reader(mut source: impl Read) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            match source.read(&mut piece) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(length) => hasher.update(&piece[..length]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Digest of the canonical JSON of `value`.
    ///
    /// # Panics
    /// If `value` cannot be JSON (a map whose keys are not strings), which is a bug of its type.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::of_bytes(canonical_json(value).as_bytes())
    }

    /// The raw 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits, for display and for cache paths.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let bad = || serde::de::Error::custom("a digest has 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut out = [0; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(out))
    }
}

/// JSON with sorted keys and no spaces, whatever features of `serde_json` other crates switch on.
///
/// # Panics
/// If `value` cannot be JSON, which is a bug of its type.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_else(|e| panic!("no canonical JSON: {e}"));
    let mut out = String::new();
    write_sorted(&value, &mut out);
    out
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(k, _)| k.as_str());
            out.push('{');
            for (i, (key, v)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_sorted(v, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, v) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_sorted(v, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value =
            serde_json::from_str(r#"{"b":{"z":1,"a":[{"y":2,"x":3}]},"a":0.1}"#).unwrap();
        assert_eq!(canonical_json(&value), r#"{"a":0.1,"b":{"a":[{"x":3,"y":2}],"z":1}}"#);
    }

    #[test]
    fn digest_is_sha256_and_round_trips() {
        let d = Digest::of_bytes(b"abc");
        assert_eq!(d.short(), "ba7816bf8f01");
        let json = serde_json::to_string(&d).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), d);
        assert!(serde_json::from_str::<Digest>("\"é\"").is_err());
    }

    #[test]
    fn reading_piece_by_piece_changes_nothing() {
        for length in [0, 1, 1 << 16, (1 << 17) + 3] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| i as u8).collect();
            assert_eq!(Digest::of_reader(&bytes[..]).unwrap(), Digest::of_bytes(&bytes));
        }
    }
}
