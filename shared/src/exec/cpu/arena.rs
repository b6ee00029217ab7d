//! Buffers that are used again: after the first step nothing is allocated, zeroed or faulted in.
//!
//! A recycled buffer holds stale numbers; every operation writes all of what it takes. Fresh pages
//! are what a training step on the CPU otherwise pays most for after its products (trap P2).

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::scratch::{LINE, line_start};

/// A slice of f32 on loan from an [`Arena`], which begins on a line of the cache.
#[derive(Debug, Default)]
pub struct Buffer {
    data: Vec<f32>,
    first: usize,
    len: usize,
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.data[self.first..self.first + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.first..self.first + self.len]
    }
}

/// Numbers that came from elsewhere, wherever they begin.
impl From<Vec<f32>> for Buffer {
    fn from(data: Vec<f32>) -> Self {
        Self { first: 0, len: data.len(), data }
    }
}

/// Free buffers by size.
#[derive(Debug, Default)]
pub struct Arena {
    free: BTreeMap<usize, Vec<Vec<f32>>>,
}

impl Arena {
    /// A buffer of `len` elements with unspecified content.
    pub fn take(&mut self, len: usize) -> Buffer {
        // A buffer of up to twice the size serves: texts of a batch differ in length from step to step.
        let fit = self
            .free
            .range(len + LINE..=2 * len + LINE)
            .find(|(_, list)| !list.is_empty())
            .map(|(&size, _)| size);
        let data = match fit.and_then(|size| self.free.get_mut(&size)).and_then(Vec::pop) {
            Some(data) => data,
            None => vec![0.0; len + LINE],
        };
        Buffer { first: line_start(&data), data, len }
    }

    /// The same, filled with zeros.
    pub fn zeros(&mut self, len: usize) -> Buffer {
        let mut buffer = self.take(len);
        buffer.fill(0.0);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: Buffer) {
        if !buffer.data.is_empty() {
            self.free.entry(buffer.data.len()).or_default().push(buffer.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_used_again() {
        let mut arena = Arena::default();
        let mut a = arena.take(10);
        a[9] = 3.0;
        let place = a.as_ptr();
        arena.give(a);
        let b = arena.take(6);
        assert_eq!((b.as_ptr(), b.len()), (place, 6));
        assert_ne!(arena.take(6).as_ptr(), place);
        arena.give(b);
        assert!(arena.zeros(10).iter().all(|&x| x == 0.0));
    }
}
