//! Expectations: what is published or known to come out, with its source. They make a benchmark a test.
//!
//! ```toml
//! [[expect]]                          # the attack works: well above random captions …
//! metric = "hit@10"
//! attack = "single-label"
//! minus = { metric = "hit@10.random" }
//! min = 0.4
//! source = "…"
//!
//! [[expect]]                          # … and the repair leaves at most half of what it adds to the clean model
//! metric = "hit@10"
//! attack = "single-label"
//! defense = "finetune"
//! minus = { attack = "none" }
//! over = { defense = "none" }
//! max = 0.5
//! source = "…"
//! ```
//! The quantity is the mean of `metric` over all cells that fit (seeds, and attacks of one name). `minus` subtracts
//! the same mean with some of its words replaced, and `over` divides by the same difference with some replaced.
//! `attack = "none"` on an attack metric means the control scored against the goals of the attack in question.

use serde::Deserialize;
use toxiclip_shared::metrics;

use super::{Benchmark, Choice, Victim};

/// One expectation: a quantity and its bounds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// A metric's name.
    pub metric: String,
    /// Name of the attack, or `name:key=value,…`; `none` is the control.
    pub attack: String,
    /// Name of the defense, or `name:key=value,…`; `none` by default.
    pub defense: Option<String>,
    /// A data set, where the matrix has several.
    pub dataset: Option<String>,
    /// An encoder, where the matrix has several.
    pub encoder: Option<String>,
    /// A victim (`key=value,…`), where the matrix has several; an empty text is the plain one.
    pub victim: Option<String>,
    /// Subtracted from the quantity.
    pub minus: Option<Instead>,
    /// Divides the quantity.
    pub over: Option<Instead>,
    /// Lower bound.
    pub min: Option<f64>,
    /// Upper bound.
    pub max: Option<f64>,
    /// A published or known value …
    pub value: Option<f64>,
    /// … and how far from it the quantity may lie.
    pub band: Option<f64>,
    /// Where the bound comes from.
    pub source: String,
}

/// Words of an expectation that are replaced in a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instead {
    /// Another metric.
    pub metric: Option<String>,
    /// Another attack; `none` is the control on the same goals.
    pub attack: Option<String>,
    /// Another defense.
    pub defense: Option<String>,
    /// Another victim.
    pub victim: Option<String>,
    /// Another encoder.
    pub encoder: Option<String>,
}

/// A value of one cell, as an expectation sees it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Data-set name.
    pub dataset: String,
    /// Encoder name.
    pub encoder: String,
    /// The victim.
    pub victim: Victim,
    /// The attack.
    pub attack: Choice,
    /// For a control scored on an attack's goals, that attack.
    pub against: Option<Choice>,
    /// The defense.
    pub defense: Choice,
    /// Metric name.
    pub metric: String,
    /// The value; `None` where the cell failed.
    pub value: Option<f64>,
}

/// How an expectation turned out.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The expectation in words: `hit@10 of single-label minus hit@10.random ≥ 0.4`.
    pub text: String,
    /// The quantity; `None` where a cell failed or did not run.
    pub quantity: Option<f64>,
    /// Whether it lies within its bounds.
    pub met: bool,
    /// Where the bound comes from.
    pub source: String,
}

impl Expect {
    /// Refuses what could never be judged in this benchmark.
    pub(super) fn check(&self, benchmark: &Benchmark) -> Result<(), String> {
        let [minus, over] = [&self.minus, &self.over].map(Option::as_ref);
        if self.metric.is_empty() || self.attack.is_empty() || self.source.trim().is_empty() {
            return Err("give `metric`, `attack`, a bound and its `source`".into());
        }
        for name in [Some(&self.metric), metric(minus), metric(over)].into_iter().flatten() {
            metrics::find(name).map_err(|e| e.to_string())?;
        }
        if self.value.is_some() != self.band.is_some() {
            return Err("`value` and `band` belong together".into());
        }
        let bounds = [self.min, self.max, self.value, self.band];
        if bounds.iter().all(Option::is_none) || bounds.iter().flatten().any(|b| !b.is_finite()) {
            return Err("give `min`, `max`, or `value` with `band`, as finite numbers".into());
        }
        let attacks = [
            Some(&self.attack),
            minus.and_then(|i| i.attack.as_ref()),
            over.and_then(|i| i.attack.as_ref()),
        ];
        let defenses = [
            self.defense.as_ref(),
            minus.and_then(|i| i.defense.as_ref()),
            over.and_then(|i| i.defense.as_ref()),
        ];
        for (kind, wanted, list) in
            [("attack", attacks, &benchmark.attacks), ("defense", defenses, &benchmark.defenses)]
        {
            for text in wanted.into_iter().flatten() {
                if !any_fits(list, text)? {
                    return Err(format!("{kind} `{text}` is not in the matrix"));
                }
            }
        }
        let victims = [
            self.victim.as_ref(),
            minus.and_then(|i| i.victim.as_ref()),
            over.and_then(|i| i.victim.as_ref()),
        ];
        for text in victims.into_iter().flatten() {
            let fits = |v: &Victim| v.matches(text);
            if !benchmark
                .victims
                .iter()
                .try_fold(false, |found, v| Ok::<_, String>(found || fits(v)?))?
            {
                return Err(format!("victim `{text}` is not in the matrix"));
            }
        }
        let names: Vec<&String> = benchmark.encoders.iter().map(|e| &e.name).collect();
        let known = |wanted: &Option<String>, all: &[&String]| {
            wanted.as_ref().is_none_or(|w| all.contains(&w))
        };
        let others = [minus, over].map(|i| i.and_then(|i| i.encoder.clone()));
        if !known(&self.encoder, &names)
            || !others.iter().all(|e| known(e, &names))
            || !known(&self.dataset, &benchmark.datasets.iter().collect::<Vec<_>>())
        {
            return Err("its `encoder` or `dataset` is not in the matrix".into());
        }
        Ok(())
    }

