//! The builder: one method per layer, shapes checked as the graph grows.

use std::fmt::{self, Display};

use super::{Act, FileForm, Init, Node, Op, ParamId, ParamRows, ParamSpec, Role, Row, Shape, Step};

/// A checked graph from one input to one output row.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    steps: Vec<Step>,
    params: Vec<ParamSpec>,
    scopes: Vec<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps in evaluation order; the last one is the output.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// All parameters in order of first use.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// The last step whose path starts with `scope`: what a block of that name gives.
    pub fn end_of(&self, scope: &str) -> Option<Node> {
        let within =
            |step: &Step| step.path.strip_prefix(scope).is_some_and(|rest| rest.starts_with('.'));
        self.steps.iter().rposition(within).map(|i| Node(i as u32))
    }

    /// Shape of a value for one example.
    pub fn shape(&self, x: Node) -> &Shape {
        &self.steps[x.index()].shape
    }

    /// Width of the embedding that the graph yields.
    ///
    /// # Panics
    /// If the graph is empty.
    pub fn embed_dim(&self) -> usize {
        self.steps.last().map_or_else(|| panic!("an empty graph has no output"), Step::columns)
    }

    /// Floating-point operations of one forward walk over one example, two for each multiply-add of products.
    pub fn flops(&self) -> f64 {
        let of = |step: &Step| {
            let (rows, columns) = (step.rows(), step.columns());
            let source = step.inputs.first().map(|n| &self.steps[n.index()]);
            match (&step.op, source) {
                (Op::Linear { .. }, Some(x)) => rows * columns * x.columns(),
                (Op::Conv2d { kernel, .. }, Some(x)) => {
                    rows * columns * kernel * kernel * x.columns()
                }
                (Op::Attention { .. }, _) => 2 * rows * rows * columns,
                (Op::AttentionPool { .. }, _) => {
                    2 * self.steps[step.inputs[1].index()].rows() * columns
                }
                _ => 0,
            }
        };
        2.0 * self.steps.iter().map(of).sum::<usize>() as f64
    }

    /// Runs `f` with `name` put before every parameter and node it makes.
    pub fn scope<R>(&mut self, name: impl Display, f: impl FnOnce(&mut Self) -> R) -> R {
        self.scopes.push(name.to_string());
        let result = f(self);
        self.scopes.pop();
        result
    }

    fn path(&self, name: &str) -> String {
        let mut parts: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        if !name.is_empty() {
            parts.push(name);
        }
        parts.join(".")
    }

    fn push(&mut self, name: &str, op: Op, inputs: &[Node], shape: Shape) -> Node {
        let path = self.path(name);
        self.steps.push(Step { op, inputs: inputs.to_vec(), shape, path });
        Node(self.steps.len() as u32 - 1)
    }

    fn check(&self, name: &str, holds: bool, why: impl Display) {
        assert!(holds, "{}: {why}", self.path(name));
    }

    /// Declares a parameter and returns its id.
    pub fn param(&mut self, name: &str, shape: &[usize], init: Init, role: Role) -> ParamId {
        self.param_as(name, shape, init, role, FileForm::Same)
    }

    /// The same, for a tensor that stands differently in files.
    pub fn param_as(
        &mut self,
        name: &str,
        shape: &[usize],
        init: Init,
        role: Role,
        form: FileForm,
    ) -> ParamId {
        let name = self.path(name);
        assert!(self.params.iter().all(|p| p.name != name), "{name}: declared twice");
        let form = match form {
            FileForm::Split(parts) => FileForm::Split(parts.iter().map(|p| self.path(p)).collect()),
            other => other,
        };
        self.params.push(ParamSpec { name, shape: shape.to_vec(), init, role, form });
        ParamId(self.params.len() as u32 - 1)
    }

    /// A part of a parameter's rows.
    pub fn rows_of(&self, param: ParamId, start: usize, len: usize) -> ParamRows {
        let rows = self.params[param.index()].shape[0];
        self.check("", start + len <= rows, format!("rows {start}..{} of {rows}", start + len));
        ParamRows { param, start, len }
    }

    /// All rows of a parameter.
    pub fn all_rows(&self, param: ParamId) -> ParamRows {
        ParamRows { param, start: 0, len: self.params[param.index()].shape[0] }
    }

    /// The image input (size, size, 3).
    pub fn pixels(&mut self, size: usize) -> Node {
        self.push("", Op::Pixels, &[], vec![size, size, 3])
    }

    /// The text input: `length` tokens looked up in `table`.
    pub fn embed(&mut self, name: &str, length: usize, table: ParamId) -> Node {
        let width = self.params[table.index()].shape[1];
        self.push(name, Op::Embed { table }, &[], vec![length, width])
    }

    /// x·Wᵀ + b with the given parameters.
    pub fn linear_with(
        &mut self,
        name: &str,
        x: Node,
        weight: ParamRows,
        bias: Option<ParamRows>,
        act: Option<Act>,
    ) -> Node {
        let mut shape = self.shape(x).clone();
        let inner: usize = self.params[weight.param.index()].shape[1..].iter().product();
        let columns = shape.last().copied().unwrap_or(0);
        self.check(name, columns == inner, format!("input has {columns} columns, weight {inner}"));
        self.check(
            name,
            bias.is_none_or(|b| b.len == weight.len),
            "bias and weight differ in rows",
        );
        shape.pop();
        shape.push(weight.len);
        self.push(name, Op::Linear { weight, bias, act }, &[x], shape)
    }

    /// A linear layer `name` with weight and bias starting as given.
    pub fn linear(
        &mut self,
        name: &str,
        x: Node,
        out: usize,
        start: Init,
        act: Option<Act>,
    ) -> Node {
        let inner = self.shape(x).last().copied().unwrap_or(0);
        let bias_start = match start {
            Init::Uniform(_) => Init::Uniform(1.0 / (inner as f32).sqrt()),
            _ => Init::Const(0.0),
        };
        let (weight, bias) = self.scope(name, |g| {
            let weight = g.param("weight", &[out, inner], start, Role::Weight);
            (weight, g.param("bias", &[out], bias_start, Role::Bias))
        });
        let (weight, bias) = (self.all_rows(weight), self.all_rows(bias));
        self.linear_with(name, x, weight, Some(bias), act)
    }

    /// A projection without bias that files hold as (in, out).
    pub fn project(&mut self, name: &str, x: Node, out: usize, std: f32) -> Node {
        let inner = self.shape(x).last().copied().unwrap_or(0);
        let weight = self.param_as(
            name,
            &[out, inner],
            Init::Normal(std),
            Role::Weight,
            FileForm::Transposed,
        );
        let weight = self.all_rows(weight);
        self.linear_with(name, x, weight, None, None)
    }

    /// A convolution without bias over (H, W, C).
    pub fn conv2d(
        &mut self,
        name: &str,
        x: Node,
        out: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Node {
        let &[height, width, channels] = self.shape(x).as_slice() else {
            panic!("{}: needs (H, W, C), got {:?}", self.path(name), self.shape(x));
        };
        let fits = |edge: usize| edge + 2 * pad >= kernel;
        self.check(name, fits(height) && fits(width), "window larger than the picture");
        let bound = 1.0 / ((kernel * kernel * channels) as f32).sqrt();
        let weight = self.scope(name, |g| {
            let shape = [out, kernel, kernel, channels];
            g.param_as("weight", &shape, Init::Uniform(bound), Role::Weight, FileForm::Convolution)
        });
        let step = |edge: usize| (edge + 2 * pad - kernel) / stride + 1;
        let shape = vec![step(height), step(width), out];
        self.push(name, Op::Conv2d { weight, kernel, stride, pad }, &[x], shape)
    }

    /// Layer normalisation, eps 1e-5.
    pub fn layer_norm(&mut self, name: &str, x: Node) -> Node {
        let shape = self.shape(x).clone();
        let columns = shape.last().copied().unwrap_or(0);
        let (gain, bias) = self.scope(name, |g| {
            let gain = g.param("weight", &[columns], Init::Const(1.0), Role::Gain);
            (gain, g.param("bias", &[columns], Init::Const(0.0), Role::Bias))
        });
        self.push(name, Op::LayerNorm { gain, bias, eps: 1e-5 }, &[x], shape)
    }

    /// Batch normalisation, eps 1e-5, gain starting at `gain`.
    pub fn batch_norm(&mut self, name: &str, x: Node, gain: f32, act: Option<Act>) -> Node {
        let shape = self.shape(x).clone();
        let c = shape.last().copied().unwrap_or(0);
        let (gain, bias, mean, var) = self.scope(name, |g| {
            let gain = g.param("weight", &[c], Init::Const(gain), Role::Gain);
            let bias = g.param("bias", &[c], Init::Const(0.0), Role::Bias);
            let mean = g.param("running_mean", &[c], Init::Const(0.0), Role::Statistic);
            let var = g.param("running_var", &[c], Init::Const(1.0), Role::Statistic);
            g.param("num_batches_tracked", &[], Init::Const(0.0), Role::Counter);
            (gain, bias, mean, var)
        });
        self.push(name, Op::BatchNorm { gain, bias, mean, var, eps: 1e-5, act }, &[x], shape)
    }

    /// Multi-head attention over packed (T, 3·D).
    pub fn attention(&mut self, name: &str, packed: Node, heads: usize, causal: bool) -> Node {
        let mut shape = self.shape(packed).clone();
        let columns = shape.pop().unwrap_or(0);
        self.check(
            name,
            columns.is_multiple_of(3 * heads),
            format!("{columns} columns, {heads} heads"),
        );
        shape.push(columns / 3);
        self.push(name, Op::Attention { heads, causal }, &[packed], shape)
    }

    /// Attention of one query row `q` (1, D) over packed (T, 2·D).
    pub fn attention_pool(
        &mut self,
        name: &str,
        q: Node,
        packed: Node,
        heads: usize,
        causal_from: Option<Row>,
    ) -> Node {
        let shape = self.shape(q).clone();
        let width = shape[1];
        let fits = shape[0] == 1 && self.shape(packed).last() == Some(&(2 * width));
        self.check(
            name,
            fits && width.is_multiple_of(heads),
            "query (1, D) and packed (T, 2·D) do not fit",
        );
        self.push(name, Op::AttentionPool { heads, causal_from }, &[q, packed], shape)
    }

    /// Sum of two values, then the activation.
    pub fn add(&mut self, a: Node, b: Node, act: Option<Act>) -> Node {
        let shape = self.shape(a).clone();
        self.check("add", shape == *self.shape(b), format!("{shape:?} and {:?}", self.shape(b)));
        self.push("add", Op::Add { act }, &[a, b], shape)
    }

    /// Adds an embedding of the value's own shape, such as positions.
    pub fn add_param(&mut self, name: &str, x: Node, std: f32) -> Node {
        let shape = self.shape(x).clone();
        let param = self.param(name, &shape, Init::Normal(std), Role::Embedding);
        self.push(name, Op::AddParam(param), &[x], shape)
    }

    /// Puts a learned row in front.
    pub fn prepend(&mut self, name: &str, x: Node, std: f32) -> Node {
        let (rows, columns) = self.matrix(x);
        let param = self.param(name, &[columns], Init::Normal(std), Role::Embedding);
        self.push(name, Op::PrependParam(param), &[x], vec![rows + 1, columns])
    }

    /// Puts `count` learned rows behind.
    pub fn append(&mut self, name: &str, x: Node, count: usize, std: f32) -> Node {
        let (rows, columns) = self.matrix(x);
        let param = self.param(name, &[count, columns], Init::Normal(std), Role::Embedding);
        self.push(name, Op::AppendParam(param), &[x], vec![rows + count, columns])
    }

    /// The first `rows` rows.
    pub fn head(&mut self, x: Node, rows: usize) -> Node {
        let (all, columns) = self.matrix(x);
        self.check("head", rows <= all, format!("{rows} of {all} rows"));
        self.push("head", Op::Head, &[x], vec![rows, columns])
    }

    /// Puts the mean row in front.
    pub fn prepend_mean(&mut self, x: Node) -> Node {
        let (rows, columns) = self.matrix(x);
        self.push("mean", Op::PrependMean, &[x], vec![rows + 1, columns])
    }

    /// Mean over size×size windows; sizes that do not divide the picture are refused (trap C23).
    pub fn avg_pool(&mut self, x: Node, size: usize) -> Node {
        let &[height, width, channels] = self.shape(x).as_slice() else {
            panic!("{}: pooling needs (H, W, C)", self.path("pool"));
        };
        let divides = height.is_multiple_of(size) && width.is_multiple_of(size);
        self.check("pool", divides, format!("{height}×{width} is no multiple of {size}"));
        self.push("pool", Op::AvgPool { size }, &[x], vec![height / size, width / size, channels])
    }

    /// The mean row.
    pub fn mean_rows(&mut self, x: Node) -> Node {
        let (_, columns) = self.matrix(x);
        self.push("mean", Op::MeanRows, &[x], vec![1, columns])
    }

    /// One row.
    pub fn pick(&mut self, x: Node, row: Row) -> Node {
        let (_, columns) = self.matrix(x);
        self.push("pick", Op::Pick(row), &[x], vec![1, columns])
    }

    fn matrix(&self, x: Node) -> (usize, usize) {
        let step = &self.steps[x.index()];
        (step.rows(), step.columns())
    }
}

/// The graph as text, one step a line: the golden form.
impl Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let inputs: Vec<String> = step.inputs.iter().map(|n| format!("%{}", n.0)).collect();
            let kind = format!("{:?}", step.op);
            let kind = kind.split([' ', '(', '{']).next().unwrap_or_default();
            writeln!(f, "%{i} = {kind}({}) {:?} {}", inputs.join(", "), step.shape, step.path)?;
        }
        Ok(())
    }
}
