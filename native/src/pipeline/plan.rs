//! Everything about a benchmark that is known before it runs: data opened, attacks drawn, lineages laid out.
//!
//! Whatever the request itself has wrong shows here, before anything is written. An attack that looks through an encoder
//! or trains a network of its own is drawn as far as it goes without; [`Plan::arm`] completes it before the first cell runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use toxiclip_shared::attacks::{ATTACKS, Armed, Attack};
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::{Dataset, Poisoned};
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::surrogate::Completion;

use super::arm::Arming;
use super::fit::Fit;
use super::line::Line;
use super::origin::Origin;
use super::pairs::{Pairs, find_checkpoint};
use super::set::{self, Set};
use super::stages::Stages;
use crate::benchmark::{Benchmark, Cell, Choice, Init, StartOf, Utility};
use crate::failure::{Failure, Result};
use crate::store::Store;

/// An attack on one training set with one seed.
pub struct Prepared {
    /// The training set before poisoning.
    pub clean: Arc<dyn Dataset>,
    /// What it wants and changes.
    pub armed: Armed,
    /// The training set as the victim gets it.
    pub view: Arc<dyn Dataset>,
    /// The search that completes it; `None` once it has ended.
    pub arming: Option<Arming>,
    /// Why the search failed, if it did.
    pub broken: Option<String>,
}

impl Prepared {
    /// Whether nothing is missing, neither for want of a search nor by its failure.
    pub fn complete(&self) -> bool {
        self.arming.is_none() && self.broken.is_none()
    }
}

/// What a search came to; `None` if nobody has run it.
type Found = Option<Result<Armed, String>>;

/// By data set, share of it, attack, seed, and the encoder where the attack looks through one.
type Drawn = (usize, u64, usize, u64, Option<usize>);

/// A cell with its models.
pub struct Work {
    /// The cell.
    pub cell: Cell,
    /// The model to measure.
    pub model: Origin,
}

/// A benchmark, ready to run.
pub struct Plan<'a> {
    /// What is asked.
    pub benchmark: &'a Benchmark,
    /// Data sets in the order of the matrix.
    pub sets: Vec<Set>,
    /// What `[init]` trains on, where that is not the cell's own data set.
    public: Option<Arc<dyn Dataset>>,
    prepared: BTreeMap<Drawn, Prepared>,
    /// Attacks in the order of the matrix.
    attacks: Vec<Arc<dyn Attack>>,
    /// Defenses in the order of the matrix.
    pub(crate) defenses: Vec<Defense>,
    /// Cells in the order of running.
    pub works: Vec<Work>,
    data_root: Option<PathBuf>,
}

impl<'a> Plan<'a> {
    /// Opens data, draws attacks, lays out trainings; trains nothing. Data sets and checkpoints that do not come with
    /// the program are looked for below `data_root`.
    ///
    /// # Errors
    /// If a name, class, rate or recipe does not fit the data.
    pub fn new(benchmark: &'a Benchmark, data_root: Option<&Path>) -> Result<Self> {
        let names = benchmark.datasets.iter();
        let sets =
            names.map(|name| set::open(benchmark, name, data_root)).collect::<Result<_>>()?;
        let public = match &benchmark.init {
            Init::Pretrain { data: Some(name), .. } => Some(set::training(name, data_root)?),
            _ => None,
        };
        let data_root = data_root.map(Path::to_owned);
        let make = |c: &Choice| Ok(Arc::from(c.make(ATTACKS).map_err(Failure::request)?));
        let attacks = benchmark.attacks.iter().map(make).collect::<Result<_>>()?;
        let make = |c: &Choice| Ok(*c.make(DEFENSES).map_err(Failure::request)?);
        let defenses = benchmark.defenses.iter().map(make).collect::<Result<_>>()?;
        let (prepared, works) = (BTreeMap::new(), Vec::new());
        let mut plan =
            Self { benchmark, sets, public, prepared, attacks, defenses, works, data_root };
        // Also attacks that no cell of `--only` has: a control is scored against all of them.
        for dataset in 0..plan.sets.len() {
            for victim in &benchmark.victims {
                for &seed in &benchmark.seeds {
                    plan.prepare_all(dataset, victim.share, seed)?;
                }
            }
        }
        plan.works = plan.lay_out()?;
        Ok(plan)
    }

    fn lay_out(&self) -> Result<Vec<Work>> {
        let work = |cell: Cell| {
            self.control(&cell)?;
            Ok(Work { cell, model: self.model(&cell)? })
        };
        self.benchmark.cells().into_iter().map(work).collect()
    }

    /// Completes the attacks that look through an encoder or train a network, and lays the trainings on their poison out
    /// anew. One whose search fails is marked as broken, and the others go on.
    ///
    /// # Errors
    /// On Ctrl-C, or if a disk is full.
    pub fn arm(&mut self, stages: &Stages) -> Result<()> {
        self.complete(|arming| match arming.run(stages) {
            Err(stop @ (Failure::Interrupted | Failure::Full(_))) => Err(stop),
            ended => Ok(Some(ended.map_err(|e| e.to_string()))),
        })
    }

