//! Who walks towers: our own operations on the CPU, candle's on a device (feature `candle`), or our kernels
//! on a graphics card (feature `wgpu`), which embed and do not train.
//!
//! A command opens one and hands it on with its lab and its models. It holds for trainings by a recipe and for embeddings, which are
//! nearly all of the work. Attacks that search through a tower, attacks on weights, pruning and inversion look inside a walk;
//! they stay on the CPU. Losses and the optimiser live on the host everywhere.

use toxiclip_shared::Result as Shared;
use toxiclip_shared::exec::Inputs;
#[cfg(feature = "candle")]
use toxiclip_shared::exec::candle::{Candle, Resident, refused};
use toxiclip_shared::exec::cpu::{Arena, Frozen, params_of};
#[cfg(feature = "wgpu")]
use toxiclip_shared::exec::wgpu::{Gpu, Program};
use toxiclip_shared::graph::Graph;
use toxiclip_shared::weights::Weights;

use crate::argument::Device;
use crate::failure::{Failure, Result};

/// What walks a tower.
#[derive(Clone, Debug, Default)]
pub enum Executor {
    /// Own operations: the reference, and the only one whose bits are promised.
    #[default]
    Cpu,
    /// candle's operations, with the name that rows give the machine.
    #[cfg(feature = "candle")]
    Candle(Candle, String),
    /// Our kernels, with the name that rows give the machine.
    #[cfg(feature = "wgpu")]
    Wgpu(Gpu, String),
}

/// Batches that a graphics card is offered, the largest first: how many fit into its buffers depends on the encoder.
#[cfg(feature = "wgpu")]
const BATCHES: [usize; 4] = [128, 32, 8, 1];

#[cfg(not(all(feature = "cuda", feature = "wgpu")))]
fn absent(name: &str) -> Failure {
    Failure::request(format!(
        "--device: this build has no {name}; build it with `--features {name}`, or use `auto` or `cpu`"
    ))
}

impl Executor {
    /// Opens a device.
    ///
    /// # Errors
    /// If this build or this machine has no such device.
    pub fn open(device: Device) -> Result<Self> {
        match device {
            Device::Auto | Device::Cpu => Ok(Self::Cpu),
            #[cfg(feature = "candle")]
            Device::Candle => Ok(Self::Candle(Candle::cpu(), "cpu (candle)".to_owned())),
            #[cfg(feature = "cuda")]
            Device::Cuda(ordinal) => match Candle::cuda(ordinal) {
                Ok(candle) => Ok(Self::Candle(candle, format!("cuda:{ordinal} (candle)"))),
                Err(e) => Err(Failure::request(format!("--device cuda:{ordinal}: {e}"))),
            },
            #[cfg(feature = "wgpu")]
            Device::Wgpu => match pollster::block_on(Gpu::open()) {
                Ok(gpu) => {
                    let name = format!("wgpu {}", gpu.name());
                    Ok(Self::Wgpu(gpu, name))
                }
                Err(e) => Err(Failure::request(format!("--device wgpu: {e}"))),
            },
            #[cfg(not(feature = "candle"))]
            Device::Candle => Err(absent("candle")),
            #[cfg(not(feature = "cuda"))]
            Device::Cuda(_) => Err(absent("cuda")),
            #[cfg(not(feature = "wgpu"))]
            Device::Wgpu => Err(absent("wgpu")),
        }
    }

    /// What rows say of the machine.
    pub fn machine(&self) -> &str {
        match self {
            Self::Cpu => "cpu",
            #[cfg(feature = "candle")]
            Self::Candle(_, name) => name,
            #[cfg(feature = "wgpu")]
            Self::Wgpu(_, name) => name,
        }
    }

    /// A folder of the cache for what this executor computes, or none for our own: bits differ, and must not meet.
    pub fn shelf(&self) -> Option<&str> {
        match self {
            Self::Cpu => None,
            #[cfg(feature = "candle")]
            Self::Candle(_, name) if name.starts_with("cuda") => Some("on-cuda"),
            #[cfg(feature = "candle")]
            Self::Candle(..) => Some("on-candle"),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(..) => Some("on-wgpu"),
        }
    }

