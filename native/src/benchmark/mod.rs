//! A benchmark: one TOML file that says what is measured, and its cells.
//!
//! ```toml
//! title = "…"                       # one line
//! analysis = '''…'''                # what is asked, how to read it, what must not be compared
//! [matrix]                          # every combination is a cell
//! dataset = ["emoji"]
//! encoder = ["tiny-resnet"]         # a name, or a JSON file beside this one
//! victim = [{}, { freeze = "text" }]  # how its training differs from [train], see `Victim`; left out: not at all
//! attack = ["none", { name = "single-label", from = "ewe", to = "airplane" }]
//! defense = ["none", "finetune:epochs=5"]
//! seed = [0, 1, 2]
//! [init]                            # the clean starting model: a recipe with its seed, or a checkpoint
//! epochs = 40
//! [train]                           # the victim's training, see `TrainConfig`
//! epochs = 10
//! [eval]
//! tasks = ["zero-shot", "retrieval"]
//! [tiny.train]                      # laid over the above by --tiny
//! steps = 4
//! [full.init]                       # laid over the above by --full: the published setting
//! checkpoint = "openai-vit-b-32"    # below --data-root
//! [[expect]]                        # see `Expect`
//! [finding]                         # see `Finding`
//! ```
//! Text becomes a [`Benchmark`] only once every name is known and every default filled in.

mod check;
mod choice;
mod document;
mod expect;
mod finding;
mod protocol;
#[cfg(test)]
mod tests;
mod victim;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::ClipConfig;
use toxiclip_shared::recipe::TrainConfig;

pub use choice::Choice;
pub(crate) use choice::{brief, is_given, plain};
pub use expect::{Expect, Measured, Verdict};
pub use finding::{Finding, Wanted};
pub use protocol::{Protocol, called};
pub use victim::{StartOf, Victim};

use crate::argument::Assignment;
use crate::failure::{Failure, Result};

/// Part of every config digest: metric definitions, prompts, preprocessing, resampling. Raise it with them.
const PROTOCOL: u32 = 1;

/// Keys of the matrix.
const AXES: [&str; 6] = ["dataset", "encoder", "victim", "attack", "defense", "seed"];

/// A checked benchmark.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// Path of the file below the benchmarks folder, without its ending.
    pub name: String,
    /// One line.
    pub title: String,
    /// What is asked, how to read it, what must not be compared.
    pub analysis: String,
    /// Names of data sets.
    pub datasets: Vec<String>,
    /// Encoders.
    pub encoders: Vec<Encoder>,
    /// Victims.
    pub victims: Vec<Victim>,
    /// Attacks.
    pub attacks: Vec<Choice>,
    /// Defenses.
    pub defenses: Vec<Choice>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// The first so many attacks meet every defense, and the first so many defenses every attack; `None` where all meet.
    pub core: Option<usize>,
    /// Where the victim's training starts.
    pub init: Init,
    /// The victim's training.
    pub train: TrainConfig,
    /// What is measured.
    pub eval: Eval,
    /// What is known to come out.
    pub expect: Vec<Expect>,
    /// What README says of it once its results are published.
    pub finding: Option<Finding>,
    /// Which of its forms this is.
    pub form: Form,
    only: Vec<Assignment>,
}

/// The forms of a benchmark: the file itself, or what one of its parts makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file as it is: minutes on a laptop.
    Laptop,
    /// `[tiny]` laid over it: seconds, and numbers that mean nothing.
    Tiny,
    /// `[full]` laid over it: the published setting, with data and a checkpoint of the user's.
    Full,
}

impl Form {
    /// The part of the file that makes this form.
    fn part(self) -> Option<&'static str> {
        match self {
            Self::Laptop => None,
            Self::Tiny => Some("tiny"),
            Self::Full => Some("full"),
        }
    }
}

/// An architecture of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Encoder {
    /// Its name in rows: of the library, or the stem of the file.
    pub name: String,
    /// The definition.
    pub config: ClipConfig,
}

impl Encoder {
    /// One that was asked for by a name of the library, or by the path of a JSON file.
    pub fn called(asked: &str, config: ClipConfig) -> Self {
        let stem = asked.strip_suffix(".json").unwrap_or(asked);
        let name = stem.rsplit('/').next().unwrap_or(stem).to_owned();
        Self { name, config }
    }
}

/// Where the victim's training starts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// From start values drawn with the cell's seed.
    Scratch,
    /// From a model trained on the clean data.
    Pretrain {
        /// Its recipe.
        recipe: TrainConfig,
        /// Its seed, the same for all cells; `None` pretrains once per seed of the matrix.
        seed: Option<u64>,
        /// The data set that it is trained on; `None` means the cell's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    /// From a checkpoint folder.
    Checkpoint(PathBuf),
}

/// What is measured besides the attacks' goals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Eval {
    /// Utility tasks.
    pub tasks: Vec<Utility>,
    /// Prompts with `{}` for the class name; empty means the data set's own.
    pub templates: Vec<String>,
    /// Metrics to keep; empty means all whose evidence is there.
    pub metrics: Vec<String>,
    /// Curves over the epochs of each cell's last training, which is repeated for them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub epochs: bool,
    /// The pictures that everything is measured on.
    #[serde(skip_serializing_if = "Split::is_test")]
    pub split: Split,
}

/// A split to measure on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What numbers are reported on.
    #[default]
    Test,
    /// What strengths, rates and learning rates are chosen on.
    Val,
}

impl Split {
    fn is_test(&self) -> bool {
        *self == Self::Test
    }
}

/// A utility task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Utility {
    /// Pictures against class prompts.
    ZeroShot,
    /// Captions against pictures and back.
    Retrieval,
    /// Distance of embeddings to those of the undefended control of the same victim and seed.
    Shift,
}

