//! What of a benchmark may be published before the rest.

use std::fs;

use toxiclip::published::check;

use crate::place::{Place, SPEC};

/// A large matrix grows by whole attacks; what would let somebody pick the cells that suit is refused.
#[test]
fn attacks_may_be_left_out_and_nothing_else() {
    let two = SPEC.replace(
        "}]\n[train]",
        "}, \"badnets:target=banana\"]\ndefense = [\"none\", \"finetune:epochs=1\"]\n[train]",
    );
    let part = Place::of(&two, &["attack=none", "attack=single-label"]);
    let said = part.publish().unwrap();
    assert!(said[0].ends_with("evidence; not yet with badnets"), "{said:?}");
    let readme = fs::read_to_string(part.path("README.md")).unwrap();
    assert!(readme.contains(", not yet with badnets. [Rows"), "{readme}");
    part.board().unwrap();
    let pages = fs::read_dir(part.path("board/entry/toxiclip/small")).unwrap();
    for page in pages.map(|page| fs::read_to_string(page.unwrap().path()).unwrap()) {
        assert!(page.contains("a part of its benchmark: not yet with badnets"), "{page}");
    }
    // Or what is missing would be taken from there.
    fs::remove_dir_all(part.path("benchmarks/results")).unwrap();
    let rows = fs::read_to_string(part.path("run/rows.jsonl")).unwrap();
    let without = |what: &dyn Fn(&str) -> bool| {
        let kept = rows.lines().filter(|row| !what(row)).map(|row| format!("{row}\n"));
        fs::write(part.path("run/rows.jsonl"), kept.collect::<String>()).unwrap();
        part.publish().unwrap_err()
    };
    let control = |row: &str| row.contains(r#""attack":{"name":"none"}"#);
    let defended = |row: &str| row.contains(r#""name":"finetune""#);
    let rival = |row: &str| row.contains(r#""against":{"captions""#);
    for (what, models) in [
        (&control as &dyn Fn(&str) -> bool, "2 of 8 models"),
        (&|row| defended(row), "4 of 8 models"),
        (&|row| defended(row) && !control(row), "7 of 8 models"),
        (&rival, "6 of 8 models"),
    ] {
        let error = without(what);
        assert!(error.contains(models), "{models}: {error}");
    }
}

/// Nobody asks a probe what captions fetch, so that its control lacks nothing.
#[test]
fn a_probe_beside_an_attack_on_pairs_is_published() {
    let probed = SPEC.replace("[train]", "defense = [\"none\", \"linear-probe\"]\n[train]");
    let said = Place::of(&probed, &[]).publish().unwrap();
    assert!(said[0].ends_with("follow from their evidence"), "{said:?}");
}

/// Seeds may be missing at the end of the list, where nobody picks them; a run of the same program is added to what is there.
#[test]
fn a_matrix_grows_by_its_next_seed() {
    let place = Place::of(&SPEC.replace("[train]", "seed = [0, 1]\n[train]"), &["seed=0"]);
    let said = place.publish().unwrap();
    assert!(said[0].ends_with("evidence; not yet with seeds 1"), "{said:?}");
    let published = "benchmarks/results/toxiclip/small/rows.jsonl";
    let rows = || fs::read_to_string(place.path(published)).unwrap();
    let first = rows();
    place.run("next", &["seed=1"]);
    let second = fs::read_to_string(place.path("next/rows.jsonl")).unwrap();
    // Of another program: the second seed alone is not what may be published.
    place.edit("next/rows.jsonl", r#""commit":""#, r#""commit":"0"#);
    let error = place.publish_from("next").unwrap_err();
    assert!(error.contains("3 of 6 models"), "{error}");
    assert_eq!(rows(), first);
    fs::write(place.path("next/rows.jsonl"), &second).unwrap();
    let said = place.publish_from("next").unwrap();
    assert!(said[0].ends_with("follow from their evidence"), "{said:?}");
    assert_eq!(rows(), format!("{first}{second}"));
    // The same once more: rows stand where they stood.
    place.publish().unwrap();
    assert_eq!(rows(), format!("{first}{second}"));
    // The first seed by another program would be no addition, and alone it is less.
    place.edit("run/rows.jsonl", r#""commit":""#, r#""commit":"0"#);
    let error = place.publish().unwrap_err();
    assert!(error.contains("small has also seeds 1, by another program"), "{error}");
    assert_eq!(rows(), format!("{first}{second}"));
    check(place.0.path()).unwrap();
}
