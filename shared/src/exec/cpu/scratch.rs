//! Working space of one task, kept by its thread: tasks are short and many, and fresh pages would cost
//! more than what is computed in them.

use std::cell::RefCell;

thread_local! {
    /// Spaces that no task of this thread uses at the moment. Nobody reads what an earlier task left.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `task` with `len` elements of unspecified content.
pub(super) fn with<R>(len: usize, task: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut space = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if space.len() < len {
        space.resize(len, 0.0);
    }
    let result = task(&mut space[..len]);
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
    }
}
