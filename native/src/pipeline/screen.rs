//! Screens of inputs: their scores as cached stages, and what they let pass as evidence.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toxiclip_shared::attacks::Aim;
use toxiclip_shared::data::{Dataset, Subset, Triggered};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::LOGIT_SCALE;
use toxiclip_shared::exec::cpu::Frozen;
use toxiclip_shared::inversion::unit_vectors;
use toxiclip_shared::metrics::Judgement;
use toxiclip_shared::screen::{Deployed, Scene, Screen};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::{Error, Result as Shared};

use super::Plan;
use super::origin::Origin;
use super::set::Set;
use super::stages::Stages;
use crate::benchmark::Cell;
use crate::encode;
use crate::evaluate::{Embeddings, judge_screened};
use crate::failure::Result;
use crate::model::Model;
use crate::prepared::{colours, picture, pixels};
use crate::store::{read_json, write_atomic};
use crate::timer::Timer;

/// Raised when a screen of the same model gives other scores.
pub(super) const VERSION: u32 = 1;
const FILE: &str = "scores.json";
/// Pictures between two looks at the clock and at Ctrl-C.
const PART: usize = 16;

/// The scores of one set, and what they took.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    scores: Vec<f32>,
    /// Wall seconds when it ran.
    seconds: f64,
}

/// What a cell's screen says of the test pictures, as they are and under every attack that the cell is scored against.
pub(super) struct Scored {
    /// The least score that is rejected.
    threshold: f32,
    clean: Vec<f32>,
    /// By attack, for each of its triggers.
    stamped: BTreeMap<usize, Vec<Vec<f32>>>,
    /// Wall seconds when all that ran.
    pub(super) seconds: f64,
}

/// A screen in front of a model.
struct Guard<'a> {
    screen: &'a dyn Screen,
    spec: &'a Value,
    name: &'a str,
    model: &'a Origin,
    references: Subset,
    set: &'a Set,
    seed: u64,
}

/// Scores from the cache, or made now.
///
/// # Errors
/// Those of the screen and of the cache.
pub(super) fn run(
    screen: &dyn Screen,
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    stages: &Stages,
) -> Result<Scored> {
    let choice = &plan.benchmark.defenses[cell.defense];
    let set = &plan.sets[cell.dataset];
    let clean = &plan.attack(cell).clean;
    let held = screen.held(&**clean, &Seed::new(cell.seed))?;
    let part = |name, rows| Subset::new(Arc::clone(clean), name, rows);
    let guard = Guard {
        screen,
        spec: choice.spec(),
        name: choice.name(),
        model,
        references: part("references", held.references)?,
        set,
        seed: cell.seed,
    };
    let mut seconds = 0.0;
    let mut score = |data: &dyn Dataset| -> Result<Vec<f32>> {
        let record = guard.scores(data, stages)?;
        seconds += record.seconds;
        Ok(record.scores)
    };
    let threshold = screen.threshold(&score(&part("calibration", held.calibration)?)?)?;
    let plain = score(&*set.test)?;
    let mut stamped = BTreeMap::new();
    let rivals = plan.attack(cell).armed.is_control().then(|| plan.known_rivals(cell));
    for attack in std::iter::once(cell.attack).chain(rivals.into_iter().flatten()) {
        let aims = plan.drawn(cell, attack).armed.aims();
        let one =
            |aim: &Aim<'_>| score(&Triggered::new(Arc::clone(&set.test), aim.trigger.clone()));
        stamped.insert(attack, aims.iter().map(one).collect::<Result<_>>()?);
    }
    Ok(Scored { threshold, clean: plain, stamped, seconds })
}

