//! What a benchmark's numbers mean, as one hash: only numbers of equal hashes stand in one table.
//!
//! It covers what decides the meaning of a value and is the same for every entry: definitions of the metrics, digests of the
//! data, class names, prompts, how pictures and captions are brought to an encoder. It does not cover what entries differ in
//! (attacks, defenses, seeds, recipes), nor words for people (title, analysis). Code that changes a number without changing
//! any of this raises [`super::PROTOCOL`], which is part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use toxiclip_shared::data::{Dataset, Splits};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::image::OPENAI;
use toxiclip_shared::metrics::{self, Metric};

use super::{Benchmark, PROTOCOL, Split};
use crate::data;
use crate::failure::Result;

/// The protocol of a benchmark: its parts by name, and their digest.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    parts: BTreeMap<String, Value>,
}

impl Protocol {
    /// That of a benchmark, whose data lie below `data_root` if they do not come with the program.
    ///
    /// # Errors
    /// If they are not there.
    pub fn of(benchmark: &Benchmark, data_root: Option<&Path>) -> Result<Self> {
        Self::with(benchmark, |name| data::named(name, data_root))
    }

    /// As [`Protocol::of`], with data sets from somewhere else.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn with(
        benchmark: &Benchmark,
        mut open: impl FnMut(&str) -> Result<Splits>,
    ) -> Result<Self> {
        let (mut sets, mut templates) = (BTreeMap::new(), BTreeMap::new());
        for name in &benchmark.datasets {
            let own = benchmark.eval.templates.clone();
            templates
                .insert(name.clone(), if own.is_empty() { data::templates(name)? } else { own });
            sets.insert(name.clone(), described(&open(name)?, benchmark.eval.split));
        }
        let wanted = &benchmark.eval.metrics;
        let wanted =
            metrics::all().filter(|m| wanted.is_empty() || wanted.contains(&m.name.into()));
        Ok(Self::made(benchmark, &sets, &templates, &wanted.map(definition).collect::<Vec<_>>()))
    }

    fn made(
        benchmark: &Benchmark,
        sets: &BTreeMap<String, Value>,
        templates: &BTreeMap<String, Vec<String>>,
        metrics: &[Value],
    ) -> Self {
        let encoders = benchmark.encoders.iter().map(|encoder| &encoder.config);
        let sizes: BTreeSet<usize> =
            encoders.clone().map(|config| config.vision_cfg.image_size).collect();
        let vocabularies: BTreeSet<_> = encoders
            .map(|config| &config.text_cfg)
            .map(|text| (text.vocab_size, text.context_length, text.hf_tokenizer_name.clone()))
            .collect();
        let preprocessing = json!({
            "sizes": sizes,
            "resize": "shorter edge, bicubic, antialiased",
            "crop": "centre",
            "normalize": OPENAI,
            "numbers": "f32",
        });
        let parts = [
            ("version", json!(PROTOCOL)),
            ("metrics", json!(metrics)),
            ("tasks", json!(benchmark.eval.tasks)),
            ("data", json!(sets)),
            ("templates", json!(templates)),
            ("preprocessing", preprocessing),
            ("tokenizer", json!(vocabularies)),
        ];
        Self { parts: parts.map(|(name, part)| (name.to_owned(), part)).into() }
    }

    /// The hash.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.parts)
    }

    /// The parts as the JSON that [`Protocol::read`] reads.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", json!(self.parts))
    }

    /// The parts that somebody has written down.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn read(json: &[u8]) -> std::result::Result<Self, String> {
        Ok(Self { parts: serde_json::from_slice(json).map_err(|e| e.to_string())? })
    }

    /// Names of the parts in which two protocols differ.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names: BTreeSet<&String> = self.parts.keys().chain(other.parts.keys()).collect();
        let differ = |name: &&String| self.parts.get(*name) != other.parts.get(*name);
        names.into_iter().filter(differ).map(String::as_str).collect()
    }
}

/// The first eight digits of a protocol's hash, as people and folders call it.
pub fn called(protocol: Digest) -> String {
    protocol.to_string()[..8].to_owned()
}

