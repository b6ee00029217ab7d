//! The image transformer of CLIP (Radford et al. 2021), with OpenAI's parameter names.

use super::config::Prompts;
use super::transformer::{Stack, Start};
use crate::graph::{Act, Graph, Init, Node, Row};

pub(super) struct Vit {
    pub size: usize,
    pub patch: usize,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub hidden: usize,
    pub embed: usize,
    pub act: Act,
    pub prompts: Option<Prompts>,
}

/// (S, S, 3) pixels to (1, embed).
pub(super) fn vit(g: &mut Graph, c: &Vit) -> Node {
    let std = (c.width as f32).powf(-0.5);
    let image = g.pixels(c.size);
    let x = g.conv2d("conv1", image, c.width, c.patch, c.patch, 0);
    let x = g.prepend("class_embedding", x, std);
    let x = g.add_param("positional_embedding", x, std);
    let x = g.layer_norm("ln_pre", x);
    // OpenAI leaves these at PyTorch's defaults: Xavier for the packed projection, 1/√fan-in for the rest.
    let default = |inner: usize| Init::Uniform((inner as f32).powf(-0.5));
    let stack = Stack {
        layers: c.layers,
        heads: c.heads,
        hidden: c.hidden,
        causal: false,
        act: c.act,
        start: Start {
            attention_in: Init::Uniform((6.0 / (4 * c.width) as f32).sqrt()),
            attention_out: default(c.width),
            hidden: default(c.width),
            out: default(c.hidden),
        },
        prompts: c.prompts,
    };
    let x = stack.build(g, x, Row::First);
    let x = g.layer_norm("ln_post", x);
    g.project("proj", x, c.embed, std)
}
