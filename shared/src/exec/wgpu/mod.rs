//! Towers on a graphics card, natively and in a browser: a graph is lowered to launches of kernels once, and replayed with one
//! upload, one submission and one read-back a batch. Values differ from the CPU's by rounding: sums have another order,
//! and batch normalisation is multiplied into the weights before it.

mod gpu;
pub mod kernels;
mod lower;
mod slots;
#[cfg(test)]
mod tests;

pub use gpu::Gpu;

use std::borrow::Cow;
use std::fmt::{self, Debug};

use self::lower::{Constant, Launch, Source};
use super::Inputs;
use super::cpu::{Tower, params_of};
use crate::graph::Graph;
use crate::{Error, Result};

/// Uniforms begin at multiples of this: WebGPU's default alignment.
const ALIGNMENT: usize = 256;

/// A tower on the device, for batches of up to a fixed size.
pub struct Program {
    gpu: Gpu,
    batch: usize,
    /// Rows and columns of the input of one example.
    input: (usize, usize),
    /// Length of the embedding of one example.
    width: usize,
    table: Option<Vec<f32>>,
    upload: wgpu::Buffer,
    end: wgpu::Buffer,
    embeddings: wgpu::Buffer,
    staging: wgpu::Buffer,
    dispatches: Vec<Dispatch>,
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl Program {
    /// Puts `graph` with its `params`, aligned with [`Graph::params`], onto the device.
    ///
    /// # Errors
    /// If something is larger than every device offers, the memory of this one is full, or it is lost.
    pub async fn compile(
        gpu: &Gpu,
        graph: &Graph,
        params: &[&[f32]],
        batch: usize,
    ) -> Result<Self> {
        use wgpu::BufferUsages as Use;
        let lowered = lower::lower(graph, params, batch, gpu.halves)?;
        let slots = slots::assign(&lowered);
        let Some(first) = graph.steps().first() else {
            return Err(Error::request("an empty graph has no output"));
        };
        let memory = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let invalid = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let usage = Use::STORAGE | Use::COPY_DST | Use::COPY_SRC;
        let values: Vec<_> =
            slots.lens.iter().map(|len| gpu.empty("value", 4 * len, usage)).collect();
        let constant = |data: &Constant<'_>| gpu.filled("parameter", data.bytes(), Use::STORAGE);
        let constants: Vec<_> = lowered.constants.iter().map(constant).collect();
        let end = gpu.empty("end", 4 * batch, Use::STORAGE | Use::COPY_DST);
        let uniforms = gpu.filled("uniforms", &laid_out(&lowered.launches), Use::UNIFORM);
        let dispatch = |(i, launch): (usize, &Launch)| {
            let size = wgpu::BufferSize::new(4 * launch.uniforms.len() as u64);
            let offset = (i * ALIGNMENT) as u64;
            let first = wgpu::BufferBinding { buffer: &uniforms, offset, size };
            let reads = launch.reads.iter().map(|source| match source {
                Source::Value(value) => &values[slots.of[*value]],
                Source::Constant(constant) => &constants[*constant],
                Source::End => &end,
            });
            let buffers = reads.chain([&values[slots.of[launch.writes]]]);
            let resources = [wgpu::BindingResource::Buffer(first)].into_iter();
            let resources = resources.chain(buffers.map(wgpu::Buffer::as_entire_binding));
            let entries: Vec<_> = (0..)
                .zip(resources)
                .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
                .collect();
            let pipeline = gpu.pipeline(launch.kernel).clone();
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&launch.path),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            Dispatch { pipeline, bindings, grid: launch.grid.map(|n| n as u32) }
        };
        let dispatches: Vec<_> = lowered.launches.iter().enumerate().map(dispatch).collect();
        let width = graph.steps().last().map_or(0, |step| step.rows() * step.columns());
        let embeddings = lowered.launches.last().map_or(0, |launch| launch.writes);
        let embeddings = values[slots.of[embeddings]].clone();
        let staging = gpu.empty("staging", 4 * batch * width, Use::COPY_DST | Use::MAP_READ);
        // Both are closed before anything is awaited: towers that are compiled side by side would close each other's.
        let (invalid, memory) = (invalid.pop(), memory.pop());
        let (invalid, memory) = (invalid.await, memory.await);
        if let Some(error) = memory.or(invalid) {
            return Err(gpu.failed(&error.to_string()));
        }
        gpu.alive()?;
        let (upload, input) = (values[0].clone(), (first.rows(), first.columns()));
        let (gpu, table) = (gpu.clone(), lowered.table.map(<[f32]>::to_vec));
        Ok(Self { gpu, batch, input, width, table, upload, end, embeddings, staging, dispatches })
    }