    /// Completes those that a cache holds.
    ///
    /// # Errors
    /// If a file of it is damaged.
    pub fn arm_from(&mut self, store: &Store) -> Result<()> {
        self.complete(|arming| Ok(arming.find(store)?.map(Ok)))
    }

    fn complete(&mut self, run: impl Fn(&Arming) -> Result<Found>) -> Result<()> {
        let kept = self.benchmark.cells();
        let victims = &self.benchmark.victims;
        // What `--only` leaves out needs no search, but for rivals, which a control is scored against.
        let asked = |&(dataset, share, _, seed, encoder): &Drawn| {
            kept.iter().any(|c| {
                (c.dataset, victims[c.victim].share.to_bits(), c.seed) == (dataset, share, seed)
                    && encoder.is_none_or(|encoder| encoder == c.encoder)
            })
        };
        let (sets, mut changed) = (&self.sets, false);
        for (key, prepared) in self.prepared.iter_mut().filter(|(key, _)| asked(key)) {
            match prepared.arming.as_ref().map(&run).transpose()?.flatten() {
                None => continue,
                Some(Ok(armed)) => {
                    prepared.view = view(&prepared.clean, &sets[key.0], &armed)?;
                    prepared.armed = armed;
                }
                Some(Err(why)) => prepared.broken = Some(why),
            }
            (prepared.arming, changed) = (None, true);
        }
        if changed {
            self.works = self.lay_out()?;
        }
        Ok(())
    }

    /// Draws every attack for one training set, unless another victim has the same.
    fn prepare_all(&mut self, dataset: usize, share: f64, seed: u64) -> Result<()> {
        let choices = &self.benchmark.attacks;
        if self.prepared.keys().any(|k| (k.0, k.1, k.3) == (dataset, share.to_bits(), seed)) {
            return Ok(());
        }
        let clean = self.sets[dataset].part(share, seed)?;
        for (attack, choice) in choices.iter().enumerate() {
            let encoders = match self.guided(attack) {
                true => (0..self.benchmark.encoders.len()).map(Some).collect(),
                false => vec![None],
            };
            for encoder in encoders {
                let prepared = self
                    .prepare((dataset, encoder), &clean, attack, seed)
                    .map_err(|e| e.during(format!("attack {}", choice.label(choices))))?;
                self.prepared.insert((dataset, share.to_bits(), attack, seed, encoder), prepared);
            }
        }
        Ok(())
    }

    fn prepare(
        &self,
        (dataset, encoder): (usize, Option<usize>),
        clean: &Arc<dyn Dataset>,
        attack: usize,
        seed: u64,
    ) -> Result<Prepared> {
        let set = &self.sets[dataset];
        let (choice, attack) = (&self.benchmark.attacks[attack], Arc::clone(&self.attacks[attack]));
        let armed = attack.prepare(&**clean, &*set.test, &Seed::new(seed))?;
        for goal in &armed.goals {
            for (rows, what) in [
                (goal.from_rows(&*set.test), "caption of class A"),
                (goal.to_rows(&*set.test), "picture of class B"),
            ] {
                if rows.is_empty() {
                    let test = set.test.name();
                    return Err(Failure::request(format!(
                        "goal {}: {test} has no {what}",
                        goal.name
                    )));
                }
            }
        }
        let view = view(clean, set, &armed)?;
        let surrogate = || match encoder {
            Some(encoder) => self.public(dataset, encoder, seed),
            None => unreachable!("an attack that looks through an encoder is drawn for each"),
        };
        let arming = Arming::new(choice, attack, surrogate, clean, &armed, seed)?;
        Ok(Prepared { clean: Arc::clone(clean), armed, view, arming, broken: None })
    }

    /// The attack of a cell.
    pub fn attack(&self, cell: &Cell) -> &Prepared {
        self.drawn(cell, cell.attack)
    }

    /// Another attack of the matrix, drawn for a cell's training set and seed.
    pub fn drawn(&self, cell: &Cell, attack: usize) -> &Prepared {
        let share = self.benchmark.victims[cell.victim].share;
        let encoder = self.guided(attack).then_some(cell.encoder);
        &self.prepared[&(cell.dataset, share.to_bits(), attack, cell.seed, encoder)]
    }

    /// Whether an attack of the matrix is completed by a search or a training.
    pub fn searched(&self, attack: usize) -> bool {
        self.attacks[attack].completion().is_some()
    }

    /// Whether it looks through an encoder, and so is another for each.
    fn guided(&self, attack: usize) -> bool {
        matches!(self.attacks[attack].completion(), Some(Completion::Guided(_)))
    }

