//! The text transformer of CLIP (Radford et al. 2021): causal unless told otherwise, read at the end-of-text token.

use super::transformer::{Stack, Start};
use crate::graph::{Act, Graph, Init, Node, Role, Row};

pub(super) struct Text {
    pub length: usize,
    pub vocabulary: usize,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub hidden: usize,
    pub causal: bool,
    pub embed: usize,
    pub act: Act,
}

/// Up to `length` token ids to (1, embed).
pub(super) fn text(g: &mut Graph, c: &Text) -> Node {
    let std = (c.width as f32).powf(-0.5);
    let table = g.scope("token_embedding", |g| {
        g.param("weight", &[c.vocabulary, c.width], Init::Normal(0.02), Role::Embedding)
    });
    let x = g.embed("token_embedding", c.length, table);
    let x = g.add_param("positional_embedding", x, 0.01);
    let residual = std * (2.0 * c.layers as f32).powf(-0.5);
    let stack = Stack {
        layers: c.layers,
        heads: c.heads,
        hidden: c.hidden,
        causal: c.causal,
        act: c.act,
        start: Start {
            attention_in: Init::Normal(std),
            attention_out: Init::Normal(residual),
            hidden: Init::Normal((2.0 * c.width as f32).powf(-0.5)),
            out: Init::Normal(residual),
        },
        prompts: None,
    };
    let x = stack.build(g, x, Row::EndOfText);
    let x = g.layer_norm("ln_final", x);
    g.project("text_projection", x, c.embed, std)
}
