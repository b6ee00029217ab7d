use std::path::Path;

use serde_json::json;

use super::*;

const GOOD: &str = r#"title = "T"
analysis = "A"
[matrix]
dataset = "emoji"
encoder = ["tiny-resnet"]
attack = ["none", { name = "single-label", from = "ewe", to = "airplane" }, "single-label:from=dog,to=kite,rate=0.5"]
defense = ["none", "finetune:epochs=5"]
seed = [0, 1]
[init]
epochs = 40
[train]
epochs = 10
lr = 1e-3
[tiny.train]
steps = 4
[tiny.matrix]
seed = 7
[[expect]]
metric = "hit@10"
attack = "single-label"
minus = { metric = "hit@10.random" }
min = 0.4
source = "known"
[[expect]]
metric = "hit@10"
attack = "single-label"
defense = "finetune"
minus = { attack = "none", defense = "none" }
over = { defense = "none" }
max = 0.5
source = "known"
[[expect]]
metric = "ir@10"
attack = "single-label"
minus = { attack = "none" }
value = 0.0
band = 0.03
source = "known"
"#;

fn path() -> &'static Path {
    Path::new("benchmarks/a/b.toml")
}

fn assignments(texts: &[&str]) -> Vec<Assignment> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

fn read(tiny: bool, set: &[&str], only: &[&str]) -> Result<Benchmark> {
    let form = if tiny { Form::Tiny } else { Form::Laptop };
    Benchmark::parse(path(), GOOD, form, &assignments(set), &assignments(only))
}

/// The error of the good text with `from` replaced by `to`.
fn error(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let failure = Benchmark::parse(path(), &text, Form::Laptop, &[], &[]).unwrap_err();
    assert_eq!(failure.code(), 2);
    assert!(!failure.to_string().contains('\n'), "{failure}");
    failure.to_string()
}

#[test]
fn names_defaults_and_cells_are_filled_in() {
    let b = read(false, &[], &[]).unwrap();
    assert_eq!((b.name.as_str(), b.cells().len()), ("a/b", 2 * 3 * 2));
    assert_eq!(b.train.batch, 128);
    assert_eq!(b.attacks[2].spec()["rate"], 0.5);
    assert_eq!(b.attacks[1].spec()["rate"], 1.0);
    assert_eq!(
        b.label(&b.cells()[3]),
        "single-label:from=ewe,rate=1.0,to=airplane + finetune, seed 0"
    );
    assert!(matches!(b.init, Init::Pretrain { seed: Some(0), .. }));
    let again = read(false, &[], &[]).unwrap();
    assert_eq!(b.digest(), again.digest());
}

#[test]
fn tiny_and_set_lie_over_the_file() {
    let b = read(true, &[], &[]).unwrap();
    assert_eq!((b.train.epochs, b.train.steps, &b.seeds[..]), (None, Some(4), &[7][..]));
    assert!(b.judge(&[]).is_empty(), "numbers of the small form are not judged");
    let b = read(true, &["train.epochs=2", "train.schedule=constant", "matrix.seed=[1, 2]"], &[]);
    let b = b.unwrap();
    assert_eq!((b.train.epochs, b.train.steps, b.seeds.len()), (Some(2), None, 2));
    assert_ne!(b.digest(), read(true, &[], &[]).unwrap().digest());
    let message = |set: &str| read(false, &[set], &[]).unwrap_err().to_string();
    assert!(message("train.lrr=1").starts_with("--set train.lrr: unknown field `lrr`"));
    assert!(message("train.lr=fast").starts_with("--set train.lr: invalid type"));
    assert!(message("lr=1").contains("name the section too"));
}

#[test]
fn only_keeps_cells() {
    let count = |only: &[&str]| read(false, &[], only).map(|b| b.cells().len());
    assert_eq!(count(&["attack=none"]).unwrap(), 4);
    assert_eq!(count(&["attack=single-label:from=ewe", "seed=0"]).unwrap(), 2);
    assert_eq!(count(&["seed=0", "seed=1", "defense=finetune"]).unwrap(), 6);
    let message = |only: &str| count(&[only]).unwrap_err().to_string();
    assert!(message("atack=none").contains("did you mean `attack`?"));
    assert!(message("attack=badnets").contains("no cell"));
}