/// Digests and class names of what is trained and measured on.
fn described(splits: &Splits, split: Split) -> Value {
    let digest = |set: &std::sync::Arc<dyn Dataset>| set.digest();
    let measured = match split {
        Split::Test => Some(&splits.test),
        Split::Val => splits.val.as_ref(),
    };
    let classes: Vec<&str> = splits.test.classes().iter().map(|c| c.name.as_str()).collect();
    json!({
        "train": splits.train.as_ref().map(digest),
        "measured": measured.map(digest),
        "utility": splits.utility.as_ref().map(digest),
        "own-tokenizer": splits.train.as_ref().and_then(|t| t.tokenizer()).map(|t| Digest::of_bytes(t.as_bytes())),
        "classes": classes,
    })
}

/// What decides a metric's number; its summary is for people.
fn definition(metric: &Metric) -> Value {
    json!({
        "name": metric.name,
        "formula": metric.formula,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "task": metric.task,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::Form;

    const TEXT: &str =
        "title = 'a'\nanalysis = 'b'\n[matrix]\ndataset = 'emoji'\nencoder = 'tiny-resnet'\n";

    fn benchmark(text: &str) -> Benchmark {
        Benchmark::parse(Path::new("x.toml"), text, Form::Laptop, &[], &[]).unwrap()
    }

    fn hash(text: &str) -> Digest {
        Protocol::of(&benchmark(text), None).unwrap().digest()
    }

    #[test]
    fn words_for_people_and_what_entries_differ_in_do_not_change_it() {
        let plain = hash(TEXT);
        assert_eq!(plain, hash(&TEXT.replace("'a'", "'another title'")));
        assert_eq!(plain, hash(&TEXT.replace("'b'", "'another analysis'")));
        assert_eq!(plain, hash(&format!("{TEXT}seed = [0, 1]\ndefense = ['none', 'finetune']\n")));
        assert_eq!(plain, hash(&format!("{TEXT}[train]\nepochs = 3\n")));
    }

    #[test]
    fn whatever_decides_what_a_number_means_changes_it() {
        let plain = hash(TEXT);
        for (what, text) in [
            ("a template", format!("{TEXT}[eval]\ntemplates = ['a drawing of a {{}}']\n")),
            ("fewer metrics", format!("{TEXT}[eval]\nmetrics = ['ca']\n")),
            ("the split", format!("{TEXT}[eval]\nsplit = 'val'\n")),
            ("other data", TEXT.replace("'emoji'", "'emoji-3d'")),
            ("preprocessing", TEXT.replace("'tiny-resnet'", "'vit-b-32'")),
        ] {
            assert_ne!(plain, hash(&text), "{what}");
        }
    }

    #[test]
    fn a_changed_definition_changes_it_and_is_named() {
        let benchmark = benchmark(TEXT);
        let own = Protocol::of(&benchmark, None).unwrap();
        let mut changed: Vec<Metric> = metrics::all().copied().collect();
        changed[0].formula = "the mean of something else";
        let (sets, templates) = (own.parts["data"].clone(), own.parts["templates"].clone());
        let made = |metrics: &[Metric]| {
            let sets = serde_json::from_value(sets.clone()).unwrap();
            let templates = serde_json::from_value(templates.clone()).unwrap();
            let metrics: Vec<Value> = metrics.iter().map(definition).collect();
            Protocol::made(&benchmark, &sets, &templates, &metrics)
        };
        let same: Vec<Metric> = metrics::all().copied().collect();
        assert_eq!(made(&same), own, "made of the same parts it is the same");
        let other = made(&changed);
        assert_ne!(other.digest(), own.digest());
        assert_eq!(other.differences(&own), ["metrics"]);
        changed[0] = same[0];
        changed[0].summary = "in other words";
        assert_eq!(made(&changed).digest(), own.digest());
        let again = Protocol::read(own.to_json().as_bytes()).unwrap();
        assert_eq!(again.digest(), own.digest(), "survives being written down");
    }
}
