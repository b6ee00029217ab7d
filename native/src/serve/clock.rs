//! The time, asked for in one place, and as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "a log of what happened names when; no result depends on it"
)]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339, in UTC, to the second: `2026-01-31T12:00:00Z`. Nothing for 0, which means never, nor before.
pub(crate) fn text(milliseconds: i64) -> Option<String> {
    if milliseconds == 0 {
        return None;
    }
    let since = Duration::from_millis(u64::try_from(milliseconds).ok()?);
    Some(humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // Each from `date --utc --date=@SECONDS`.
        for (seconds, expected) in [
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(text(seconds * 1000).unwrap(), expected);
        }
        assert_eq!(text(0), None);
        assert!(now() > 1_700_000_000_000);
    }
}
