//! Pictures of a search in batches of a fixed size, every pass in another order.

use crate::seed::Seed;

/// Where a search is among its pictures.
pub(crate) struct Passes<'a> {
    pictures: &'a [f32],
    each: usize,
    batch: usize,
    order: Vec<usize>,
    next: usize,
    seed: Seed,
    passes: usize,
}

impl<'a> Passes<'a> {
    /// Over `pictures` (N, S, S, 3), `edge` being S. A batch larger than all pictures is all pictures.
    pub(crate) fn new(pictures: &'a [f32], edge: usize, batch: usize, seed: &Seed) -> Self {
        let each = edge * edge * 3;
        let count = pictures.len() / each;
        let seed = seed.child("order");
        let order = (0..count).collect();
        Self { pictures, each, batch: batch.min(count), order, next: count, seed, passes: 0 }
    }

    /// Batches of a pass; what does not fill one is left to the next order.
    pub(crate) fn len(&self) -> usize {
        self.order.len() / self.batch.max(1)
    }

    /// The next batch, (B, S, S, 3).
    pub(crate) fn batch(&mut self) -> Vec<f32> {
        let rows = self.rows();
        self.of(&rows)
    }

    /// Which pictures the next batch has.
    pub(crate) fn rows(&mut self) -> Vec<usize> {
        if self.next + self.batch > self.order.len() {
            self.seed.child(self.passes).stream().shuffle(&mut self.order);
            (self.next, self.passes) = (0, self.passes + 1);
        }
        self.next += self.batch;
        self.order[self.next - self.batch..self.next].to_vec()
    }

    /// These pictures.
    pub(crate) fn of(&self, rows: &[usize]) -> Vec<f32> {
        let picture = |row: &usize| &self.pictures[row * self.each..(row + 1) * self.each];
        rows.iter().flat_map(picture).copied().collect()
    }
}
