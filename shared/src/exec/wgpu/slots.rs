//! Which buffer holds which value: a buffer is used again once its value has been read for the last time, but never by a
//! launch that reads it, as one buffer cannot be bound for reading and for writing (trap G1).

use super::lower::{Launch, Lowered, Source};

/// Where values lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    /// The buffer of each value.
    pub of: Vec<usize>,
    /// Length of each buffer.
    pub lens: Vec<usize>,
}

/// Gives every value a buffer, the smallest free one that holds it, or a new one.
pub(super) fn assign(lowered: &Lowered<'_>) -> Slots {
    let mut last_reads = vec![0; lowered.values.len()];
    for (i, launch) in lowered.launches.iter().enumerate() {
        values(launch).for_each(|value| last_reads[value] = i);
    }
    let mut slots = Slots { of: vec![usize::MAX; lowered.values.len()], lens: vec![] };
    let mut free: Vec<usize> = vec![];
    // The input; nothing writes it.
    slots.of[0] = slots.open(lowered.values[0]);
    for (i, launch) in lowered.launches.iter().enumerate() {
        let len = lowered.values[launch.writes];
        let fitting = free.iter().enumerate().filter(|(_, slot)| slots.lens[**slot] >= len);
        let slot = match fitting.min_by_key(|(_, slot)| slots.lens[**slot]).map(|(at, _)| at) {
            Some(at) => free.swap_remove(at),
            None => slots.open(len),
        };
        slots.of[launch.writes] = slot;
        let mut done: Vec<usize> =
            values(launch).filter(|v| last_reads[*v] == i).map(|v| slots.of[v]).collect();
        done.dedup();
        free.append(&mut done);
    }
    slots
}

impl Slots {
    fn open(&mut self, len: usize) -> usize {
        self.lens.push(len);
        self.lens.len() - 1
    }
}

fn values(launch: &Launch) -> impl Iterator<Item = usize> {
    launch.reads.iter().filter_map(|source| match source {
        Source::Value(value) => Some(*value),
        _ => None,
    })
}
