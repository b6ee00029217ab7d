//! The course of a training that has no resume point: killed, it starts over and comes to the same bits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use toxiclip_shared::encoders::LOGIT_SCALE;
use toxiclip_shared::recipe::TrainConfig;

use super::{StepRecord, Watcher};
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::timer::Timer;

/// A training step by step.
pub(super) trait Course {
    /// One step at this learning rate.
    ///
    /// # Errors
    /// If loss or gradient are not finite; unreadable pictures.
    fn step(&mut self, step: u64, lr: f64) -> Result<Stepped>;

    /// The model as it is now.
    fn model(&self) -> Model;
}

/// What a step tells.
pub(super) struct Stepped {
    /// The objective before it.
    pub(super) loss: f32,
    /// Its terms by name, where it has several.
    pub(super) terms: BTreeMap<String, f32>,
    /// Seconds in which pictures were prepared.
    pub(super) data_seconds: f64,
}

/// Goes through `course` over `rows` pictures. `work` keeps `train.jsonl`; `watcher` is called before the first step and after
/// every epoch.
///
/// # Errors
/// Those of a step and of `watcher`; Ctrl-C; a full disk.
pub(super) fn follow(
    course: &mut dyn Course,
    title: String,
    (config, rows): (&TrainConfig, usize),
    work: &Path,
    lab: &Lab,
    mut watcher: Option<&mut Watcher<'_>>,
) -> Result<Model> {
    let (total, per_epoch) = (config.total_steps(rows) as u64, (rows / config.batch).max(1) as u64);
    let path = work.join("train.jsonl");
    let io = |e: std::io::Error| Failure::io(&path, &e);
    let mut log = BufWriter::new(File::create(&path).map_err(io)?);
    let start = course.model();
    let logit_scale = start.weights.data(LOGIT_SCALE)[0];
    if let Some(watch) = watcher.as_mut() {
        watch(0, &start)?;
    }
    let stage = lab.progress.stage(title, total, "steps");
    for step in 0..total {
        let timer = Timer::start();
        let lr = config.lr_at(step as usize, total as usize);
        let Stepped { loss, terms, data_seconds } = course.step(step, lr)?;
        let pairs_per_second = config.batch as f64 / timer.seconds().max(1e-9);
        let record =
            StepRecord { step, loss, terms, lr, logit_scale, pairs_per_second, data_seconds };
        writeln!(log, "{}", json!(record)).map_err(io)?;
        if let Some(watch) = watcher.as_mut().filter(|_| (step + 1).is_multiple_of(per_epoch)) {
            watch((step + 1) / per_epoch, &course.model())?;
        }
        stage.advance(1);
        stage.note(format!("loss {loss:.3}"));
        lab.interrupt.check()?;
    }
    log.flush().map_err(io)?;
    stage.finish();
    Ok(course.model())
}
