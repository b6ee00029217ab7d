//! Named tensors on the host: start values, lookup, digest. Files are in `checkpoint`.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::graph::{Init, ParamSpec, Shape};
use crate::seed::Seed;

/// A dense f32 tensor, row-major, in the shape its [`ParamSpec`] states.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Axes; empty for a scalar.
    pub shape: Shape,
    /// Elements, last axis fastest.
    pub data: Vec<f32>,
}

/// All tensors of a model, sorted by name. Same specs and seed: same bytes on every machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Start values; each parameter draws from its own stream, so adding one moves no other.
    pub fn init(specs: &[ParamSpec], seed: &Seed) -> Self {
        let seed = seed.child("init");
        let tensor = |spec: &ParamSpec| {
            let mut stream = seed.child(&spec.name).stream();
            let draw = |_| match spec.init {
                Init::Const(x) => x,
                Init::Normal(std) => std * stream.normal(),
                Init::Uniform(bound) => stream.range(-bound, bound),
            };
            Tensor { shape: spec.shape.clone(), data: (0..spec.len()).map(draw).collect() }
        };
        Self(specs.iter().map(|spec| (spec.name.clone(), tensor(spec))).collect())
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The same, to be changed in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.0.get_mut(name)
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: String, tensor: Tensor) {
        self.0.insert(name, tensor);
    }

    /// Adds or replaces all tensors of `other`, of which nothing is left.
    pub fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// Takes the tensors of these specs out; what is not there is left out.
    pub fn take(&mut self, specs: &[ParamSpec]) -> Self {
        Self(specs.iter().filter_map(|spec| self.0.remove_entry(&spec.name)).collect())
    }

    /// All tensors by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// The elements of a parameter that the specs promise.
    ///
    /// # Panics
    /// If the weights were made for other specs; loading checks them once.
    pub fn data(&self, name: &str) -> &[f32] {
        self.0.get(name).map_or_else(|| panic!("{name}: weights of another encoder"), |t| &t.data)
    }

    /// Digest over names, shapes and bytes sorted by name; never over a file (trap W3).
    pub fn digest(&self) -> Digest {
        Self::digest_of([self])
    }

    /// The same of weights that lie in several places, no name in two of them.
    pub(crate) fn digest_of<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Digest {
        let sorted: BTreeMap<_, _> = parts.into_iter().flat_map(|part| &part.0).collect();
        // Tensor by tensor: a browser's memory does not hold all of them twice.
        Digest::of_parts(sorted.into_iter().flat_map(|(name, tensor)| {
            let head = Digest::of(&(name, &tensor.shape)).bytes().to_vec();
            [head, tensor.data.iter().flat_map(|x| x.to_le_bytes()).collect()]
        }))
    }
}
