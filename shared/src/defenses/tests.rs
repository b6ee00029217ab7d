use serde_json::{Value, json};

use super::*;
use crate::data::synthetic::Synthetic;
use crate::digest::Digest;
use crate::registry::assert_complete;

fn defense(name: &str, parameters: Value) -> Result<Defense, String> {
    let entry = crate::registry::find("defense", DEFENSES, name).map_err(|e| e.to_string())?;
    (entry.parse)(parameters).map(|d| *d).map_err(|e| e.to_string())
}

fn plan(parameters: Value, seed: u64) -> Result<RepairPlan> {
    plan_of("finetune", parameters, seed)
}

fn plan_of(name: &str, parameters: Value, seed: u64) -> Result<RepairPlan> {
    let Ok(Defense::Repair(repair)) = defense(name, parameters) else { panic!("no repair") };
    repair.plan(&Synthetic::train(), &Seed::new(seed))
}

#[test]
fn nothing_is_forgotten() {
    assert_complete(DEFENSES, "src/defenses");
}

#[test]
fn a_plan_is_a_function_of_the_seed() {
    let of = |seed| plan(json!({"batch": 4, "share": 0.4}), seed).unwrap();
    assert_eq!(of(0), of(0));
    assert_ne!(Digest::of(&of(0)), Digest::of(&of(1)));
    // 18 of 45 rows, each once.
    assert_eq!(of(0).rows.len(), 18);
    assert!(of(0).rows.windows(2).all(|w| w[0] < w[1]));
}

#[test]
fn repairs_differ_in_their_objective_alone() {
    let of = |name: &str| {
        let given = json!({"batch": 4, "share": 0.4});
        let Ok(Defense::Repair(repair)) = defense(name, given) else { panic!("{name}") };
        repair.plan(&Synthetic::train(), &Seed::new(3)).unwrap()
    };
    let [plain, clean, par] = ["finetune", "cleanclip", "par"].map(of);
    assert_eq!((&plain.rows, &plain.recipe), (&clean.rows, &clean.recipe));
    assert_eq!(plain.rows, par.rows);
    assert_eq!(par.recipe.schedule, crate::recipe::Schedule::LineThenCosine);
    // The name of a plan from before there were objectives.
    let said = serde_json::to_value(&plain).unwrap();
    let keys: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["recipe", "rows"]);
    let said = serde_json::to_value(&par).unwrap();
    let expected = json!({"name": "repel", "limit": 2.15, "weight": 0.5});
    assert_eq!(said["objective"], expected);
    assert_eq!(serde_json::from_value::<RepairPlan>(said).unwrap(), par);
}

#[test]
fn fine_pruning_is_finetune_on_fewer_units() {
    let budget = json!({"batch": 4, "share": 0.4});
    let plain = plan(budget.clone(), 0).unwrap();
    let pruned = plan_of("fine-pruning", budget, 0).unwrap();
    assert_eq!(pruned.prune.as_ref().map(|p| p.share), Some(0.5));
    assert_eq!(RepairPlan { prune: None, ..pruned }, plain);
    // What was there before pruning is written, and named, as before.
    let written = serde_json::to_value(&plain).unwrap();
    assert_eq!(written.as_object().unwrap().keys().collect::<Vec<_>>(), ["recipe", "rows"]);
    let few = plan_of("fine-pruning", json!({}), 0).unwrap_err().to_string();
    assert!(few.starts_with("fine-pruning: share 0.5 of 45"), "{few}");
}

