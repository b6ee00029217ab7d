//! What the work runs on, as far as the system tells.

use std::fs;

use serde::Serialize;

/// What the work runs on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's own name, or its architecture where the system does not tell.
    pub cpu: String,
    /// Instruction sets that the products can use, the widest last.
    pub features: Vec<&'static str>,
    /// Processors that this process may use.
    pub cores: usize,
    /// Bytes of main memory; `null` where the system does not tell.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// Asks the system.
    pub fn of_this_process() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cpu = field("/proc/cpuinfo", "model name");
        Self {
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            features: features(),
            cores,
            memory_bytes: kibibytes("/proc/meminfo", "MemTotal"),
        }
    }
}

/// The most memory that this process ever held, in bytes, where the system tells.
pub fn peak_rss_bytes() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM")
}

/// Page faults of this process so far that needed no reading from a disk, where the system tells.
pub fn minor_faults() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold spaces.
    text.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

/// A `name : value kB` line, in bytes.
fn kibibytes(file: &str, name: &str) -> Option<u64> {
    let text = field(file, name)?;
    Some(text.strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The first `name : value` line of a file below `/proc`.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let all = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    all.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    if std::arch::is_aarch64_feature_detected!("neon") { vec!["neon"] } else { Vec::new() }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_read_in_bytes() {
        let (all, peak) = (kibibytes("/proc/meminfo", "MemTotal"), peak_rss_bytes());
        assert!(all.is_some() && peak.is_some() && peak < all, "{peak:?} of {all:?}");
        assert!(peak > Some(100_000), "{peak:?}");
        assert_eq!(kibibytes("/proc/meminfo", "NoSuchField"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn touching_pages_is_counted() {
        let before = minor_faults().unwrap();
        let pages = vec![1u8; 64 << 20];
        assert!(pages.iter().step_by(4096).all(|&b| b == 1));
        // 16,384 pages of 4 kB, fewer where the system hands out large ones.
        assert!(minor_faults().unwrap() >= before + 32);
    }
}
