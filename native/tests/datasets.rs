//! Readers of the standard data sets against what torchvision, pandas and webdataset find in the same files
//! (`datasets.py`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toxiclip::argument::Source;
use toxiclip::data::{BROUGHT, named, templates, training};
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

/// Path and class of each validation picture as torchvision's ImageFolder has them.
fn imagenet_rows() -> Vec<(String, Option<usize>)> {
    let row = |line: &str| {
        let (path, class) = line.split_once(' ').unwrap();
        (path.to_owned(), Some(class.parse().unwrap()))
    };
    text("imagenet/expected.txt").lines().map(row).collect()
}

/// ImageNet's validation in folders.
fn imagenet(root: &Path) {
    for (path, _) in imagenet_rows() {
        picture(&root.join("imagenet/val").join(path));
    }
}

#[test]
fn imagenet_is_the_same_in_folders_and_flat_with_either_labels() {
    let expected = imagenet_rows();
    let trees = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let [folders, kit, kaggle] = trees.each_ref().map(tempfile::TempDir::path);
    imagenet(folders);
    copy(&fixture("imagenet/ILSVRC2012_devkit_t12"), &kit.join("imagenet/ILSVRC2012_devkit_t12"));
    let table = kaggle.join("imagenet/LOC_val_solution.csv");
    let competition = kaggle.join("imagenet/ILSVRC/Data/CLS-LOC/val");
    for (path, _) in &expected {
        let name = path.split_once('/').unwrap().1;
        picture(&kit.join("imagenet/val").join(name));
        picture(&competition.join(name));
    }
    fs::copy(fixture("imagenet/LOC_val_solution.csv"), &table).unwrap();
    let [a, b, c] = [folders, kit, kaggle].map(|root| open("imagenet", root));
    assert!(a.train.is_none());
    for splits in [&a, &b, &c] {
        assert_eq!(rows(&*splits.test), expected);
        assert_eq!(splits.test.digest(), a.test.digest());
        assert_eq!(splits.test.image(7).unwrap().rgba(), a.test.image(7).unwrap().rgba());
    }
    assert_eq!(a.test.classes()[954].name, "banana");
    assert_eq!(a.test.examples()[954].captions, ["a photo of a banana"]);

    // What may be wrong with them.
    let first = expected[0].0.split_once('/').unwrap();
    fs::remove_dir_all(folders.join("imagenet/val").join(first.0)).unwrap();
    refused("imagenet", folders, &["1 of 1000 classes, n01440764 first", "image-net.org"]);
    picture(&folders.join("imagenet/val/n99999999/x.JPEG"));
    refused("imagenet", folders, &["n99999999 is none of its 1000 classes"]);
    fs::remove_file(kit.join("imagenet/val").join(first.1)).unwrap();
    refused("imagenet", kit, &[first.1, "has a label but is missing"]);
    let truth = "imagenet/ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt";
    // Inner nodes of the tree come behind the thousand.
    fs::write(kit.join(truth), "1003\n").unwrap();
    refused(
        "imagenet",
        kit,
        &["ILSVRC2012_val_00000001 has the label n90000002, which is no class"],
    );
    fs::write(kit.join(truth), "2000\n").unwrap();
    refused("imagenet", kit, &[":1: `2000` is no synset of meta.mat"]);
    fs::write(kit.join("imagenet/ILSVRC2012_devkit_t12/data/meta.mat"), "x").unwrap();
    refused("imagenet", kit, &["meta.mat: no MATLAB 5 file"]);
    fs::write(&table, "ImageId,PredictionString\nx\n").unwrap();
    refused("imagenet", kaggle, &["LOC_val_solution.csv:2: expected ImageId"]);
    fs::remove_file(&table).unwrap();
    refused(
        "imagenet",
        kaggle,
        &["neither folders of classes nor labels", "ILSVRC2012_devkit_t12"],
    );
}

#[test]
fn folders_of_v2_are_numbers() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("imagenetv2-matched-frequency-format-val");
    for class in 0..1000 {
        picture(&place.join(format!("{class}/{class}.jpeg")));
    }
    let test = open("imagenet-v2", root.path()).test;
    let expected: Vec<_> = (0..1000).map(|i| (format!("{i}/{i}.jpeg"), Some(i))).collect();
    assert_eq!(rows(&*test), expected);
    assert_eq!(templates("imagenet-v2").unwrap().len(), 80);
}

#[test]
fn subsets_have_their_classes_alone() {
    let root = tempfile::tempdir().unwrap();
    for (name, banana) in [("imagenet-a", 188), ("imagenet-r", 191)] {
        // As CLIP_benchmark lists them.
        let mut wnids: Vec<String> =
            text(&format!("imagenet/{name}.txt")).lines().map(str::to_owned).collect();
        wnids.sort();
        for wnid in &wnids {
            picture(&root.path().join(name).join(wnid).join(format!("{wnid}.jpg")));
        }
        fs::write(root.path().join(name).join("README.txt"), "as in the archive").unwrap();
        let test = open(name, root.path()).test;
        let expected: Vec<_> =
            wnids.iter().zip(0..).map(|(w, i)| (format!("{w}/{w}.jpg"), Some(i))).collect();
        assert_eq!(rows(&*test), expected);
        assert_eq!((test.classes().len(), test.classes()[banana].name.as_str()), (200, "banana"));
        // Of ImageNet's classes, but of neither subset.
        picture(&root.path().join(name).join("n01440764/x.jpg"));
        refused(name, root.path(), &["n01440764 is none of its 200 classes", "hendrycks"]);
    }
}