    /// Judges the expectation by what was measured.
    pub fn judge(&self, measured: &[Measured]) -> Verdict {
        let quantity = self.quantity(measured);
        let inside = |q: f64| {
            self.min.is_none_or(|min| q >= min)
                && self.max.is_none_or(|max| q <= max)
                && self.value.zip(self.band).is_none_or(|(v, band)| (q - v).abs() <= band)
        };
        let met = quantity.is_some_and(inside);
        Verdict { text: self.in_words(), quantity, met, source: self.source.clone() }
    }

    fn quantity(&self, measured: &[Measured]) -> Option<f64> {
        let difference = |outer: Option<&Instead>| {
            let base = self.mean(measured, outer, None)?;
            match &self.minus {
                None => Some(base),
                minus => Some(base - self.mean(measured, outer, minus.as_ref())?),
            }
        };
        let own = difference(None)?;
        match &self.over {
            None => Some(own),
            over => Some(own / difference(over.as_ref())?).filter(|q| q.is_finite()),
        }
    }

    /// The mean over all fitting cells, `None` if there is none or one of them failed.
    fn mean(
        &self,
        measured: &[Measured],
        outer: Option<&Instead>,
        inner: Option<&Instead>,
    ) -> Option<f64> {
        let defense = self.defense.as_deref().unwrap_or("none");
        let pick = |of: fn(&Instead) -> Option<&String>, own| {
            inner.and_then(of).or(outer.and_then(of)).map_or(own, String::as_str)
        };
        let metric = pick(|i| i.metric.as_ref(), &self.metric);
        let attack = pick(|i| i.attack.as_ref(), &self.attack);
        let defense = pick(|i| i.defense.as_ref(), defense);
        let or_own = |of: fn(&Instead) -> Option<&String>, own: &'_ Option<String>| {
            inner.and_then(of).or(outer.and_then(of)).cloned().or_else(|| own.clone())
        };
        let victim = or_own(|i| i.victim.as_ref(), &self.victim);
        let encoder = or_own(|i| i.encoder.as_ref(), &self.encoder);
        let same =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let fits = |m: &&Measured| {
            let scored =
                m.against.as_ref().is_none_or(|a| self.attack == "none" || fit(a, &self.attack));
            m.metric == metric
                && same(&self.dataset, &m.dataset)
                && same(&encoder, &m.encoder)
                && victim.as_ref().is_none_or(|v| m.victim.matches(v).unwrap_or(false))
                && fit(&m.attack, attack)
                && fit(&m.defense, defense)
                && scored
        };
        let values: Option<Vec<f64>> = measured.iter().filter(fits).map(|m| m.value).collect();
        let values = values.filter(|v| !v.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    /// One line in words.
    fn in_words(&self) -> String {
        let cell = |attack: &str, defense: &str, more: [Option<&String>; 2]| {
            let mut text = match (attack, defense) {
                ("none", "none") => "the control".to_owned(),
                (attack, "none") => attack.to_owned(),
                (attack, defense) => format!("{attack} + {defense}"),
            };
            for word in more.into_iter().flatten() {
                text +=
                    if word.is_empty() { " (plain victim)".into() } else { format!(" ({word})") }
                        .as_str();
            }
            text
        };
        let defense = self.defense.as_deref().unwrap_or("none");
        let own = [self.victim.as_ref(), self.encoder.as_ref()];
        let mut text = format!("{} of {}", self.metric, cell(&self.attack, defense, own));
        let compared = |i: &Instead| {
            let metric = i.metric.as_deref().unwrap_or(&self.metric);
            let attack = i.attack.as_deref().unwrap_or(&self.attack);
            let other = [i.victim.as_ref().or(own[0]), i.encoder.as_ref().or(own[1])];
            format!("{metric} of {}", cell(attack, i.defense.as_deref().unwrap_or(defense), other))
        };
        if let Some(minus) = &self.minus {
            text += &format!(" minus {}", compared(minus));
        }
        if let Some(over) = &self.over {
            text += &format!(", as a share of {}", compared(over));
        }
        for (sign, bound) in [("≥", self.min), ("≤", self.max)] {
            if let Some(bound) = bound {
                text += &format!(" {sign} {bound}");
            }
        }
        if let (Some(value), Some(band)) = (self.value, self.band) {
            text += &format!(" = {value} ± {band}");
        }
        text
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.met { "met   " } else { "MISSED" };
        let quantity = self.quantity.map_or("not measured".to_owned(), |q| format!("{q:.3}"));
        write!(f, "{mark}  {}: {quantity} ({})", self.text, self.source)
    }
}

fn metric(instead: Option<&Instead>) -> Option<&String> {
    instead.and_then(|i| i.metric.as_ref())
}

fn any_fits(list: &[Choice], text: &str) -> Result<bool, String> {
    list.iter().try_fold(false, |found, choice| Ok(found || choice.matches(text)?))
}

/// Malformed texts were refused when the benchmark was read.
fn fit(choice: &Choice, text: &str) -> bool {
    choice.matches(text).unwrap_or(false)
}