impl Default for Eval {
    fn default() -> Self {
        let tasks = vec![Utility::ZeroShot, Utility::Retrieval];
        let (templates, metrics) = (Vec::new(), Vec::new());
        Self { tasks, templates, metrics, epochs: false, split: Split::Test }
    }
}

/// One combination of the matrix, by position in the benchmark's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Into [`Benchmark::datasets`].
    pub dataset: usize,
    /// Into [`Benchmark::encoders`].
    pub encoder: usize,
    /// Into [`Benchmark::victims`].
    pub victim: usize,
    /// Into [`Benchmark::attacks`].
    pub attack: usize,
    /// Into [`Benchmark::defenses`].
    pub defense: usize,
    /// The seed itself.
    pub seed: u64,
}

impl Benchmark {
    /// The cells, neighbours sharing as much work as possible: by data set, encoder, victim, seed, attack, defense.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for dataset in 0..self.datasets.len() {
            for encoder in 0..self.encoders.len() {
                for victim in 0..self.victims.len() {
                    for &seed in &self.seeds {
                        for attack in 0..self.attacks.len() {
                            for defense in 0..self.defenses.len() {
                                cells.push(Cell {
                                    dataset,
                                    encoder,
                                    victim,
                                    attack,
                                    defense,
                                    seed,
                                });
                            }
                        }
                    }
                }
            }
        }
        cells.retain(|cell| self.meet(cell.attack, cell.defense) && self.kept(cell));
        cells
    }

    /// Whether an attack and a defense, by their positions, make a cell.
    pub fn meet(&self, attack: usize, defense: usize) -> bool {
        self.core.is_none_or(|core| attack.min(defense) < core)
    }

    /// `--only`: any of the values of one key, and so for all keys.
    fn kept(&self, cell: &Cell) -> bool {
        let fits = |a: &Assignment| match a.key.as_str() {
            "dataset" => self.datasets[cell.dataset] == a.value,
            "encoder" => self.encoders[cell.encoder].name == a.value,
            "victim" => self.victims[cell.victim].matches(&a.value).unwrap_or(false),
            "attack" => self.attacks[cell.attack].matches(&a.value).unwrap_or(false),
            "defense" => self.defenses[cell.defense].matches(&a.value).unwrap_or(false),
            _ => a.value.parse() == Ok(cell.seed),
        };
        self.only.iter().all(|a| self.only.iter().any(|b| a.key == b.key && fits(b)))
    }

    /// The cell in words: `single-label + finetune, seed 0`, with what else varies in the matrix.
    pub fn label(&self, cell: &Cell) -> String {
        let attack = self.attacks[cell.attack].label(&self.attacks);
        let defense = self.defenses[cell.defense].label(&self.defenses);
        let mut label = format!("{attack} + {defense}, seed {}", cell.seed);
        if self.encoders.len() > 1 {
            label += &format!(", {}", self.encoders[cell.encoder].name);
        }
        let victim = &self.victims[cell.victim];
        if !victim.plain() {
            label += &format!(", {}", victim.label());
        }
        if self.datasets.len() > 1 {
            label += &format!(", {}", self.datasets[cell.dataset]);
        }
        label
    }

    /// Everything that decides a cell's numbers besides its data and seed.
    pub fn config(&self, cell: &Cell) -> Digest {
        let victim = &self.victims[cell.victim];
        let mut config = json!({
            "protocol": PROTOCOL,
            "dataset": self.datasets[cell.dataset],
            "encoder": self.encoders[cell.encoder],
            "attack": self.attacks[cell.attack],
            "defense": self.defenses[cell.defense],
            "init": self.init,
            "train": self.train,
            "eval": self.eval,
        });
        if !victim.plain() {
            config["victim"] = victim.spec.clone();
        }
        Digest::of(&config)
    }

    /// Digest of the trainings and the evaluation that all cells have in common, which reports must not mix; what a number
    /// means is [`Protocol`].
    pub fn recipe(&self) -> Digest {
        Digest::of(&json!({
            "protocol": PROTOCOL,
            "init": self.init,
            "train": self.train,
            "eval": self.eval,
        }))
    }

    /// Digest of all cells' configurations and seeds: names the default output folder.
    pub fn digest(&self) -> Digest {
        let cells: Vec<Value> =
            self.cells().iter().map(|c| json!([self.config(c), c.seed])).collect();
        Digest::of(&cells)
    }

    /// Judges every expectation by what was measured. Under `--tiny` there is nothing to judge.
    ///
    /// # Errors
    /// Never for a benchmark whose cells all ran; what could not be measured is a missed expectation.
    pub fn judge(&self, measured: &[Measured]) -> Vec<Verdict> {
        if self.form == Form::Tiny {
            Vec::new()
        } else {
            self.expect.iter().map(|e| e.judge(measured)).collect()
        }
    }
}

/// `--only` must name a key of the matrix and match something.
fn check_only(benchmark: &Benchmark) -> Result<()> {
    for only in &benchmark.only {
        if !AXES.contains(&only.key.as_str()) {
            let text = toxiclip_shared::registry::unknown("key of the matrix", &only.key, &AXES);
            return Err(Failure::request(format!("--only {}: {text}", only.key)));
        }
        let alone = Benchmark { only: vec![only.clone()], ..benchmark.clone() };
        if alone.cells().is_empty() {
            return Err(Failure::request(format!(
                "--only {}={}: no cell of this benchmark has that; see --dry-run",
                only.key, only.value
            )));
        }
    }
    if benchmark.cells().is_empty() {
        return Err(Failure::request("--only: no cell fits all of them"));
    }
    Ok(())
}
