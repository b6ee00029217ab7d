//! Training: open_clip's recipe over any data set, resumable at any step with the same bits.
//!
//! The order of rows, the caption of each row and the augmentation are functions of (seed, epoch, sample
//! id), so a checkpoint is weights, moments and the number of steps: nothing else moves, but for what an objective keeps
//! of earlier batches.

mod ahead;
mod augment;
mod batches;
mod checkpoint;
mod course;
mod frozen;
mod prompt;
mod reactivate;
mod reword;
mod rule;
mod step;
mod tamper;
mod walk;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use toxiclip_shared::Error;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::objectives::Objective;
use toxiclip_shared::pruning::Pruned;
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;

use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::timer::Timer;

pub use ahead::Ahead;
pub use batches::Batches;
pub use prompt::prompt;
pub use reactivate::reactivate;
pub use step::{Batch, Outcome, Trainer};
pub use tamper::{VERSION as TAMPER_VERSION, tamper};

/// Steps between checkpoints: a few seconds of work for the small encoders, seconds to write for large ones.
const SAVE_EVERY: u64 = 250;

/// One line of `train.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// 0-based optimiser step.
    pub step: u64,
    /// The objective over the batch; depends on the batch size (trap M17).
    pub loss: f32,
    /// Its terms by name; left out where it has but one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, f32>,
    /// Learning rate of this step.
    pub lr: f64,
    /// Logarithm of the temperature after the step.
    pub logit_scale: f32,
    /// Throughput of this step, data included.
    pub pairs_per_second: f64,
    /// Seconds after this step in which the next batch was still being prepared, while nothing was trained.
    pub data_seconds: f64,
}

/// What looks at a model in training: called with the number of epochs done and the model as it is then.
pub type Watcher<'a> = dyn FnMut(u64, &Model) -> Result<()> + 'a;

/// Trains `model`, some units of which may be `pruned`, on `data` by a recipe, towards an objective. `work` keeps
/// `train.jsonl` and, until the end, a checkpoint to resume from. `watcher`
/// is called before the first step and after every epoch, those aside that a resumed training has behind it.
///
/// # Errors
/// Those of `watcher`; [`Failure::Interrupted`] after saving; a loss or gradient that is not finite, with the step, the last
/// good checkpoint kept; unreadable pictures; a full disk.
pub fn fit(
    (model, pruned): (Model, Pruned),
    data: &dyn Dataset,
    (config, objective): (&TrainConfig, Objective),
    seed: &Seed,
    work: &Path,
    lab: &Lab,
    mut watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let total = config.total_steps(data.examples().len()) as u64;
    if total == 0 {
        return Err(Failure::request(format!(
            "{} has {} pairs, fewer than one batch of {}; lower `batch`",
            data.name(),
            data.examples().len(),
            config.batch
        )));
    }
    let per_epoch = (data.examples().len() / config.batch).max(1) as u64;
    let Model { clip, weights, tokenizer, executor } = model;
    let pictures = (data, clip.config.vision_cfg.image_size);
    let source = Batches::within(lab.picture_memory, pictures, &tokenizer, config, seed)?
        .with_views(objective.views(), &tokenizer)?;
    // What is repelled is what the pruned start gives.
    let mut trainer = Trainer::new(clip.clone(), weights, config, total)
        .on(executor.clone())
        .without(pruned)
        .with_objective(objective, per_epoch);
    checkpoint::resume(work, &mut trainer)?;
    let done = trainer.steps_done();
    let seen = |trainer: &Trainer| Model {
        clip: clip.clone(),
        weights: trainer.weights.clone(),
        tokenizer: tokenizer.clone(),
        executor: executor.clone(),
    };
    if let Some(watch) = watcher.as_mut().filter(|_| done == 0) {
        watch(0, &seen(&trainer))?;
    }
    let mut log = open_log(&work.join("train.jsonl"), done)?;
    let stage = lab.progress.stage(format!("train {}", data.name()), total, "steps");
    stage.resume_at(done);
    let mut batches = Ahead::new(source, done, total)?;
    let (mut waited, mut spent) = (0.0, 0.0);
    while trainer.steps_done() < total {
        let timer = Timer::start();
        let step = trainer.steps_done();
        let (outcome, data_seconds) = batches.step(|batch| trainer.step(batch))?;
        let outcome = match outcome {
            Err(e @ Error::NotFinite { .. }) => {
                log.flush().map_err(|e| Failure::io(work, &e))?;
                // Weights are as before the step: this is the last good state.
                checkpoint::save(work, &trainer)?;
                return Err(Failure::failed(format!(
                    "{e}; the state before it is kept in {}",
                    checkpoint::path(work).display()
                )));
            }
            other => other?,
        };
        let seconds = timer.seconds();
        waited += data_seconds;
        spent += seconds;
        let record = StepRecord {
            step,
            loss: outcome.loss,
            terms: outcome.terms.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            lr: config.lr_at(step as usize, total as usize),
            logit_scale: outcome.logit_scale,
            pairs_per_second: config.batch as f64 / seconds.max(1e-9),
            data_seconds,
        };
        let line = serde_json::to_string(&record).map_err(|e| Failure::failed(e.to_string()))?;
        writeln!(log, "{line}").map_err(|e| Failure::io(work, &e))?;
        if let Some(watch) = watcher.as_mut().filter(|_| (step + 1).is_multiple_of(per_epoch)) {
            watch((step + 1) / per_epoch, &seen(&trainer))?;
        }
        stage.advance(1);
        stage.note(format!("loss {:.3}", outcome.loss));
        let stop = lab.interrupt.requested();
        if trainer.steps_done().is_multiple_of(SAVE_EVERY) || stop {
            log.flush().map_err(|e| Failure::io(work, &e))?;
            checkpoint::save(work, &trainer)?;
        }
        lab.interrupt.check()?;
    }
    log.flush().map_err(|e| Failure::io(work, &e))?;
    stage.finish();
    let share = 100.0 * waited / f64::max(spent, 1e-9);
    lab.progress.log(&format!("training waited for its batches {share:.1} % of the time"));
    checkpoint::remove(work)?;
    let weights = trainer.into_weights();
    drop(batches);
    Ok(Model { clip, weights, tokenizer, executor })
}

/// The log with exactly the first `steps` lines kept: a killed run may have written more, or half a line.
fn open_log(path: &Path, steps: u64) -> Result<BufWriter<File>> {
    let io = |e: std::io::Error| Failure::io(path, &e);
    let mut kept = Vec::new();
    if steps > 0 && path.exists() {
        for line in BufReader::new(File::open(path).map_err(io)?).lines().take(steps as usize) {
            kept.push(line.map_err(io)?);
        }
    }
    let mut log = BufWriter::new(File::create(path).map_err(io)?);
    for line in kept {
        writeln!(log, "{line}").map_err(io)?;
    }
    Ok(log)
}
