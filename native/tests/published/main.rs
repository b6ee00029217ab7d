//! Published results, in a small repository in which everything can go wrong; those of our own are looked at by
//! `cargo xtask check-results`, which is a step of all tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod growing;
mod place;

use std::fs;
use std::process::Command;

use place::Place;
use toxiclip::published::{Base, changes, check, publish};
use toxiclip_shared::digest::Digest;

#[test]
fn a_run_is_published_and_whatever_is_changed_afterwards_is_noticed() {
    let place = Place::new();
    assert_eq!(
        check(place.0.path()).unwrap(),
        [
            "README.md: results:findings has no results yet",
            "README.md: results:small has no results yet"
        ]
    );
    let said = place.publish().unwrap();
    assert!(said[0].starts_with("toxiclip/small: "), "{said:?}");
    let readme = fs::read_to_string(place.path("README.md")).unwrap();
    assert!(
        readme.contains("\n| single-label | none | ") && readme.ends_with("-->\nend\n"),
        "{readme}"
    );
    let line = readme.lines().find(|line| line.starts_with("| Does this \\| that? |")).unwrap();
    assert!(
        line.contains("| All of it (table 1) | hit@10 0.") && line.contains("clean model 0."),
        "{line}"
    );
    assert!(
        line.ends_with("(benchmarks/small.toml), [rows](benchmarks/results/toxiclip/small) |"),
        "{line}"
    );
    let fresh = check(place.0.path()).unwrap();
    assert_eq!(
        fresh[1..3],
        ["README.md: results:findings is fresh", "README.md: results:small is fresh"]
    );
    let page = "www/catalogue/attack-single-label.html";
    let shown = fs::read_to_string(place.path(page)).unwrap();
    assert!(shown.contains("toxiclip run benchmarks/small.toml") && shown.contains("hit@10"));
    assert_eq!(place.publish().unwrap(), said, "publishing again changes nothing");
    let all = publish(place.0.path(), place.0.path()).unwrap();
    assert_eq!(all, said, "and so does publishing every run of a folder");
    assert_eq!(fs::read_to_string(place.path("README.md")).unwrap(), readme);

    let rows = "benchmarks/results/toxiclip/small/rows.jsonl";
    let entry = "benchmarks/results/toxiclip/small/entry.json";
    let board = "www/leaderboard/index.html";
    let without_first =
        |text: &str| text.lines().skip(1).map(|l| format!("{l}\n")).collect::<String>();
    let moved = |text: &str| text.replacen(r#""hi":0."#, r#""hi":0.9"#, 1);
    for (name, change, says) in [
        (
            "README.md",
            &(|t: &str| t.replacen("hit@10 0.", "hit@10 1.", 1)) as &dyn Fn(&str) -> String,
            "table of results:findings is stale",
        ),
        (
            "README.md",
            &|t| t.replacen("| none | 0.", "| none | 1.", 1),
            "table of results:small is stale",
        ),
        (
            "benchmarks/small.toml",
            &|t| t.replace("against = \"single-label\"", "against = \"multi-label\""),
            "no published line has",
        ),
        (
            "benchmarks/small.toml",
            &|t| t.replace(", clean model {}", ""),
            "`ours` has 1 `{}` for 2 values",
        ),
        (page, &|t| t.replacen("0.", "1.", 1), "attack-single-label.html is stale"),
        (board, &|t| t.replacen("0.", "1.", 1), "leaderboard/index.html is stale"),
        (rows, &without_first, "rows.jsonl is not the file that it is about"),
        (entry, &|t| t.replace("\"toxiclip\"", "\"somebody\""), "it is about somebody/small"),
        (entry, &|t| t.replace("\"small\"", "\"quick\""), "it is about toxiclip/quick"),
        (entry, &|t| t.replacen('{', "{\"files\": {},", 1), "the key `files` comes twice"),
        (entry, &|t| t.replacen("protocol\": \"", "protocol\": \"<b>", 1), "looks like HTML"),
        ("benchmarks/small.toml", &|t| t.replace("steps = 2", "steps = 3"), "0 of 3 models"),
        (
            "benchmarks/small.toml",
            &|t| t.replace("[train]", "[eval]\ntemplates = ['an {}']\n[train]"),
            "run the benchmark again, or keep it as small@",
        ),
        (
            "benchmarks/small.toml",
            &|t| t.replace("[train]", "seed = [1, 0]\n[train]"),
            "3 of 6 models",
        ),
    ] {
        let error = place.error_with(name, change);
        assert!(error.contains(says), "{says}: {error}");
    }
    // Whoever changes rows makes `entry.json` fit, and is found out by the evidence.
    for (change, says) in [
        (&without_first as &dyn Fn(&str) -> String, "gives ca, and no row does"),
        (&moved, "is not what its evidence gives"),
        (&|t: &str| t.replacen(r#""dirty":false"#, r#""dirty":true"#, 1), "2 commits"),
        (&|t: &str| t.replace(r#""dirty":false"#, r#""dirty":true"#), "changed sources"),
        (
            &|t: &str| t.replace("\"encoder\":\"tiny-resnet\"", "\"encoder\":\"rn50\""),
            "its row names another cell",
        ),
        (&|t: &str| t.replacen("\"cpu\"", "\"c\u{202e}pu\"", 1), "U+202E"),
        (&|t: &str| t.replacen("\"seed\":0", "\"seed\":0,\"seed\":0", 1), "comes twice"),
    ] {
        let described = fs::read_to_string(place.path(entry)).unwrap();
        let good = fs::read_to_string(place.path(rows)).unwrap();
        let [old, new] =
            [&good, &change(&good)].map(|t| Digest::of_bytes(t.as_bytes()).to_string());
        fs::write(place.path(entry), described.replace(&old, &new)).unwrap();
        let error = place.error_with(rows, change);
        assert!(error.contains(says), "{says}: {error}");
        fs::write(place.path(entry), described).unwrap();
    }
    let evidence = place.path("benchmarks/results/toxiclip/small/evidence.parquet");
    fs::rename(&evidence, place.path("aside")).unwrap();
    let error = check(place.0.path()).unwrap_err().to_string();
    assert!(error.contains("no evidence file"), "{error}");
    fs::rename(place.path("aside"), &evidence).unwrap();
    fs::remove_file(place.path(entry)).unwrap();
    let error = format!("{:#}", check(place.0.path()).unwrap_err());
    assert!(error.contains("entry.json") && error.contains("--update"), "{error}");
}

#[test]
fn an_unfit_run_is_refused_and_its_predecessor_stays() {
    let place = Place::new();
    place.publish().unwrap();
    let before = fs::read(place.path("benchmarks/results/toxiclip/small/rows.jsonl")).unwrap();
    place.edit("run/rows.jsonl", r#""dirty":false"#, r#""dirty":true"#);
    let error = place.publish().unwrap_err();
    assert!(error.contains("is not published") && error.contains("changed sources"), "{error}");
    assert_eq!(
        fs::read(place.path("benchmarks/results/toxiclip/small/rows.jsonl")).unwrap(),
        before
    );
    assert_eq!(fs::read_dir(place.path("benchmarks/results/toxiclip")).unwrap().count(), 1);
}

/// A benchmark changes what its numbers mean: the older run stays, is recomputed, and is ranked by itself.
#[test]
fn an_older_version_stays_marked() {
    let place = Place::new();
    place.publish().unwrap();
    let old = "benchmarks/results/toxiclip/small";
    place.edit("benchmarks/small.toml", "[train]", "[eval]\ntemplates = ['an {}']\n[train]");
    let error = format!("{:#}", check(place.0.path()).unwrap_err());
    let kept = error.split("keep it as small@").nth(1).unwrap()[..8].to_owned();
    fs::rename(place.path(old), place.path(&format!("{old}@{kept}"))).unwrap();
    let said = place.board().unwrap();
    assert!(
        said.contains(&format!("toxiclip/small@{kept}")) && said.contains("an older version"),
        "{said}"
    );
    let page = fs::read_to_string(place.path("board/index.html")).unwrap();
    assert!(page.contains("older version") && page.contains("1 of 1"), "{page}");
    // A name of another protocol than its own, and values that its evidence does not give, are errors as ever.
    let wrong = place.path(&format!("{old}@01234567"));
    fs::rename(place.path(&format!("{old}@{kept}")), &wrong).unwrap();
    let error = format!("{:#}", check(place.0.path()).unwrap_err());
    assert!(error.contains(&format!("its protocol is {kept}; name the folder so")), "{error}");
}

/// A benchmark that was changed here makes a stranger's results older; rows that lie are refused, whoever sent them.
#[test]
fn what_is_wrong_is_wrong_for_strangers_too() {
    let place = Place::new();
    place.publish().unwrap();
    let (own, theirs) = ("benchmarks/results/toxiclip/small", "benchmarks/results/somebody/small");
    fs::create_dir_all(place.path("benchmarks/results/somebody")).unwrap();
    fs::rename(place.path(own), place.path(theirs)).unwrap();
    let entry = format!("{theirs}/entry.json");
    place.edit(&entry, "\"submitter\": \"toxiclip\"", "\"submitter\": \"somebody\"");
    let said = place.board().unwrap();
    assert!(said.contains("somebody/small") && !said.contains("older"), "{said}");
    // The pages stand by themselves: what they link to lies beside them.
    let pages = fs::read_dir(place.path("board/entry/somebody/small")).unwrap();
    let page = pages.map(|page| page.unwrap().path()).next().unwrap();
    let text = fs::read_to_string(&page).unwrap();
    let link = text.split("href=\"").find(|part| part.contains("evidence.parquet\"")).unwrap();
    let file = page.parent().unwrap().join(link.split('"').next().unwrap());
    assert!(file.is_file(), "{}", file.display());
    place.edit("benchmarks/small.toml", "[train]", "seed = [0, 1]\n[train]");
    let said = place.board().unwrap();
    assert!(said.contains("an older version: it is not all of the benchmark"), "{said}");
    place.edit("benchmarks/small.toml", "seed = [0, 1]\n[train]", "[train]");
    let rows = format!("{theirs}/rows.jsonl");
    let old = Digest::of_bytes(&fs::read(place.path(&rows)).unwrap()).to_string();
    place.edit(&rows, "\"encoder\":\"tiny-resnet\"", "\"encoder\":\"rn50\"");
    let new = Digest::of_bytes(&fs::read(place.path(&rows)).unwrap()).to_string();
    place.edit(&entry, &old, &new);
    let error = place.board().unwrap_err();
    assert!(error.contains("its row names another cell"), "{error}");
}

/// What a pull request is told, and what it may not do.
#[test]
fn changes_since_a_commit_are_a_table_and_nothing_may_be_removed() {
    let place = Place::new();
    let root = place.0.path();
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let mut command = Command::new("git");
        let done = command.arg("-C").arg(root).args(who).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet"]);
    git(&["add", "benchmarks"]);
    git(&["commit", "--quiet", "--message", "before"]);
    let since = |rev: Option<&str>| {
        let base = Base::read(root, rev).map_err(|e| format!("{e:#}"))?;
        changes(root, &base).map_err(|e| format!("{e:#}"))
    };
    assert!(since(None).unwrap().contains("Results are those of HEAD"));
    place.publish().unwrap();
    let said = since(None).unwrap();
    assert!(said.contains("| toxiclip/small | added |"), "{said}");
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "after"]);
    let rows = "benchmarks/results/toxiclip/small/rows.jsonl";
    let value = fs::read_to_string(place.path(rows)).unwrap();
    let value =
        value.split("\"metric\":\"ca\",\"value\":").nth(1).unwrap().split(',').next().unwrap();
    place.edit(rows, &format!("\"value\":{value}"), "\"value\":0.9999");
    let said = since(Some("HEAD")).unwrap();
    assert!(said.contains("| ca |") && said.contains("| 0.9999 |"), "{said}");
    fs::remove_dir_all(place.path("benchmarks/results/toxiclip/small")).unwrap();
    assert!(since(None).unwrap_err().contains("toxiclip/small is gone"));
    git(&["checkout", "--quiet", "--", "benchmarks"]);
    // Kept under the name of its protocol it is not gone.
    let to = place.path("benchmarks/results/toxiclip/small@0123abcd");
    fs::rename(place.path("benchmarks/results/toxiclip/small"), to).unwrap();
    let said = since(None).unwrap();
    assert!(said.contains("was toxiclip/small"), "{said}");
    assert!(since(Some("no-such-commit")).unwrap_err().contains("give a commit that git knows"));
    assert!(since(Some("--help")).unwrap_err().contains("give a commit"));
}
