//! One model's line of trainings: the victim's on what a filter leaves of its pairs, or by a rule of the defender's, and a
//! repair after it.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use toxiclip_shared::attacks::Armed;
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::{Dataset, Subset};
use toxiclip_shared::defenses::{DEFENSES, Defense, Filter, Part, Repair, Side, Start, Which};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::objectives::Objective;
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;

use super::fit::Fit;
use super::origin::Origin;
use super::pairs::{self, Hinges, Pairs, Screening};
use crate::benchmark::{Choice, Encoder};
use crate::data;
use crate::failure::{Failure, Result};

/// Everything that decides a model, as benchmarks and the command line know it.
pub struct Line<'a> {
    /// The victim's architecture.
    pub encoder: &'a Encoder,
    /// Where its training starts.
    pub start: Origin,
    /// Its pairs before poisoning.
    pub clean: &'a Arc<dyn Dataset>,
    /// Its pairs as it gets them.
    pub offered: Arc<dyn Dataset>,
    /// Who made the difference …
    pub attack: &'a Choice,
    /// … and which.
    pub armed: &'a Armed,
    /// What is done against it.
    pub defense: &'a Choice,
    /// How the victim trains.
    pub recipe: &'a TrainConfig,
    /// Seed of the whole line.
    pub seed: u64,
    /// Where checkpoints lie that do not come with the program.
    pub data_root: Option<&'a Path>,
}

/// The repair of a model on pairs that the defender trusts: some of `clean`, or of data sets of the repair's own. `said` is
/// what the checkpoint shall say of itself, for the recipe and the pairs.
///
/// # Errors
/// If the pairs do not exist or are too few, or the model is none that can be repaired so.
pub fn repaired(
    repair: &dyn Repair,
    start: Origin,
    clean: &Arc<dyn Dataset>,
    seed: u64,
    said: impl FnOnce(&TrainConfig, &Arc<dyn Dataset>) -> Provenance,
) -> Result<Arc<Fit>> {
    let trusted = match &repair.data()[..] {
        [] => Arc::clone(clean),
        names => data::holdings(names)?,
    };
    let plan = repair.plan(&*trusted, &Seed::new(seed))?;
    let rows: Arc<dyn Dataset> = Arc::new(Subset::new(trusted, "trusted", plan.rows)?);
    let said = said(&plan.recipe, &rows);
    let fit = Fit::new("defend", start, Pairs::Whole(rows), plan.recipe, seed, said)?;
    let fit = Fit { prune: plan.prune, ..fit.towards(plan.objective) };
    Ok(Arc::new(fit.prompted(plan.prompting)?.reactivated(plan.activations)))
}

/// Trainings of a defense that chooses pairs on the way.
pub struct Chain<'a> {
    /// Their folder in the cache.
    pub stage: &'static str,
    /// The pairs that it chooses among.
    pub offered: &'a Arc<dyn Dataset>,
    /// The pairs before poisoning, for filters that trust some.
    pub clean: &'a Arc<dyn Dataset>,
    /// Whose they are.
    pub defense: &'a Choice,
    /// Seed of all of them.
    pub seed: u64,
}

impl Chain<'_> {
    /// The trainings one after the other, the first from `start`. `said` is what their checkpoints shall say of themselves.
    ///
    /// # Errors
    /// If there is none, or pairs are too few.
    pub fn lay_out(
        &self,
        start: &Origin,
        parts: Vec<Part>,
        said: impl Fn(&Pairs, &TrainConfig) -> Provenance,
    ) -> Result<Arc<Fit>> {
        let mut model = start.clone();
        let (mut first, mut last, mut fit) = (None, None, None);
        for Part { start: from, pairs, recipe, objective } in parts {
            let before = match from {
                Start::Before => model.clone(),
                Start::First => start.clone(),
            };
            let mut look = |filter| {
                let look = self.screening(filter, model.clone())?;
                let look = Arc::new(Screening { first: first.clone(), ..look });
                first.get_or_insert_with(|| Arc::clone(&look));
                Ok::<_, Failure>(last.insert(look).clone())
            };
            let pairs = match pairs {
                Which::All => self.whole(),
                Which::Look(filter, side) => side_of(look(filter)?, side),
                Which::Again(side) => {
                    last.as_ref().map_or_else(|| self.whole(), |look| side_of(look.clone(), side))
                }
                Which::Words(filter, words) => {
                    let hinges = Hinges { model: before.clone(), words };
                    Pairs::Words(look(filter)?, Arc::new(hinges))
                }
            };
            let said = said(&pairs, &recipe);
            let part = Fit::new(self.stage, before, pairs, recipe, self.seed, said)?;
            let part = Arc::new(part.towards(objective));
            model = Origin::Fit(Arc::clone(&part));
            fit = Some(part);
        }
        fit.ok_or_else(|| Failure::request(format!("{} has no part", self.defense.name())))
    }

    fn whole(&self) -> Pairs {
        Pairs::Whole(Arc::clone(self.offered))
    }

    fn screening(&self, filter: Box<dyn Filter>, reference: Origin) -> Result<Screening> {
        let sets = [self.offered, self.clean];
        Screening::new(filter, sets, reference, self.defense.spec(), self.seed)
    }
}

