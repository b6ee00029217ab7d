//! Tar shards, against webdataset.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use toxiclip::argument::Source;
use toxiclip::data::training;
use toxiclip_shared::data::Dataset;
use toxiclip_shared::digest::Digest;

use super::{fixture, json};

/// Key, digest of the picture's file, caption, class.
type Sample = (String, String, Option<String>, Option<String>);

fn shards(pattern: &str) -> toxiclip::failure::Result<Arc<dyn Dataset>> {
    let place = fixture("shards").join(pattern);
    training(&Source::Shards(place.to_str().unwrap().to_owned()), None)
}

#[test]
fn shards_are_what_webdataset_reads() {
    let expected: BTreeMap<String, Vec<Sample>> = json("shards/expected.json");
    for (pattern, mut samples) in expected {
        let data = shards(&pattern).unwrap();
        let of_retrieval = pattern.starts_with("retrieval");
        let broken = samples.iter().position(|sample| sample.0 == "000000002");
        let remark = broken.map(|at| samples.remove(at));
        assert_eq!(remark.is_some(), data.remark().is_some(), "{:?}", data.remark());
        if let Some(remark) = data.remark() {
            assert!(
                remark.contains("1 of 8 samples skipped") && remark.contains("000000002 has no")
            );
        }
        assert_eq!(data.examples().len(), samples.len());
        for (row, (key, sha256, caption, class)) in samples.into_iter().enumerate() {
            let example = &data.examples()[row];
            let wanted: Vec<String> = match (&caption, example.class) {
                (Some(lines), _) if of_retrieval => lines.lines().map(str::to_owned).collect(),
                (Some(caption), _) => vec![caption.clone()],
                (None, class) => {
                    vec![format!("a photo of a {}", ["cat", "striped dog"][class.unwrap()])]
                }
            };
            assert_eq!((&example.id.0, &example.captions), (&key, &wanted));
            assert_eq!(example.class.map(|c| c.to_string()), class);
            let content = Digest::of(&(sha256, &wanted));
            assert_eq!(example.content, content, "{key}: other bytes");
            assert_eq!(data.image(row).unwrap().height(), 3);
        }
    }
    let lossless = shards("labels/test/0.tar").unwrap();
    assert_eq!(lossless.image(1).unwrap().rgba()[..4], [80, 3, 200, 255]);
}

#[test]
fn bad_shards_are_errors() {
    for (name, said) in [
        ("leaving", "the member `../a.jpg` leaves the archive"),
        ("absolute", "the member `/a.jpg` leaves the archive"),
        ("twice", "the key a comes twice"),
        ("doubled", "a.jpg comes twice"),
        ("absent", "absent.tar"),
        ("{0..x}", "expected a range"),
    ] {
        let error = shards(&format!("img2dataset/{name}.tar")).err().unwrap();
        assert!(error.to_string().contains(said) && error.code() == 2, "{error}");
    }
    let error = training(&Source::Shards("s3://x/0.tar".into()), None).err().unwrap();
    assert!(error.to_string().contains("from disk"), "{error}");
}

#[test]
fn a_truncated_shard_is_an_error_unless_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("0.tar");
    let whole = fs::read(fixture("shards/img2dataset/00000.tar")).unwrap();
    let open = |suffix: &str| training(&Source::Shards(format!("{}{suffix}", cut.display())), None);
    let mut counts = Vec::new();
    for length in (0..whole.len()).step_by(511) {
        fs::write(&cut, &whole[..length]).unwrap();
        match open("") {
            // Python's archives end in more zeros than the two blocks that are needed.
            Ok(data) => assert_eq!(data.examples().len(), 3, "{length}"),
            Err(error) => {
                assert!(error.to_string().contains("0.tar: is truncated"), "{error}");
                counts.push(open("?truncated").map_or(0, |data| data.examples().len()));
            }
        }
    }
    assert!(
        counts.is_sorted() && counts.first() == Some(&0) && counts.last() == Some(&3),
        "{counts:?}"
    );
}

/// The flag of every command that reads shards is what stands behind a pattern.
#[test]
fn the_flag_and_the_suffix_mean_the_same() {
    let toxiclip = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_toxiclip")).args(arguments).output().unwrap()
    };
    for command in
        ["train", "poison", "embed", "eval", "defend", "scan data", "scan model", "bench"]
    {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = String::from_utf8(toxiclip(&arguments).stdout).unwrap();
        assert!(help.contains("--allow-truncated"), "{command}");
    }
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("0.tar");
    let whole = fs::read(fixture("shards/img2dataset/00000.tar")).unwrap();
    fs::write(&cut, &whole[..5000]).unwrap();
    let decode = |suffix: &str, flag: &[&str]| {
        let data = format!("wds:{}{suffix}", cut.display());
        let all = ["bench", "decode", "--encoder", "tiny-vit", "--iters", "1", "--data", &data];
        toxiclip(&[&all, flag].concat())
    };
    let refused = decode("", &[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--allow-truncated or ?truncated"), "{said}");
    for (suffix, flag) in [("?truncated", &[][..]), ("", &["--allow-truncated"])] {
        let done = decode(suffix, flag);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
