"""Small trees in the layouts of the standard data sets, and what the field's readers find in them.

Run:  python3 native/tests/datasets.py   (datasets.requirements.txt beside it says what must be installed)

Writes native/tests/datasets/. Layouts are those of the data sets' own documentation; what is expected is what torchvision,
pandas and webdataset read. Pictures are made up: only their place, their number and their bytes matter.
"""

import hashlib
import io
import json
import pathlib
import pickle
import random
import re
import shutil
import tarfile
import tempfile
from importlib.metadata import distribution

import braceexpand
import numpy as np
import pandas
import scipy.io
import torchvision
import webdataset
from PIL import Image

ROOT = pathlib.Path(__file__).with_suffix("")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def digest(data):
    return hashlib.sha256(bytes(data)).hexdigest()


# --- ImageNet ------------------------------------------------------------------------------------------------------

def meta_mat(path, wnids, compress):
    """`synsets` as the development kit has it: leaves in an order of their own, then inner nodes of the tree."""
    order = random.Random(0).sample(wnids, len(wnids))
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
    inner = [(len(order) + 1 + i, f"n9{i:07}", "inner, node", "has children", 2.0, np.array([[1.0, 2.0]]), 3.0, 0.0)
             for i in range(5)]
    leaves = [(i + 1, wnid, f"w{i}", "a gloss", 0.0, np.zeros((1, 0)), 0.0, 1300.0) for i, wnid in enumerate(order)]
    synsets = np.zeros((len(leaves) + len(inner), 1), dtype=[(name, "O") for name in fields])
    for row, values in enumerate(leaves + inner):
        synsets[row, 0] = tuple(np.array([[float(values[0])]]) if i == 0 else v for i, v in enumerate(values))
    scipy.io.savemat(path, {"synsets": synsets}, do_compression=compress)


def imagenet():
    builder = distribution("clip-benchmark").locate_file("clip_benchmark/datasets/builder.py").read_text()
    for kind in "ar":
        found = re.search(rf"imagenet_{kind}_wnids = [\[{{](.*?)[\]}}]", builder).group(1)
        write(ROOT / f"imagenet/imagenet-{kind}.txt", "\n".join(re.findall(r"n\d{8}", found)) + "\n")
    wnids = distribution("timm").locate_file("timm/data/_info/imagenet_synsets.txt").read_text().split()
    kit = ROOT / "imagenet/ILSVRC2012_devkit_t12/data"
    kit.mkdir(parents=True, exist_ok=True)
    meta_mat(kit / "meta.mat", wnids, True)
    meta_mat(ROOT / "imagenet/plain.mat", wnids[:7], False)
    plain = scipy.io.loadmat(ROOT / "imagenet/plain.mat", squeeze_me=True)["synsets"]
    write(ROOT / "imagenet/plain.txt", "".join(f"{int(synset[0])} {synset[1]}\n" for synset in plain))
    shown = random.Random(1).sample(range(1, 1001), 1000)
    write(kit / "ILSVRC2012_validation_ground_truth.txt", "".join(f"{i}\n" for i in shown))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        readers = torchvision.datasets.imagenet
        readers._verify_archive = lambda *_: None  # real archives have known digests
        with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
            tar.add(kit.parent, "ILSVRC2012_devkit_t12")
        readers.parse_devkit_archive(folder)
        (folder / "flat").mkdir()
        with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
            for i in range(1000):
                name = f"ILSVRC2012_val_{i + 1:08}.JPEG"
                (folder / "flat" / name).write_bytes(b"x")
                tar.add(folder / "flat" / name, name)
        readers.parse_val_archive(folder)
        samples = torchvision.datasets.ImageFolder(folder / "val").samples
    rows = [(pathlib.Path(path).relative_to(folder / "val").as_posix(), label) for path, label in samples]
    write(ROOT / "imagenet/expected.txt", "".join(f"{path} {label}\n" for path, label in rows))
    table = sorted((pathlib.Path(path).stem, path.split("/")[0]) for path, _ in rows)
    random.Random(2).shuffle(table)  # Kaggle's is in no order
    boxes = "ImageId,PredictionString\n" + "".join(f"{stem},{wnid} 85 1 499 272 \n" for stem, wnid in table)
    write(ROOT / "imagenet/LOC_val_solution.csv", boxes)


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for part in (imagenet,):
        part()


if __name__ == "__main__":
    main()
