//! mimalloc, told to keep the memory it has.
//!
//! Training allocates and frees the same large tensors every step. By default mimalloc returns freed pages to the
//! system after a delay, and the next step pays for their page faults again. The delay is a C option without a
//! safe wrapper.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Position of `mi_option_purge_delay` in the list of options; the same in versions 2 and 3 of mimalloc.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Keeps freed pages in the process. Call once, first thing in `main`.
#[expect(unsafe_code, reason = "C calls without a safe wrapper")]
pub fn keep_freed_pages() {
    // SAFETY: stores one integer in a table of options that is bounds-checked and meant to be set at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "C calls without a safe wrapper")]
    fn the_option_is_the_purge_delay() {
        // SAFETY: reads one integer from the same table.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "mimalloc's default in ms: another value means another option");
        keep_freed_pages();
        assert_eq!(delay(), -1);
    }
}
