//! What nobody shall guess: salts, tokens, identifiers. Everything else that is random comes from a seed.

use crate::failure::{Failure, Result};

/// So many bytes of the system's generator, as hexadecimal digits.
///
/// # Errors
/// If the system has none.
pub(crate) fn secret<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::failed(format!("the system gives no random bytes: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::secret;

    #[test]
    fn no_two_are_the_same() {
        let (one, two) = (secret::<16>().unwrap(), secret::<16>().unwrap());
        assert!(one != two && one.len() == 32, "{one} {two}");
    }
}