#[test]
fn errors_carry_file_and_line() {
    let at = |line: usize| format!("benchmarks/a/b.toml:{line}: ");
    for (from, to, line, part) in [
        ("title = \"T\"", "title = ", 1, ""),
        ("analysis =", "analisys =", 1, ""),
        ("lr = 1e-3", "lrr = 1e-3", 13, "unknown field `lrr`, expected one of"),
        ("lr = 1e-3", "lr = \"high\"", 13, "train.lr: invalid type"),
        ("lr = 1e-3", "lr = -1.0", 13, "`lr` is -1"),
        ("epochs = 40", "epoch = 40", 10, "unknown field `epoch`"),
        ("epochs = 40", "seed = -1", 10, "from 0 on"),
        ("steps = 4", "stebs = 4", 15, "unknown field `stebs`"),
        ("\"finetune:epochs=5\"", "\"finetun\"", 7, "did you mean `finetune`?"),
        ("\"finetune:epochs=5\"", "\"finetune:epoch=5\"", 7, "unknown field `epoch`"),
        ("rate=0.5", "rate=2", 6, "above 0 and at most 1"),
        ("tiny-resnet", "tiny-resnett", 5, "did you mean `tiny-resnet`?"),
        ("seed = [0, 1]", "seed = [0, 0]", 8, "is there twice"),
        ("seed = [0, 1]", "sed = [0, 1]", 8, "unknown key; known: dataset"),
        ("[train]", "[trian]", 11, "unknown key; known: title"),
        ("metric = \"hit@10\"", "metric = \"hit@11\"", 18, "did you mean"),
        ("min = 0.4", "mim = 0.4", 22, "unknown field `mim`"),
        ("min = 0.4", "", 18, "give `min`, `max`"),
        ("defense = \"finetune\"", "defense = \"cleanclip\"", 24, "not in the matrix"),
        ("band = 0.03", "", 32, "belong together"),
    ] {
        let error = error(from, to);
        let found = if from.starts_with("analysis") {
            error.contains("analysis")
        } else {
            error.starts_with(&at(line))
        };
        assert!(found && error.contains(part), "{to}: {error}");
    }
}

fn measured(
    attack: &Choice,
    against: Option<&Choice>,
    defense: &Choice,
    metric: &str,
    value: f64,
) -> Measured {
    Measured {
        dataset: "emoji".into(),
        encoder: "tiny-resnet".into(),
        victim: read(false, &[], &[]).unwrap().victims[0].clone(),
        attack: attack.clone(),
        against: against.cloned(),
        defense: defense.clone(),
        metric: metric.into(),
        value: Some(value),
    }
}

#[test]
fn expectations_hold_or_are_missed() {
    let b = read(false, &[], &[]).unwrap();
    let ([none, ewe, dog], [no, finetune]) = (&b.attacks[..], &b.defenses[..]) else {
        panic!("matrix")
    };
    let mut all = vec![
        measured(ewe, None, no, "hit@10", 0.9),
        measured(dog, None, no, "hit@10", 0.7),
        measured(ewe, None, no, "hit@10.random", 0.1),
        measured(dog, None, no, "hit@10.random", 0.3),
        measured(none, Some(ewe), no, "hit@10", 0.0),
        measured(none, Some(dog), no, "hit@10", 0.2),
        measured(ewe, None, finetune, "hit@10", 0.5),
        measured(dog, None, finetune, "hit@10", 0.3),
        measured(ewe, None, no, "ir@10", 0.78),
        measured(dog, None, no, "ir@10", 0.78),
        measured(none, None, no, "ir@10", 0.80),
    ];
    let verdicts = b.judge(&all);
    let quantities: Vec<f64> = verdicts.iter().map(|v| v.quantity.unwrap()).collect();
    // 0.8 − 0.2; (0.4 − 0.1) / (0.8 − 0.1); 0.78 − 0.80.
    for (found, expected) in quantities.iter().zip([0.6, 0.3 / 0.7, -0.02]) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    assert!(verdicts.iter().all(|v| v.met));
    assert_eq!(
        verdicts[0].text,
        "hit@10 of single-label minus hit@10.random of single-label ≥ 0.4"
    );
    all[0].value = Some(0.1);
    assert!(!b.judge(&all)[0].met, "0.4 − 0.2 is below the bound");
    all[0].value = None;
    assert_eq!((b.judge(&all)[0].quantity, b.judge(&all)[0].met), (None, false));
    assert!(b.judge(&[]).iter().all(|v| !v.met && v.to_string().contains("not measured")));
}