#[test]
fn sketches_lie_in_a_folder_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    for (path, _) in imagenet_rows() {
        picture(&root.path().join("imagenet-sketch/sketch").join(path.replace("val", "sketch")));
    }
    let test = open("imagenet-sketch", root.path()).test;
    assert_eq!((test.examples().len(), test.name()), (1000, "imagenet-sketch/test"));
    assert!(rows(&*test).iter().map(|(_, class)| *class).eq((0..1000).map(Some)));
}

#[derive(Deserialize)]
struct Cifar {
    classes: Vec<String>,
    train: Vec<Pixels>,
    test: Vec<Pixels>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Pixels {
    sha256: String,
    class: usize,
}

fn pixels(data: &dyn Dataset) -> Vec<Pixels> {
    let classes = data.examples().iter().map(|e| e.class.unwrap());
    classes.enumerate().map(|(row, class)| Pixels { sha256: rgb(data, row), class }).collect()
}

#[test]
fn cifar_is_what_torchvision_reads_in_both_forms() {
    let expected: BTreeMap<String, Cifar> = json("cifar/expected.json");
    for (name, expected) in expected {
        let forms = ["python", "binary"].map(|form| open(&name, &fixture("cifar").join(form)));
        for splits in &forms {
            let train = splits.train.as_ref().unwrap();
            assert_eq!(pixels(&**train), expected.train, "{name}");
            assert_eq!(pixels(&*splits.test), expected.test, "{name}");
            let classes = train.classes().iter().map(|class| class.name.clone());
            assert!(classes.eq(expected.classes.iter().map(|name| name.replace('_', " "))));
            assert_eq!(splits.test.digest(), forms[0].test.digest(), "forms differ");
            assert_eq!(train.examples()[3].id.0, "train/00003");
        }
        let mut other = pixels(&*forms[0].test);
        other[1].class += 1;
        assert_ne!(other, expected.test, "the comparison can fail");
        assert_eq!(templates(&name).unwrap().len(), 18);
    }
}

#[test]
fn damaged_cifar_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("cifar/python"), root.path());
    let batch = root.path().join("cifar-10-batches-py/data_batch_3");
    let good = fs::read(&batch).unwrap();
    fs::write(&batch, &good[..good.len() / 2]).unwrap();
    refused("cifar-10", root.path(), &["data_batch_3: the file ends", "nothing was run"]);
    fs::write(&batch, b"\x80\x02cposix\nsystem\nU\x02id\x85R.").unwrap();
    refused("cifar-10", root.path(), &["GLOBAL (0x63) names `posix system` at byte 2"]);
    fs::remove_file(&batch).unwrap();
    refused("cifar-10", root.path(), &["data_batch_3 cannot be read", "cs.toronto.edu"]);
    let root = tempfile::tempdir().unwrap();
    copy(&fixture("cifar/binary"), root.path());
    let test = root.path().join("cifar-100-binary/test.bin");
    let mut bytes = fs::read(&test).unwrap();
    bytes[1] = 100;
    fs::write(&test, &bytes).unwrap();
    refused("cifar-100", root.path(), &["test.bin: row 0 has the label 100 of 100"]);
    fs::write(&test, &bytes[1..]).unwrap();
    refused("cifar-100", root.path(), &["test.bin: its 9221 bytes are no rows of 3074"]);
}

#[derive(Deserialize)]
struct Pets {
    gif: String,
    classes: Vec<String>,
    test: Vec<(String, usize)>,
    trainval: Vec<(String, usize)>,
}

#[test]
fn pets_are_what_torchvision_reads() {
    let expected: Pets = json("pets/expected.json");
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("oxford-iiit-pet");
    copy(&fixture("pets/oxford-iiit-pet"), &place);
    for (name, _) in expected.test.iter().chain(&expected.trainval) {
        if name != "Abyssinian_34.jpg" {
            picture(&place.join("images").join(name));
        }
    }
    let splits = open("oxford-pets", root.path());
    let train = splits.train.unwrap();
    for (data, expected) in [(&splits.test, &expected.test), (&train, &expected.trainval)] {
        let expected: Vec<_> = expected.iter().map(|(name, c)| (name.clone(), Some(*c))).collect();
        assert_eq!(rows(&**data), expected);
    }
    assert!(train.classes().iter().map(|class| &class.name).eq(&expected.classes));
    assert_eq!(
        (train.examples()[0].id.0.as_str(), rgb(&*train, 0)),
        ("Abyssinian_34.jpg", expected.gif)
    );
    assert_eq!(templates("oxford-pets").unwrap(), ["a photo of a {}, a type of pet."]);
    let list = place.join("annotations/test.txt");
    for (line, said) in [
        ("Abyssinian_201 2 1 1", "has the label 2, which is `American Bulldog`"),
        ("Abyssinian_201 38 1 1", "`38` is no class from 1 to 37"),
        ("Abyssinian_201 0 1 1", "`0` is no class"),
        ("Abyssinian_201", "expected PICTURE CLASS"),
        ("Abyssinian_999 1 1 1", "Abyssinian_999.jpg"),
    ] {
        fs::write(&list, format!("{line}\n")).unwrap();
        refused("oxford-pets", root.path(), &[said]);
    }
    fs::remove_file(&list).unwrap();
    refused("oxford-pets", root.path(), &["test.txt cannot be read", "annotations.tar.gz"]);
}

