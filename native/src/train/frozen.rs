//! A tower that keeps its weights gives one input the same bits in every batch, so what was embedded once is looked up.

use std::collections::BTreeMap;

use toxiclip_shared::Result;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::exec::Inputs;
use toxiclip_shared::exec::cpu::Arena;
use toxiclip_shared::graph::Graph;
use toxiclip_shared::recipe::{Freeze, TrainConfig};

use crate::executor::Executor;

/// The embeddings that a frozen tower has given so far. It belongs to one tower with one set of weights.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// Off where inputs do not come back: every augmented view is new.
    remembers: bool,
    known: BTreeMap<Digest, Vec<f32>>,
}

impl Frozen {
    /// For the frozen tower of a recipe; without one it is never asked.
    pub(super) fn new(config: &TrainConfig) -> Self {
        let new_every_time = config.freeze == Freeze::Image && config.augment;
        Self::keeping(!new_every_time)
    }

    /// A tower whose embeddings are kept or not.
    pub(super) fn keeping(remembers: bool) -> Self {
        Self { remembers, known: BTreeMap::new() }
    }

    /// Embeddings (batch, width) of all inputs, in their order; the tower runs over those that it has not seen.
    ///
    /// # Errors
    /// If the device refuses an operation.
    pub(super) fn embed(
        &mut self,
        executor: &Executor,
        graph: &Graph,
        params: &[&[f32]],
        inputs: Inputs<'_>,
        arena: &mut Arena,
    ) -> Result<Vec<f32>> {
        if !self.remembers {
            return executor.embed(graph, params, inputs, arena);
        }
        let examples = split(graph, inputs);
        let keys: Vec<Digest> = examples.iter().map(|e| key(*e)).collect();
        let mut new = BTreeMap::new();
        for (key, example) in keys.iter().zip(&examples) {
            if !self.known.contains_key(key) {
                new.insert(*key, *example);
            }
        }
        if !new.is_empty() {
            let examples = new.values().copied().collect::<Vec<_>>();
            let vectors = embed_all(executor, (graph, params), &examples, arena)?;
            let width = vectors.len() / new.len();
            let vectors = vectors.chunks_exact(width).map(<[f32]>::to_vec);
            self.known.extend(new.into_keys().zip(vectors));
        }
        Ok(keys.iter().flat_map(|key| &self.known[key]).copied().collect())
    }
}

/// One input after the other.
fn split<'a>(graph: &Graph, inputs: Inputs<'a>) -> Vec<Inputs<'a>> {
    match inputs {
        Inputs::Pixels(all) => {
            let one: usize = graph.steps()[0].shape.iter().product();
            all.chunks_exact(one).map(Inputs::Pixels).collect()
        }
        Inputs::Tokens { ids, end } => {
            let rows = ids.chunks_exact((ids.len() / end.len().max(1)).max(1));
            rows.zip(end.chunks_exact(1)).map(|(ids, end)| Inputs::Tokens { ids, end }).collect()
        }
    }
}

/// Equal for equal bits.
fn key(input: Inputs<'_>) -> Digest {
    let bytes: Vec<u8> = match input {
        Inputs::Pixels(pixels) => pixels.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Inputs::Tokens { ids, end } => {
            ids.iter().chain(end).flat_map(|x| x.to_le_bytes()).collect()
        }
    };
    Digest::of_bytes(&bytes)
}

