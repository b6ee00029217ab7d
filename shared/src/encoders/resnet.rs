//! CLIP's ModifiedResNet (Radford et al. 2021): three stem convolutions, average pools instead of
//! strides, attention pooling; and a small ResNet of basic blocks (He et al. 2016) for laptops.

use crate::graph::{Act, FileForm, Graph, Init, Node, Role, Row};

const RELU: Option<Act> = Some(Act::Relu);

pub(super) struct ResNet {
    pub size: usize,
    pub layers: [usize; 4],
    pub width: usize,
    pub heads: usize,
    pub embed: usize,
}

/// (S, S, 3) pixels to (1, embed) by CLIP's bottleneck blocks and attention pooling.
pub(super) fn modified_resnet(g: &mut Graph, c: &ResNet) -> Node {
    let mut x = g.pixels(c.size);
    for (i, (out, stride)) in
        [(c.width / 2, 2), (c.width / 2, 1), (c.width, 1)].into_iter().enumerate()
    {
        x = g.conv2d(&format!("conv{}", i + 1), x, out, 3, stride, 1);
        x = g.batch_norm(&format!("bn{}", i + 1), x, 1.0, RELU);
    }
    x = g.avg_pool(x, 2);
    for (stage, &blocks) in c.layers.iter().enumerate() {
        for j in 0..blocks {
            let stride = if stage > 0 && j == 0 { 2 } else { 1 };
            let planes = c.width << stage;
            x = g.scope(format!("layer{}.{j}", stage + 1), |g| bottleneck(g, x, planes, stride));
        }
    }
    g.scope("attnpool", |g| attention_pool(g, x, c.heads, c.embed))
}

fn bottleneck(g: &mut Graph, x: Node, planes: usize, stride: usize) -> Node {
    let inputs = g.shape(x)[2];
    let h = g.conv2d("conv1", x, planes, 1, 1, 0);
    let h = g.batch_norm("bn1", h, 1.0, RELU);
    let h = g.conv2d("conv2", h, planes, 3, 1, 1);
    let mut h = g.batch_norm("bn2", h, 1.0, RELU);
    if stride > 1 {
        h = g.avg_pool(h, stride);
    }
    let h = g.conv2d("conv3", h, planes * 4, 1, 1, 0);
    // Starting this gain at 0 makes every block the identity at first, as OpenAI does.
    let h = g.batch_norm("bn3", h, 0.0, None);
    let identity = if stride > 1 || inputs != planes * 4 {
        let pooled = if stride > 1 { g.avg_pool(x, stride) } else { x };
        shortcut(g, pooled, planes * 4)
    } else {
        x
    };
    g.add(h, identity, RELU)
}

fn shortcut(g: &mut Graph, x: Node, planes: usize) -> Node {
    let s = g.conv2d("downsample.0", x, planes, 1, 1, 0);
    g.batch_norm("downsample.1", s, 1.0, None)
}

/// The mean row queries all rows; there is no projection after `c_proj`.
fn attention_pool(g: &mut Graph, x: Node, heads: usize, embed: usize) -> Node {
    let width = g.shape(x)[2];
    let std = (width as f32).powf(-0.5);
    let rows = g.prepend_mean(x);
    let rows = g.add_param("positional_embedding", rows, std);
    let split = |kind: &str| {
        FileForm::Split(["q", "k", "v"].iter().map(|p| format!("{p}_proj.{kind}")).collect())
    };
    let weight = g.param_as(
        "in_proj_weight",
        &[3 * width, width],
        Init::Normal(std),
        Role::Weight,
        split("weight"),
    );
    let bias =
        g.param_as("in_proj_bias", &[3 * width], Init::Const(0.0), Role::Bias, split("bias"));
    let first = g.pick(rows, Row::First);
    let (wq, bq) = (g.rows_of(weight, 0, width), g.rows_of(bias, 0, width));
    let (wkv, bkv) = (g.rows_of(weight, width, 2 * width), g.rows_of(bias, width, 2 * width));
    let q = g.linear_with("q", first, wq, Some(bq), None);
    let kv = g.linear_with("kv", rows, wkv, Some(bkv), None);
    let a = g.attention_pool("heads", q, kv, heads, None);
    g.linear("c_proj", a, embed, Init::Normal(std), None)
}

/// (S, S, 3) pixels to (1, embed): one 3×3 stem of stride 2, basic blocks, mean, projection.
pub(super) fn basic_resnet(g: &mut Graph, c: &ResNet) -> Node {
    let x = g.pixels(c.size);
    let x = g.conv2d("conv1", x, c.width, 3, 2, 1);
    let mut x = g.batch_norm("bn1", x, 1.0, RELU);
    for (stage, &blocks) in c.layers.iter().enumerate() {
        for j in 0..blocks {
            let stride = if stage > 0 && j == 0 { 2 } else { 1 };
            let planes = c.width << stage;
            x = g.scope(format!("layer{}.{j}", stage + 1), |g| basic(g, x, planes, stride));
        }
    }
    let x = g.mean_rows(x);
    let std = (g.shape(x)[1] as f32).powf(-0.5);
    g.project("proj", x, c.embed, std)
}

fn basic(g: &mut Graph, x: Node, planes: usize, stride: usize) -> Node {
    let h = g.conv2d("conv1", x, planes, 3, stride, 1);
    let h = g.batch_norm("bn1", h, 1.0, RELU);
    let h = g.conv2d("conv2", h, planes, 3, 1, 1);
    let h = g.batch_norm("bn2", h, 1.0, None);
    let identity = if stride > 1 || g.shape(x)[2] != planes {
        let pooled = if stride > 1 { g.avg_pool(x, stride) } else { x };
        shortcut(g, pooled, planes)
    } else {
        x
    };
    g.add(h, identity, RELU)
}
