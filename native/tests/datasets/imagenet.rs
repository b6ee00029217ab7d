//! ImageNet and the sets that share its classes, against torchvision's order of folders and labels.

use std::fs;
use std::path::Path;

use toxiclip::data::templates;

use super::{copy, fixture, open, picture, refused, rows, text};

/// Path and class of each validation picture as torchvision's ImageFolder has them.
fn rows_of_val() -> Vec<(String, Option<usize>)> {
    let row = |line: &str| {
        let (path, class) = line.split_once(' ').unwrap();
        (path.to_owned(), Some(class.parse().unwrap()))
    };
    text("imagenet/expected.txt").lines().map(row).collect()
}

/// ImageNet's validation in folders.
pub(super) fn val(root: &Path) {
    for (path, _) in rows_of_val() {
        picture(&root.join("imagenet/val").join(path));
    }
}

#[test]
fn imagenet_is_the_same_in_folders_and_flat_with_either_labels() {
    let expected = rows_of_val();
    let trees = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let [folders, kit, kaggle] = trees.each_ref().map(tempfile::TempDir::path);
    val(folders);
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
    for (path, _) in rows_of_val() {
        picture(&root.path().join("imagenet-sketch/sketch").join(path.replace("val", "sketch")));
    }
    let test = open("imagenet-sketch", root.path()).test;
    assert_eq!((test.examples().len(), test.name()), (1000, "imagenet-sketch/test"));
    assert!(rows(&*test).iter().map(|(_, class)| *class).eq((0..1000).map(Some)));
}
