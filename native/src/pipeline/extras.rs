//! What a report shows and rows do not hold: cards, budgets, pictures, curves, costs, methods.
//!
//! A picture that cannot be made costs the report that picture, not the run its results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::defenses::DEFENSES;
use toxiclip_shared::metrics;
use toxiclip_shared::registry::{self, Entry};

use super::fit::Fit;
use super::pairs::Pairs;
use super::plan::Work;
use super::stages::Stages;
use super::{Kept, Plan, epochs, known, map, strips};
use crate::benchmark::{Cell, Choice};
use crate::failure::Result;
use crate::report::extras::{Card, Cost, Curve, Fact, ReportExtras, Role};

/// What is drawn over epochs.
const CURVES: [&str; 6] =
    ["hit@10", "min-rank", "pair-cosine.poisoned", "pair-cosine.clean", "ir@10", "ca"];
/// Points of a curve that are worth drawing.
const POINTS: usize = 200;

/// Collects everything that can be had; what fails is said on stderr and left out.
pub(super) fn collect(
    plan: &Plan<'_>,
    kept: &[Kept],
    command: &str,
    stages: &Stages,
) -> ReportExtras {
    let benchmark = plan.benchmark;
    let mut extras = ReportExtras {
        title: benchmark.title.clone(),
        analysis: benchmark.analysis.clone(),
        protocol: Some(benchmark.recipe()),
        command: command.to_owned(),
        facts: facts(plan),
        ..ReportExtras::default()
    };
    for choice in &benchmark.attacks {
        extras.cards.extend(card("attack", ATTACKS, choice));
    }
    for choice in &benchmark.defenses {
        extras.cards.extend(card("defense", DEFENSES, choice));
    }
    let missing = |what: &str, e: &dyn std::fmt::Display| {
        stages.lab.progress.warn(&format!("report: without {what}: {e}"));
    };
    if let Some(first) = plan.works.first() {
        if let Err(e) = pictures(plan, kept, &first.cell, &mut extras) {
            missing("some pictures", &e);
        }
        for attack in plan.rivals(&first.cell) {
            match map::of_attack(plan, kept, attack, stages) {
                Ok(map) => extras.maps.extend(map),
                Err(e) => missing("a map of classes", &e),
            }
        }
        match pretrained(plan, &first.cell, stages) {
            Ok(facts) => extras.facts.extend(facts),
            Err(e) => missing("the pretrained model's values", &e),
        }
    }
    if let Err(e) = trainings(plan, stages, &mut extras) {
        missing("some curves and costs", &e);
    }
    extras
}

fn card<T: ?Sized>(
    kind: &str,
    list: &'static [&'static Entry<T>],
    choice: &Choice,
) -> Option<Card> {
    let card = &registry::find(kind, list, choice.name()).ok()?.card;
    (card.name != "none").then(|| Card {
        kind: kind.to_owned(),
        name: card.name.to_owned(),
        title: card.title.to_owned(),
        year: card.year,
        paper: card.paper.to_owned(),
        summary: card.summary.to_owned(),
        threat_model: card.threat_model.to_owned(),
    })
}

fn facts(plan: &Plan<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(Fact { name: name.to_owned(), value });
    for encoder in &plan.benchmark.encoders {
        let json = serde_json::to_string(&encoder.config).unwrap_or_default();
        fact(&format!("encoder {}", encoder.name), json);
    }
    for set in &plan.sets {
        for data in [&set.train, &set.test] {
            let rows = data.examples().len();
            fact(&format!("{}, {rows} rows", data.name()), data.digest().to_string());
        }
        fact("zero-shot prompts", set.templates.join(" · "));
    }
    let recipe = serde_json::to_string(&plan.benchmark.train).unwrap_or_default();
    fact("training recipe", recipe);
    fact("starting model", serde_json::to_string(&plan.benchmark.init).unwrap_or_default());
    fact("random captions", "drawn from all test captions, the attacked class included".into());
    facts
}

/// Budgets, poisoned pairs and retrieval strips of the first seed.
fn pictures(plan: &Plan<'_>, kept: &[Kept], first: &Cell, extras: &mut ReportExtras) -> Result<()> {
    for attack in plan.known_rivals(first) {
        let changed = known::changed(plan, first, attack)?;
        extras.budgets.push(changed.budget);
        extras.poisoned.extend(changed.pairs);
        extras.retrievals.extend(strips::retrievals(plan, kept, attack)?);
    }
    Ok(())
}

/// Values of the model that all victims start from, before any fine-tuning.
fn pretrained(plan: &Plan<'_>, cell: &Cell, stages: &Stages) -> Result<Vec<Fact>> {
    let Some(model) = plan.clean_start(cell)? else { return Ok(Vec::new()) };
    let set = &plan.sets[cell.dataset];
    let embeddings = model.embeddings(stages, &*set.test, &set.templates)?;
    let mut evidence = super::answers::ordinary(plan, cell, &embeddings, || {
        model.embeddings(stages, &*set.utility, &set.templates)
    })?;
    let mut facts = values("pretrained model", &evidence)?;
    for attack in plan.rivals(cell) {
        let armed = &plan.drawn(cell, attack).armed;
        evidence = super::answers::fetched(plan, cell, armed, &model, &embeddings, stages)?;
        let label = plan.benchmark.attacks[attack].label(&plan.benchmark.attacks);
        facts.extend(values(&format!("pretrained model on {label}"), &evidence)?);
    }
    Ok(facts)
}

