//! Which program this is: what every row says about the code that made it.

use toxiclip_shared::digest::Digest;

use crate::row::Code;

/// The lock file at compile time; its digest stands for the versions of all dependencies.
const LOCK: &[u8] = include_bytes!("../../Cargo.lock");

/// Commit, dirty flag, lock digest and compiler of this program, as the build script found them.
pub fn code() -> Code {
    Code {
        commit: env!("TOXICLIP_COMMIT").into(),
        dirty: env!("TOXICLIP_DIRTY") != "false",
        lock: Digest::of_bytes(LOCK),
        rustc: env!("TOXICLIP_RUSTC").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_commit_or_says_that_it_is_unknown() {
        let code = code();
        let hex = code.commit.len() == 40 && code.commit.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(hex || code.commit == "unknown", "{}", code.commit);
        assert!(code.rustc.starts_with("rustc 1."), "{}", code.rustc);
    }
}
