//! A tower that somebody keeps, to ask it again and again.

use std::sync::{Arc, OnceLock};

use super::{Frozen, Stages};
use crate::graph::Graph;
use crate::weights::Weights;

/// A graph with its weights, which are packed at the first walk and stay so.
#[derive(Debug)]
pub struct Tower {
    graph: Graph,
    weights: Weights,
    stages: OnceLock<Arc<Stages>>,
}

impl Tower {
    /// `weights` are at least those of `graph`.
    pub fn new(graph: Graph, weights: Weights) -> Self {
        Self { graph, weights, stages: OnceLock::new() }
    }

    /// The tower, to be read from.
    pub fn frozen(&self) -> Frozen<'_> {
        let params = super::params_of(&self.graph, &self.weights);
        let stages = self.stages.get_or_init(|| Stages::new(&self.graph, &params).into());
        Frozen { graph: &self.graph, params, stages: Arc::clone(stages) }
    }

    /// Its operations.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its weights, and what else came with them.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::{Clip, library};
    use crate::exec::Inputs;
    use crate::exec::cpu::Arena;
    use crate::seed::Seed;

    #[test]
    fn it_is_packed_once_and_has_the_bits_of_a_tower_packed_anew() {
        let clip = Clip::build(&library::find("tiny-resnet").unwrap());
        let weights = Weights::init(&clip.params(), &Seed::new(1));
        let pixels: Vec<f32> = (0..32 * 32 * 3).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        let embed = |tower: &Frozen<'_>| {
            tower.embed(Inputs::Pixels(&pixels), &mut Arena::default()).to_vec()
        };
        let anew = embed(&Frozen::new(&clip.image, &weights));
        let tower = Tower::new(clip.image.clone(), weights.clone());
        let (first, again) = (tower.frozen(), tower.frozen());
        assert!(Arc::ptr_eq(&first.stages, &again.stages));
        assert_eq!((embed(&first), embed(&again)), (anew.clone(), anew));
    }
}