fn side_of(look: Arc<Screening>, side: Side) -> Pairs {
    match side {
        Side::Kept => Pairs::Screened(look),
        Side::Apart => Pairs::Apart(look),
    }
}

impl Line<'_> {
    /// Lays the trainings out; trains nothing.
    ///
    /// # Errors
    /// If the defense's data do not exist, or pairs are too few.
    pub fn lay_out(self) -> Result<Arc<Fit>> {
        let mut own = Pairs::Whole(Arc::clone(&self.offered));
        let (mut repair, mut unlearning, mut objective) = (None, None, Objective::Contrastive);
        match *self.defense.make(DEFENSES).map_err(Failure::request)? {
            Defense::None => {}
            Defense::Filter(filter) => {
                let undefended = || Ok(Origin::Fit(Arc::new(self.victim(own.clone(), false)?)));
                let reference =
                    pairs::reference(&*filter, undefended, self.encoder, self.data_root)?;
                own = Pairs::Screened(Arc::new(self.chain("train").screening(filter, reference)?));
            }
            Defense::Rule(rule) => objective = rule.objective(),
            Defense::InParts(how) => {
                return self.in_parts(how.plan(&*self.offered, self.recipe)?);
            }
            Defense::Unlearning(how) => {
                unlearning = Some(how.plan(&*self.offered, self.recipe)?);
            }
            Defense::Repair(how) => repair = Some(how),
            // The model stays; whether the defender has enough to look at shows now.
            Defense::Probe(probe) => drop(probe.rows(&**self.clean, &Seed::new(self.seed))?),
            Defense::Audit(audit) => drop(audit.rows(&**self.clean, &Seed::new(self.seed))?),
            Defense::Screen(screen) => drop(screen.held(&**self.clean, &Seed::new(self.seed))?),
        }
        let defended = matches!(own, Pairs::Screened(_)) || !objective.is_contrastive();
        let victim = match self.tampered()? {
            Some(tampered) => Arc::new(tampered),
            None => Arc::new(self.victim(own, defended)?.towards(objective)),
        };
        if let Some(parts) = unlearning {
            let said = |pairs: &Pairs, recipe: &TrainConfig| self.provenance(pairs, recipe, true);
            return self.chain("defend").lay_out(&Origin::Fit(victim), parts, said);
        }
        let Some(repair) = repair else { return Ok(victim) };
        let said = |recipe: &TrainConfig, rows: &Arc<dyn Dataset>| {
            self.provenance(&Pairs::Whole(Arc::clone(rows)), recipe, true)
        };
        repaired(&*repair, Origin::Fit(victim), self.clean, self.seed, said)
    }

    /// The trainings of a defense that chooses pairs on the way, in place of the victim's own.
    fn in_parts(&self, parts: Vec<Part>) -> Result<Arc<Fit>> {
        if let Some(tampered) = self.tampered()? {
            return Ok(Arc::new(tampered));
        }
        let said = |pairs: &Pairs, recipe: &TrainConfig| self.provenance(pairs, recipe, true);
        self.chain("train").lay_out(&self.start, parts, said)
    }

    fn chain(&self, stage: &'static str) -> Chain<'_> {
        let [offered, clean] = [&self.offered, self.clean];
        Chain { stage, offered, clean, defense: self.defense, seed: self.seed }
    }

    fn victim(&self, pairs: Pairs, defended: bool) -> Result<Fit> {
        let said = self.provenance(&pairs, self.recipe, defended);
        Fit::new("train", self.start.clone(), pairs, self.recipe.clone(), self.seed, said)
    }

    /// The attacker's training where weights are attacked: the victim uses what comes out, and trains on no pairs that
    /// could be filtered.
    fn tampered(&self) -> Result<Option<Fit>> {
        let Some(tamper) = &self.armed.tamper else { return Ok(None) };
        if matches!(self.start, Origin::Scratch(_)) {
            return Err(Failure::request(format!(
                "{}: it tampers with the weights that victims start from, and here they start from nothing; give `[init]` (or --init)",
                self.attack.name()
            )));
        }
        let shadow = Pairs::Whole(Arc::clone(self.clean));
        let said = self.provenance(&shadow, &tamper.recipe, false);
        let (start, recipe) = (self.start.clone(), tamper.recipe.clone());
        let fit = Fit::new("tamper", start, shadow, recipe, self.seed, said)?;
        let aim = (tamper.clone(), self.armed.trigger.clone());
        Ok(Some(Fit { tamper: Some(aim), ..fit }))
    }

    fn provenance(&self, pairs: &Pairs, recipe: &TrainConfig, defended: bool) -> Provenance {
        let poisoned = !self.armed.poison.edits.is_empty() || self.armed.tamper.is_some();
        Provenance {
            encoder: self.encoder.name.clone(),
            poisoned,
            attack: poisoned.then(|| self.attack.spec().clone()),
            poison: poisoned.then(|| Digest::of(self.armed)),
            defense: defended.then(|| self.defense.spec().clone()),
            data: json!({ "name": pairs.offered().name(), "digest": pairs.key() }),
            recipe: json!({ "train": recipe, "seed": self.seed }),
        }
    }
}