fn values(name: &str, evidence: &[metrics::Judgement]) -> Result<Vec<Fact>> {
    const SHOWN: [&str; 5] = ["ca", "ir@10", "tr@10", "hit@10", "min-rank"];
    let values = metrics::values(evidence)?;
    let shown = values.iter().filter(|v| SHOWN.contains(&v.metric.as_str()));
    let texts: Vec<String> = shown.map(|v| format!("{} {:.3}", v.metric, v.value)).collect();
    Ok(vec![Fact { name: name.to_owned(), value: texts.join(", ") }])
}

/// Curves of every training and the cost of every model, each once.
fn trainings(plan: &Plan<'_>, stages: &Stages, extras: &mut ReportExtras) -> Result<()> {
    let mut drawn = BTreeSet::new();
    let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for work in &plan.works {
        let lineage = work.model.lineage();
        if lineage.iter().any(|fit| !fit.cached(&stages.store)) {
            continue;
        }
        for fit in &lineage {
            if drawn.insert(fit.key()) {
                extras.curves.push(curve(plan, work, fit, stages)?);
            }
        }
        if let Some(last) = lineage.last().filter(|_| plan.benchmark.eval.epochs) {
            extras.curves.extend(over_epochs(plan, work, last, stages)?);
        }
        for (label, fits) in models(plan, work, &lineage) {
            if !costs.contains_key(&label) {
                // Nobody defends while the clean model comes about.
                let own = fits.iter().all(|fit| fit.stage != "pretrain");
                let held = if own { known::held(plan, &work.cell, &fits)? } else { 0 };
                costs.insert(label.clone(), cost(&label, &fits, held, stages)?);
                order.push(label);
            }
        }
    }
    extras.costs = order.iter().filter_map(|label| costs.remove(label)).collect();
    Ok(())
}

fn curve(plan: &Plan<'_>, work: &Work, fit: &Fit, stages: &Stages) -> Result<Curve> {
    let losses = fit.losses(stages)?;
    let every = losses.len().div_ceil(POINTS).max(1);
    Ok(Curve {
        stage: fit.stage.to_owned(),
        role: role(plan, work, fit),
        seed: fit.seed,
        quantity: "loss".to_owned(),
        points: losses.into_iter().step_by(every).collect(),
    })
}

fn role(plan: &Plan<'_>, work: &Work, fit: &Fit) -> Role {
    let attacked = !plan.attack(&work.cell).armed.is_control();
    match (fit.stage, &fit.data) {
        ("defend", _) | ("train", Pairs::Screened(_) | Pairs::Apart(_)) if attacked => {
            Role::Defended
        }
        ("tamper", _) | ("train", Pairs::Whole(_)) if attacked => Role::Poisoned,
        _ => Role::Clean,
    }
}

/// Attack and utility after every epoch of a cell's last training; a control is judged by the goals of every attack.
fn over_epochs(
    plan: &Plan<'_>,
    work: &Work,
    fit: &Arc<Fit>,
    stages: &Stages,
) -> Result<Vec<Curve>> {
    let cell = &work.cell;
    let own = !plan.attack(cell).armed.is_control();
    let attacks: Vec<usize> = if own { vec![cell.attack] } else { plan.rivals(cell).collect() };
    let steps = fit.data.open(stages)?.examples().len() / fit.recipe.batch;
    let mut curves: Vec<Curve> = Vec::new();
    for attack in attacks {
        let mut about = plan.benchmark.attacks[attack].label(&plan.benchmark.attacks);
        let victim = &plan.benchmark.victims[cell.victim];
        if !victim.plain() {
            about += &format!(", {}", victim.label());
        }
        let points = epochs::points(plan, work, fit, attack, stages)?;
        for quantity in CURVES {
            let at = |p: &epochs::Point| {
                Some(((p.epoch as usize * steps) as f64, *p.values.get(quantity)?))
            };
            curves.push(Curve {
                stage: fit.stage.to_owned(),
                role: role(plan, work, fit),
                seed: fit.seed,
                quantity: format!("{quantity}, {about}"),
                points: points.iter().filter_map(at).collect(),
            });
        }
    }
    curves.retain(|c| !c.points.is_empty());
    Ok(curves)
}

/// The models of a lineage by name: the shared pretraining apart, the rest under the cell's own name.
fn models<'a>(
    plan: &Plan<'_>,
    work: &Work,
    lineage: &[&'a Arc<Fit>],
) -> Vec<(String, Vec<&'a Arc<Fit>>)> {
    let benchmark = plan.benchmark;
    let attack = benchmark.attacks[work.cell.attack].label(&benchmark.attacks);
    let defense = benchmark.defenses[work.cell.defense].label(&benchmark.defenses);
    let (_, mut label) = strips::role_and_label(&attack, &defense);
    let victim = &benchmark.victims[work.cell.victim];
    if !victim.plain() {
        label += &format!(", {}", victim.label());
    }
    let (shared, own): (Vec<_>, Vec<_>) =
        lineage.iter().copied().partition(|fit| fit.stage == "pretrain");
    let named = [("pretraining".to_owned(), shared), (label, own)];
    named.into_iter().filter(|(_, fits)| !fits.is_empty()).collect()
}

fn cost(label: &str, fits: &[&Arc<Fit>], held: u64, stages: &Stages) -> Result<Cost> {
    let mut cost = Cost {
        label: label.to_owned(),
        pairs_seen: 0,
        seconds: 0.0,
        extra_clean_pairs: held,
        trainings: fits.len() as u64,
    };
    for fit in fits {
        let (_, record) = fit.run(stages)?;
        cost.pairs_seen += record.pairs as u64;
        cost.seconds += record.seconds;
    }
    Ok(cost)
}
