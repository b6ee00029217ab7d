//! Working space of one task, kept by its thread: tasks are short and many, and fresh pages would cost
//! more than what is computed in them.

use std::cell::RefCell;

/// Elements of a line of the cache.
pub(super) const LINE: usize = 16;

/// The first element, of at most [`LINE`], that begins a line.
pub(super) fn line_start(space: &[f32]) -> usize {
    space.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE)
}

thread_local! {
    /// Spaces that no task of this thread uses at the moment. Nobody reads what an earlier task left.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `task` with `len` elements of unspecified content, which begin on a line of the cache: a vector register may be as
/// long as a line, and where each read crossed two, products lost a fifth of their speed (AVX-512, Cascade Lake).
pub(super) fn with<R>(len: usize, task: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut space = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if space.len() < len + LINE {
        space.resize(len + LINE, 0.0);
    }
    let first = line_start(&space);
    let result = task(&mut space[first..first + len]);
    FREE.with_borrow_mut(|free| free.push(space));
    result
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn nested_tasks_have_spaces_of_their_own() {
        with(4, |a| {
            a.fill(1.0);
            with(8, |b| b.fill(2.0));
            assert_eq!(a, [1.0; 4]);
        });
        with(2, |again| assert_eq!(again.len(), 2));
        with(33, |space| assert!(space.as_ptr().addr().is_multiple_of(64)));
    }
}
