//! Every trigger on a picture of 224 pixels: what stamping costs beside reading the picture.

mod short;

use criterion::Criterion;
use serde_json::json;
use toxiclip_shared::attacks::ATTACKS;
use toxiclip_shared::data::{PairId, emoji};
use toxiclip_shared::image::Image;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::triggers::Trigger;

const EDGE: usize = 224;

/// The trigger of each attack that stamps pictures, at its default and known without a search.
fn triggers() -> Vec<(&'static str, Trigger)> {
    let splits = emoji::open("emoji").unwrap_or_else(|e| panic!("{e}"));
    let train = splits.train.unwrap_or_else(|| panic!("the drawings have no training split"));
    let mut all = Vec::new();
    for entry in ATTACKS.iter().filter(|e| e.params().any(|p| p.key == "target")) {
        let name = entry.card.name;
        let attack = (entry.parse)(json!({ "target": "banana" }));
        let attack = attack.unwrap_or_else(|e| panic!("{name}: {e}"));
        if attack.completion().is_some() {
            continue;
        }
        let armed = attack.prepare(&*train, &*splits.test, &Seed::new(0));
        let trigger = armed.unwrap_or_else(|e| panic!("{name}: {e}")).trigger;
        if trigger != Trigger::None {
            all.push((name, trigger));
        }
    }
    all
}

fn main() {
    let mut stream = Seed::new(0).stream();
    let pixel = |_| [0, 1, 2].map(|_| stream.below(256) as u8).into_iter().chain([255]);
    let bytes: Vec<u8> = (0..EDGE * EDGE).flat_map(pixel).collect();
    let picture = Image::new(EDGE, EDGE, bytes).unwrap_or_else(|e| panic!("{e}"));
    let id = PairId("bench/0".to_owned());
    let mut c: Criterion = short::criterion();
    for (name, trigger) in triggers() {
        c.bench_function(&format!("trigger {name}, {EDGE} px"), |b| {
            b.iter(|| trigger.apply(&picture, &id));
        });
    }
    c.final_summary();
}