/// Several inputs of one kind in one walk.
fn embed_all(
    executor: &Executor,
    (graph, params): (&Graph, &[&[f32]]),
    examples: &[Inputs<'_>],
    arena: &mut Arena,
) -> Result<Vec<f32>> {
    let (mut pixels, mut ids, mut end) = (vec![], vec![], vec![]);
    for example in examples {
        match example {
            Inputs::Pixels(one) => pixels.extend_from_slice(one),
            Inputs::Tokens { ids: row, end: at } => {
                ids.extend_from_slice(row);
                end.extend_from_slice(at);
            }
        }
    }
    let inputs = match end.is_empty() {
        true => Inputs::Pixels(&pixels),
        false => Inputs::Tokens { ids: &ids, end: &end },
    };
    executor.embed(graph, params, inputs, arena)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Batch, Trainer};
    use toxiclip_shared::encoders::{Clip, library};
    use toxiclip_shared::exec::cpu::params_of;
    use toxiclip_shared::seed::Seed;
    use toxiclip_shared::weights::Weights;

    const ROWS: usize = 5;

    /// Five pictures and captions, most of which the batch before had at another place; some occur twice. Captions end
    /// at different tokens, so that batches are cut to different lengths.
    fn batch(clip: &Clip, first: u64) -> Batch {
        let (vision, text) = (&clip.config.vision_cfg, &clip.config.text_cfg);
        let mut batch = Batch::default();
        for row in [first, first + 2, first, first + 1, first + 3] {
            let mut stream = Seed::new(4).child(row).stream();
            let pixels = vision.image_size.pow(2) * 3;
            batch.pixels.extend((0..pixels).map(|_| stream.normal()));
            let ids = (0..text.context_length).map(|_| stream.below(text.vocab_size) as u32);
            batch.ids.extend(ids);
            batch.end.push(2 + (row as u32 * 3) % (text.context_length as u32 - 2));
        }
        batch
    }

    fn small() -> impl Iterator<Item = (&'static str, Clip)> {
        let names = ["tiny-resnet", "tiny-rn", "tiny-vit"];
        names.into_iter().map(|name| (name, Clip::build(&library::find(name).unwrap())))
    }

    #[test]
    fn looked_up_is_embedded_bit_for_bit() {
        for (name, clip) in small() {
            let weights = Weights::init(&clip.params(), &Seed::new(1));
            let mut towers =
                [Frozen::new(&recipe(Freeze::Text)), Frozen::new(&recipe(Freeze::Text))];
            let mut arena = Arena::default();
            for first in 0..3 {
                let batch = batch(&clip, first);
                let inputs = [
                    Inputs::Pixels(&batch.pixels),
                    Inputs::Tokens { ids: &batch.ids, end: &batch.end },
                ];
                for ((graph, inputs), tower) in
                    [&clip.image, &clip.text].into_iter().zip(inputs).zip(&mut towers)
                {
                    let params = params_of(graph, &weights);
                    let cpu = &Executor::Cpu;
                    let want = cpu.embed(graph, &params, inputs, &mut arena).unwrap();
                    let got = tower.embed(cpu, graph, &params, inputs, &mut arena).unwrap();
                    assert_eq!(got, want, "{name}");
                    // Rows first, first + 1, first + 2, first + 3 of three batches.
                    assert_eq!(tower.known.len(), 4 + first as usize, "{name}");
                }
            }
        }
    }

    #[test]
    fn another_end_is_another_caption() {
        let ids = [7, 8, 9];
        let key = |end: u32| key(Inputs::Tokens { ids: &ids, end: &[end] });
        assert_ne!(key(1), key(2));
    }

    fn recipe(freeze: Freeze) -> TrainConfig {
        TrainConfig { batch: ROWS, augment: false, freeze, ..TrainConfig::default() }
    }

    /// Weights after three steps, with a memory or with none.
    fn trained(clip: &Clip, config: &TrainConfig, forgetful: bool) -> (Weights, usize) {
        let weights = Weights::init(&clip.params(), &Seed::new(1));
        let mut trainer = Trainer::new(clip.clone(), weights, config, 3);
        for step in 0..3 {
            trainer.step(&batch(clip, step)).unwrap();
            if forgetful {
                trainer.frozen = Frozen::default();
            }
        }
        let known = trainer.frozen.known.len();
        (trainer.into_weights(), known)
    }

    #[test]
    fn a_memory_changes_no_bit_of_a_training() {
        for (name, clip) in small() {
            for freeze in [Freeze::Image, Freeze::Text, Freeze::TextTransformer, Freeze::None] {
                let config = recipe(freeze);
                let (with, known) = trained(&clip, &config, false);
                let (without, _) = trained(&clip, &config, true);
                assert_eq!(with.digest(), without.digest(), "{name} {freeze:?}");
                let whole = matches!(freeze, Freeze::Image | Freeze::Text);
                assert_eq!(known, if whole { 6 } else { 0 }, "{name} {freeze:?}");
            }
            let augmented = TrainConfig { augment: true, ..recipe(Freeze::Image) };
            assert_eq!(trained(&clip, &augmented, false).1, 0, "views that never come back");
        }
    }
}