#[test]
fn a_choice_knows_its_parameters() {
    use toxiclip_shared::attacks::ATTACKS;
    let read = |v: toml::Value| Choice::read("attack", ATTACKS, &v);
    let choice = read("single-label:from=ewe,to=kite".into()).unwrap();
    assert_eq!(
        choice.spec(),
        &json!({"name": "single-label", "from": "ewe", "to": "kite", "rate": 1.0, "count": null, "mode": "replace"})
    );
    assert!(choice.matches("single-label:rate=1").unwrap());
    assert!(!choice.matches("single-label:rate=0.5").unwrap());
    assert!(choice.make(ATTACKS).is_ok());
    assert!(read(toml::Value::Integer(3)).unwrap_err().contains("expected a name"));
}

/// The committed benchmarks are right, and fit their data.
#[test]
fn committed_benchmarks_are_read_and_planned() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks");
    for item in crate::catalogue::Kind::Benchmarks.items().unwrap() {
        let file = folder.join(format!("{}.toml", item.name));
        for form in [Form::Laptop, Form::Tiny] {
            let benchmark = Benchmark::read(&file, form, &[], &[]).unwrap();
            assert_eq!(benchmark.name, item.name);
            let plan = crate::pipeline::Plan::new(&benchmark, None).unwrap();
            assert_eq!(plan.works.len(), benchmark.cells().len(), "{}", item.name);
        }
    }
}

#[test]
fn victims_differ_from_the_recipe() {
    let victims = r#"matrix.victim=[{}, { freeze = "image" }, { steps = 3, share = 0.5, start = "scratch" }]"#;
    let b = read(false, &[victims], &[]).unwrap();
    assert_eq!(b.cells().len(), 3 * 2 * 3 * 2);
    let [plain, frozen, other] = &b.victims[..] else { panic!("three victims") };
    assert!(plain.plain() && plain.recipe == b.train && plain.label().is_empty());
    assert_eq!((frozen.label().as_str(), frozen.recipe.epochs), ("freeze=image", Some(10)));
    assert_eq!((other.recipe.steps, other.recipe.epochs, other.share), (Some(3), None, 0.5));
    assert_eq!(other.start, StartOf::Scratch);
    assert!(plain.matches("").unwrap() && !frozen.matches("").unwrap());
    assert!(other.matches("share=0.5").unwrap() && !other.matches("share=0.25").unwrap());
    let cell = |victim| Cell { dataset: 0, encoder: 0, victim, attack: 0, defense: 0, seed: 0 };
    assert_eq!(b.config(&cell(0)), read(false, &[], &[]).unwrap().config(&cell(0)));
    assert_ne!(b.config(&cell(0)), b.config(&cell(1)));
    assert_eq!(b.label(&cell(1)), "none + none, seed 0, freeze=image");
    let kept = read(false, &[victims], &["victim=freeze=image"]).unwrap();
    assert_eq!(kept.cells().len(), 12);
    let message =
        |v: &str| read(false, &[&format!("matrix.victim=[{v}]")], &[]).unwrap_err().to_string();
    assert!(message("{ freese = 1 }").contains("unknown field `freese`"));
    assert!(message("{ share = 0.0 }").contains("above 0 and at most 1"));
    assert!(message("{ start = \"none\" }").contains("expected \"init\", \"scratch\""));
    assert!(message("3").contains("or {} for none"));
    assert!(message("{}, {}").contains("is there twice"));
}

