//! How often an address or a token may ask, in each minute.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Length of a window, in milliseconds.
const WINDOW: i64 = 60_000;

/// Counts by key within the present minute. A new minute forgets all keys, so that nobody can fill it up.
#[derive(Debug)]
pub(crate) struct Meter<K> {
    limit: u64,
    counts: Mutex<(i64, BTreeMap<K, u64>)>,
}

impl<K: Ord> Meter<K> {
    /// So many a minute.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, counts: Mutex::default() }
    }

    /// Counts one; says how many seconds to wait if that is too many.
    pub(crate) fn take(&self, key: K, now: i64) -> Result<(), u64> {
        self.count(key, now, 1)
    }

    /// As [`Meter::take`], and counts nothing.
    pub(crate) fn look(&self, key: K, now: i64) -> Result<(), u64> {
        self.count(key, now, 0)
    }

    fn count(&self, key: K, now: i64, more: u64) -> Result<(), u64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.div_euclid(WINDOW);
        if counts.0 != window {
            *counts = (window, BTreeMap::new());
        }
        let spent = counts.1.get(&key).copied().unwrap_or(0);
        if spent >= self.limit {
            return Err((WINDOW - now.rem_euclid(WINDOW)).unsigned_abs().div_ceil(1000));
        }
        if more > 0 {
            counts.1.insert(key, spent + more);
        }
        Ok(())
    }
}

/// What stands for whoever asks: an IPv4 address, or the network of an IPv6 address, of which everybody has 2^64.
pub(crate) fn asker(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6((u128::from(six) & !u128::from(u64::MAX)).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many() {
        let meter = Meter::new(2);
        assert_eq!(
            (meter.take("a", 0), meter.take("a", 1), meter.take("b", 2)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(meter.take("a", 59_001), Err(1));
        assert_eq!((meter.look("a", 3), meter.look("b", 3)), (Err(60), Ok(())));
        assert_eq!(meter.take("a", 60_000), Ok(()));
    }

    #[test]
    fn an_asker_is_a_network() {
        let of = |text: &str| asker(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(
            (of("::ffff:192.0.2.1"), of("192.0.2.1")),
            ("192.0.2.1".into(), "192.0.2.1".into())
        );
    }
}
