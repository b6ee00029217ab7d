//! Which shards a pattern names.

use std::path::PathBuf;

use crate::argument::TRUNCATED;
use crate::failure::{Failure, Result};

/// What stands behind `wds:`, with brace ranges expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As it was given, without what is said behind it.
    pub(super) text: String,
    /// At least one.
    pub(super) shards: Vec<PathBuf>,
    /// Whether a shard may be cut: the pattern ends in `?truncated`.
    pub(super) partial: bool,
}

impl Pattern {
    /// # Errors
    /// If a range is none, or names too many; if the shards do not lie on a disk.
    pub(super) fn parse(pattern: &str) -> Result<Self> {
        let (text, partial) = match pattern.strip_suffix(TRUNCATED) {
            Some(text) => (text, true),
            None => (pattern, false),
        };
        if text.contains("://") || text.starts_with("pipe:") {
            return Err(Failure::request(format!(
                "wds:{text}: this build reads shards from disk; fetch them first"
            )));
        }
        let shards = expand(text).map_err(Failure::request)?.into_iter().map(PathBuf::from);
        Ok(Self { text: text.to_owned(), shards: shards.collect(), partial })
    }
}

/// The most shards that a pattern may name.
const SHARDS: usize = 100_000;

/// `x-{000..012}.tar` and `{a,b}.tar` as shells expand them; numbers keep their leading zeros.
fn expand(pattern: &str) -> std::result::Result<Vec<String>, String> {
    let Some(open) = pattern.find('{') else { return Ok(vec![pattern.to_owned()]) };
    let wrong =
        || format!("wds:{pattern}: expected a range such as {{0000..0012}} or a list {{a,b}}");
    let close = open + pattern[open..].find('}').ok_or_else(wrong)?;
    let (head, inside, tail) = (&pattern[..open], &pattern[open + 1..close], &pattern[close + 1..]);
    let items: Vec<String> = match inside.split_once("..") {
        Some((first, last)) => {
            let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
            let (from, to) = (number(first)?, number(last)?);
            if from.abs_diff(to) >= SHARDS {
                return Err(format!("wds:{pattern}: more than {SHARDS} shards"));
            }
            let padded = [first, last].iter().any(|n| n.len() > 1 && n.starts_with('0'));
            let width = if padded { first.len().max(last.len()) } else { 0 };
            let one = |n: usize| format!("{n:0width$}");
            if from <= to {
                (from..=to).map(one).collect()
            } else {
                (to..=from).rev().map(one).collect()
            }
        }
        None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
        None => return Err(wrong()),
    };
    let tails = expand(tail)?;
    if items.len().saturating_mul(tails.len()) > SHARDS {
        return Err(format!("wds:{pattern}: more than {SHARDS} shards"));
    }
    let joined =
        |item: &String| tails.iter().map(|tail| format!("{head}{item}{tail}")).collect::<Vec<_>>();
    Ok(items.iter().flat_map(joined).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_as_in_shells() {
        assert_eq!(expand("a.tar").unwrap(), ["a.tar"]);
        assert_eq!(expand("x-{008..010}.tar").unwrap(), ["x-008.tar", "x-009.tar", "x-010.tar"]);
        assert_eq!(expand("{1..2}{a,b}").unwrap(), ["1a", "1b", "2a", "2b"]);
        assert_eq!(expand("{2..0}").unwrap(), ["2", "1", "0"]);
        for bad in ["{", "{1}", "{a..c}", "{0..99999999999}", "{..}"] {
            assert!(expand(bad).unwrap_err().contains("wds:"), "{bad}");
        }
    }

    #[test]
    fn what_is_said_behind_a_pattern_is_no_name() {
        let pattern = Pattern::parse("a/{0..1}.tar?truncated").unwrap();
        let shards = ["a/0.tar", "a/1.tar"].map(PathBuf::from).to_vec();
        assert_eq!(pattern, Pattern { text: "a/{0..1}.tar".to_owned(), shards, partial: true });
        assert!(Pattern::parse("s3://bucket/a.tar").unwrap_err().to_string().contains("from disk"));
    }
}