impl Scored {
    /// One judgement per test picture, and one per picture stamped with each of an attack's triggers.
    ///
    /// # Errors
    /// Those of embedding, or if a picture has no class.
    pub(super) fn judge(
        &self,
        plan: &Plan<'_>,
        (cell, attack): (&Cell, usize),
        plain: &Embeddings,
        embed: impl Fn(&dyn Dataset, &[String]) -> Result<Embeddings>,
    ) -> Result<Vec<Judgement>> {
        let Set { test, templates, .. } = &plan.sets[cell.dataset];
        let mut all = judge_screened(&**test, plain, None, &self.clean, self.threshold)?;
        let aims = plan.drawn(cell, attack).armed.aims();
        for (aim, scores) in aims.iter().zip(self.stamped.get(&attack).into_iter().flatten()) {
            let data = Triggered::new(Arc::clone(test), aim.trigger.clone());
            let seen = embed(&data, &aim.prompts(templates))?;
            all.extend(judge_screened(&data, &seen, Some(aim), scores, self.threshold)?);
        }
        Ok(all)
    }
}

impl Guard<'_> {
    /// Scores of a set's pictures, cached.
    fn scores(&self, data: &dyn Dataset, stages: &Stages) -> Result<Record> {
        let names: Vec<String> = self.set.test.classes().iter().map(|c| c.name.clone()).collect();
        let key = Digest::of(&json!({
            "model": self.model.key(),
            "references": self.references.digest(),
            "pictures": data.digest(),
            "classes": names,
            "templates": self.set.templates,
            "screen": self.spec,
            "seed": self.seed,
        }));
        let dir = stages
            .store
            .stage("screen", key, VERSION, |dir| self.look(data, &names, dir, stages))?;
        read_json(&dir.join(FILE))
    }

    fn look(
        &self,
        data: &dyn Dataset,
        names: &[String],
        dir: &Path,
        stages: &Stages,
    ) -> Result<()> {
        let timer = Timer::start();
        let classes = self.model.embeddings(stages, &*self.set.test, &self.set.templates)?.classes;
        let model = self.model.open(stages, data, 0)?;
        let edge = model.clip.config.vision_cfg.image_size;
        let rows = data.examples().len();
        let bar =
            stages.lab.progress.stage(format!("screen {}", self.name), rows as u64, "pictures");
        let deployed =
            Live { model: &model, tower: Frozen::new(&model.clip.image, &model.weights), stages };
        let references = pixels(&self.references, edge)?;
        let scene = Scene {
            model: &deployed,
            edge,
            names,
            classes: &classes,
            scale: model.weights.data(LOGIT_SCALE)[0].exp(),
            references: &references,
        };
        let ready = stages.prepared.pictures(data, edge)?;
        let load = |row: usize| picture(&data.image(row)?, edge);
        let scored = (|| -> Result<Vec<f32>> {
            let scorer = self.screen.look(&scene, &Seed::new(self.seed))?;
            let mut scores = Vec::with_capacity(rows);
            for first in (0..rows).step_by(PART) {
                let part = first..rows.min(first + PART);
                let part = match &ready {
                    Some(all) => colours(&all[part]),
                    None => colours(&part.map(load).collect::<Result<Vec<_>>>()?),
                };
                scores.extend(scorer(&part)?);
                bar.resume_at(scores.len() as u64);
            }
            Ok(scores)
        })();
        // Who stopped is not who failed.
        stages.lab.interrupt.check()?;
        let record = Record { scores: scored?, seconds: timer.seconds() };
        bar.finish();
        write_atomic(&dir.join(FILE), json!(record).to_string().as_bytes())
    }
}

/// A model in memory, asked on the path of evaluation.
struct Live<'a> {
    model: &'a Model,
    tower: Frozen<'a>,
    stages: &'a Stages,
}

impl Deployed for Live<'_> {
    fn images(&self, pictures: &[f32]) -> Shared<Vec<f32>> {
        match self.stages.lab.interrupt.requested() {
            true => Err(Error::request("stopped")),
            false => Ok(unit_vectors(&self.model.clip, &self.tower, pictures)),
        }
    }

    fn texts(&self, texts: &[String]) -> Shared<Vec<f32>> {
        encode::texts(self.model, texts).map_err(Error::request)
    }
}
