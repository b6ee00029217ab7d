//! `report.json`: what a report shows and rows do not hold. The pipeline writes it beside `rows.jsonl`;
//! every part may be empty, and then its section is left out.

use std::path::Path;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use toxiclip_shared::digest::Digest;

/// Name of the side file in a run directory.
pub const FILE: &str = "report.json";

/// Everything a report needs besides rows and evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportExtras {
    /// Title of the benchmark.
    pub title: String,
    /// The benchmark's `analysis`: what is asked, how to read it, what must not be compared.
    pub analysis: String,
    /// Digest of what all cells have in common: metric definitions, prompts, starting model, recipe.
    pub protocol: Option<Digest>,
    /// The exact command that repeats the run.
    pub command: String,
    /// One card per attack and defense of the matrix, `none` left out.
    pub cards: Vec<Card>,
    /// How much was poisoned, one per attack.
    pub budgets: Vec<Budget>,
    /// Some poisoned pairs, about eight.
    pub poisoned: Vec<PoisonedPair>,
    /// About three captions of the attacked class, each with its ranking under every model.
    pub retrievals: Vec<Retrieval>,
    /// Where the classes of each attack's first goal lie under the models.
    pub maps: Vec<ClassMap>,
    /// Training curves.
    pub curves: Vec<Curve>,
    /// Costs, one line per model.
    pub costs: Vec<Cost>,
    /// Methods and digests as name and value: encoder, prompts, data digest, machine.
    pub facts: Vec<Fact>,
}

/// Which of the three models something belongs to; decides colour, shape and pattern everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Trained on clean data.
    Clean,
    /// Trained on poisoned data, no defense.
    Poisoned,
    /// Trained on poisoned data, with a defense.
    Defended,
}

/// An attack or a defense for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// `attack` or `defense`.
    pub kind: String,
    /// The registry's name.
    pub name: String,
    /// The name in words.
    pub title: String,
    /// Year of the paper, 0 if there is none.
    pub year: u16,
    /// Where it is described.
    pub paper: String,
    /// One line: what it does.
    pub summary: String,
    /// What the attacker controls, or what the defender needs and knows.
    pub threat_model: String,
}

/// How much of the training data an attack changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Name of the attack.
    pub attack: String,
    /// Pairs changed.
    pub poisoned_pairs: u64,
    /// Pairs the victim trains on.
    pub training_pairs: u64,
}

/// A picture inside the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// The bytes of a PNG file, in base64; shown at 64 to 96 px, so keep it small.
    pub png: String,
    /// What the picture shows, for who cannot see it: `ewe, noto`.
    pub alt: String,
}

impl Picture {
    /// A picture from the bytes of a PNG file.
    pub fn new(png: &[u8], alt: impl Into<String>) -> Self {
        Self { png: BASE64_STANDARD.encode(png), alt: alt.into() }
    }

    /// The bytes of the PNG file.
    ///
    /// # Errors
    /// If `png` is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        BASE64_STANDARD.decode(&self.png).with_context(|| format!("the picture `{}`", self.alt))
    }

    /// Its address for a page that holds it itself.
    pub(crate) fn inside(&self) -> String {
        format!("data:image/png;base64,{}", self.png)
    }
}

/// A training pair before and after the attack. Replacement keeps the captions and changes the
/// picture; other attacks do the reverse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoisonedPair {
    /// Name of the attack.
    pub attack: String,
    /// The goal, such as `ewe → airplane`.
    pub goal: String,
    /// The picture that belongs to the caption.
    pub before: Picture,
    /// The picture shown instead; `None` if it was kept.
    pub after: Option<Picture>,
    /// The caption of the clean pair.
    pub caption: String,
    /// The caption put in its place; `None` if it was kept.
    pub new_caption: Option<String>,
}

