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
    assert!(defense("fine-tune", json!({})).err().unwrap().contains("did you mean `finetune`?"));
    assert!(matches!(defense("none", json!({})), Ok(Defense::None)));
}
