//! What a model embeds with: the CPU's own operations, or a graphics card where the build has one.

use toxiclip_shared::exec::Inputs;
use toxiclip_shared::exec::cpu::{Arena, Frozen};
#[cfg(feature = "wgpu")]
use toxiclip_shared::exec::{
    cpu::params_of,
    wgpu::{Gpu, Program},
};
use toxiclip_shared::graph::Graph;
use toxiclip_shared::weights::Weights;

use crate::argument::Device;
#[cfg(feature = "wgpu")]
use crate::failure::Failure;
use crate::failure::Result;

/// Batches that a graphics card is offered, the largest first: how many fit into its buffers depends on the encoder.
#[cfg(feature = "wgpu")]
const BATCHES: [usize; 4] = [128, 32, 8, 1];

/// Where towers that are only read from run.
#[derive(Clone, Debug, Default)]
pub enum Engine {
    /// Own operations on all threads; any batch and any number of threads give the same bits.
    #[default]
    Cpu,
    /// A graphics card; values differ from the CPU's by rounding.
    #[cfg(feature = "wgpu")]
    Wgpu(Gpu),
}

impl Engine {
    /// Opens what was asked for.
    ///
    /// # Errors
    /// If the machine has no such device.
    pub fn open(device: Device) -> Result<Self> {
        match device {
            Device::Auto | Device::Cpu => Ok(Self::Cpu),
            #[cfg(feature = "wgpu")]
            Device::Wgpu => Ok(Self::Wgpu(pollster::block_on(Gpu::open())?)),
        }
    }

    /// Device and executor as rows have them: `cpu`, `wgpu llvmpipe (Vulkan)`.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(gpu) => format!("wgpu {}", gpu.name()),
        }
    }

    /// Makes a tower ready: packs its weights, or puts them onto the device.
    ///
    /// # Errors
    /// If the device has no room for it, or is lost.
    pub fn tower<'a>(&self, graph: &'a Graph, weights: &'a Weights) -> Result<Tower<'a>> {
        match self {
            Self::Cpu => Ok(Tower::Cpu(Frozen::new(graph, weights), Arena::default())),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(gpu) => {
                let params = params_of(graph, weights);
                let compile =
                    |batch| pollster::block_on(Program::compile(gpu, graph, &params, batch));
                let mut refused = None;
                for batch in BATCHES {
                    match compile(batch) {
                        Ok(program) => return Ok(Tower::Wgpu(program)),
                        Err(error) => refused = Some(error),
                    }
                }
                Err(refused.map_or_else(|| Failure::failed("no batch was tried"), Failure::from))
            }
        }
    }
}

/// A tower that embeds.
#[derive(Debug)]
pub enum Tower<'a> {
    /// On the CPU, with the memory that its batches share.
    Cpu(Frozen<'a>, Arena),
    /// On a graphics card.
    #[cfg(feature = "wgpu")]
    Wgpu(Program),
}

impl Tower<'_> {
    /// Hands the embeddings of a batch (N, D), not normalised, to `finish`.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn embed<T>(&mut self, inputs: Inputs<'_>, finish: impl FnOnce(&[f32]) -> T) -> Result<T> {
        match self {
            Self::Cpu(tower, arena) => {
                let embeddings = tower.embed(inputs, arena);
                let finished = finish(&embeddings);
                arena.give(embeddings);
                Ok(finished)
            }
            #[cfg(feature = "wgpu")]
            Self::Wgpu(program) => {
                let run = |part| pollster::block_on(program.run(part));
                let parts = program.parts(inputs).into_iter().map(run);
                Ok(finish(&parts.collect::<toxiclip_shared::Result<Vec<_>>>()?.concat()))
            }
        }
    }
}
