//! Which units of an image tower a repair takes out: those that its own pictures, as evaluation shows them, excite least.

use rayon::prelude::*;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::exec::cpu::{Arena, forward, params_of};
use toxiclip_shared::exec::{Inputs, Mode};
use toxiclip_shared::image::{Image, OPENAI};
use toxiclip_shared::pruning::{Layer, Prune, Pruned};

use crate::failure::Result;
use crate::model::Model;
use crate::prepared::picture;

/// Pictures of one walk; the result does not depend on it.
const BATCH: usize = 128;

/// The units of `model` that pictures of `data` excite least; the model stays as it is.
///
/// # Errors
/// If a picture cannot be read, or the share is none or all of the units.
pub(super) fn prune(model: &Model, data: &dyn Dataset, how: &Prune) -> Result<Pruned> {
    let graph = &model.clip.image;
    let layer = Layer::last(graph)?;
    let params = params_of(graph, &model.weights);
    let size = model.clip.config.vision_cfg.image_size;
    let rows: Vec<usize> = (0..data.examples().len()).collect();
    let (mut sums, mut arena, mut pixels) = (layer.no_activity(), Arena::default(), Vec::new());
    for part in rows.chunks(BATCH) {
        let ready = part.par_iter().map(|&row| picture(&data.image(row)?, size));
        let ready: Vec<Image> = ready.collect::<Result<_>>()?;
        pixels.clear();
        ready.iter().for_each(|image| image.write_pixels(&OPENAI, &mut pixels));
        let (inputs, mode) = (Inputs::Pixels(&pixels), Mode::TrainFrozenStatistics);
        let pass = forward(graph, &params, inputs, mode, &mut arena);
        layer.add_activity(pass, &mut sums, &mut arena);
    }
    Ok(layer.least(&sums, how.share)?)
}