/// Picture, caption, label.
type Pair = (String, String, Option<String>);

/// Rows of one picture as one, as the reader has them.
fn grouped(pairs: &[Pair]) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (image, caption, _) in pairs {
        match all.iter_mut().find(|(known, _)| known == image) {
            Some((_, captions)) => captions.push(caption.clone()),
            None => all.push((image.clone(), vec![caption.clone()])),
        }
    }
    all
}

fn captions(data: &dyn Dataset) -> Vec<(String, Vec<String>)> {
    data.examples().iter().map(|e| (e.id.0.clone(), e.captions.clone())).collect()
}

fn table(path: &Path) -> toxiclip::failure::Result<Arc<dyn Dataset>> {
    training(&Source::Table(path.to_owned()), None)
}

#[test]
fn tables_are_what_pandas_reads() {
    let expected: Vec<Pair> = json("pairs/expected.json");
    let plain = table(&fixture("pairs/cc3m/train.csv")).unwrap();
    assert_eq!(captions(&*plain), grouped(&expected));
    assert!(plain.classes().is_empty() && plain.image(4).unwrap().width() == 4);
    let labelled = table(&fixture("pairs/cc3m/labels.csv")).unwrap();
    assert_eq!(captions(&*labelled), grouped(&expected));
    let label = |class: Option<usize>| class.map(|c| labelled.classes()[c].name.clone());
    let labels: Vec<_> = labelled.examples().iter().map(|e| label(e.class)).collect();
    let wanted: Vec<_> = expected[..5].iter().map(|(_, _, label)| label.clone()).collect();
    assert_eq!(labels, wanted);
    let marked = table(&fixture("pairs/cc3m/poisoned.csv")).err().unwrap();
    assert!(marked.to_string().contains("poisoned.csv:4: is marked as poisoned"), "{marked}");
    let dir = tempfile::tempdir().unwrap();
    for (content, said) in [
        ("image,text\na,b\n", ":1: has no head image,caption"),
        ("image,caption,image\n", "two columns `image`"),
        ("image,caption\n../a.png,b\n", ":2: `../a.png` leaves the table's folder"),
        ("image,caption\n/a.png,b\n", "leaves the table's folder"),
        ("image,caption\na.png,\n", ":2: a picture or its caption is missing"),
        ("image,caption\na.png,b,c\n", "a.csv:2"),
        ("image,caption,label\na,b,c\na,b,d\n", ":3: a has two labels"),
        ("image,caption\na.png,b\n", "a.png"),
        ("image,caption\n", "no picture"),
    ] {
        let file = dir.path().join("a.csv");
        fs::write(&file, content).unwrap();
        let error = table(&file).err().unwrap();
        assert!(error.to_string().contains(said) && error.code() == 2, "{error} lacks {said}");
    }
}

#[test]
fn conceptual_captions_are_tested_on_imagenet() {
    let root = tempfile::tempdir().unwrap();
    refused("cc3m", root.path(), &["cc3m is missing", "img2dataset"]);
    copy(&fixture("pairs/cc3m"), &root.path().join("cc3m"));
    refused("cc3m", root.path(), &["imagenet/val is missing"]);
    imagenet(root.path());
    let splits = open("cc3m", root.path());
    let train = splits.train.unwrap();
    let expected: Vec<Pair> = json("pairs/expected.json");
    assert_eq!(captions(&*train), grouped(&expected));
    assert!(train.examples().iter().all(|e| e.class.is_none()));
    assert_eq!(train.classes(), splits.test.classes());
    assert_eq!((splits.test.examples().len(), templates("cc3m").unwrap().len()), (1000, 80));
    fs::rename(root.path().join("cc3m/labels.csv"), root.path().join("cc3m/train.csv")).unwrap();
    refused("cc3m", root.path(), &["cc3m has no labels"]);
}

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

#[test]
fn karpathys_test_split_has_all_captions() {
    for (name, place) in [("coco-karpathy", "coco"), ("flickr30k", "flickr30k")] {
        let expected: Vec<(String, Vec<String>)> = json(&format!("karpathy/{place}.json"));
        let splits = open(name, &fixture("karpathy"));
        assert_eq!(captions(&*splits.test), expected);
        assert!(splits.train.is_none() && splits.test.image(1).unwrap().width() == 4);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(place)).unwrap();
        refused(name, root.path(), &["cannot be read", "caption_datasets.zip"]);
    }
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
