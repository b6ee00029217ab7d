//! The table of results as data: one line per attack and defense, shared by HTML, Markdown and the terminal.

use super::aggregate::{Estimate, Key, Results};
use super::extras::Role;
use super::numbers::{estimate, rank};

/// The utility axis and the attack axis of tables and plots.
pub const HIT: &str = "hit@10";
/// See [`HIT`]; of attacks with a trigger.
pub const ASR: &str = "asr";
/// See [`HIT`]; of attacks on single pictures.
pub const TARGETED: &str = "targeted";
/// See [`HIT`]; of attacks with a trigger behind a screen of inputs.
pub const PASSED: &str = "asr-passed";
/// See [`HIT`].
pub const UTILITY: &str = "ir@10";

/// Column heads after attack and defense, with the metric that defines each.
pub const COLUMNS: [(&str, &str); 13] = [
    ("hit@10", "hit@10"),
    ("clean model", "hit@10"),
    ("random captions", "hit@10.random"),
    ("min-rank, 0-based", "min-rank"),
    ("asr", "asr"),
    ("clean model's asr", "asr"),
    ("asr behind the screen", "asr-passed"),
    ("screen's auroc", "screen.auroc"),
    ("screen's fpr", "screen.fpr"),
    ("targeted", "targeted"),
    ("clean model's targeted", "targeted"),
    ("ir@10", "ir@10"),
    ("ca", "ca"),
];

/// A cell of the benchmark over all its seeds.
#[derive(Clone, Debug)]
pub struct Line {
    /// Data-set name.
    pub dataset: String,
    /// Encoder name.
    pub encoder: String,
    /// Attack label; `none` on the control.
    pub attack: String,
    /// The attack whose goals are scored: the attack itself, or what the control is scored against.
    pub scored: Option<String>,
    /// Defense label.
    pub defense: String,
    /// Colour and shape.
    pub role: Role,
    /// Attack success.
    pub hit: Option<Estimate>,
    /// Attack success of the undefended clean model on the same queries.
    pub clean_hit: Option<Estimate>,
    /// Success of random captions through this line's model.
    pub random_hit: Option<Estimate>,
    /// Mean 0-based rank of the best target.
    pub min_rank: Option<Estimate>,
    /// Success of a trigger on pictures of other classes.
    pub asr: Option<Estimate>,
    /// The same of the undefended clean model on the same stamped pictures.
    pub clean_asr: Option<Estimate>,
    /// Success of a trigger on pictures that a screen lets pass.
    pub passed: Option<Estimate>,
    /// How well a screen tells stamped pictures from clean ones.
    pub told: Option<Estimate>,
    /// Share of the clean pictures that a screen rejects.
    pub alarms: Option<Estimate>,
    /// Success on single pictures.
    pub targeted: Option<Estimate>,
    /// The same of the undefended clean model.
    pub clean_targeted: Option<Estimate>,
    /// Retrieval utility.
    pub utility: Option<Estimate>,
    /// Zero-shot accuracy.
    pub accuracy: Option<Estimate>,
    /// What failed in this cell, one line per seed.
    pub failures: Vec<String>,
}

impl Line {
    /// Names the line's own estimate of a metric.
    pub fn key(&self, metric: &str) -> Key {
        let Self { dataset, encoder, attack, defense, .. } = self.clone();
        Key { dataset, encoder, attack, against: None, defense, metric: metric.to_owned() }
    }

    /// The model in words: `clean`, `single-label`, `single-label + finetune`.
    pub fn model(&self) -> String {
        model_name(&self.attack, &self.defense)
    }

    /// The estimates in the order of [`COLUMNS`].
    pub fn estimates(&self) -> [Option<&Estimate>; 13] {
        [
            self.hit.as_ref(),
            self.clean_hit.as_ref(),
            self.random_hit.as_ref(),
            self.min_rank.as_ref(),
            self.asr.as_ref(),
            self.clean_asr.as_ref(),
            self.passed.as_ref(),
            self.told.as_ref(),
            self.alarms.as_ref(),
            self.targeted.as_ref(),
            self.clean_targeted.as_ref(),
            self.utility.as_ref(),
            self.accuracy.as_ref(),
        ]
    }

    /// How often the attack succeeds, and the name of the metric that says so.
    pub fn success(&self) -> Option<(&'static str, &Estimate)> {
        let (metric, own, _) = self.outcome()?;
        Some((metric, own))
    }

    /// The same of the undefended clean model.
    pub fn clean_success(&self) -> Option<&Estimate> {
        self.outcome()?.2
    }

    /// What the attack is about: metric, this line's value, the clean model's.
    fn outcome(&self) -> Option<(&'static str, &Estimate, Option<&Estimate>)> {
        let all = [
            (HIT, &self.hit, &self.clean_hit),
            (PASSED, &self.passed, &self.clean_asr),
            (ASR, &self.asr, &self.clean_asr),
            (TARGETED, &self.targeted, &self.clean_targeted),
        ];
        all.into_iter()
            .find_map(|(metric, own, clean)| Some((metric, own.as_ref()?, clean.as_ref())))
    }

