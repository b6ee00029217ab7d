//! Ways to forge a bundle, each a function, with a part of the reason why it must fail. Read [`FORGERIES`] first.

use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task};

use super::SPEC;
use super::bundle::{
    honest, members, packed, rename_run, sealed, with_evidence, with_member, with_rows,
};

type Forgery = (&'static str, fn() -> Vec<u8>, &'static str);

/// What is forged, how, and a part of the reason.
pub(crate) const FORGERIES: &[Forgery] = &[
    // Numbers.
    ("a value", a_value, "the row says 0.987"),
    ("a value and its evidence's mean", a_lucky_sample, "has another label"),
    ("an interval", an_interval, "is not what its evidence gives"),
    ("a count", a_count, "the row says"),
    ("a number that is none", a_text_for_a_number, "not a row"),
    ("a NaN", a_nan, "NaN is no number in JSON"),
    ("an infinity", an_infinity, "Infinity is no number in JSON"),
    // Rows and models.
    ("a row left out", a_row_less, "no value for seed 0"),
    ("a row twice", a_row_twice, "two values"),
    ("a seed left out", a_seed_less, "models are missing"),
    ("a model left out", a_model_less, "models are missing"),
    ("a failed cell", a_failed_cell, "no value for seed 0"),
    ("another rate", another_rate, "names another cell"),
    ("another defense", another_defense, "names another cell"),
    ("another encoder", another_encoder, "names another cell"),
    ("another run", rename_run, "is missing, or is another version's"),
    ("another model", another_model, "two models"),
    ("another poison", another_poison, "is poisoned otherwise than its attack"),
    ("other data", other_data, "models are missing"),
    ("another config", another_config, "models are missing"),
    ("another commit", another_commit, "2 commits in one column"),
    ("another benchmark's rows", another_benchmark, "is of benchmark quick"),
    ("a metric of nobody", another_metric, "no value for seed"),
    // Samples.
    ("a sample left out", a_sample_less, "zero-shot: 547 samples are judged, the data have 548"),
    ("a stamped sample left out", a_stamped_sample_less, "samples are judged"),
    ("a sample twice", a_sample_twice, "judged twice in the same evidence"),
    ("a swapped label", a_swapped_label, "has another label"),
    ("another picture", another_picture, "has another content"),
    ("a sample of nowhere", a_sample_of_nowhere, "have no sample noto/none"),
    ("evidence missing", no_evidence, "evidence"),
    ("evidence of another kind", forged_parquet, "damaged evidence"),
    ("evidence with other columns", other_columns, "damaged evidence"),
    // What is asked.
    ("an easier benchmark", an_easier_benchmark, "models are missing"),
    ("a benchmark nobody can ask", an_impossible_benchmark, "no class called `unicorns`"),
    ("no benchmark", no_benchmark, "has no benchmark.toml"),
    ("another protocol", another_protocol, "is of another protocol than its protocol.json"),
    ("an edited protocol", an_edited_protocol, "is of another protocol than its protocol.json"),
    ("a protocol left out", no_protocol, "has only one of `protocol` and protocol.json"),
    ("another encoder's definition", another_definition, "is not its benchmark's encoder"),
    // The archive.
    ("a member changed", a_member_changed, "is not what bundle.json says"),
    ("a member missing", a_member_less, "is missing"),
    ("a member more", a_member_more, "is not in bundle.json"),
    ("a name that leaves", a_name_that_leaves, "has a name that none may have"),
    ("an absolute name", an_absolute_name, "has a name that none may have"),
    ("a link", a_link, "is no plain file"),
    ("another format", another_format, "format 7"),
    ("an unknown key", an_unknown_key, "unknown field"),
    ("a flipped bit", a_flipped_bit, "evidence/"),
    ("a cut", a_cut, "is cut"),
    ("nothing", nothing, "is no bundle"),
    // What a person and a program read differently.
    ("a key twice", a_key_twice, "the key `value` comes twice"),
    ("a key twice in the contents", a_key_twice_above, "the key `format` comes twice"),
    ("nesting without end", endless_nesting, "lists and objects in each other"),
    ("writing that turns", writing_that_turns, "U+202E"),
    ("a name with a letter of another script", another_script, "is no plain name"),
    ("a character nobody sees", an_unseen_character, "U+200B"),
    ("a script for the page", a_script, "looks like HTML"),
    ("a card with markup", a_card_with_markup, "looks like HTML"),
    ("a link to run", a_link_to_run, "is no plain https:// address"),
];

fn a_value() -> Vec<u8> {
    with_rows(|r| r[0]["value"] = json!(0.987))
}

/// One more hit, in evidence and rows alike: the sample says that it is of the class that was found.
fn a_lucky_sample() -> Vec<u8> {
    with_evidence(|e| {
        let missed = e.iter_mut().find(|j| j.task == Task::ZeroShot && j.rank > 0).unwrap();
        missed.rank = 0;
        missed.label = missed.label.map(|label| label ^ 1);
    })
}

