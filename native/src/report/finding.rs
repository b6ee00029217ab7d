//! The finding in one sentence, in words and numbers, made from the results and nothing else.

use std::fmt::Write;

use super::aggregate::Estimate;
use super::extras::{Budget, ReportExtras, Role};
use super::lines::{HIT, Line, TARGETED, UTILITY};
use super::numbers::{percent, thousands};

/// States what the strongest undefended attack did, beside its baselines, and what its best defense left.
pub(super) fn sentence(lines: &[Line], extras: &ReportExtras) -> String {
    match strongest(lines) {
        Some((line, hit, clean)) => attack_sentence(lines, extras, line, hit, clean),
        None => without_attack(lines),
    }
}

/// The undefended attack with the largest rise over the clean model.
fn strongest(lines: &[Line]) -> Option<(&Line, &Estimate, &Estimate)> {
    let rise = |l: &(&Line, &Estimate, &Estimate)| l.1.value - l.2.value;
    lines
        .iter()
        .filter(|l| l.role == Role::Poisoned)
        .filter_map(|l| Some((l, l.success()?.1, l.clean_success()?)))
        .max_by(|a, b| rise(a).total_cmp(&rise(b)))
}

fn attack_sentence(
    lines: &[Line],
    extras: &ReportExtras,
    line: &Line,
    hit: &Estimate,
    clean: &Estimate,
) -> String {
    let mut out = String::new();
    let by_name = |b: &&Budget| line.attack.split(':').next() == Some(&b.attack);
    let exact = extras.budgets.iter().find(|b| b.attack == line.attack);
    let budget = exact.or_else(|| extras.budgets.iter().find(by_name));
    let cause = match budget {
        Some(b) if b.training_pairs > 0 => format!(
            "With {} of {} training pairs changed ({})",
            thousands(b.poisoned_pairs),
            thousands(b.training_pairs),
            percent(b.poisoned_pairs as f64 / b.training_pairs as f64)
        ),
        _ => format!("Under {}", line.attack),
    };
    let clear = hit.interval.lo > clean.interval.hi;
    let random = line
        .random_hit
        .as_ref()
        .map(|r| format!(" and {} for random captions", percent(r.value)))
        .unwrap_or_default();
    let succeeds = match line.success() {
        Some((HIT, _)) => {
            "captions of the attacked class fetch a target picture among the first ten"
        }
        Some((TARGETED, _)) => {
            "test pictures that the attacker chose are taken for the wanted class"
        }
        _ => "test pictures of other classes are taken for the target once stamped",
    };
    let success = format!(
        "{} of the {succeeds}, against {} with the clean model{random}",
        percent(hit.value),
        percent(clean.value)
    );
    // `write!` to a String cannot fail.
    let _ = match clear {
        true => write!(out, "{cause}, {success}"),
        false => write!(
            out,
            "No clear effect: {}, {success} (the intervals overlap)",
            lower_first(&cause)
        ),
    };
    out.push_str(&utility_clause(lines, line));
    out.push('.');
    out.push_str(&defense_clause(lines, line, hit));
    out
}

fn utility_clause(lines: &[Line], line: &Line) -> String {
    let clean = lines.iter().find(|l| {
        l.role == Role::Clean
            && l.defense == "none"
            && (&l.dataset, &l.encoder) == (&line.dataset, &line.encoder)
    });
    match (clean.and_then(|l| l.utility.as_ref()), line.utility.as_ref()) {
        (Some(before), Some(after)) => format!(
            ", while ordinary retrieval ({UTILITY}) stands at {} against {} for the clean model",
            percent(after.value),
            percent(before.value)
        ),
        _ => String::new(),
    }
}

/// The defense that leaves least of the attack.
fn defense_clause(lines: &[Line], line: &Line, hit: &Estimate) -> String {
    let best = lines
        .iter()
        .filter(|l| l.role == Role::Defended && l.attack == line.attack)
        .filter(|l| (&l.dataset, &l.encoder) == (&line.dataset, &line.encoder))
        .filter_map(|l| Some((l, l.success()?.1)))
        .min_by(|a, b| a.1.value.total_cmp(&b.1.value));
    match best {
        Some((l, left)) if left.value < hit.value => {
            format!(" After {} {} remain.", l.defense, percent(left.value))
        }
        Some((l, left)) => {
            format!(" {} does not help: {} remain.", upper_first(&l.defense), percent(left.value))
        }
        None => String::new(),
    }
}

fn without_attack(lines: &[Line]) -> String {
    let failed = lines.iter().filter(|l| !l.failures.is_empty()).count();
    let Some(line) = lines.iter().find(|l| l.utility.is_some() || l.accuracy.is_some()) else {
        return format!("No value could be measured; {failed} of {} models failed.", lines.len());
    };
    let mut parts = Vec::new();
    if let Some(ca) = &line.accuracy {
        parts.push(format!("zero-shot accuracy (ca) {}", percent(ca.value)));
    }
    if let Some(ir) = &line.utility {
        parts.push(format!("retrieval recall ({UTILITY}) {}", percent(ir.value)));
    }
    format!("No attack has been scored; the {} model has {}.", line.model(), parts.join(" and "))
}

fn lower_first(text: &str) -> String {
    change_first(text, |c| c.to_lowercase().collect())
}

fn upper_first(text: &str) -> String {
    change_first(text, |c| c.to_uppercase().collect())
}

fn change_first(text: &str, f: impl Fn(char) -> String) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| f(c) + chars.as_str()).unwrap_or_default()
}
