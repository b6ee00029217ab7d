//! What a pickle says, as plain values, and how a reader asks for them.

/// A value; text and bytes lie in the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Text or bytes: Python 2 knew no difference.
    Bytes(&'a [u8]),
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// One of the names that a pickle may have.
    Name(&'static str),
    /// NumPy's type of one unsigned byte.
    Byte,
    /// An array of bytes, row by row.
    Array {
        shape: Vec<usize>,
        data: &'a [u8],
    },
    /// What PyTorch keeps beside the pickle.
    Stored(Stored<'a>),
    /// A view of one.
    Strided(Strided<'a>),
}

/// Numbers of one type in a file of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stored<'a> {
    /// Name of the type, as PyTorch's classes have it: `Float`.
    pub kind: &'static str,
    /// Name of the file.
    pub key: &'a [u8],
    /// How many.
    pub count: usize,
}

/// A tensor as PyTorch describes it: where its numbers lie in a storage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strided<'a> {
    pub storage: Stored<'a>,
    /// Index of the first.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Steps from one to the next along each axis.
    pub strides: Vec<usize>,
}

impl<'a> Value<'a> {
    /// How deep values lie in this one; `None` from `limit` on.
    pub(super) fn depth(&self, limit: usize) -> Option<usize> {
        let deepest = |items: &[Self]| {
            let limit = limit.checked_sub(1)?;
            items.iter().try_fold(0, |deep, item| Some(deep.max(item.depth(limit)? + 1)))
        };
        match self {
            Self::Tuple(items) | Self::List(items) => deepest(items),
            Self::Dict(items) => {
                let limit = limit.checked_sub(1)?;
                items.iter().try_fold(0, |deep, (k, v)| {
                    Some(deep.max(k.depth(limit)?.max(v.depth(limit)?) + 1))
                })
            }
            _ => Some(0),
        }
    }

    /// The item of a dictionary.
    pub(crate) fn item(&self, key: &str) -> Result<&Self, String> {
        let Self::Dict(items) = self else { return Err("is no dictionary".into()) };
        let found = items.iter().find(|(k, _)| *k == Value::Bytes(key.as_bytes()));
        found.map(|(_, value)| value).ok_or_else(|| format!("has no `{key}`"))
    }

    /// A list whose items are all of one kind.
    pub(crate) fn list<T>(
        &self,
        what: &str,
        of: impl Fn(&Self) -> Option<T>,
    ) -> Result<Vec<T>, String> {
        let wrong = || format!("has `{what}` in another form");
        let Self::List(items) = self else { return Err(wrong()) };
        items.iter().map(of).collect::<Option<_>>().ok_or_else(wrong)
    }

    pub(crate) fn index(&self) -> Option<usize> {
        match self {
            Self::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok(),
            _ => None,
        }
    }
}
