//! How long a large bundle takes to verify: 10,000 samples and a hundred rows.

use std::fs;

use serde_json::json;
use toxiclip::evidence;
use toxiclip::timer::Timer;
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::{self, Judgement, Task};
use toxiclip_shared::seed::Seed;

use super::bundle::{honest, members, packed, rows, sealed, set_rows, verify};

const SAMPLES: u32 = 10_000;
const SEEDS: u64 = 34;
const METRICS: [&str; 3] = ["ca", "ca@5", "mpcr"];

/// The test pictures of CIFAR-10 under a model that draws its answers.
fn answers(seed: u64) -> Vec<Judgement> {
    let root = Seed::new(seed).child("answers");
    let one = |i: u32| {
        let id = format!("test/{i:05}");
        Judgement {
            task: Task::ZeroShot,
            content: Digest::of(&i),
            text: None,
            label: Some(i % 10),
            goal: None,
            rank: root.child(i).stream().below(10) as u32,
            gallery: 10,
            top: (0..5).map(|k| format!("class {k}")).collect(),
            scores: (0..5_u8).map(|k| 0.3 - f32::from(k) / 50.0).collect(),
            cluster: id.clone(),
            sample: PairId(id),
            poisoned: None,
            score: None,
            dropped: None,
        }
    };
    (0..SAMPLES).map(one).collect()
}

/// Numbers that nobody measured, all of which follow from their evidence; the data are not at hand.
#[test]
fn a_hundred_rows_on_ten_thousand_samples_are_verified() {
    let mut all = members(honest());
    let template = rows(&all)[0].clone();
    all.retain(|name, _| {
        ["bundle.json", "cards.json"].contains(&&name[..]) || name.starts_with("encoders/")
    });
    let spec = format!(
        "title = 'large'\nanalysis = 'made up'\n[matrix]\ndataset = 'cifar-10'\nencoder = 'tiny-resnet'\nseed = {:?}\n[eval]\nmetrics = {METRICS:?}\n",
        (0..SEEDS).collect::<Vec<_>>()
    );
    all.insert("benchmark.toml".to_owned(), spec.into_bytes());
    let place = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for seed in 0..SEEDS {
        let (run, judgements) = (Digest::of(&("large", seed)), answers(seed));
        let path = place.path().join("evidence.parquet");
        evidence::write(&path, &judgements).unwrap();
        all.insert(format!("evidence/{run}.parquet"), fs::read(&path).unwrap());
        let values = metrics::values(&judgements).unwrap();
        for value in values.iter().filter(|value| METRICS.contains(&&value.metric[..])) {
            let mut row = template.clone();
            row["run"] = json!(run);
            row["seed"] = json!(seed);
            row["benchmark"] = json!("large");
            row["dataset"] = json!("cifar-10");
            for (key, json) in json!(value).as_object().unwrap() {
                row[key] = json.clone();
            }
            made.push(row);
        }
    }
    assert_eq!(made.len(), 102);
    set_rows(&mut all, &made);
    let mut contents: serde_json::Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
    contents["benchmark"] = json!("large");
    contents.as_object_mut().unwrap().remove("protocol");
    all.insert("bundle.json".to_owned(), contents.to_string().into_bytes());
    let bytes = packed(&sealed(all), false);
    let start = Timer::start();
    let done = verify(&bytes);
    let seconds = start.seconds();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("102 values and their intervals follow"), "{said}");
    assert!(said.contains("SKIPPED  questions, samples and poison"), "{said}");
    // For people: a machine with other work may take several times as long.
    println!(
        "{} MB, 102 rows, {SAMPLES} samples each: verified in {seconds:.1} s",
        bytes.len() >> 20
    );
}
