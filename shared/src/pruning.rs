//! Pruning of an image tower's last hidden layer (Liu et al. 2018): the units that clean pictures excite least go.
//!
//! A unit is a channel of what the tower's last activation function gives: of the last residual stage in a ResNet, of
//! the last MLP in a vision transformer. Its activity is the mean of |a| over pictures and places; behind a ReLU that
//! is the paper's mean of a, and behind GELU a unit that is always a little below 0 counts as active all the same.
//! A pruned unit is read by nobody: its columns in the weights behind it are 0, as if its output were multiplied by 0.
//! Attention pooling reads positions through the same columns, so they go with the unit.

use serde::{Deserialize, Serialize};

use crate::exec::cpu::{Arena, Pass};
use crate::graph::{Graph, Op, ParamId};
use crate::weights::Weights;
use crate::{Error, Result};

/// How much goes, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Share of units, above 0 and below 1.
    pub share: f64,
}

/// The last hidden layer of a tower.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The step that gives its activations.
    step: usize,
    /// How many it has.
    units: usize,
    /// Names of the weights that read them, one column (of the last axis) a unit.
    readers: Vec<String>,
}

/// Units that are gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    units: Vec<usize>,
    /// Units before pruning.
    width: usize,
    readers: Vec<String>,
}

impl Layer {
    /// Finds the last activation of `graph`, and the weights that read it.
    ///
    /// # Errors
    /// If there is none, or it is read by something that is no product.
    pub fn last(graph: &Graph) -> Result<Self> {
        let steps = graph.steps();
        let step = steps.iter().rposition(|s| {
            matches!(
                s.op,
                Op::Linear { act: Some(_), .. }
                    | Op::BatchNorm { act: Some(_), .. }
                    | Op::Add { act: Some(_) }
            )
        });
        let step = step.ok_or_else(|| Error::request("the image tower has no hidden layer"))?;
        // Values whose columns are still those units.
        let mut same = vec![step];
        let mut readers: Vec<ParamId> = Vec::new();
        for (i, later) in steps.iter().enumerate().skip(step + 1) {
            if !later.inputs.iter().any(|n| same.contains(&n.index())) {
                continue;
            }
            match &later.op {
                Op::Linear { weight, .. } => readers.push(weight.param),
                Op::Conv2d { weight, .. } => readers.push(*weight),
                Op::AddParam(_)
                | Op::PrependParam(_)
                | Op::AppendParam(_)
                | Op::Head
                | Op::PrependMean
                | Op::AvgPool { .. }
                | Op::MeanRows
                | Op::Pick(_) => same.push(i),
                _ => {
                    return Err(Error::request(format!(
                        "units of {} cannot be pruned: {} reads them as they are",
                        steps[step].path, later.path
                    )));
                }
            }
        }
        readers.sort_unstable();
        readers.dedup();
        let name = |id: &ParamId| graph.params()[id.index()].name.clone();
        let readers = readers.iter().map(name).collect();
        Ok(Self { step, units: steps[step].columns(), readers })
    }

    /// Sums of zero for [`Layer::add_activity`].
    pub fn no_activity(&self) -> Vec<f64> {
        vec![0.0; self.units]
    }

    /// Adds |a| of every picture and place of a walk over the layer's graph to `sums`, unit by unit; gives the
    /// walk's buffers back.
    pub fn add_activity(&self, pass: Pass, sums: &mut [f64], arena: &mut Arena) {
        for row in pass.value(self.step).chunks_exact(self.units) {
            sums.iter_mut().zip(row).for_each(|(sum, a)| *sum += f64::from(a.abs()));
        }
        pass.recycle(arena);
    }

    /// The least active units: `share` of all, rounded; of equals the first.
    ///
    /// # Errors
    /// If that is none or all of them, or an activity is not finite.
    pub fn least(&self, activity: &[f64], share: f64) -> Result<Pruned> {
        let wanted = (share * self.units as f64).round() as usize;
        if wanted == 0 || wanted >= self.units {
            return Err(Error::request(format!(
                "pruning {share} of {} units leaves all or none; between 1 and {} can go",
                self.units,
                self.units - 1
            )));
        }
        if activity.iter().any(|a| !a.is_finite()) {
            return Err(Error::request("activations of the image tower are not finite"));
        }
        let mut order: Vec<usize> = (0..self.units).collect();
        order.sort_by(|&a, &b| activity[a].total_cmp(&activity[b]));
        order.truncate(wanted);
        order.sort_unstable();
        Ok(Pruned { units: order, width: self.units, readers: self.readers.clone() })
    }
}

impl Pruned {
    /// The units, ascending.
    pub fn units(&self) -> &[usize] {
        &self.units
    }

    /// Sets what reads the units to 0, in the weights themselves.
    pub fn prune(&self, weights: &mut Weights) {
        for name in &self.readers {
            if let Some(tensor) = weights.get_mut(name) {
                self.clear(name, &mut tensor.data);
            }
        }
    }