fn an_interval() -> Vec<u8> {
    with_rows(|r| r[0]["lo"] = json!(0.0))
}

fn a_count() -> Vec<u8> {
    with_rows(|r| r[0]["n"] = json!(100_000))
}

fn a_text_for_a_number() -> Vec<u8> {
    with_rows(|r| r[0]["value"] = json!("0.9"))
}

fn a_nan() -> Vec<u8> {
    with_row_text("\"error\":null", "\"error\":null,\"extra\":NaN")
}

fn an_infinity() -> Vec<u8> {
    with_row_text("\"error\":null", "\"error\":null,\"extra\":-Infinity")
}

fn a_row_less() -> Vec<u8> {
    with_rows(|r| drop(r.remove(0)))
}

fn a_row_twice() -> Vec<u8> {
    with_rows(|r| r.push(r[0].clone()))
}

fn a_seed_less() -> Vec<u8> {
    with_rows(|r| r.retain(|r| r["seed"] == 0))
}

fn a_model_less() -> Vec<u8> {
    with_rows(|r| r.retain(|r| r["defense"]["name"] == "none"))
}

fn a_failed_cell() -> Vec<u8> {
    with_rows(|r| {
        r[0]["value"] = Value::Null;
        r[0]["error"] = json!("x");
    })
}

fn another_rate() -> Vec<u8> {
    with_rows(|r| {
        r.iter_mut()
            .filter(|r| r["attack"]["name"] == "badnets")
            .for_each(|r| r["attack"]["rate"] = json!(0.0001));
    })
}

fn another_defense() -> Vec<u8> {
    with_rows(|r| {
        r.iter_mut()
            .filter(|r| r["defense"]["name"] == "finetune")
            .for_each(|r| r["defense"]["epochs"] = json!(9));
    })
}

fn another_encoder() -> Vec<u8> {
    with_rows(|r| r.iter_mut().for_each(|r| r["encoder"] = json!("rn50")))
}

fn another_model() -> Vec<u8> {
    with_rows(|r| r[0]["weights"] = json!(Digest::of(&"other")))
}

fn another_poison() -> Vec<u8> {
    with_rows(|r| r[0]["poison"] = json!(Digest::of(&"other")))
}

fn other_data() -> Vec<u8> {
    with_rows(|r| r.iter_mut().for_each(|r| r["data"] = json!(Digest::of(&"other"))))
}

fn another_config() -> Vec<u8> {
    with_rows(|r| r.iter_mut().for_each(|r| r["config"] = json!(Digest::of(&"other"))))
}

fn another_commit() -> Vec<u8> {
    with_rows(|r| r[0]["code"]["commit"] = json!("0".repeat(40)))
}

fn another_benchmark() -> Vec<u8> {
    with_rows(|r| r.iter_mut().for_each(|r| r["benchmark"] = json!("quick")))
}

fn another_metric() -> Vec<u8> {
    with_rows(|r| r[0]["metric"] = json!("accuracy"))
}

fn a_sample_less() -> Vec<u8> {
    with_evidence(|e| {
        let at = e.iter().position(|j| j.task == Task::ZeroShot).unwrap();
        e.remove(at);
    })
}

fn a_stamped_sample_less() -> Vec<u8> {
    with_evidence(|e| {
        let at = e.iter().position(|j| j.task == Task::Triggered && j.rank > 0).unwrap();
        e.remove(at);
    })
}

fn a_sample_twice() -> Vec<u8> {
    with_evidence(|e| {
        let (a, b) = (
            first(e, Task::ZeroShot).clone(),
            e.iter().rposition(|j| j.task == Task::ZeroShot).unwrap(),
        );
        e[b] = a;
    })
}

fn a_swapped_label() -> Vec<u8> {
    with_evidence(|e| {
        let judgement = first(e, Task::ZeroShot);
        judgement.label = judgement.label.map(|l| l + 1);
    })
}

fn another_picture() -> Vec<u8> {
    with_evidence(|e| first(e, Task::ZeroShot).content = Digest::of(&"other"))
}

fn a_sample_of_nowhere() -> Vec<u8> {
    with_evidence(|e| {
        let judgement = first(e, Task::ZeroShot);
        judgement.sample.0 = "noto/none".into();
        judgement.cluster = "noto/none".into();
    })
}

fn no_evidence() -> Vec<u8> {
    with_member(&named("evidence/"), None, true)
}

fn forged_parquet() -> Vec<u8> {
    with_member(&named("evidence/"), Some(b"PAR1"), true)
}

/// A footer that is whole and names a column otherwise.
fn other_columns() -> Vec<u8> {
    let mut all = members(honest());
    let bytes = all.get_mut(&named("evidence/")).unwrap();
    let places = (0..bytes.len() - 7).filter(|&at| &bytes[at..at + 7] == b"gallery");
    let places: Vec<usize> = places.collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + 7].copy_from_slice(b"rankers"));
    packed(&sealed(all), false)
}