#[test]
fn a_probe_holds_a_share_of_every_class() {
    let clean: std::sync::Arc<dyn Dataset> = std::sync::Arc::new(Synthetic::train());
    let rows = |share: f64, seed| {
        let made = defense("linear-probe", json!({ "share": share }));
        let Ok(Defense::Probe(probe)) = made else { panic!("no probe") };
        probe.rows(&Synthetic::without_empty(), &Seed::new(seed)).map(|rows| (probe, rows))
    };
    let classes = |rows: &[usize]| -> Vec<_> {
        rows.iter().map(|&row| clean.examples()[row].class.unwrap()).collect()
    };
    let (probe, few) = rows(0.1, 0).unwrap();
    assert_eq!(classes(&few), (0..9).collect::<Vec<_>>(), "at least one of a class");
    let (_, most) = rows(0.6, 0).unwrap();
    assert_eq!(classes(&most), (0..27).map(|i| i / 3).collect::<Vec<_>>());
    assert_eq!((rows(0.6, 0).unwrap().1, rows(1.0, 0).unwrap().1.len()), (most.clone(), 45));
    assert_ne!(rows(0.6, 1).unwrap().1, most);
    let empty = probe.rows(&*clean, &Seed::new(0)).unwrap_err().to_string();
    assert!(empty.contains("has no picture of `empty`"), "{empty}");
}

