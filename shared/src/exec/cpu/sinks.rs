//! Where the gradients of parameters go. The first writer sets, the later ones add: nothing is zeroed first.

use super::matmul::Into;
use super::{Arena, Buffer, rows};
use crate::graph::{Graph, ParamId, ParamRows};

/// One buffer for each parameter, empty for statistics.
pub(super) struct Sinks {
    buffers: Vec<Buffer>,
    /// Whether a buffer holds numbers of this walk.
    written: Vec<bool>,
}

impl Sinks {
    pub(super) fn new(graph: &Graph, arena: &mut Arena) -> Self {
        let len = |trained: bool, len: usize| if trained { len } else { 0 };
        let params = graph.params().iter();
        let buffers: Vec<Buffer> = params.map(|p| arena.take(len(p.trained(), p.len()))).collect();
        Self { written: vec![false; buffers.len()], buffers }
    }

    /// A whole parameter, and whether to set or to add.
    pub(super) fn whole(&mut self, param: ParamId) -> (&mut [f32], Into) {
        let i = param.index();
        let into =
            if std::mem::replace(&mut self.written[i], true) { Into::Add } else { Into::Set };
        (&mut self.buffers[i], into)
    }

    /// A whole parameter for those who can only add.
    pub(super) fn summed(&mut self, param: ParamId) -> &mut [f32] {
        let (buffer, into) = self.whole(param);
        if into == Into::Set {
            buffer.fill(0.0);
        }
        buffer
    }

    /// Some rows of `inner` columns.
    pub(super) fn part(&mut self, part: ParamRows, inner: usize) -> (&mut [f32], Into) {
        if part.len * inner == self.buffers[part.param.index()].len() {
            return self.whole(part.param);
        }
        let all = self.summed(part.param);
        (&mut all[part.start * inner..(part.start + part.len) * inner], Into::Add)
    }

    /// Sets or adds `gradient` to some rows.
    pub(super) fn put(&mut self, part: ParamRows, inner: usize, gradient: &[f32]) {
        match self.part(part, inner) {
            (sink, Into::Set) => sink.copy_from_slice(gradient),
            (sink, Into::Add) => rows::accumulate(sink, gradient),
        }
    }

    /// All gradients; 0 where nothing flowed.
    pub(super) fn into_buffers(mut self) -> Vec<Buffer> {
        for (buffer, written) in self.buffers.iter_mut().zip(&self.written) {
            if !written {
                buffer.fill(0.0);
            }
        }
        self.buffers
    }
}