    /// The cells as text, in the order of [`COLUMNS`]: value and interval, `failed`, or a dash where
    /// the metric does not apply.
    pub fn texts(&self) -> [String; 13] {
        let missing = if self.failures.is_empty() { "–" } else { "failed" };
        let mut column = 0;
        self.estimates().map(|e| {
            column += 1;
            match e {
                None => missing.to_owned(),
                Some(e) if column == 4 => rank(e),
                Some(e) => estimate(e),
            }
        })
    }
}

/// The columns that say something: those of pairing attacks unless only others were scored, and the other way round.
pub fn columns(lines: &[Line]) -> Vec<usize> {
    let scored = |metric: &str| {
        let of_metric = |i: &usize| COLUMNS[*i].1 == metric;
        let mut columns = (0..COLUMNS.len()).filter(of_metric);
        columns.any(|i| lines.iter().any(|l| l.estimates()[i].is_some()))
    };
    let [pairings, triggers, pictures] = [HIT, ASR, TARGETED].map(scored);
    let screens = scored("screen.fpr");
    let shown = |i: &usize| match COLUMNS[*i].1 {
        ASR => triggers,
        PASSED | "screen.auroc" => triggers && screens,
        "screen.fpr" => screens,
        TARGETED => pictures,
        UTILITY | "ca" => true,
        _ => pairings || !(triggers || pictures),
    };
    (0..COLUMNS.len()).filter(shown).collect()
}

/// A model in words, from the labels of its attack and defense.
pub(super) fn model_name(attack: &str, defense: &str) -> String {
    let attack = if attack == "none" { "clean" } else { attack };
    match defense {
        "none" => attack.to_owned(),
        defense => format!("{attack} + {defense}"),
    }
}

/// Colour and shape of a model.
pub(super) fn role(attack: &str, defense: &str) -> Role {
    match (attack, defense) {
        ("none", _) => Role::Clean,
        (_, "none") => Role::Poisoned,
        _ => Role::Defended,
    }
}

/// All lines: per data set and encoder the controls first, then each attack with its defenses.
pub fn lines(results: &Results) -> Vec<Line> {
    let mut cells: Vec<Key> = Vec::new();
    for key in &results.keys {
        let cell = Key { metric: String::new(), ..key.clone() };
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    // Utility rows of a control have no `against`; they join every line of that control.
    let scored = |c: &Key| c.against.is_some();
    let same_model =
        |a: &Key, b: &Key| Key { against: None, ..a.clone() } == Key { against: None, ..b.clone() };
    let redundant = |c: &Key| !scored(c) && cells.iter().any(|o| scored(o) && same_model(o, c));
    let groups: Vec<(String, String)> =
        first_appearances(&cells, |c| (c.dataset.clone(), c.encoder.clone()));
    let attacks: Vec<String> = first_appearances(&cells, |c| c.attack.clone());
    let mut out = Vec::new();
    for group in &groups {
        for control in [true, false] {
            for attack in attacks.iter().filter(|a| (*a == "none") == control) {
                let mine = cells.iter().filter(|c| {
                    (&c.dataset, &c.encoder, &c.attack) == (&group.0, &group.1, attack)
                        && !redundant(c)
                });
                let mut mine: Vec<Line> = mine.map(|c| line(results, c)).collect();
                mine.sort_by_key(|l| (l.scored.clone(), l.defense != "none"));
                out.extend(mine);
            }
        }
    }
    out
}

fn first_appearances<T: PartialEq>(cells: &[Key], of: impl Fn(&Key) -> T) -> Vec<T> {
    let mut out = Vec::new();
    for item in cells.iter().map(of) {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

fn line(results: &Results, cell: &Key) -> Line {
    let control = cell.attack == "none";
    let scored = if control { cell.against.clone() } else { Some(cell.attack.clone()) };
    let plain = Key { against: None, ..cell.clone() };
    let get = |key: &Key, metric: &str| {
        results.get(&Key { metric: metric.into(), ..key.clone() }).cloned()
    };
    let clean = Key {
        attack: "none".into(),
        against: scored.clone(),
        defense: "none".into(),
        ..cell.clone()
    };
    let failures = results.failures.iter().filter(|(key, _)| {
        Key { metric: String::new(), ..(*key).clone() } == *cell
            || Key { metric: String::new(), ..(*key).clone() } == plain
    });
    let mut failures: Vec<String> = failures.flat_map(|(_, all)| all.clone()).collect();
    failures.sort();
    failures.dedup();
    Line {
        dataset: cell.dataset.clone(),
        encoder: cell.encoder.clone(),
        attack: cell.attack.clone(),
        role: role(&cell.attack, &cell.defense),
        defense: cell.defense.clone(),
        hit: get(cell, HIT),
        clean_hit: scored.as_ref().and_then(|_| get(&clean, HIT)),
        random_hit: get(cell, &format!("{HIT}.random")),
        min_rank: get(cell, "min-rank"),
        asr: get(cell, ASR),
        clean_asr: scored.as_ref().and_then(|_| get(&clean, ASR)),
        passed: get(cell, PASSED),
        told: get(cell, "screen.auroc"),
        alarms: get(cell, "screen.fpr"),
        targeted: get(cell, TARGETED),
        clean_targeted: scored.as_ref().and_then(|_| get(&clean, TARGETED)),
        utility: get(&plain, UTILITY),
        accuracy: get(&plain, "ca"),
        scored,
        failures,
    }
}