/// One query and its rankings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieval {
    /// The caption asked.
    pub query: String,
    /// The goal it belongs to.
    pub goal: String,
    /// How many pictures were ranked.
    pub gallery: u32,
    /// Clean, poisoned and defended, in this order.
    pub rankings: Vec<Ranking>,
}

/// The first pictures under one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// Which model.
    pub role: Role,
    /// Its name: `clean`, `single-label`, `single-label + finetune`.
    pub label: String,
    /// 0-based position of the first target picture.
    pub rank: u32,
    /// The first five pictures.
    pub items: Vec<Retrieved>,
}

/// One retrieved picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieved {
    /// The picture; its `alt` names the class.
    pub picture: Picture,
    /// Whether it is what the attacker wants to be found.
    pub target: bool,
}

/// Test pictures of a goal's two classes and captions of the first, under several models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMap {
    /// Label of the attack.
    pub attack: String,
    /// The goal in words.
    pub goal: String,
    /// Clean, poisoned and defended, in this order.
    pub panels: Vec<MapPanel>,
}

/// Points of one model in the plane of their two first principal components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapPanel {
    /// Which model.
    pub role: Role,
    /// Its name.
    pub label: String,
    /// Pictures of the class asked about.
    pub from: Vec<[f64; 2]>,
    /// Pictures of the class fetched.
    pub to: Vec<[f64; 2]>,
    /// Captions of the class asked about.
    pub captions: Vec<[f64; 2]>,
    /// Share of the captions that lie nearer to the mean of `to` than to that of `from`, before projection.
    pub crossed: f64,
    /// Share of the points' variance that the plane keeps.
    pub kept: f64,
}

/// One quantity over the steps of one training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The stage: `pretrain`, `train`, `defend`. Curves of a stage share a figure.
    pub stage: String,
    /// Which model.
    pub role: Role,
    /// Seed of the training.
    pub seed: u64,
    /// What is drawn: `loss`, or a utility metric such as `ir@10`.
    pub quantity: String,
    /// (step, value), ascending steps; thinned to 200 points when drawn.
    pub points: Vec<(f64, f64)>,
}

/// What a model cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The model: `pretraining`, `single-label`, `single-label + finetune`.
    pub label: String,
    /// Pairs that went through the trainer, epochs counted.
    pub pairs_seen: u64,
    /// Wall seconds when it ran.
    pub seconds: f64,
    /// Clean pairs that the defense needs beyond the training set.
    pub extra_clean_pairs: u64,
    /// Trainings from start to end.
    pub trainings: u64,
}

/// A line of the methods section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value; digests whole.
    pub value: String,
}

/// Reads `report.json`; a run directory without it has no extras.
///
/// # Errors
/// If the file is there and is not what this version writes.
pub fn read(run_dir: &Path) -> Result<ReportExtras> {
    let path = run_dir.join(FILE);
    if !path.exists() {
        return Ok(ReportExtras::default());
    }
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: not the extras of a report; run again", path.display()))
}

impl ReportExtras {
    /// Writes `report.json`, whole or not at all.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, run_dir: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).context("report extras are not JSON")?;
        Ok(crate::files::write_whole(&run_dir.join(FILE), &json)?)
    }

    /// Joins the extras of another run directory to these.
    pub fn join(&mut self, other: Self) {
        if self.title.is_empty() {
            (self.title, self.analysis) = (other.title, other.analysis);
        }
        if !other.command.is_empty() && other.command != self.command {
            let gap = if self.command.is_empty() { "" } else { "\n" };
            self.command = format!("{}{gap}{}", self.command, other.command);
        }
        add_new(&mut self.cards, other.cards);
        add_new(&mut self.budgets, other.budgets);
        add_new(&mut self.facts, other.facts);
        self.poisoned.extend(other.poisoned);
        self.retrievals.extend(other.retrievals);
        self.maps.extend(other.maps);
        self.curves.extend(other.curves);
        self.costs.extend(other.costs);
    }
}

fn add_new<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for item in from {
        if !to.contains(&item) {
            to.push(item);
        }
    }
}