fn an_easier_benchmark() -> Vec<u8> {
    let easier = SPEC.replace("steps = 2", "steps = 3");
    with_member("benchmark.toml", Some(easier.as_bytes()), true)
}

fn an_impossible_benchmark() -> Vec<u8> {
    with_member("benchmark.toml", Some(SPEC.replace("ewe", "unicorns").as_bytes()), true)
}

fn no_benchmark() -> Vec<u8> {
    with_member("benchmark.toml", None, true)
}

fn another_protocol() -> Vec<u8> {
    with_contents(|c| c["protocol"] = json!(Digest::of(&"other")))
}

fn an_edited_protocol() -> Vec<u8> {
    let mut protocol: Value = serde_json::from_slice(&members(honest())["protocol.json"]).unwrap();
    protocol["templates"]["emoji"] = json!(["an easy picture of a {}"]);
    with_member("protocol.json", Some(protocol.to_string().as_bytes()), true)
}

fn no_protocol() -> Vec<u8> {
    with_member("protocol.json", None, true)
}

fn another_definition() -> Vec<u8> {
    let name = named("encoders/");
    let mut config: Value = serde_json::from_slice(&members(honest())[&name]).unwrap();
    config["embed_dim"] = json!(8);
    with_member(&name, Some(config.to_string().as_bytes()), true)
}

fn a_member_changed() -> Vec<u8> {
    with_member(&named("armed/"), Some(b"{}"), false)
}

fn a_member_less() -> Vec<u8> {
    with_member(&named("armed/"), None, false)
}

fn a_member_more() -> Vec<u8> {
    with_member("extra.txt", Some(b"x"), false)
}

fn a_name_that_leaves() -> Vec<u8> {
    with_member("../up.txt", Some(b"x"), true)
}

fn an_absolute_name() -> Vec<u8> {
    with_member("/tmp/up.txt", Some(b"x"), true)
}

fn a_link() -> Vec<u8> {
    packed(&members(honest()), true)
}

fn another_format() -> Vec<u8> {
    with_contents(|c| c["format"] = json!(7))
}

fn an_unknown_key() -> Vec<u8> {
    with_contents(|c| c["verified"] = json!(true))
}

fn a_flipped_bit() -> Vec<u8> {
    let mut flipped = honest().to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    flipped
}

fn a_cut() -> Vec<u8> {
    honest()[..honest().len() / 2].to_vec()
}

fn nothing() -> Vec<u8> {
    Vec::new()
}

fn a_key_twice() -> Vec<u8> {
    with_row_text("\"error\":null", "\"error\":null,\"value\":0.99")
}

fn a_key_twice_above() -> Vec<u8> {
    let mut all = members(honest());
    let text = String::from_utf8(all["bundle.json"].clone()).unwrap();
    let twice = text.replacen('{', "{\"format\": 1,", 1);
    all.insert("bundle.json".to_owned(), twice.into_bytes());
    packed(&all, false)
}

fn endless_nesting() -> Vec<u8> {
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    with_member("cards.json", Some(deep.as_bytes()), true)
}

fn writing_that_turns() -> Vec<u8> {
    with_rows(|r| r.iter_mut().for_each(|r| r["encoder"] = json!("tiny-\u{202e}tenser")))
}

/// The `е` of `resnet` is a Cyrillic letter.
fn another_script() -> Vec<u8> {
    with_rows(|r| r.iter_mut().for_each(|r| r["encoder"] = json!("tiny-r\u{435}snet")))
}

fn an_unseen_character() -> Vec<u8> {
    with_rows(|r| r[0]["machine"] = json!("c\u{200b}pu"))
}

fn a_script() -> Vec<u8> {
    with_rows(|r| r[0]["machine"] = json!("<script>alert(1)</script>"))
}

fn a_card_with_markup() -> Vec<u8> {
    let cards = json!({"attack": [{"name": "badnets", "summary": "<img src=x onerror=alert(1)>"}]});
    with_member("cards.json", Some(cards.to_string().as_bytes()), true)
}

fn a_link_to_run() -> Vec<u8> {
    with_contents(|c| c["link"] = json!("javascript:alert(1)"))
}

fn first(judgements: &mut [Judgement], task: Task) -> &mut Judgement {
    judgements.iter_mut().find(|j| j.task == task).unwrap()
}

/// The first member whose name begins so.
fn named(start: &str) -> String {
    members(honest()).into_keys().find(|name| name.starts_with(start)).unwrap()
}

/// Changes the table of contents.
fn with_contents(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut all = members(honest());
    let mut contents: Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
    change(&mut contents);
    all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
    packed(&all, false)
}

/// Changes the text of the first row, as no writer of JSON would.
fn with_row_text(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(members(honest())["rows.jsonl"].clone()).unwrap();
    with_member("rows.jsonl", Some(text.replacen(from, to, 1).as_bytes()), true)
}
