//! Everything about a benchmark that is known before it runs: data opened, attacks drawn, lineages laid out.
//!
//! Whatever the request itself has wrong shows here, before anything is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use toxiclip_shared::attacks::{ATTACKS, Armed};
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::{Dataset, Poisoned, Subset};
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;

use super::fit::{Fit, Origin};
use crate::benchmark::{Benchmark, Cell, Init};
use crate::data;
use crate::failure::{Failure, Result};

/// A data set of the matrix.
pub struct Set {
    /// What the victim trains on before poisoning; also what a defender trusts.
    pub train: Arc<dyn Dataset>,
    /// What is measured on.
    pub test: Arc<dyn Dataset>,
    /// Zero-shot prompts.
    pub templates: Vec<String>,
}

/// An attack on one data set with one seed.
pub struct Prepared {
    /// What it wants and changes.
    pub armed: Armed,
    /// The training set as the victim gets it.
    pub view: Arc<dyn Dataset>,
}

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
    /// By data set, attack and seed.
    pub prepared: BTreeMap<(usize, usize, u64), Prepared>,
    /// Cells in the order of running.
    pub works: Vec<Work>,
}

impl<'a> Plan<'a> {
    /// Opens data, draws attacks, lays out trainings; trains nothing.
    ///
    /// # Errors
    /// If a name, class, rate or recipe does not fit the data.
    pub fn new(benchmark: &'a Benchmark) -> Result<Self> {
        let sets =
            benchmark.datasets.iter().map(|name| open(benchmark, name)).collect::<Result<_>>()?;
        let mut plan = Self { benchmark, sets, prepared: BTreeMap::new(), works: Vec::new() };
        for dataset in 0..plan.sets.len() {
            for attack in 0..benchmark.attacks.len() {
                for &seed in &benchmark.seeds {
                    let prepared = plan.prepare(dataset, attack, seed).map_err(|e| {
                        e.during(format!(
                            "attack {}",
                            benchmark.attacks[attack].label(&benchmark.attacks)
                        ))
                    })?;
                    plan.prepared.insert((dataset, attack, seed), prepared);
                }
            }
        }
        let works: Result<Vec<Work>> = benchmark
            .cells()
            .into_iter()
            .map(|cell| Ok(Work { cell, model: plan.model(&cell)? }))
            .collect();
        plan.works = works?;
        Ok(plan)
    }

    fn prepare(&self, dataset: usize, attack: usize, seed: u64) -> Result<Prepared> {
        let set = &self.sets[dataset];
        let attack = self.benchmark.attacks[attack].make(ATTACKS).map_err(Failure::request)?;
        let armed = attack.prepare(&*set.train, &Seed::new(seed))?;
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
        // The control trains on the clean set itself, so that its key does not speak of poison.
        let view = if armed.poison.edits.is_empty() {
            Arc::clone(&set.train)
        } else {
            Arc::new(Poisoned::new(Arc::clone(&set.train), &armed.poison)?)
        };
        Ok(Prepared { armed, view })
    }

    /// The attack of a cell.
    pub fn attack(&self, cell: &Cell) -> &Prepared {
        &self.prepared[&(cell.dataset, cell.attack, cell.seed)]
    }

    /// The clean model that the victims of a cell start from, if they do not start from nothing.
    pub fn clean_start(&self, cell: &Cell) -> Result<Option<Origin>> {
        Ok(match self.init(cell)? {
            Origin::Scratch(_) => None,
            other => Some(other),
        })
    }

    fn init(&self, cell: &Cell) -> Result<Origin> {
        let encoder = &self.benchmark.encoders[cell.encoder];
        let scratch = Origin::Scratch(encoder.config.clone());
        match &self.benchmark.init {
            Init::Scratch => Ok(scratch),
            Init::Checkpoint(dir) => Origin::checkpoint(dir, &encoder.config),
            Init::Pretrain { recipe, seed } => {
                let data = Arc::clone(&self.sets[cell.dataset].train);
                let seed = seed.unwrap_or(cell.seed);
                Ok(Origin::Fit(self.fit("pretrain", cell, scratch, data, recipe, seed)?))
            }
        }
    }

    fn model(&self, cell: &Cell) -> Result<Origin> {
        let view = Arc::clone(&self.attack(cell).view);
        let recipe = &self.benchmark.train;
        let start = self.init(cell)?;
        let victim = Origin::Fit(self.fit("train", cell, start, view, recipe, cell.seed)?);
        let choice = &self.benchmark.defenses[cell.defense];
        match *choice.make(DEFENSES).map_err(Failure::request)? {
            Defense::None => Ok(victim),
            Defense::Repair(repair) => {
                let trusted = Arc::clone(&self.sets[cell.dataset].train);
                let plan = repair.plan(&*trusted, &Seed::new(cell.seed))?;
                let rows: Arc<dyn Dataset> = Arc::new(Subset::new(trusted, "trusted", plan.rows)?);
                Ok(Origin::Fit(self.fit("defend", cell, victim, rows, &plan.recipe, cell.seed)?))
            }
        }
    }

    fn fit(
        &self,
        stage: &'static str,
        cell: &Cell,
        start: Origin,
        data: Arc<dyn Dataset>,
        recipe: &TrainConfig,
        seed: u64,
    ) -> Result<Arc<Fit>> {
        let armed = &self.attack(cell).armed;
        let poisoned = stage != "pretrain" && !armed.poison.edits.is_empty();
        let spec = |v: &Value| Some(v.clone());
        let provenance = Provenance {
            encoder: self.benchmark.encoders[cell.encoder].name.clone(),
            poisoned,
            attack: if poisoned { spec(self.benchmark.attacks[cell.attack].spec()) } else { None },
            poison: poisoned.then(|| Digest::of(armed)),
            defense: if stage == "defend" {
                spec(self.benchmark.defenses[cell.defense].spec())
            } else {
                None
            },
            data: json!({ "name": data.name(), "digest": data.digest() }),
            recipe: json!({ "train": recipe, "seed": seed }),
        };
        Ok(Arc::new(Fit::new(stage, start, data, recipe.clone(), seed, provenance)?))
    }
}

fn open(benchmark: &Benchmark, name: &str) -> Result<Set> {
    let splits = data::named(name)?;
    let train = splits.train.ok_or_else(|| {
        Failure::request(format!("dataset {name} has no training split; it is for evaluation"))
    })?;
    let own = benchmark.eval.templates.clone();
    let templates = if own.is_empty() { data::templates(name) } else { own };
    Ok(Set { train, test: splits.test, templates })
}
