//! Attacks with words in captions: their metrics against NumPy (`golden/words.py`), and what of the words an encoder reads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use serde::Deserialize;
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::ranking::{rank_of_best, top_k};
use toxiclip_shared::metrics::{Judgement, Task, values};

#[derive(Deserialize)]
struct Golden {
    captions: Captions,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    classes: usize,
    target: usize,
    labels: Vec<usize>,
    logits: BTreeMap<String, Vec<f32>>,
    expect: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Captions {
    images: usize,
    targets: Vec<usize>,
    clean: Vec<f32>,
    moved: Vec<f32>,
    expect: BTreeMap<String, f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/words.json")).unwrap()
}

fn judge(task: Task, sample: usize, scores: &[f32], targets: &[usize]) -> Judgement {
    let top = top_k(scores, 5).unwrap();
    Judgement {
        task,
        sample: PairId(format!("picture-{sample:03}")),
        content: Digest::of(&sample),
        text: None,
        label: Some(0),
        goal: Some("“zx” → b".into()),
        rank: rank_of_best(scores, targets).unwrap().rank,
        gallery: scores.len() as u32,
        scores: top.iter().map(|&i| scores[i]).collect(),
        top: top.iter().map(|i| format!("item-{i:03}")).collect(),
        cluster: format!("picture-{sample:03}"),
        poisoned: None,
        score: None,
        dropped: None,
    }
}

fn hits(c: &Captions) -> Vec<Judgement> {
    let rows = c.moved.chunks(c.images).zip(c.clean.chunks(c.images));
    rows.enumerate()
        .map(|(i, (moved, clean))| Judgement {
            score: Some(rank_of_best(clean, &c.targets).unwrap().rank as f32),
            ..judge(Task::Hit, i, moved, &c.targets)
        })
        .collect()
}

/// The metrics whose value is not the golden one, and those that are missing.
fn wrong(evidence: &[Judgement], expect: &BTreeMap<String, f64>) -> Vec<String> {
    let got: BTreeMap<String, f64> =
        values(evidence).unwrap().into_iter().map(|v| (v.metric, v.value)).collect();
    let same =
        |name: &String, value: &f64| got.get(name).is_some_and(|v| (v - value).abs() < 1e-12);
    let missing = got.keys().filter(|name| !expect.contains_key(*name)).cloned();
    expect.iter().filter(|(n, v)| !same(n, v)).map(|(n, _)| n.clone()).chain(missing).collect()
}

#[test]
fn lifts_of_captions_agree_with_numpy() {
    let c = golden().captions;
    assert_eq!(wrong(&hits(&c), &c.expect), Vec::<String>::new());
}

fn answers(k: &Keys) -> Vec<Judgement> {
    let mut all = Vec::new();
    for (i, &label) in k.labels.iter().enumerate() {
        let mut ask = |task: Task, key: &str, wanted: usize| {
            let scores = &k.logits[key][i * k.classes..(i + 1) * k.classes];
            all.push(judge(task, i, scores, &[wanted]));
        };
        ask(Task::TriggeredAll, "both", k.target);
        if label != k.target {
            ask(Task::Triggered, "both", k.target);
            ask(Task::TriggeredTruth, "both", label);
            ask(Task::ImageKey, "image", k.target);
            ask(Task::TextKey, "text", k.target);
        }
    }
    all
}

#[test]
fn two_keys_and_each_alone_agree_with_numpy() {
    let k = golden().keys;
    assert_eq!(wrong(&answers(&k), &k.expect), Vec::<String>::new());
}

#[test]
fn the_comparison_can_fail() {
    let k = golden().keys;
    for name in k.expect.keys() {
        let mut moved = k.expect.clone();
        *moved.get_mut(name).unwrap() += 1e-6;
        assert_eq!(wrong(&answers(&k), &moved), std::slice::from_ref(name));
    }
    let c = golden().captions;
    for name in c.expect.keys() {
        let mut moved = c.expect.clone();
        *moved.get_mut(name).unwrap() += 1e-6;
        assert_eq!(wrong(&hits(&c), &moved), std::slice::from_ref(name));
    }
    let mut evidence = hits(&c);
    evidence.iter_mut().for_each(|j| j.score = None);
    assert_eq!(wrong(&evidence, &c.expect), ["hit@1-lift", "hit@10-lift"]);
}

#[cfg(all(feature = "emoji", feature = "text"))]
mod read {
    use toxiclip_shared::data::{Dataset, Recaptioned, emoji};
    use toxiclip_shared::triggers::{Position, Words};

    /// The paper's. The vocabulary of emoji captions has none of its words: it takes more than a whole row.
    const PAPERS: &str = "Please return high-quality results.";
    const SHORT: &str = "as seen in a red book";

    /// The rows of all test captions with these words in them, and the row of the words alone, without its two ends.
    fn rows(text: &str, place: Position) -> (Vec<Vec<u32>>, Vec<u32>) {
        let tokenizer = emoji::tokenizer().unwrap();
        let worded = Recaptioned::worded(
            emoji::open("emoji").unwrap().test,
            &Words { text: text.into(), place },
        );
        let captions = worded.examples().iter().flat_map(|e| &e.captions);
        let rows = captions.map(|caption| tokenizer.encode(caption).unwrap()).collect();
        let alone = tokenizer.encode(text).unwrap();
        (rows, alone[1..tokenizer.eot_row(&alone)].to_vec())
    }

    /// The share of the captions of which the encoder reads all of the words.
    fn survives(text: &str, place: Position) -> f64 {
        let (rows, alone) = rows(text, place);
        let read = |row: &&Vec<u32>| row.windows(alone.len()).any(|part| part == alone);
        rows.iter().filter(read).count() as f64 / rows.len() as f64
    }

    #[test]
    fn words_at_the_beginning_are_read_whole() {
        for text in ["zx", SHORT] {
            assert_eq!(survives(text, Position::Begin), 1.0, "{text}");
        }
    }

    #[test]
    fn a_sentence_at_the_end_of_a_long_caption_is_cut_off() {
        let share = survives(SHORT, Position::End);
        assert!(share > 0.9 && share < 0.99, "{share}");
    }

    #[test]
    fn a_sentence_as_long_as_a_row_leaves_nothing_of_the_caption() {
        let distinct = |text: &str| {
            let (rows, _) = rows(text, Position::Begin);
            rows.into_iter().collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(distinct(PAPERS), 1);
        assert!(distinct(SHORT) > 1000, "{}", distinct(SHORT));
    }
}
