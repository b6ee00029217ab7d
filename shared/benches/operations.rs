//! Every operation forward and backward, at the sizes of `small-clip` and of RN50's stages, batch 32.
//!
//! Operations are timed as graphs: rows come from a token table, pictures from a 1×1 convolution. The entries `embed`
//! and `stem` are those entrances alone, to be subtracted in thought.

mod short;

use criterion::Criterion;
use toxiclip_shared::exec::cpu::{Arena, backward, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::graph::{Act, Graph, Init, Node, Role, Row};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

const BATCH: usize = 32;
const TOKENS: usize = 65;
const VOCABULARY: usize = 256;
const SIZE: usize = 28;

/// Rows of `width` columns through `op`.
fn rows(width: usize, op: impl FnOnce(&mut Graph, Node) -> Node) -> Graph {
    let mut g = Graph::new();
    let table = g.param("table", &[VOCABULARY, width], Init::Normal(0.02), Role::Embedding);
    let x = g.embed("embed", TOKENS, table);
    op(&mut g, x);
    g
}

/// A picture of `channels` channels through `op`.
fn picture(channels: usize, op: impl FnOnce(&mut Graph, Node) -> Node) -> Graph {
    let mut g = Graph::new();
    let x = g.pixels(SIZE);
    let x = g.conv2d("stem", x, channels, 1, 1, 0);
    op(&mut g, x);
    g
}

/// Times a graph forward as training does it, and backward behind that.
fn time(c: &mut Criterion, name: &str, graph: &Graph) {
    let seed = Seed::new(0);
    let weights = Weights::init(graph.params(), &seed);
    let params = params_of(graph, &weights);
    let mut stream = seed.child("inputs").stream();
    let pixels: Vec<f32> = (0..BATCH * SIZE * SIZE * 3).map(|_| stream.normal()).collect();
    let ids: Vec<u32> = (0..BATCH * TOKENS).map(|_| stream.below(VOCABULARY) as u32).collect();
    let end = vec![TOKENS as u32 - 1; BATCH];
    let is_picture = graph.steps()[0].shape.len() == 3;
    let inputs =
        if is_picture { Inputs::Pixels(&pixels) } else { Inputs::Tokens { ids: &ids, end: &end } };
    let mut arena = Arena::default();
    c.bench_function(&format!("{name}/forward"), |b| {
        b.iter(|| forward(graph, &params, inputs, Mode::Train, &mut arena).recycle(&mut arena));
    });
    let len = forward(graph, &params, inputs, Mode::Train, &mut arena).embeddings().len();
    let given: Vec<f32> = (0..len).map(|_| stream.normal()).collect();
    c.bench_function(&format!("{name}/forward and backward"), |b| {
        b.iter(|| {
            let pass = forward(graph, &params, inputs, Mode::Train, &mut arena);
            backward(graph, &params, pass, &given, false, &mut arena).recycle(&mut arena);
        });
    });
}

fn linear(g: &mut Graph, x: Node, out: usize, act: Option<Act>) -> Node {
    g.linear("linear", x, out, Init::Normal(0.02), act)
}

/// The products of the encoders: (rows, inner, out) of attention and MLP at widths 192, 512 and 768.
fn products(c: &mut Criterion) {
    for width in [192, 512, 768] {
        for (name, out) in [("qkv", 3 * width), ("out", width), ("mlp in", 4 * width)] {
            let graph = rows(width, |g, x| linear(g, x, out, None));
            time(c, &format!("product {name} {}×{width}×{out}", BATCH * TOKENS), &graph);
        }
    }
}

fn row_operations(c: &mut Criterion) {
    const WIDTH: usize = 192;
    time(c, "embed", &rows(WIDTH, |_, x| x));
    for (name, act) in [("relu", Act::Relu), ("gelu", Act::Gelu), ("quick gelu", Act::QuickGelu)] {
        time(c, &format!("linear and {name}"), &rows(WIDTH, |g, x| linear(g, x, WIDTH, Some(act))));
    }
    time(c, "layer norm", &rows(WIDTH, |g, x| g.layer_norm("norm", x)));
    for causal in [false, true] {
        let name = if causal { "causal attention" } else { "attention" };
        time(c, name, &rows(3 * WIDTH, |g, x| g.attention("heads", x, 3, causal)));
    }
    let pool = |g: &mut Graph, x: Node| {
        let first = g.pick(x, Row::First);
        let q = linear(g, first, WIDTH, None);
        g.attention_pool("heads", q, x, 3, None)
    };
    time(c, "attention pool", &rows(2 * WIDTH, pool));
    time(c, "add", &rows(WIDTH, |g, x| g.add(x, x, None)));
    time(c, "add positions", &rows(WIDTH, |g, x| g.add_param("positions", x, 0.01)));
    time(c, "mean of rows", &rows(WIDTH, Graph::mean_rows));
    time(c, "pick", &rows(WIDTH, |g, x| g.pick(x, Row::EndOfText)));
}

fn picture_operations(c: &mut Criterion) {
    const CHANNELS: usize = 64;
    time(c, "stem", &picture(CHANNELS, |_, x| x));
    for (kernel, stride) in [(1, 1), (3, 1), (3, 2)] {
        let graph =
            picture(CHANNELS, |g, x| g.conv2d("conv", x, CHANNELS, kernel, stride, kernel / 2));
        time(c, &format!("convolution {kernel}×{kernel}, stride {stride}"), &graph);
    }
    let norm = |g: &mut Graph, x: Node| g.batch_norm("norm", x, 1.0, Some(Act::Relu));
    time(c, "batch norm and relu", &picture(CHANNELS, norm));
    // Texts never get a row in front, pictures do.
    time(c, "prepend", &picture(CHANNELS, |g, x| g.prepend("class", x, 0.01)));
    time(c, "prepend mean", &picture(CHANNELS, Graph::prepend_mean));
    time(c, "average pool", &picture(CHANNELS, |g, x| g.avg_pool(x, 2)));
}

fn main() {
    let mut c = short::criterion();
    products(&mut c);
    row_operations(&mut c);
    picture_operations(&mut c);
    c.final_summary();
}
