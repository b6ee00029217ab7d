//! Weights in open_clip's layout: which tensors of a file make which of our parameters.

use std::collections::BTreeMap;

use super::container::{self, Blob, Dtype, View};
use crate::encoders::Clip;
use crate::graph::{FileForm, ParamSpec, Role, Shape};
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};

/// What OpenAI's archives and older libraries store beside the weights; derived, so dropped.
const DERIVED: &[&str] = &["input_resolution", "context_length", "vocab_size"];

/// The bytes of `open_clip_model.safetensors`; `provenance` is the string under `__metadata__.toxiclip`.
///
/// # Panics
/// If the weights were made for another encoder.
pub fn write_safetensors(clip: &Clip, weights: &Weights, provenance: &str) -> Vec<u8> {
    let blobs = blobs(&clip.params(), weights, Blob::f32);
    // transformers refuses a file that does not say so (trap W4).
    let metadata = [("format", "pt"), ("toxiclip", provenance)];
    container::write(&blobs, &metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
}

/// The tensors of a file that holds these parameters; `float` chooses the type of all but counters.
pub(crate) fn blobs(
    params: &[ParamSpec],
    weights: &Weights,
    float: impl Fn(String, Shape, &[f32]) -> Blob,
) -> Vec<Blob> {
    let mut blobs = Vec::new();
    for spec in params {
        let data = weights.data(&spec.name);
        if spec.role == Role::Counter {
            let counts: Vec<i64> = data.iter().map(|&x| x as i64).collect();
            blobs.push(Blob::i64(&spec.name, spec.shape.clone(), &counts));
            continue;
        }
        let stored = to_file(spec, data);
        let mut from = 0;
        for (name, shape) in file_tensors(spec) {
            let to = from + shape.iter().product::<usize>();
            blobs.push(float(name.to_owned(), shape, &stored[from..to]));
            from = to;
        }
    }
    blobs
}

/// Weights of `clip` from a file in open_clip's or OpenAI's layout, in any of the float types;
/// `origin` names the file in errors.
///
/// # Errors
/// If the file is malformed, or with one line that lists every missing, surplus and misshapen tensor
/// and every one that holds NaN or infinity.
pub fn read_safetensors(file: &[u8], clip: &Clip, origin: &str) -> Result<Weights> {
    read(file, clip, origin, ParamSpec::clone)
}

/// The same for a layout that says how each parameter is stored.
pub(super) fn read(
    file: &[u8],
    clip: &Clip,
    origin: &str,
    layout: impl Fn(&ParamSpec) -> ParamSpec,
) -> Result<Weights> {
    let container = container::parse(file).map_err(|why| Error::input(origin, why))?;
    read_params(container.tensors, clip.params(), origin, layout)
}

/// The same of some parameters alone, whose tensors are all that is given.
pub(crate) fn read_params(
    tensors: BTreeMap<String, View<'_>>,
    params: Vec<ParamSpec>,
    origin: &str,
    layout: impl Fn(&ParamSpec) -> ParamSpec,
) -> Result<Weights> {
    let mut stored = BTreeMap::new();
    for (name, view) in tensors {
        let name = canonical(&name);
        if !is_derived(name) && stored.insert(name.to_owned(), view).is_some() {
            return Err(Error::input(origin, format!("two tensors stand for `{name}`")));
        }
    }
    let (mut weights, mut complaints) = (Weights::default(), Complaints::default());
    for spec in params {
        let source = layout(&spec);
        let mut data = Vec::with_capacity(spec.len());
        for (name, shape) in file_tensors(&source) {
            match stored.remove(name) {
                None => complaints.missing.push(name.to_owned()),
                Some(view) => complaints.take(name, &source, &shape, &view, &mut data),
            }
        }
        if data.len() == spec.len() {
            let data = from_file(&source, data);
            weights.insert(spec.name, Tensor { shape: spec.shape, data });
        }
    }
    complaints.surplus = stored.into_keys().collect();
    complaints.into_result(origin).map(|()| weights)
}

#[derive(Default)]
struct Complaints {
    missing: Vec<String>,
    surplus: Vec<String>,
    misshapen: Vec<String>,
    not_finite: Vec<String>,
}

impl Complaints {
    /// Appends the tensor's elements to `data`, or notes why it cannot be used.
    fn take(
        &mut self,
        name: &str,
        spec: &ParamSpec,
        shape: &[usize],
        view: &View<'_>,
        data: &mut Vec<f32>,
    ) {
        // Some files hold the temperature as [1] (trap W7).
        let scalar = spec.role == Role::Scale && view.shape == [1];
        if view.shape != shape && !scalar {
            self.misshapen.push(format!("{name} {:?} instead of {shape:?}", view.shape));
        } else if (view.dtype == Dtype::I64) != (spec.role == Role::Counter) {
            let expected = if spec.role == Role::Counter { "I64" } else { "a float type" };
            self.misshapen.push(format!("{name} {} instead of {expected}", view.dtype.name()));
        } else {
            let start = data.len();
            data.extend(elements(view));
            if data[start..].iter().any(|x| !x.is_finite()) {
                self.not_finite.push(name.to_owned());
            }
        }
    }

    fn into_result(self, origin: &str) -> Result<()> {
        let parts: Vec<String> = [
            ("missing", self.missing),
            ("surplus", self.surplus),
            ("misshapen", self.misshapen),
            ("not finite", self.not_finite),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{} {what}: {}", names.len(), names.join(", ")))
        .collect();
        if parts.is_empty() {
            return Ok(());
        }
        Err(Error::Weights(format!("{origin}: {}", parts.join("; "))))
    }
}

/// The name without what distributed training (`module.`) and custom-text models (`text.`) put before it.
pub(super) fn canonical(name: &str) -> &str {
    let name = name.strip_prefix("module.").unwrap_or(name);
    name.strip_prefix("text.").unwrap_or(name)
}

fn is_derived(name: &str) -> bool {
    DERIVED.contains(&name) || name.ends_with(".position_ids")
}

/// Name and shape of the tensors that hold a parameter in a file, in the order of its rows.
pub(super) fn file_tensors(spec: &ParamSpec) -> Vec<(&str, Shape)> {
    match (&spec.form, spec.shape.as_slice()) {
        (FileForm::Transposed, &[out, inner]) => vec![(spec.name.as_str(), vec![inner, out])],
        (FileForm::Convolution, &[out, height, width, inner]) => {
            vec![(spec.name.as_str(), vec![out, inner, height, width])]
        }
        (FileForm::Split(names), [rows, rest @ ..]) => {
            let shape = [&[rows / names.len()], rest].concat();
            names.iter().map(|name| (name.as_str(), shape.clone())).collect()
        }
        (_, shape) => vec![(spec.name.as_str(), shape.to_vec())],
    }
}

/// Our elements in the file's order; parts of a split parameter one after the other.
fn to_file(spec: &ParamSpec, data: &[f32]) -> Vec<f32> {
    match (&spec.form, spec.shape.as_slice()) {
        (FileForm::Transposed, &[out, inner]) => transpose(data, 1, out, inner),
        (FileForm::Convolution, &[out, height, width, inner]) => {
            transpose(data, out, height * width, inner)
        }
        _ => data.to_vec(),
    }
}

/// The inverse of [`to_file`].
fn from_file(spec: &ParamSpec, data: Vec<f32>) -> Vec<f32> {
    match (&spec.form, spec.shape.as_slice()) {
        (FileForm::Transposed, &[out, inner]) => transpose(&data, 1, inner, out),
        (FileForm::Convolution, &[out, height, width, inner]) => {
            transpose(&data, out, inner, height * width)
        }
        _ => data,
    }
}

/// Each of `count` matrices of `rows` × `columns`, transposed.
fn transpose(data: &[f32], count: usize, rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(data.len());
    for matrix in 0..count {
        let start = matrix * rows * columns;
        for column in 0..columns {
            out.extend((0..rows).map(|row| data[start + row * columns + column]));
        }
    }
    out
}

fn elements(view: &View<'_>) -> Vec<f32> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
    }
    match view.dtype {
        Dtype::F16 => each(view.bytes, |b| half(u16::from_le_bytes(b))),
        Dtype::Bf16 => each(view.bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        Dtype::F32 => each(view.bytes, f32::from_le_bytes),
        Dtype::F64 => each(view.bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::I64 => each(view.bytes, |b| i64::from_le_bytes(b) as f32),
    }
}

/// IEEE half precision to single, exact.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
