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
    let Ok(Defense::Repair(repair)) = defense("finetune", parameters) else { panic!("no repair") };
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