    /// Embeddings (batch, width) of one batch, not normalised. `params` are aligned with [`Graph::params`].
    ///
    /// # Errors
    /// If the device refuses an operation.
    pub fn embed(
        &self,
        graph: &Graph,
        params: &[&[f32]],
        inputs: Inputs<'_>,
        arena: &mut Arena,
    ) -> Shared<Vec<f32>> {
        match self {
            Self::Cpu => Ok(given(&Frozen::of(graph, params.to_vec()), inputs, arena)),
            #[cfg(feature = "candle")]
            Self::Candle(candle, _) => {
                let params = candle.load(graph, params).map_err(refused)?;
                candle.embed(graph, &params, inputs).map_err(refused)
            }
            #[cfg(feature = "wgpu")]
            Self::Wgpu(gpu, _) => run(&compiled(gpu, graph, params)?, inputs),
        }
    }

    /// Asked before a training begins.
    ///
    /// # Errors
    /// If it only reads towers.
    pub fn can_train(&self) -> Result<()> {
        match self {
            #[cfg(feature = "wgpu")]
            Self::Wgpu(..) => Err(Failure::request(
                "--device wgpu: a graphics card embeds and evaluates; train with `cpu` or `cuda`",
            )),
            _ => Ok(()),
        }
    }
}

/// For the largest batch that it can be put onto the card.
#[cfg(feature = "wgpu")]
fn compiled(gpu: &Gpu, graph: &Graph, params: &[&[f32]]) -> Shared<Program> {
    let (most, fewer) = (BATCHES[0], &BATCHES[1..]);
    let compile = |batch| pollster::block_on(Program::compile(gpu, graph, params, batch));
    fewer.iter().fold(compile(most), |known, batch| known.or_else(|_| compile(*batch)))
}

/// In as many parts as the card needs.
#[cfg(feature = "wgpu")]
fn run(program: &Program, inputs: Inputs<'_>) -> Shared<Vec<f32>> {
    let parts = program.parts(inputs).into_iter().map(|part| pollster::block_on(program.run(part)));
    Ok(parts.collect::<Shared<Vec<_>>>()?.concat())
}

fn given(tower: &Frozen<'_>, inputs: Inputs<'_>, arena: &mut Arena) -> Vec<f32> {
    let embeddings = tower.embed(inputs, arena);
    let out = embeddings.to_vec();
    arena.give(embeddings);
    out
}

/// A tower that many batches are read with: packed, or on the device, once.
#[derive(Debug)]
pub enum Tower<'a> {
    /// With the buffers of its walks.
    Cpu(Box<Frozen<'a>>, Arena),
    /// The graph with its parameters on the device.
    #[cfg(feature = "candle")]
    Candle(&'a Candle, &'a Graph, Resident),
    /// Compiled for the card.
    #[cfg(feature = "wgpu")]
    Wgpu(Box<Program>),
}

impl<'a> Tower<'a> {
    /// Makes it ready.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(executor: &'a Executor, graph: &'a Graph, weights: &'a Weights) -> Shared<Self> {
        match executor {
            Executor::Cpu => {
                let tower = Frozen::of(graph, params_of(graph, weights));
                Ok(Self::Cpu(Box::new(tower), Arena::default()))
            }
            #[cfg(feature = "candle")]
            Executor::Candle(candle, _) => {
                let params = candle.load(graph, &params_of(graph, weights)).map_err(refused)?;
                Ok(Self::Candle(candle, graph, params))
            }
            #[cfg(feature = "wgpu")]
            Executor::Wgpu(gpu, _) => {
                let program = compiled(gpu, graph, &params_of(graph, weights))?;
                Ok(Self::Wgpu(Box::new(program)))
            }
        }
    }

    /// Embeddings (batch, width) of one batch, not normalised.
    ///
    /// # Errors
    /// If the device refuses an operation.
    pub fn embed(&mut self, inputs: Inputs<'_>) -> Shared<Vec<f32>> {
        match self {
            Self::Cpu(tower, arena) => Ok(given(tower, inputs, arena)),
            #[cfg(feature = "candle")]
            Self::Candle(candle, graph, params) => {
                candle.embed(graph, params, inputs).map_err(refused)
            }
            #[cfg(feature = "wgpu")]
            Self::Wgpu(program) => run(program, inputs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_lacks_is_one_line() {
        let ours = Executor::open(Device::Auto).unwrap();
        assert_eq!((ours.machine(), ours.shelf()), ("cpu", None));
        for (device, feature) in
            [(Device::Candle, "candle"), (Device::Cuda(1), "cuda"), (Device::Wgpu, "wgpu")]
        {
            match Executor::open(device) {
                Ok(executor) => assert!(executor.shelf().is_some(), "{executor:?}"),
                Err(e) => assert!(e.to_string().contains(feature) && e.code() == 2, "{e}"),
            }
        }
    }
}
