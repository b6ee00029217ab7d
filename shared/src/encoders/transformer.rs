//! The pre-norm residual block that image and text transformers share (Radford et al. 2019, 2021).
//!
//! x + attn(ln_1 x), then x + mlp(ln_2 x). In the last block only one row is read afterwards, so
//! query, projection and MLP are computed for that row alone: the same numbers at less cost, and the
//! gradients of the others are exactly zero.

use super::config::Prompts;
use crate::graph::{Act, FileForm, Graph, Init, Node, ParamRows, Role, Row};

/// Shape and start values of a stack of blocks.
pub(super) struct Stack {
    pub layers: usize,
    pub heads: usize,
    pub hidden: usize,
    pub causal: bool,
    pub act: Act,
    pub start: Start,
    pub prompts: Option<Prompts>,
}

/// Standard deviation of prompts before they are tuned.
const PROMPT: f32 = 0.02;

/// Start values of a block's matrices.
pub(super) struct Start {
    pub attention_in: Init,
    pub attention_out: Init,
    pub hidden: Init,
    pub out: Init,
}

impl Stack {
    /// The blocks over `x` (T, D); the result is the one row (1, D) that the caller reads.
    pub(super) fn build(&self, g: &mut Graph, mut x: Node, read: Row) -> Node {
        for i in 0..self.layers {
            let last = i + 1 == self.layers;
            x = g.scope(format!("transformer.resblocks.{i}"), |g| {
                let seen = self.prompted(g, i, x);
                let h = g.layer_norm("ln_1", seen);
                let (a, x) = if last {
                    (self.pooled(g, h, read), g.pick(x, read))
                } else {
                    (self.attend(g, h, x), x)
                };
                let x = g.add(x, a, None);
                let h = g.layer_norm("ln_2", x);
                let width = g.shape(x)[1];
                let h = g.linear("mlp.c_fc", h, self.hidden, self.start.hidden, Some(self.act));
                let h = g.linear("mlp.c_proj", h, width, self.start.out, None);
                g.add(x, h, None)
            });
        }
        x
    }

    /// What block `i` sees: behind the tokens its own prompts, which nothing remembers after it.
    fn prompted(&self, g: &mut Graph, i: usize, x: Node) -> Node {
        match self.prompts {
            Some(Prompts { from, length }) if i >= from => g.append("prompts", x, length, PROMPT),
            _ => x,
        }
    }

    fn attend(&self, g: &mut Graph, h: Node, x: Node) -> Node {
        let rows = g.shape(x)[0];
        g.scope("attn", |g| {
            let (weight, bias) = self.packed(g, h);
            let qkv = g.linear_with("in_proj", h, weight, Some(bias), None);
            let mut a = g.attention("heads", qkv, self.heads, self.causal);
            if g.shape(a)[0] > rows {
                a = g.head(a, rows);
            }
            self.out(g, a)
        })
    }

    fn pooled(&self, g: &mut Graph, h: Node, read: Row) -> Node {
        let row = g.pick(h, read);
        g.scope("attn", |g| {
            let (weight, bias) = self.packed(g, h);
            let width = weight.len / 3;
            let part = |all: ParamRows, start, len| ParamRows { start, len, ..all };
            let q =
                g.linear_with("q", row, part(weight, 0, width), Some(part(bias, 0, width)), None);
            let (w, b) = (part(weight, width, 2 * width), part(bias, width, 2 * width));
            let kv = g.linear_with("kv", h, w, Some(b), None);
            let a = g.attention_pool("heads", q, kv, self.heads, self.causal.then_some(read));
            self.out(g, a)
        })
    }

    fn packed(&self, g: &mut Graph, h: Node) -> (ParamRows, ParamRows) {
        let width = g.shape(h)[1];
        let weight =
            g.param("in_proj_weight", &[3 * width, width], self.start.attention_in, Role::Weight);
        let bias = g.param("in_proj_bias", &[3 * width], Init::Const(0.0), Role::Bias);
        (g.all_rows(weight), g.all_rows(bias))
    }

    fn out(&self, g: &mut Graph, a: Node) -> Node {
        let width = g.shape(a)[1];
        // MultiheadAttention starts this bias at 0 whatever the matrix does.
        let (weight, bias) = g.scope("out_proj", |g| {
            let weight = g.param_as(
                "weight",
                &[width, width],
                self.start.attention_out,
                Role::Weight,
                FileForm::Same,
            );
            (weight, g.param("bias", &[width], Init::Const(0.0), Role::Bias))
        });
        let (weight, bias) = (g.all_rows(weight), g.all_rows(bias));
        g.linear_with("out_proj", a, weight, Some(bias), None)
    }
}
