//! The lane of hidden triggers: organisers commit to a trigger's seed, defenders submit, the seed is revealed, and submitted
//! checkpoints are scored under the attack that it draws.
//!
//! commitment = sha256 of the canonical JSON `["toxiclip trigger seed", seed, salt]`. The salt keeps anybody from trying
//! seeds; who commits cannot change the seed afterwards, who defends cannot know it before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;
use serde_json::json;
use toxiclip_shared::attacks::{ATTACKS, Armed};
use toxiclip_shared::data::{Dataset, Splits};
use toxiclip_shared::defenses::Defense;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics;
use toxiclip_shared::seed::Seed;

use super::checkpoints;
use super::replay::open;
use super::verify::{Report, Run, checked};
use crate::argument::Spec;
use crate::benchmark::Choice;
use crate::evaluate::task::{Asked, attacked};
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::pipeline::Plan;
use crate::prepared::Prepared;

/// Characters of a salt at least: 128 bits in hexadecimal digits.
const SALT: usize = 32;

/// The commitment to a seed.
///
/// # Errors
/// If the salt is too short to hide it.
pub fn commitment(seed: u64, salt: &str) -> Result<Digest> {
    let salt = salt.trim();
    if salt.len() < SALT {
        return Err(Failure::request(format!(
            "the salt has {} characters, {SALT} are the least; remove the file, and a good one is made",
            salt.len()
        )));
    }
    Ok(Digest::of(&json!(["toxiclip trigger seed", seed, salt])))
}

/// A submitted model under the revealed attack.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// The attack that it was trained under.
    pub attack: String,
    /// Its defense.
    pub defense: String,
    /// The seed of its training.
    pub seed: u64,
    /// Its weights.
    pub weights: Digest,
    /// The metric.
    pub metric: String,
    /// The value.
    pub value: f64,
    /// Lower end of the 95 % interval over samples.
    pub lo: f64,
    /// Upper end of it.
    pub hi: f64,
    /// Judgements behind it.
    pub n: u64,
}

/// How to score again.
pub struct Rescore<'a> {
    /// The attack whose dice the seed are.
    pub attack: &'a Spec,
    /// The revealed seed.
    pub seed: u64,
    /// A folder with checkpoints; those in the bundle need none.
    pub checkpoints: Option<PathBuf>,
    /// Bars and Ctrl-C.
    pub lab: Lab,
}

/// Verifies a bundle, and scores its attacked models under another attack.
///
/// # Errors
/// If the bundle does not verify, the attack needs a search, or no checkpoint is at hand.
pub fn rescore(
    bytes: &[u8],
    data_root: Option<&Path>,
    how: &Rescore<'_>,
) -> Result<(Vec<Score>, Report)> {
    let scores = Mutex::new(Vec::new());
    let score = |plan: &Plan<'_>, runs: &[Run<'_>], place: (Digest, &Path), report: &mut Report| {
        let all = scored(how, plan, runs, place.1, report)?;
        scores.lock().map_err(|e| Failure::failed(e.to_string()))?.extend(all);
        Ok(())
    };
    let report = checked(bytes, data_root, Some(&score))?;
    let scores = scores.into_inner().map_err(|e| Failure::failed(e.to_string()))?;
    Ok((scores, report))
}

fn scored(
    how: &Rescore<'_>,
    plan: &Plan<'_>,
    runs: &[Run<'_>],
    unpacked: &Path,
    report: &mut Report,
) -> Result<Vec<Score>> {
    let choice = Choice::new("attack", ATTACKS, &how.attack.name, how.attack.parameters.clone());
    let choice = choice.map_err(Failure::request)?;
    let attack = choice.make(ATTACKS).map_err(Failure::request)?;
    if attack.completion().is_some() {
        let why = "its trigger is searched for; score with `toxiclip eval --armed` what was found";
        return Err(Failure::request(format!("--attack {}: {why}", how.attack.name)));
    }
    let mut known = match &how.checkpoints {
        Some(dir) => checkpoints::below(dir)?,
        None => BTreeMap::new(),
    };
    known.extend(checkpoints::below(unpacked)?);
    let prepared = Prepared::default();
    let (mut scores, mut absent) = (Vec::new(), 0);
    for run in runs {
        let benchmark = plan.benchmark;
        let probe = matches!(plan.defenses[run.cell.defense], Defense::Probe(_));
        if plan.attack(&run.cell).armed.is_control() || probe {
            continue;
        }
        let Some(dir) = known.get(&run.weights) else {
            absent += 1;
            continue;
        };
        let model = open(dir, run.weights)?.on(&how.lab.executor);
        let set = &plan.sets[run.cell.dataset];
        let armed: Armed = attack.prepare(&*set.train, &*set.test, &Seed::new(how.seed))?;
        let splits = Splits {
            train: None,
            val: None,
            test: std::sync::Arc::clone(&set.test),
            utility: None,
        };
        let asked = Asked {
            model: &model,
            splits: &splits,
            templates: &set.templates,
            prepared: &prepared,
            lab: &how.lab,
        };
        let test: &dyn Dataset = &*set.test;
        let plain = asked.embed(test, &set.templates)?;
        let judgements = attacked(&asked, &armed, &plain, how.seed)?;
        for value in metrics::values(&judgements)? {
            scores.push(Score {
                attack: benchmark.attacks[run.cell.attack].label(&benchmark.attacks),
                defense: benchmark.defenses[run.cell.defense].label(&benchmark.defenses),
                seed: run.cell.seed,
                weights: run.weights,
                metric: value.metric,
                value: value.value,
                lo: value.lo,
                hi: value.hi,
                n: value.n,
            });
        }
    }
    if scores.is_empty() {
        return Err(Failure::failed(format!(
            "none of {absent} attacked models is at hand; give the folder of their checkpoints with --checkpoints"
        )));
    }
    if absent > 0 {
        report
            .skipped
            .push(format!("{absent} models were not scored: their checkpoints are not here"));
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_binds_seed_and_salt() {
        let salt = "0123456789abcdef0123456789abcdef";
        let own = commitment(7, salt).unwrap();
        assert_eq!(commitment(7, &format!("{salt}\n")).unwrap(), own, "the line's end is no salt");
        assert_ne!(commitment(8, salt).unwrap(), own);
        assert_ne!(commitment(7, &salt.replace('0', "1")).unwrap(), own);
        assert!(commitment(7, "short").unwrap_err().to_string().contains("32 are the least"));
    }
}