    /// All drawn attacks.
    pub fn all_drawn(&self) -> impl Iterator<Item = &Prepared> {
        self.prepared.values()
    }

    /// The clean model that the victims of a cell start from, if they do not start from nothing.
    pub fn clean_start(&self, cell: &Cell) -> Result<Option<Origin>> {
        Ok(match self.init(cell)? {
            Origin::Scratch(_) => None,
            other => Some(other),
        })
    }

    fn init(&self, cell: &Cell) -> Result<Origin> {
        if self.benchmark.victims[cell.victim].start == StartOf::Scratch {
            return Ok(Origin::Scratch(self.benchmark.encoders[cell.encoder].config.clone()));
        }
        self.public(cell.dataset, cell.encoder, cell.seed)
    }

    /// What the benchmark's `[init]` is for an encoder of the matrix.
    fn public(&self, dataset: usize, encoder: usize, seed_of_cell: u64) -> Result<Origin> {
        let encoder = &self.benchmark.encoders[encoder];
        let scratch = Origin::Scratch(encoder.config.clone());
        match &self.benchmark.init {
            Init::Scratch => Ok(scratch),
            Init::Checkpoint(dir) => {
                let dir = find_checkpoint("init.checkpoint", dir, self.data_root.as_deref())?;
                Origin::read(&dir, Some(&encoder.config))
            }
            Init::Pretrain { recipe, seed, data: _ } => {
                let data = Arc::clone(self.public.as_ref().unwrap_or(&self.sets[dataset].train));
                let seed = seed.unwrap_or(seed_of_cell);
                let provenance = Provenance {
                    encoder: encoder.name.clone(),
                    data: json!({ "name": data.name(), "digest": data.digest() }),
                    recipe: json!({ "train": recipe, "seed": seed }),
                    ..Provenance::default()
                };
                let (pairs, recipe) = (Pairs::Whole(data), recipe.clone());
                let fit = Fit::new("pretrain", scratch, pairs, recipe, seed, provenance)?;
                Ok(Origin::Fit(Arc::new(fit)))
            }
        }
    }

    /// The model that embedding shifts of a cell are measured from: its undefended control. `None` where shifts are
    /// not asked for, and for that control itself.
    ///
    /// # Errors
    /// If the matrix has no such control, or its victims have no common start.
    pub fn control(&self, cell: &Cell) -> Result<Option<Origin>> {
        if !self.benchmark.eval.tasks.contains(&Utility::Shift) {
            return Ok(None);
        }
        let Some(control) = self.control_of(cell) else {
            let why = "the task `shift` compares with the undefended control; put `none` among attacks and defenses";
            return Err(Failure::request(why));
        };
        if matches!(self.init(cell)?, Origin::Scratch(_)) {
            let why =
                "the task `shift` needs a common start; two trainings from scratch share no space";
            return Err(Failure::request(why));
        }
        if control == *cell { Ok(None) } else { self.model(&control).map(Some) }
    }

    /// The undefended control of a cell; `None` where the matrix has none, and for that control itself.
    ///
    /// # Errors
    /// If its training cannot be laid out.
    pub fn undefended_control(&self, cell: &Cell) -> Result<Option<Origin>> {
        let control = self.control_of(cell).filter(|control| control != cell);
        control.map(|control| self.model(&control)).transpose()
    }

    /// The cell that differs in attack and defense only, which are `none`.
    fn control_of(&self, cell: &Cell) -> Option<Cell> {
        let place = |all: &[Choice]| all.iter().position(|c| c.name() == "none");
        let (attack, defense) =
            place(&self.benchmark.attacks).zip(place(&self.benchmark.defenses))?;
        Some(Cell { attack, defense, ..*cell })
    }

    fn model(&self, cell: &Cell) -> Result<Origin> {
        let benchmark = self.benchmark;
        if benchmark.victims[cell.victim].start == StartOf::AsIs {
            return self.init(cell);
        }
        let drawn = self.attack(cell);
        let line = Line {
            encoder: &benchmark.encoders[cell.encoder],
            start: self.init(cell)?,
            clean: &drawn.clean,
            offered: Arc::clone(&drawn.view),
            attack: &benchmark.attacks[cell.attack],
            armed: &drawn.armed,
            defense: &benchmark.defenses[cell.defense],
            recipe: &benchmark.victims[cell.victim].recipe,
            seed: cell.seed,
            data_root: self.data_root.as_deref(),
        };
        Ok(Origin::Fit(line.lay_out()?))
    }
}

/// The training set under an attack. The control trains on the clean set itself, so that its key does not speak of poison.
fn view(clean: &Arc<dyn Dataset>, set: &Set, armed: &Armed) -> Result<Arc<dyn Dataset>> {
    if armed.poison.edits.is_empty() {
        return Ok(Arc::clone(clean));
    }
    let view = Poisoned::new(Arc::clone(clean), &set.test, &armed.poison, &armed.trigger)?;
    Ok(Arc::new(view))
}
