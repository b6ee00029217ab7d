//! Who walks the towers of this process: our own operations on the CPU, or candle's on a device (feature `candle`).
//!
//! The choice is made once, before anything is computed. It holds for trainings by a recipe and for embeddings, which are
//! nearly all of the work. Attacks that search through a tower, attacks on weights, pruning and inversion look inside a walk;
//! they stay on the CPU. Losses and the optimiser live on the host everywhere.

use std::sync::OnceLock;

use toxiclip_shared::Result as Shared;
use toxiclip_shared::exec::Inputs;
#[cfg(feature = "candle")]
use toxiclip_shared::exec::candle::{Candle, Resident, refused};
use toxiclip_shared::exec::cpu::{Arena, Frozen, params_of};
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
}

static CHOSEN: OnceLock<Executor> = OnceLock::new();

/// Takes the executor of a device for this process.
///
/// # Errors
/// If this build or this machine has no such device.
pub fn choose(device: Device) -> Result<()> {
    let executor = open(device)?;
    CHOSEN.set(executor).map_err(|_| Failure::failed("the device was chosen before"))
}

/// The executor of this process: our own where none was chosen.
pub fn chosen() -> &'static Executor {
    const OURS: &Executor = &Executor::Cpu;
    CHOSEN.get().unwrap_or(OURS)
}

fn open(device: Device) -> Result<Executor> {
    match device {
        Device::Auto | Device::Cpu => Ok(Executor::Cpu),
        #[cfg(feature = "candle")]
        Device::Candle => Ok(Executor::Candle(Candle::cpu(), "cpu (candle)".to_owned())),
        #[cfg(feature = "cuda")]
        Device::Cuda(ordinal) => match Candle::cuda(ordinal) {
            Ok(candle) => Ok(Executor::Candle(candle, format!("cuda:{ordinal} (candle)"))),
            Err(e) => Err(Failure::request(format!("--device cuda:{ordinal}: {e}"))),
        },
        #[cfg(not(feature = "candle"))]
        Device::Candle => Err(absent("candle", "candle")),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => Err(absent("cuda", "cuda")),
    }
}

#[cfg(not(feature = "cuda"))]
fn absent(name: &str, feature: &str) -> Failure {
    Failure::request(format!(
        "--device: this build has no {name}; build it with `--features {feature}`, or use `auto` or `cpu`"
    ))
}

impl Executor {
    /// What rows say of the machine.
    pub fn machine(&self) -> &str {
        match self {
            Self::Cpu => "cpu",
            #[cfg(feature = "candle")]
            Self::Candle(_, name) => name,
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
        }
    }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_lacks_is_one_line() {
        assert!(matches!(open(Device::Auto), Ok(Executor::Cpu)));
        assert_eq!((chosen().machine(), chosen().shelf()), ("cpu", None));
        for (device, feature) in [(Device::Candle, "candle"), (Device::Cuda(1), "cuda")] {
            match open(device) {
                Ok(executor) => assert!(executor.shelf().is_some(), "{executor:?}"),
                Err(e) => assert!(e.to_string().contains(feature) && e.code() == 2, "{e}"),
            }
        }
    }
}
