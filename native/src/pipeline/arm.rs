//! The second half of an attack that looks through an encoder, or trains a network of its own: a cached stage between the
//! public model's training and the first victim's. What it finds is data like any other, so nothing after it knows that it
//! was searched for.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use toxiclip_shared::attacks::{Armed, Attack};
use toxiclip_shared::data::Dataset;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::Image;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::surrogate::{Completion, Search, Surrogate};

use super::origin::Origin;
use super::stages::Stages;
use crate::benchmark::Choice;
use crate::encode;
use crate::failure::{Failure, Result};
use crate::store::{Store, read_json, write_atomic};

/// Raised when the same search gives another attack.
pub const VERSION: u32 = 1;

const STAGE: &str = "arm";
const FILE: &str = "armed.json";

/// A search that is laid out, not begun.
pub struct Arming {
    choice: Choice,
    attack: Arc<dyn Attack>,
    /// `None` for an attack that looks through no encoder.
    surrogate: Option<Origin>,
    clean: Arc<dyn Dataset>,
    drawn: Armed,
    seed: u64,
}

impl Arming {
    /// Lays out the search of `attack`, made from `choice`; `None` if it has none. `surrogate` gives the attacker's encoder,
    /// what victims start from, and is asked only where one is looked through; `clean` what the victim would train on;
    /// `drawn` what has been drawn without the encoder.
    ///
    /// # Errors
    /// If nobody has trained the encoder.
    pub fn new(
        choice: &Choice,
        attack: Arc<dyn Attack>,
        surrogate: impl FnOnce() -> Result<Origin>,
        clean: &Arc<dyn Dataset>,
        drawn: &Armed,
        seed: u64,
    ) -> Result<Option<Self>> {
        let surrogate = match attack.completion() {
            None => return Ok(None),
            Some(Completion::Trained(_)) => None,
            Some(Completion::Guided(_)) => Some(surrogate()?),
        };
        if matches!(surrogate, Some(Origin::Scratch(_))) {
            return Err(Failure::request(
                "it looks through the encoder that victims start from, and here they start from nothing; give `[init]` (or --init)",
            ));
        }
        let (choice, clean, drawn) = (choice.clone(), Arc::clone(clean), drawn.clone());
        Ok(Some(Self { choice, attack, surrogate, clean, drawn, seed }))
    }

    /// Names the search in the cache.
    pub fn key(&self) -> Digest {
        Digest::of(&json!({
            "attack": self.choice.spec(),
            "surrogate": self.surrogate.as_ref().map(Origin::key),
            "data": self.clean.digest(),
            "drawn": self.drawn,
            "seed": self.seed,
        }))
    }

    /// The whole attack; trains the encoder and searches if neither has been done.
    ///
    /// # Errors
    /// Those of the training and of the search; Ctrl-C.
    pub fn run(&self, stages: &Stages) -> Result<Armed> {
        let work = |dir: &Path| self.search(stages, dir);
        read_json(&stages.store.stage(STAGE, self.key(), VERSION, work)?.join(FILE))
    }

    /// The whole attack if the cache holds it.
    ///
    /// # Errors
    /// If its file is damaged.
    pub fn find(&self, store: &Store) -> Result<Option<Armed>> {
        store.find(STAGE, self.key(), VERSION).map(|dir| read_json(&dir.join(FILE))).transpose()
    }

    fn search(&self, stages: &Stages, dir: &Path) -> Result<()> {
        let seed = Seed::new(self.seed);
        let (guided, surrogate) = match (self.attack.completion(), &self.surrogate) {
            (Some(Completion::Trained(trained)), _) => {
                let training = trained.training(self.drawn.clone(), &*self.clean, &seed)?;
                return self.walk(training, stages, dir);
            }
            (Some(Completion::Guided(guided)), Some(surrogate)) => (guided, surrogate),
            _ => unreachable!("a search is laid out with what it needs"),
        };
        let model = surrogate.open(stages, &*self.clean, self.seed)?;
        let why = |e: Failure| toxiclip_shared::Error::request(e.to_string());
        let texts = |texts: &[String]| encode::texts(&model, texts).map_err(why);
        let pictures = |pictures: &[Image]| encode::pictures(&model, pictures).map_err(why);
        let (clip, weights) = (&model.clip, &model.weights);
        let surrogate = Surrogate { clip, weights, texts: &texts, pictures: &pictures };
        let search = guided.search(self.drawn.clone(), &*self.clean, surrogate, &seed)?;
        self.walk(search, stages, dir)
    }

    /// Step by step to the end.
    fn walk(&self, mut search: Box<dyn Search + '_>, stages: &Stages, dir: &Path) -> Result<()> {
        let title = format!("arm {}", self.choice.name());
        let bar = stages.lab.progress.stage(title, search.steps(), "steps");
        let mut losses = Vec::new();
        for _ in 0..search.steps() {
            stages.lab.interrupt.check()?;
            let loss = search.step()?;
            losses.push(loss);
            bar.advance(1);
            bar.note(format!("loss {loss:.3}"));
        }
        bar.finish();
        write(dir, &search.finish(), &losses)
    }
}

/// `armed.json`, and the loss of every step.
fn write(dir: &Path, armed: &Armed, losses: &[f32]) -> Result<()> {
    write_atomic(&dir.join("losses.json"), json!(losses).to_string().as_bytes())?;
    write_atomic(&dir.join(FILE), &serde_json::to_vec(armed).map_err(Failure::failed)?)
}