#[test]
fn a_screen_holds_two_halves_that_share_nothing() {
    let Ok(Defense::Screen(screen)) =
        defense("strip", json!({"overlays": 4, "fpr": 0.3, "share": 0.2}))
    else {
        panic!("no screen")
    };
    let held = |seed| screen.held(&Synthetic::train(), &Seed::new(seed)).unwrap();
    let (a, b) = (held(0), held(1));
    // 9 of 45 rows.
    assert_eq!((a.references.len(), a.calibration.len()), (5, 4));
    assert!(a.references.iter().all(|row| !a.calibration.contains(row)));
    assert!(a.references.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(a, held(0));
    assert_ne!(a, b);
}

#[test]
fn holdings_are_lists_or_joined() {
    let of = |v: Value| {
        let Ok(Defense::Repair(r)) = defense("finetune", json!({ "data": v })) else {
            panic!("no repair")
        };
        r.data()
    };
    assert_eq!(of(json!("emoji-fluent+emoji-3d")), of(json!(["emoji-fluent", "emoji-3d"])));
    assert!(of(json!("")).is_empty());
    let resolved = (finetune::ENTRY.resolve)(json!({"data": ["a", "b"]})).unwrap();
    assert_eq!(resolved["data"], "a+b");
}

#[test]
fn impossible_requests_are_one_line() {
    let error = |v| defense("finetune", v).err().unwrap();
    assert!(error(json!({"share": 0.0})).contains("`share` is 0"));
    assert!(error(json!({"lr": 0.0})).contains("`lr` is 0"));
    assert!(error(json!({"epoch": 1})).contains("unknown field `epoch`, expected one of"));
    assert!(plan(json!({}), 0).unwrap_err().to_string().contains("less than one batch of 128"));
    let other = |name, v| defense(name, v).err().unwrap();
    assert!(other("cleanclip", json!({"within": -1.0})).contains("`within` is -1"));
    assert!(other("cleanclip", json!({"within": 0.0, "between": 0.0})).contains("nothing"));
    assert!(other("cleanclip", json!({"lr": 0.0})).contains("`lr` is 0"));
    assert!(other("par", json!({"limit": 5})).contains("lies in [0, 4]"));
    assert!(other("par", json!({"schedule": "line"})).contains("line-then-cosine"));
    assert!(other("roclip", json!({"every": 0})).contains("`every` is 0"));
    assert!(other("roclip", json!({"bank": 0})).contains("`bank` is 0"));
    for prune in [0.0, 1.0] {
        let error = defense("fine-pruning", json!({ "prune": prune })).err().unwrap();
        assert!(error.contains("above 0 and below 1"), "{error}");
    }
    let probe = |v| defense("linear-probe", v).err().unwrap();
    assert!(probe(json!({"share": 0.0})).contains("`share` is 0"));
    assert!(probe(json!({"penalty": 0.0})).contains("`penalty` is 0"));
    assert!(probe(json!({"steps": 0})).contains("`steps` is 0"));
    let filter = |v| defense("cosine-filter", v).err().unwrap();
    assert!(filter(json!({"threshold": 0.8, "drop": 0.1})).contains("exclude each other"));
    assert!(filter(json!({"threshold": 2.5})).contains("lies in [0, 2]"));
    assert!(filter(json!({"drop": 1.0})).contains("below 1"));
    assert!(filter(json!({"trusted": 4})).contains("5 pairs are the fewest"));
    assert!(filter(json!({"reference-data": ""})).contains("name a data set or a checkpoint"));
    assert!(filter(json!({"reference-lr": 0})).contains("the reference: `lr` is 0"));
    let Ok(Defense::Filter(f)) = defense("cosine-filter", json!({})) else { panic!("no filter") };
    let few = f.trusted(&Synthetic::train(), &Seed::new(0)).unwrap_err().to_string();
    assert!(few.contains("100 trusted pairs are more than the 45"), "{few}");
    let audit = |name, v| defense(name, v).err().unwrap();
    assert!(audit("decree", json!({"steps": 0})).contains("`steps` is 0"));
    assert!(audit("decree", json!({"threshold": 1.0})).contains("`threshold` is 1"));
    assert!(
        audit("decree", json!({"normalize": "none"})).contains("expected `clip` or `imagenet`")
    );
    assert!(audit("neural-cleanse", json!({"classes": 4})).contains("5 are the fewest"));
    assert!(audit("neural-cleanse", json!({"batch": 1})).contains("at least 2"));
    let Ok(Defense::Audit(a)) = defense("decree", json!({"share": 0.01})) else {
        panic!("no audit")
    };
    let few = a.rows(&Synthetic::train(), &Seed::new(0)).unwrap_err().to_string();
    assert!(few.contains("an audit compares at least 2"), "{few}");
    let screen = |v| defense("strip", v).err().unwrap();
    assert!(screen(json!({"overlays": 0})).contains("`overlays` is 0"));
    assert!(screen(json!({"alpha": 1.0})).contains("`alpha` is 1"));
    assert!(screen(json!({"fpr": 1.0})).contains("`fpr` is 1"));
    assert!(screen(json!({"share": 0.0})).contains("`share` is 0"));
    assert!(audit("dao-input", json!({"k": 1})).contains("`k` is 1"));
    assert!(audit("scale-up", json!({"threshold": "high"})).contains("expected f32"));
    let unknown = screen(json!({"overlay": 1}));
    assert!(unknown.contains("unknown field `overlay`, expected one of `alpha`, `overlays`"));
    let Ok(Defense::Screen(s)) = defense("strip", json!({})) else { panic!("no screen") };
    let few = s.held(&Synthetic::train(), &Seed::new(0)).unwrap_err().to_string();
    assert!(few.contains("are 5, at least 64 are needed to compare with; raise `share`"), "{few}");
    assert!(defense("fine-tune", json!({})).err().unwrap().contains("did you mean `finetune`?"));
    assert!(matches!(defense("none", json!({})), Ok(Defense::None)));
}

fn filter(name: &str, parameters: Value) -> Box<dyn Filter> {
    let Ok(Defense::Filter(filter)) = defense(name, parameters) else { panic!("no filter {name}") };
    filter
}

/// Pictures on a line, each with the distance of its captions.
fn looked(filter: &dyn Filter, places: &[f32], distances: &[f32], seed: u64) -> Result<Vec<f32>> {
    let sight = Sight {
        distances: &|| Ok(distances.to_vec()),
        pictures: &|| Ok(Vectors { dim: 1, values: places.to_vec() }),
        losses: &|| Ok(distances.to_vec()),
        words: &|| vec![None; places.len()],
        first: &|| Ok(Vec::new()),
    };
    filter.scores(&sight, &Seed::new(seed))
}

const DETECTORS: [&str; 6] = ["k-distance", "slof", "lid", "dao", "isolation-forest", "spectral"];

/// The published keys of its trainings hang on this form.
#[test]
fn the_cosine_filter_is_written_as_ever() {
    let resolved = (cosine_filter::ENTRY.resolve)(json!({"drop": 0.1})).unwrap();
    let expected = json!({
        "threshold": null, "drop": 0.1, "trusted": 100, "keep": 0.8,
        "reference-data": "emoji-fluent+emoji-3d+emoji-contrast",
        "reference-encoder": null, "reference-checkpoint": null, "reference-epochs": 250,
        "reference-batch": 128, "reference-lr": 0.002, "reference-seed": 100,
    });
    assert_eq!(resolved, expected);
    let own = filter("cosine-filter", json!({}));
    assert!(!own.draws() && looked(&*own, &[], &[0.5, 0.25], 0).unwrap() == [0.5, 0.25]);
}

#[test]
fn detectors_look_through_the_victim_or_an_encoder_of_their_own() {
    assert_eq!(filter("dao", json!({})).reference().unwrap(), Reference::Victim);
    let own = filter("dao", json!({"encoder": "reference", "reference-epochs": 3}));
    let Ok(Reference::Train { recipe, .. }) = own.reference() else { panic!("not trained") };
    assert_eq!(recipe.epochs, Some(3));
    assert!(matches!(filter("clip-score", json!({})).reference(), Ok(Reference::Train { .. })));
    let written = (dao::ENTRY.resolve)(json!({})).unwrap();
    assert!(written.get("reference-epochs").is_none(), "what is not used is not written");
    let error = |name, v| defense(name, v).err().unwrap();
    assert!(error("dao", json!({"reference-epochs": 3})).contains("needs encoder = \"reference\""));
    assert!(error("dao", json!({"encoder": "nobody"})).contains("`victim` or `reference`"));
    assert!(error("dao", json!({"kk": 3})).contains("unknown field `kk`, expected one of"));
    assert!(error("dao", json!({"k": 0})).contains("`k` is 0"));
    assert!(error("lid", json!({"batch": 100})).contains("64 neighbours need at least 132"));
    assert!(error("slof", json!({"drop": 1.0})).contains("`drop` is 1"));
    assert!(error("isolation-forest", json!({"sample": 1})).contains("`sample` is 1"));
    assert!(error("activation-clustering", json!({"share": 0.6})).contains("at most 0.5"));
}

#[test]
fn what_lies_apart_scores_high() {
    let mut places: Vec<f32> = (0..100).map(|i| (i % 10) as f32 + i as f32 * 1e-3).collect();
    places.push(60.0);
    for name in DETECTORS {
        let filter = filter(name, json!({}));
        let scores = looked(&*filter, &places, &[], 0).unwrap();
        let highest = scores.iter().copied().fold(f32::MIN, f32::max);
        // The local dimension around the far one is no larger than elsewhere.
        assert!(name == "lid" || scores[100] == highest, "{name}: {scores:?}");
        let cut = filter.cut(&scores, &[]).unwrap();
        assert!(scores.iter().any(|s| *s > cut) && scores.iter().any(|s| *s <= cut), "{name}");
    }
    let agree = filter("clip-score", json!({"drop": 0.34}));
    let scores = looked(&*agree, &[], &[0.5, 1.5, 1.0], 0).unwrap();
    assert_eq!((scores.clone(), agree.cut(&scores, &[]).unwrap()), (vec![-0.5, 0.5, 0.0], 0.0));
}

#[test]
fn scores_that_tell_nothing_name_their_filter() {
    for name in DETECTORS {
        let error = looked(&*filter(name, json!({})), &[1.0; 90], &[], 0).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: all 90 pairs have the same score")), "{error}");
    }
    let few = looked(&*filter("slof", json!({})), &[1.0; 9], &[], 0).unwrap_err().to_string();
    assert!(few.starts_with("slof: 16 neighbours are asked for and a sample has 8"), "{few}");
}

#[test]
fn draws_are_a_function_of_the_seed() {
    let places: Vec<f32> = (0..90).map(|i| (i * i % 37) as f32).collect();
    for (name, parameters) in
        [("isolation-forest", json!({"trees": 3})), ("k-distance", json!({"k": 3, "batch": 30}))]
    {
        let own = filter(name, parameters);
        let of = |seed| looked(&*own, &places, &[], seed).unwrap();
        assert!(own.draws() && of(0) == of(0) && of(0) != of(1), "{name}");
    }
}
