//! The command line from outside: exit codes, one-line errors, what goes to which stream.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its own output has failed")]

use std::path::Path;

use assert_cmd::Command;

fn toxiclip(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxiclip"));
    command.args(arguments).env_remove("XDG_CACHE_HOME");
    command
}

/// Standard output of a command that must succeed with nothing on stderr.
fn output(arguments: &[&str]) -> String {
    let done = toxiclip(arguments).assert().success();
    let out = done.get_output();
    assert!(out.stderr.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout.clone()).unwrap()
}

/// The one line of a wrong request.
fn refusal(arguments: &[&str]) -> String {
    let done = toxiclip(arguments).assert().code(2);
    let out = done.get_output();
    assert!(out.stdout.is_empty(), "{arguments:?} printed data");
    let text = String::from_utf8(out.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    assert!(text.starts_with("error: "), "{text}");
    text
}

#[test]
fn help_and_version_are_data() {
    assert!(output(&["--help"]).contains("Usage: toxiclip"));
    assert!(output(&["--version"]).starts_with("toxiclip "));
    for command in [
        "list", "show", "doctor", "run", "train", "poison", "embed", "eval", "defend", "scan",
        "report", "convert", "submit", "serve", "bench",
    ] {
        assert!(output(&[command, "--help"]).contains("Usage"), "{command}");
    }
}

#[test]
fn wrong_requests_are_one_line_with_code_2() {
    for (arguments, part) in [
        (&["lits"][..], "similar subcommand exists: 'list'"),
        (&["list", "atacks"], "similar value exists: 'attacks'"),
        (&["list"], "<KIND>"),
        (&["doctor", "--jsn"], "--json"),
        (&["doctor", "--threads", "0"], "--threads"),
        (&["doctor", "--threads", "many"], "--threads"),
        (&["doctor", "--threads", "9999999"], "1..=1024"),
        (&["embed", "--checkpoint", "c", "--out", "o"], "--texts"),
        (
            &["embed", "--checkpoint", "no-such-folder", "--texts", "t", "--out", "o"],
            "no-such-folder",
        ),
        (
            &["train", "--data", "emoji", "--encoder", "tiny-rn", "--lr", "-1", "--out", "o"],
            "`lr` is -1",
        ),
        (&["report", "no-such-run"], "no-such-run"),
        (&["run", "Cargo.lock"], "Cargo.lock:"),
        (&["show", "attack", "no-such-attack"], "no attack called `no-such-attack`"),
        (&["show", "metric", "no-such-metric"], "no metric called `no-such-metric`"),
    ] {
        let text = refusal(arguments);
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn what_is_missing_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (folder, files) in [("empty", &[][..]), ("weightless", &["open_clip_config.json"])] {
        std::fs::create_dir(path(folder)).unwrap();
        let definition = include_str!("../../benchmarks/encoders/tiny-vit.json");
        files
            .iter()
            .for_each(|f| std::fs::write(dir.path().join(folder).join(f), definition).unwrap());
    }
    std::fs::write(path("captions.txt"), "a fox").unwrap();
    let (texts, out) = (path("captions.txt"), path("out.safetensors"));
    let embed = |checkpoint: &str| {
        refusal(&["embed", "--checkpoint", &path(checkpoint), "--texts", &texts, "--out", &out])
    };
    for (text, place, remedy) in [
        (refusal(&["run", &path("no.toml")]), "no.toml", "`toxiclip list benchmarks`"),
        (refusal(&["run", &path("no-folder/")]), "no-folder", "`toxiclip list benchmarks`"),
        (refusal(&["bench", "image", "--encoder", &path("no.json")]), "no.json", "list encoders`"),
        (embed("no-checkpoint"), "no-checkpoint", "give a folder that `toxiclip train`"),
        (embed("captions.txt"), "captions.txt", "neither a folder nor a .safetensors file"),
        (embed("empty"), "empty", "neither open_clip_config.json nor config.json"),
        (embed("weightless"), "open_clip_model.safetensors", "`toxiclip convert`"),
    ] {
        assert!(text.contains(place) && text.contains(remedy), "{text}");
    }
    // Whatever else is wrong with a file has another remedy.
    std::fs::write(path("weightless/open_clip_config.json"), "{").unwrap();
    assert!(!embed("weightless").contains("give a folder"));
}

#[test]
fn a_bench_of_the_whole_pipeline_says_how_long_it_waited() {
    let bench = |what: &str| -> serde_json::Value {
        let json = output(&[
            "bench",
            what,
            "--encoder",
            "tiny-resnet",
            "--batch",
            "8",
            "--iters",
            "2",
            "--json",
        ]);
        serde_json::from_str(&json).unwrap()
    };
    let (pipeline, step) = (bench("pipeline"), bench("train-step"));
    assert_eq!(pipeline["what"], "pipeline");
    let waited = pipeline["waited"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&waited), "{pipeline}");
    assert!(pipeline["per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(pipeline["gflop_per_item"], step["gflop_per_item"]);
    assert!(step.get("waited").is_none(), "{step}");
    let peak = bench("peak");
    assert!(peak["encoder"].is_null() && peak["gflop_per_item"] == 1.0, "{peak}");
    assert!(refusal(&["bench", "pipeline", "--batch", "1"]).contains("--batch must be 2 to"));
}

#[test]
fn lists_parse_and_every_name_has_a_card() {
    for (plural, singular) in [
        ("attacks", "attack"),
        ("defenses", "defense"),
        ("encoders", "encoder"),
        ("datasets", "dataset"),
        ("metrics", "metric"),
    ] {
        let json = output(&["list", plural, "--json"]);
        let items: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let text = output(&["list", plural]);
        assert_eq!(text.trim().lines().count(), items.len(), "{plural}");
        for item in items {
            let (name, summary) =
                (item["name"].as_str().unwrap(), item["summary"].as_str().unwrap());
            assert!(!summary.is_empty() && !summary.contains('\n'), "{name}");
            assert!(text.contains(name), "{name}");
            let card = output(&["show", singular, name]);
            // Classes are known where the data are: embedded, and compiled into this build.
            let here = plural == "datasets"
                && name.starts_with("emoji")
                && !summary.contains("--features");
            assert_eq!(card.contains("classes by subgroup"), here, "{card}");
            assert!(card.contains(name) && card.contains(summary), "{card}");
        }
    }
}

#[test]
#[cfg(not(feature = "serve"))]
fn a_plain_build_says_how_to_get_a_server() {
    for arguments in [&["serve"][..], &["submit", "push", "a.tar.zst", "--url", "http://127.0.0.1"]]
    {
        let text = refusal(arguments);
        assert!(text.contains("--features serve"), "{arguments:?}: {text}");
    }
}

#[test]
fn doctor_names_the_cache_it_would_use() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), [0; 100]).unwrap();
    let cache = dir.path().to_str().unwrap();
    let json = output(&["doctor", "--json", "--threads", "1", "--cache", cache]);
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["cache"]["bytes"], 100);
    assert_eq!(found["threads"], 1);
    assert_eq!(found["code"]["lock"].as_str().unwrap().len(), 64);
    assert!(output(&["doctor", "--cache", "none"]).contains("off"));
    let home = toxiclip(&["doctor"]).env("HOME", "/nowhere").assert().success();
    let text = String::from_utf8_lossy(&home.get_output().stdout).into_owned();
    assert!(text.contains("/nowhere/.cache/toxiclip (0 B)"), "{text}");
    assert!(!Path::new("/nowhere").exists(), "asking must not make folders");
}
