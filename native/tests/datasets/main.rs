//! Readers of the standard data sets against what torchvision, pandas and webdataset find in the same files
//! (`datasets.py`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cifar;
mod coco;
mod genome;
mod imagenet;
mod karpathy;
mod pairs;
mod pets;
mod shards;
mod token_file;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toxiclip::data::{BROUGHT, named};
use toxiclip_shared::data::{Dataset, Splits};
use toxiclip_shared::digest::Digest;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/datasets").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(fixture(path)).unwrap()
}

fn json<T: DeserializeOwned>(path: &str) -> T {
    serde_json::from_str(&text(path)).unwrap()
}

/// A picture that no other name has, whatever its ending says.
fn picture(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = Digest::of_bytes(path.file_name().unwrap().as_encoded_bytes());
    let colour = image::Rgb([name.bytes()[0], name.bytes()[1], name.bytes()[2]]);
    image::RgbImage::from_pixel(2, 1, colour)
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|e| e.unwrap().path()) {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).unwrap();
        }
    }
}

fn open(name: &str, root: &Path) -> Splits {
    named(name, Some(root)).unwrap()
}

/// One line, code 2, and all of `parts` in it.
fn refused(name: &str, root: &Path, parts: &[&str]) {
    let failure = named(name, Some(root)).err().unwrap();
    let said = failure.to_string();
    assert!(parts.iter().all(|part| said.contains(part)), "{said} lacks one of {parts:?}");
    assert_eq!((failure.code(), said.lines().count()), (2, 1), "{said}");
}

fn rows(data: &dyn Dataset) -> Vec<(String, Option<usize>)> {
    data.examples().iter().map(|e| (e.id.0.clone(), e.class)).collect()
}

fn rgb(data: &dyn Dataset, row: usize) -> String {
    let image = data.image(row).unwrap();
    let bytes: Vec<u8> = image.rgba().chunks_exact(4).flat_map(|p| p[..3].to_vec()).collect();
    Digest::of_bytes(&bytes).to_string()
}

fn captions(data: &dyn Dataset) -> Vec<(String, Vec<String>)> {
    data.examples().iter().map(|e| (e.id.0.clone(), e.captions.clone())).collect()
}

#[test]
fn what_is_missing_says_where_to_get_it() {
    let root = tempfile::tempdir().unwrap();
    for set in BROUGHT {
        refused(
            set.name,
            root.path(),
            &[set.name, set.places[0], set.layout, set.origin, set.licence],
        );
        let failure = named(set.name, None).err().unwrap();
        assert!(failure.to_string().contains("give --data-root DIR") && failure.code() == 2);
    }
}

const AS_IS: &str = r#"title = "T"
analysis = "A"
[matrix]
dataset = ["cifar-10", "coco-karpathy", "emoji-fluent"]
encoder = "tiny-resnet"
victim = [{ start = "as-is" }]
[init]
data = "emoji"
steps = 1
batch = 8
"#;

#[test]
fn a_model_is_measured_as_it_is_on_what_each_set_can_be_asked() {
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("cifar/python"), root.path());
    copy(&fixture("karpathy"), root.path());
    let (spec, out) = (root.path().join("wide.toml"), root.path().join("out"));
    fs::write(&spec, AS_IS).unwrap();
    let run = |out: &Path| {
        std::process::Command::new(env!("CARGO_BIN_EXE_toxiclip"))
            .args(["run", "--cache", "none", "--data-root"])
            .args([root.path(), Path::new("--out"), out, spec.as_path()])
            .output()
            .unwrap()
    };
    let done = run(&out);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut found: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in fs::read_to_string(out.join("rows.jsonl")).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["value"].is_number(), "{line}");
        let metrics = found.entry(row["dataset"].as_str().unwrap().to_owned()).or_default();
        metrics.insert(row["metric"].as_str().unwrap().to_owned(), row["n"].as_u64().unwrap());
    }
    let count = |set: &str, metric: &str| found[set].get(metric).copied();
    assert_eq!((count("cifar-10", "ca"), count("cifar-10", "ir@1")), (Some(3), None));
    // Two pictures with five and six captions.
    let [ca, ir, tr] = ["ca", "ir@1", "tr@5"].map(|metric| count("coco-karpathy", metric));
    assert_eq!((ca, ir, tr), (None, Some(11), Some(2)));
    assert!(count("emoji-fluent", "ca") > Some(100) && count("emoji-fluent", "ir@5").is_some());

    // A victim that trains needs pairs.
    fs::write(&spec, AS_IS.replace("victim = [{ start = \"as-is\" }]\n", "")).unwrap();
    let refused = run(&root.path().join("other"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("coco-karpathy has no training split"), "{said}");
}