#[test]
fn a_victim_as_it_is_stands_alone() {
    let alone = ["matrix.attack=none", "matrix.defense=none"];
    let read = |more: &[&str]| {
        let text = GOOD.split("[[expect]]").next().unwrap();
        let set = assignments(&[&alone[..], more].concat());
        Benchmark::parse(path(), text, Form::Laptop, &set, &[])
    };
    let victim = "matrix.victim={ start = \"as-is\" }";
    let plain = read(&[]).unwrap();
    let b = read(&[victim, "init.data=emoji"]).unwrap();
    assert_eq!(b.victims[0].start, StartOf::AsIs);
    assert!(matches!(&b.init, Init::Pretrain { data: Some(name), .. } if name == "emoji"));
    // An init without data is written down as it was before there was the key.
    assert!(!serde_json::to_string(&plain.init).unwrap().contains("data"));
    assert_ne!(
        serde_json::to_string(&b.init).unwrap(),
        serde_json::to_string(&plain.init).unwrap()
    );
    let message = |more: &[&str]| read(&[&[victim], more].concat()).unwrap_err().to_string();
    assert!(
        message(&["matrix.attack=[\"none\", \"badnets:target=ewe\"]"])
            .contains("knows no `badnets`")
    );
    assert!(message(&["matrix.defense=finetune"]).contains("knows no `finetune`"));
    assert!(message(&["init.data=3"]).contains("name of a data set"));
    let longer = read(&["matrix.victim={ start = \"as-is\", epochs = 3 }"]).unwrap_err();
    assert!(longer.to_string().contains("no key beside start"), "{longer}");
    let text = GOOD.split("[[expect]]").next().unwrap().replace("[init]\nepochs = 40\n", "");
    let set = assignments(&[alone[0], alone[1], victim]);
    let nothing = Benchmark::parse(path(), &text, Form::Laptop, &set, &[]).unwrap_err();
    assert!(nothing.to_string().contains("needs an [init]"), "{nothing}");
}

#[test]
fn expectations_tell_victims_apart() {
    let b = read(false, &[r#"matrix.victim=[{}, { freeze = "image" }]"#], &[]).unwrap();
    let measure = |victim: usize, value| Measured {
        victim: b.victims[victim].clone(),
        ..measured(&b.attacks[1], None, &b.defenses[0], "hit@10", value)
    };
    let both = [measure(0, 0.9), measure(1, 0.5)];
    let quantity = |victim: Option<&str>, minus: Option<&str>| {
        let minus = minus.map(|v| expect::Instead { victim: Some(v.into()), ..Default::default() });
        let victim = victim.map(str::to_owned);
        let metric = "hit@10".to_owned();
        let expect =
            Expect { metric, attack: "single-label".into(), victim, minus, ..Default::default() };
        expect.judge(&both).quantity.unwrap()
    };
    assert!((quantity(None, None) - 0.7).abs() < 1e-12);
    assert!((quantity(Some(""), None) - 0.9).abs() < 1e-12);
    assert!((quantity(Some("freeze=image"), Some("")) + 0.4).abs() < 1e-12);
    assert!(
        error("min = 0.4", "min = 0.4\nvictim = \"freeze=text\"").contains("not in the matrix")
    );
}

#[test]
fn a_sweep_measures_on_validation_pictures_alone() {
    let stamped = GOOD.replace(
        "{ name = \"single-label\", from = \"ewe\", to = \"airplane\" }",
        "\"badnets:target=banana\"",
    );
    let stamped =
        stamped.replace("\"single-label:from=dog,to=kite,rate=0.5\"", "\"sig:target=banana\"");
    let stamped = stamped.split("[[expect]]").next().unwrap();
    let text = format!("{stamped}[eval]\nsplit = \"val\"\n");
    let swept = Benchmark::parse(path(), &text, Form::Laptop, &[], &[]).unwrap();
    let plain = Benchmark::parse(path(), stamped, Form::Laptop, &[], &[]).unwrap();
    let sets = |b: &Benchmark| {
        let set = crate::pipeline::Plan::new(b, None).unwrap().sets.swap_remove(0);
        [set.train.name().to_owned(), set.test.name().to_owned(), set.utility.name().to_owned()]
    };
    assert_eq!(sets(&swept), ["emoji/train", "emoji/val", "emoji/val"]);
    assert_eq!(sets(&plain)[1..], ["emoji/test", "emoji/test"]);
    assert_ne!(swept.recipe(), plain.recipe(), "a report never mixes the two");
    // Whoever does not ask for it has the digests of before.
    assert!(serde_json::to_value(&plain.eval).unwrap().get("split").is_none());
}

#[test]
fn a_core_meets_everything_and_the_rest_only_the_core() {
    let cells = |set: &[&str]| {
        let all = read(false, &[&["matrix.seed=[0]"], set].concat(), &[]).unwrap().cells();
        all.iter().map(|c| (c.attack, c.defense)).collect::<Vec<_>>()
    };
    assert_eq!(cells(&[]).len(), 6);
    assert_eq!(cells(&["matrix.core=1"]), [(0, 0), (0, 1), (1, 0), (2, 0)]);
    assert_eq!(cells(&["matrix.core=2"]).len(), 6);
    let error = read(false, &["matrix.core=0"], &[]).unwrap_err().to_string();
    assert!(error.contains("expected a number from 1 on"), "{error}");
}