    /// Sets what belongs to the units to 0 in a tensor like the parameter `name`: in the parameter itself, or in its
    /// gradient, so that it stays as it is.
    pub fn clear(&self, name: &str, tensor: &mut [f32]) {
        if self.readers.iter().any(|reader| reader == name) {
            for row in tensor.chunks_exact_mut(self.width) {
                self.units.iter().for_each(|&unit| row[unit] = 0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::{Clip, library};
    use crate::exec::cpu::{forward, params_of};
    use crate::exec::{Inputs, Mode};
    use crate::graph::{Act, Init};
    use crate::seed::Seed;
    use crate::weights::Tensor;

    fn layer(units: usize) -> Layer {
        Layer { step: 0, units, readers: vec!["w".into()] }
    }

    #[test]
    fn the_least_active_go_and_of_equals_the_first() {
        let least = |share| layer(5).least(&[3.0, 0.5, 2.0, 0.5, 0.0], share).unwrap();
        assert_eq!(least(0.2).units(), [4]);
        assert_eq!(least(0.4).units(), [1, 4]);
        assert_eq!(least(0.8).units(), [1, 2, 3, 4]);
        for share in [0.0, 0.05, 0.95, 1.0] {
            let error = layer(5).least(&[0.0; 5], share).unwrap_err().to_string();
            assert!(error.contains("leaves all or none"), "{error}");
        }
        assert!(layer(2).least(&[0.0, f64::NAN], 0.5).unwrap_err().to_string().contains("finite"));
    }

    #[test]
    fn columns_of_readers_go_and_nothing_else() {
        let pruned = layer(3).least(&[0.0, 9.0, 1.0], 0.67).unwrap();
        let tensor = || Tensor { shape: vec![2, 3], data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        let mut weights = Weights::default();
        weights.insert("w".into(), tensor());
        weights.insert("other".into(), tensor());
        pruned.prune(&mut weights);
        assert_eq!(weights.data("w"), [0.0, 2.0, 0.0, 0.0, 5.0, 0.0]);
        assert_eq!(weights.data("other"), tensor().data);
    }

    /// One pixel of value p, hidden units relu(1·p), relu(−3·p), relu(2·p); read by a projection.
    #[test]
    fn activity_is_the_mean_of_what_comes_out_of_the_activation() {
        let mut graph = Graph::new();
        let x = graph.pixels(1);
        let hidden = graph.linear("hidden", x, 3, Init::Const(0.0), Some(Act::Relu));
        graph.linear("out", hidden, 2, Init::Const(0.0), None);
        let layer = Layer::last(&graph).unwrap();
        assert_eq!(layer.readers, ["out.weight"]);
        let hidden = [[1.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [2.0, 0.0, 0.0]].concat();
        let params: [&[f32]; 4] = [&hidden, &[0.0; 3], &[1.0; 6], &[0.0; 2]];
        let (mut sums, mut arena) = (layer.no_activity(), Arena::default());
        for pictures in [&[1.0, 0.0, 0.0, -0.5, 0.0, 0.0][..], &[2.0, 0.0, 0.0]] {
            let (inputs, mode) = (Inputs::Pixels(pictures), Mode::TrainFrozenStatistics);
            let pass = forward(&graph, &params, inputs, mode, &mut arena);
            layer.add_activity(pass, &mut sums, &mut arena);
        }
        assert_eq!(sums, [3.0, 1.5, 6.0]);
        assert_eq!(layer.least(&sums, 0.3).unwrap().units(), [1]);
    }

    /// A unit is pruned exactly if the embedding no longer depends on it: on what makes it, that is.
    #[test]
    fn encoders_no_longer_read_a_pruned_unit() {
        let makers: [(&str, &[&str], &[&str]); 3] = [
            ("tiny-resnet", &["visual.proj"], &["layer4.0.bn2", "layer4.0.downsample.1"]),
            (
                "tiny-rn",
                &["visual.attnpool.in_proj_weight"],
                &["layer4.0.bn3", "layer4.0.downsample.1"],
            ),
            (
                "tiny-vit",
                &["visual.transformer.resblocks.3.mlp.c_proj.weight"],
                &["transformer.resblocks.3.mlp.c_fc"],
            ),
        ];
        for (name, readers, makers) in makers {
            let clip = Clip::build(&library::find(name).unwrap());
            let layer = Layer::last(&clip.image).unwrap();
            assert_eq!(layer.readers, readers, "{name}");
            let mut weights = Weights::init(&clip.params(), &Seed::new(1));
            let activity: Vec<f64> = (0..layer.units).map(|unit| unit as f64).collect();
            let pruned = layer.least(&activity, 1.5 / layer.units as f64).unwrap();
            assert_eq!(pruned.units(), [0, 1]);
            let edge = clip.config.vision_cfg.image_size;
            let mut stream = Seed::new(2).stream();
            let pixels: Vec<f32> = (0..2 * edge * edge * 3).map(|_| stream.normal()).collect();
            let embed = |weights: &Weights| {
                let params = params_of(&clip.image, weights);
                let (inputs, mode) = (Inputs::Pixels(&pixels), Mode::TrainFrozenStatistics);
                let pass = forward(&clip.image, &params, inputs, mode, &mut Arena::default());
                pass.embeddings().to_vec()
            };
            let before = embed(&weights);
            pruned.prune(&mut weights);
            let after = embed(&weights);
            assert_ne!(before, after, "{name}");
            let moved = |unit: usize| {
                let mut weights = weights.clone();
                for maker in makers {
                    weights.get_mut(&format!("visual.{maker}.bias")).unwrap().data[unit] += 1.0;
                }
                embed(&weights)
            };
            assert_eq!(moved(1), after, "{name}: a pruned unit");
            assert_ne!(moved(2), after, "{name}: one that stays");
        }
    }
}