    /// The same of a tower that somebody keeps.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub async fn of(gpu: &Gpu, tower: &Tower, batch: usize) -> Result<Self> {
        let params = params_of(tower.graph(), tower.weights());
        Self::compile(gpu, tower.graph(), &params, batch).await
    }

    /// Embeddings of up to `batch` examples (n, embedding width), not normalised.
    ///
    /// # Errors
    /// If the inputs are none of this tower's, are too many, or the device was lost.
    pub async fn run(&self, inputs: Inputs<'_>) -> Result<Vec<f32>> {
        self.gpu.alive()?;
        let (rows, columns) = self.input;
        let (examples, upload) = match (inputs, &self.table) {
            (Inputs::Pixels(pixels), None) => {
                (pixels.len() / (rows * columns), Cow::Borrowed(pixels))
            }
            (Inputs::Tokens { ids, end }, Some(table)) => {
                (end.len(), look_up(table, columns, ids)?)
            }
            _ => return Err(Error::request("the inputs are of the other tower")),
        };
        let most = self.batch;
        if examples == 0 || examples > most || upload.len() != examples * rows * columns {
            let rest = upload.len();
            return Err(Error::request(format!(
                "{rest} values are no inputs of 1 to {most} examples of {rows} × {columns}"
            )));
        }
        self.write(&self.upload, bytemuck::cast_slice(&upload));
        if let Inputs::Tokens { end, .. } = inputs {
            self.write(&self.end, bytemuck::cast_slice(end));
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for Dispatch { pipeline, bindings, grid: [x, y, z] } in &self.dispatches {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bindings, &[]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
        }
        let bytes = self.staging.size();
        encoder.copy_buffer_to_buffer(&self.embeddings, 0, &self.staging, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        let mut embeddings = self.gpu.read(&self.staging).await?;
        self.gpu.alive()?;
        embeddings.truncate(examples * self.width);
        Ok(embeddings)
    }

    /// Inputs in parts of at most the batch.
    pub fn parts<'b>(&self, inputs: Inputs<'b>) -> Vec<Inputs<'b>> {
        let (rows, columns) = self.input;
        match inputs {
            Inputs::Pixels(pixels) => {
                pixels.chunks(self.batch * rows * columns).map(Inputs::Pixels).collect()
            }
            Inputs::Tokens { ids, end } => {
                let parts = ids.chunks(self.batch * rows).zip(end.chunks(self.batch));
                parts.map(|(ids, end)| Inputs::Tokens { ids, end }).collect()
            }
        }
    }

    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        self.gpu.queue.write_buffer(buffer, 0, bytes);
    }
}

/// Rows of `table`, `columns` wide.
fn look_up(table: &[f32], columns: usize, ids: &[u32]) -> Result<Cow<'static, [f32]>> {
    let mut tokens = Vec::with_capacity(ids.len() * columns);
    for &id in ids {
        let at = id as usize * columns;
        let Some(row) = table.get(at..at + columns) else {
            return Err(Error::request(format!("token {id} is none of {}", table.len() / columns)));
        };
        tokens.extend_from_slice(row);
    }
    Ok(Cow::Owned(tokens))
}

/// The uniforms of all launches, each at its own multiple of the alignment.
fn laid_out(launches: &[Launch]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(launches.len() * ALIGNMENT);
    for (i, launch) in launches.iter().enumerate() {
        bytes.resize(i * ALIGNMENT, 0);
        bytes.extend(launch.uniforms.iter().flat_map(|(_, n)| n.to_ne_bytes()));
    }
    bytes.resize(launches.len() * ALIGNMENT, 0);
    bytes
}
