//! Ways to forge a bundle, each with a part of the reason why it must fail.

use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{Judgement, Task};

use super::SPEC;
use super::bundle::{honest, members, packed, rename_run, with_evidence, with_member, with_rows};

/// The bytes of a bundle, and a part of the reason why it fails.
pub(crate) fn forgeries() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let armed = members(honest()).into_keys().find(|name| name.starts_with("armed/")).unwrap();
    let evidence =
        members(honest()).into_keys().find(|name| name.starts_with("evidence/")).unwrap();
    let contents = |change: &dyn Fn(&mut Value)| {
        let mut all = members(honest());
        let mut contents: Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
        change(&mut contents);
        all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
        packed(&all, false)
    };
    let easier = SPEC.replace("steps = 2", "steps = 3");
    let mut flipped = honest().to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    vec![
        ("a value", with_rows(|r| r[0]["value"] = json!(0.987)), "evidence"),
        ("an interval", with_rows(|r| r[0]["lo"] = json!(0.0)), "evidence"),
        ("a count", with_rows(|r| r[0]["n"] = json!(100_000)), "evidence"),
        ("a row left out", with_rows(|r| drop(r.remove(0))), "no value for seed 0"),
        ("a row twice", with_rows(|r| r.push(r[0].clone())), "two values"),
        ("a seed left out", with_rows(|r| r.retain(|r| r["seed"] == 0)), "models are missing"),
        (
            "a model left out",
            with_rows(|r| r.retain(|r| r["defense"]["name"] == "none")),
            "models are missing",
        ),
        (
            "a failed cell",
            with_rows(|r| {
                r[0]["value"] = Value::Null;
                r[0]["error"] = json!("x");
            }),
            "no value for seed 0",
        ),
        (
            "another rate",
            with_rows(|r| {
                r.iter_mut()
                    .filter(|r| r["attack"]["name"] == "badnets")
                    .for_each(|r| r["attack"]["rate"] = json!(0.0001));
            }),
            "names another cell",
        ),
        (
            "another defense",
            with_rows(|r| {
                r.iter_mut()
                    .filter(|r| r["defense"]["name"] == "finetune")
                    .for_each(|r| r["defense"]["epochs"] = json!(9));
            }),
            "names another cell",
        ),
        (
            "another encoder",
            with_rows(|r| r.iter_mut().for_each(|r| r["encoder"] = json!("rn50"))),
            "names another cell",
        ),
        ("another run", rename_run(), "is missing, or is another version's"),
        (
            "another model",
            with_rows(|r| r[0]["weights"] = json!(Digest::of(&"other"))),
            "two models",
        ),
        (
            "another poison",
            with_rows(|r| r[0]["poison"] = json!(Digest::of(&"other"))),
            "is poisoned otherwise than its attack",
        ),
        (
            "other data",
            with_rows(|r| r.iter_mut().for_each(|r| r["data"] = json!(Digest::of(&"other")))),
            "models are missing",
        ),
        (
            "another config",
            with_rows(|r| r.iter_mut().for_each(|r| r["config"] = json!(Digest::of(&"other")))),
            "models are missing",
        ),
        (
            "another commit",
            with_rows(|r| r[0]["code"]["commit"] = json!("0".repeat(40))),
            "2 commits in one column",
        ),
        (
            "another benchmark's rows",
            with_rows(|r| r.iter_mut().for_each(|r| r["benchmark"] = json!("quick"))),
            "is of benchmark quick",
        ),
        ("a number that is none", with_rows(|r| r[0]["value"] = json!("NaN")), "not a row"),
        (
            "a sample left out",
            with_evidence(|e| {
                let at = e.iter().position(|j| j.task == Task::ZeroShot).unwrap();
                e.remove(at);
            }),
            "zero-shot: 547 samples are judged, the data have 548",
        ),
        (
            "a stamped sample left out",
            with_evidence(|e| {
                let at = e.iter().position(|j| j.task == Task::Triggered && j.rank > 0).unwrap();
                e.remove(at);
            }),
            "samples are judged",
        ),
        (
            "a sample twice",
            with_evidence(|e| {
                let (a, b) = (
                    first(e, Task::ZeroShot).clone(),
                    e.iter().rposition(|j| j.task == Task::ZeroShot).unwrap(),
                );
                e[b] = a;
            }),
            "judged twice in the same evidence",
        ),
        (
            "a swapped label",
            with_evidence(|e| {
                let judgement = first(e, Task::ZeroShot);
                judgement.label = judgement.label.map(|l| l + 1);
            }),
            "has another label",
        ),
        (
            "another picture",
            with_evidence(|e| first(e, Task::ZeroShot).content = Digest::of(&"other")),
            "has another content",
        ),
        (
            "a sample of nowhere",
            with_evidence(|e| {
                let judgement = first(e, Task::ZeroShot);
                judgement.sample.0 = "noto/none".into();
                judgement.cluster = "noto/none".into();
            }),
            "have no sample noto/none",
        ),
        ("evidence missing", with_member(&evidence, None, true), "evidence"),
        (
            "evidence of another kind",
            with_member(&evidence, Some(b"PAR1"), true),
            "damaged evidence",
        ),
        (
            "an easier benchmark",
            with_member("benchmark.toml", Some(easier.as_bytes()), true),
            "models are missing",
        ),
        (
            "a benchmark that cannot be asked",
            with_member("benchmark.toml", Some(SPEC.replace("ewe", "unicorns").as_bytes()), true),
            "no class called `unicorns`",
        ),
        ("no benchmark", with_member("benchmark.toml", None, true), "has no benchmark.toml"),
        (
            "a member changed",
            with_member(&armed, Some(b"{}"), false),
            "is not what bundle.json says",
        ),
        ("a member missing", with_member(&armed, None, false), "is missing"),
        ("a member more", with_member("extra.txt", Some(b"x"), false), "is not in bundle.json"),
        (
            "a name that leaves",
            with_member("../up.txt", Some(b"x"), true),
            "has a name that none may have",
        ),
        (
            "an absolute name",
            with_member("/tmp/up.txt", Some(b"x"), true),
            "has a name that none may have",
        ),
        ("a link", packed(&members(honest()), true), "is no plain file"),
        ("another format", contents(&|c| c["format"] = json!(7)), "format 7"),
        ("an unknown key", contents(&|c| c["verified"] = json!(true)), "unknown field"),
        ("a flipped bit", flipped, "evidence/"),
        ("a cut", honest()[..honest().len() / 2].to_vec(), "is cut"),
        ("nothing", Vec::new(), "is no bundle"),
    ]
}

fn first(judgements: &mut [Judgement], task: Task) -> &mut Judgement {
    judgements.iter_mut().find(|j| j.task == task).unwrap()
}
