//! What is lowered and run: small graphs with edges in them, and weights for any graph.

use half::f16;

use crate::graph::{Act, Graph, Init, Role, Row};
use crate::seed::Seed;
use crate::weights::Weights;

/// Small graphs; between them every kernel, at widths one below and above its workgroup.
pub(super) fn cases() -> Vec<(&'static str, Graph)> {
    let tokens = |length: usize, width: usize| {
        let mut g = Graph::new();
        let table = g.param("table", &[11, width], Init::Normal(1.0), Role::Embedding);
        let x = g.embed("", length, table);
        (g, x)
    };
    let uniform = Init::Uniform(0.3);
    let mut cases = vec![];
    for (name, out, act) in
        [("one", 1, None), ("63", 63, Some(Act::Relu)), ("65", 65, Some(Act::Gelu))]
    {
        let (mut g, x) = tokens(5, 17);
        g.linear(name, x, out, uniform, act);
        cases.push(("linear", g));
    }
    let (mut g, x) = tokens(67, 3);
    let y = g.linear("in", x, 33, uniform, Some(Act::QuickGelu));
    let z = g.linear("out", y, 33, uniform, None);
    g.add(y, z, Some(Act::Relu));
    cases.push(("linear with a residual", g));
    for (edge, out, kernel, stride, pad) in
        [(7, 5, 3, 2, 1), (8, 65, 1, 1, 0), (9, 4, 4, 4, 0), (5, 3, 5, 1, 2)]
    {
        let mut g = Graph::new();
        let x = g.pixels(edge);
        let y = g.conv2d("conv", x, out, kernel, stride, pad);
        g.batch_norm("bn", y, 1.0, Some(Act::Relu));
        cases.push(("conv2d with batch norm", g));
    }
    let mut g = Graph::new();
    let x = g.pixels(7);
    g.conv2d("conv", x, 5, 3, 2, 1);
    cases.push(("conv2d", g));
    let mut g = Graph::new();
    let x = g.pixels(6);
    let y = g.batch_norm("bn", x, 1.0, None);
    let z = g.avg_pool(y, 2);
    g.mean_rows(z);
    cases.push(("affine, avg_pool", g));
    for width in [1, 63, 65, 130] {
        let (mut g, x) = tokens(3, width);
        g.layer_norm("ln", x);
        cases.push(("layer_norm", g));
    }
    for (length, dim, causal) in [(1, 4, false), (65, 3, true), (130, 66, false)] {
        let (mut g, x) = tokens(length, 2 * 3 * dim);
        g.attention("attn", x, 2, causal);
        cases.push(("attention", g));
    }
    for from in [None, Some(Row::First), Some(Row::EndOfText)] {
        let (mut g, x) = tokens(9, 6);
        let q = g.pick(x, Row::EndOfText);
        let kv = g.linear("kv", x, 12, uniform, None);
        g.attention_pool("pool", q, kv, 3, from);
        cases.push(("attention of one query", g));
    }
    let mut g = Graph::new();
    let x = g.pixels(2);
    let x = g.prepend("class", x, 1.0);
    let x = g.prepend_mean(x);
    let x = g.add_param("places", x, 1.0);
    let y = g.add(x, x, None);
    let y = g.append("prompts", y, 3, 1.0);
    g.head(y, 8);
    cases.push(("join, add, head", g));
    cases
}

/// Start values, moved: no gain is 1, no bias 0, no variance 1.
pub(super) fn weights(graph: &Graph) -> Weights {
    let mut weights = Weights::init(graph.params(), &Seed::new(0));
    for spec in graph.params() {
        let mut stream = Seed::new(1).child(&spec.name).stream();
        let tensor = weights.get_mut(&spec.name).unwrap();
        for x in &mut tensor.data {
            *x = match spec.name.ends_with("running_var") {
                true => stream.range(0.5, 1.5),
                false if spec.shape.len() < 2 => *x + 0.2 * stream.normal(),
                false => *x,
            };
        }
    }
    weights
}

/// Weights as a checkpoint of half precision has them.
pub(super) fn rounded(weights: &Weights) -> Weights {
    let mut rounded = weights.clone();
    for (name, _) in weights.iter() {
        let data = &mut rounded.get_mut(name).unwrap().data;
        data.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
    }
    rounded
}
