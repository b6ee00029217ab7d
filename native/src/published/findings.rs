//! README's table of findings: a line for every published benchmark that has a `[finding]`.

use anyhow::{Result, ensure};
use toxiclip_shared::metrics::{self, Unit};

use crate::benchmark::{Benchmark, Finding, Wanted};
use crate::report::aggregate::{Estimate, Key, Results};
use crate::report::numbers::{estimate, rank, seeds};

/// The block's name in README.
pub(super) const BLOCK: &str = "results:findings";

/// The lines of the table.
#[derive(Default)]
pub(super) struct Findings {
    lines: String,
    seeds: Vec<u64>,
}

impl Findings {
    /// Adds the line of a benchmark, if it has one.
    ///
    /// # Errors
    /// If a value that it wants is not in its results.
    pub(super) fn add(&mut self, benchmark: &Benchmark, results: &Results) -> Result<()> {
        let Some(finding) = &benchmark.finding else { return Ok(()) };
        let name = &benchmark.name;
        let short = name.rsplit('/').next().unwrap_or(name);
        let cells = [&finding.question, &finding.paper, &filled(finding, results, name)?];
        let [question, paper, ours] = cells.map(|text| text.trim().replace('|', "\\|"));
        self.lines += &format!(
            "| {question} | {paper} | {ours} | [{short}](benchmarks/{name}.toml), \
             [rows](benchmarks/results/toxiclip/{name}) |\n"
        );
        self.seeds.extend(&benchmark.seeds);
        Ok(())
    }

    /// The table with its footnote; `None` without a line.
    pub(super) fn block(mut self) -> Option<String> {
        self.seeds.sort_unstable();
        self.seeds.dedup();
        (!self.lines.is_empty()).then(|| {
            format!(
                "| question | the paper, on photographs | here, on drawings | repeats it |\n|---|---|---|---|\n{}\n\
                 Here: means over seeds {} with 95 % intervals over seeds and samples; `a … b` is the range over several \
                 models. The paper's numbers are quoted, other data and other encoders: compare directions, not values.\n",
                self.lines,
                seeds(&self.seeds),
            )
        })
    }
}

fn filled(finding: &Finding, results: &Results, name: &str) -> Result<String> {
    let mut parts = finding.ours.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (wanted, after) in finding.values.iter().zip(parts) {
        let found: Vec<&Estimate> =
            results.estimates.iter().filter(|(key, _)| fits(wanted, key)).map(|(_, e)| e).collect();
        ensure!(
            !found.is_empty(),
            "benchmarks/{name}.toml: finding: no published line has {wanted:?}; its report names the lines"
        );
        text += &value(&wanted.metric, &found);
        text += after;
    }
    Ok(text)
}

fn fits(wanted: &Wanted, key: &Key) -> bool {
    let named = |given: Option<&str>, found: &str| {
        let rest = given.map(|given| found.strip_prefix(given));
        rest.is_none_or(|rest| rest.is_some_and(|r| r.is_empty() || r.starts_with([':', ','])))
    };
    key.metric == wanted.metric
        && named(Some(&wanted.attack), &key.attack)
        && named(Some(wanted.defense.as_deref().unwrap_or("none")), &key.defense)
        && wanted.encoder.as_ref().is_none_or(|given| *given == key.encoder)
        && match (&wanted.against, &key.against) {
            (None, None) => true,
            (Some(given), Some(found)) => named(Some(given), found),
            _ => false,
        }
}

/// One estimate with its interval, or the range of several.
fn value(metric: &str, found: &[&Estimate]) -> String {
    let is_rank = metrics::find(metric).is_ok_and(|m| m.unit == Unit::Rank);
    if let [one] = found {
        return if is_rank { rank(one) } else { estimate(one) };
    }
    let all = found.iter().map(|e| e.value);
    let low = all.clone().fold(f64::INFINITY, f64::min);
    let high = all.fold(f64::NEG_INFINITY, f64::max);
    let digits = if is_rank { 1 } else { 2 };
    format!("{low:.digits$} … {high:.digits$} ({} models)", found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(attack: &str, against: Option<&str>, encoder: &str) -> Key {
        Key {
            dataset: "emoji".into(),
            encoder: encoder.into(),
            attack: attack.into(),
            against: against.map(str::to_owned),
            defense: "none".into(),
            metric: "hit@10".into(),
        }
    }

    #[test]
    fn a_name_alone_fits_its_parameters_and_no_other_name() {
        let wanted =
            Wanted { metric: "hit@10".into(), attack: "single".into(), ..Wanted::default() };
        assert!(fits(&wanted, &key("single", None, "a")));
        assert!(fits(&wanted, &key("single:rate=0.5", None, "a, epochs=1")));
        assert!(!fits(&wanted, &key("single-label", None, "a")));
        assert!(!fits(&wanted, &key("none", Some("single"), "a")));
        let plain = Wanted { encoder: Some("a".into()), ..wanted.clone() };
        assert!(fits(&plain, &key("single", None, "a")));
        assert!(!fits(&plain, &key("single", None, "a, epochs=1")));
        let control = Wanted { attack: "none".into(), against: Some("single".into()), ..wanted };
        assert!(fits(&control, &key("none", Some("single:rate=1"), "a")));
        assert!(!fits(&control, &key("none", None, "a")));
    }
}
