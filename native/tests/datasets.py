"""Small trees in the layouts of the standard data sets, and what the field's readers find in them.

Run:  python3 native/tests/datasets.py   (requirements.txt beside it says what must be installed)

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
from pycocotools.coco import COCO

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


# --- CIFAR ---------------------------------------------------------------------------------------------------------

class Python2(pickle._Pickler):
    """Protocol 2 as Python 2 wrote it: text is bytes, and NumPy's names are those of its time."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        data = value.encode() if isinstance(value, str) else value
        short = len(data) < 256
        self.write((b"U" + bytes([len(data)]) if short else b"T" + len(data).to_bytes(4, "little")) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string

    def save_global(self, value, name=None):
        names = {"_reconstruct": "numpy.core.multiarray", "ndarray": "numpy", "dtype": "numpy"}
        name = name or value.__name__
        self.write(f"c{names[name]}\n{name}\n".encode())
        self.memoize(value)

    dispatch[type] = save_global
    dispatch[type(len)] = save_global


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        Python2(file, protocol=2).dump(value)


def pixels(rows, shade):
    """Red, green, blue planes of 32 by 32, no two alike and none symmetric."""
    i, c, y, x = np.meshgrid(np.arange(rows), np.arange(3), np.arange(32), np.arange(32), indexing="ij")
    return ((shade + 40 * i + 80 * c + 2 * y + x) % 256).astype(np.uint8).reshape(rows, 3072)


def found(data):
    return [{"sha256": digest(np.asarray(image)), "class": label} for image, label in data]


def cifar():
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    python, binary = ROOT / "cifar/python/cifar-10-batches-py", ROOT / "cifar/binary/cifar-10-batches-bin"
    batches = [(f"data_batch_{i}", f"training batch {i} of 5", 2) for i in range(1, 6)] + [("test_batch", "testing batch 1 of 1", 3)]
    for at, (name, label, rows) in enumerate(batches):
        data, labels = pixels(rows, 11 * at), [(3 * at + 7 * i) % 10 for i in range(rows)]
        dump(python / name, {"batch_label": label, "labels": labels, "data": data,
                             "filenames": [f"{names[k]}_s_{i:06}.png" for i, k in enumerate(labels)]})
        binary.mkdir(parents=True, exist_ok=True)
        (binary / f"{name}.bin").write_bytes(b"".join(bytes([k]) + bytes(row) for k, row in zip(labels, data)))
    dump(python / "batches.meta", {"num_cases_per_batch": 10000, "label_names": names, "num_vis": 3072})
    write(binary / "batches.meta.txt", "\n".join(names) + "\n\n")
    coarse, fine = [f"group_{i}" for i in range(20)], [f"fine_{i:02}" for i in range(98)] + ["lawn_mower", "maple_tree"]
    python, binary = ROOT / "cifar/python/cifar-100-python", ROOT / "cifar/binary/cifar-100-binary"
    for at, (name, rows) in enumerate([("train", 4), ("test", 3)]):
        data, labels = pixels(rows, 100 + 11 * at), [(95 + 41 * i + at) % 100 for i in range(rows)]
        groups = [k // 5 for k in labels]
        dump(python / name, {"filenames": [f"{fine[k]}_s_{i:06}.png" for i, k in enumerate(labels)],
                             "batch_label": f"{name} batch 1 of 1", "fine_labels": labels, "coarse_labels": groups, "data": data})
        binary.mkdir(parents=True, exist_ok=True)
        (binary / f"{name}.bin").write_bytes(b"".join(bytes([g, k]) + bytes(row) for g, k, row in zip(groups, labels, data)))
    dump(python / "meta", {"fine_label_names": fine, "coarse_label_names": coarse})
    write(binary / "fine_label_names.txt", "\n".join(fine) + "\n")
    write(binary / "coarse_label_names.txt", "\n".join(coarse) + "\n")
    out = {}
    for name, kind in [("cifar-10", torchvision.datasets.CIFAR10), ("cifar-100", torchvision.datasets.CIFAR100)]:
        reader = type(kind.__name__, (kind,), {"meta": dict(kind.meta, md5=None), "_check_integrity": lambda self: True})
        train, test = (reader(ROOT / "cifar/python", train=part) for part in (True, False))
        out[name] = {"classes": test.classes, "train": found(train), "test": found(test)}
    write(ROOT / "cifar/expected.json", json.dumps(out, indent=1) + "\n")


# --- Oxford-IIIT Pet -----------------------------------------------------------------------------------------------

CATS = "Abyssinian Bengal Birman Bombay British_Shorthair Egyptian_Mau Maine_Coon Persian Ragdoll Russian_Blue Siamese Sphynx"
DOGS = """american_bulldog american_pit_bull_terrier basset_hound beagle boxer chihuahua english_cocker_spaniel english_setter
german_shorthaired great_pyrenees havanese japanese_chin keeshond leonberger miniature_pinscher newfoundland pomeranian pug
saint_bernard samoyed scottish_terrier shiba_inu staffordshire_bull_terrier wheaten_terrier yorkshire_terrier"""


def pets():
    cats, dogs = CATS.split(), DOGS.split()
    folder = ROOT / "pets/oxford-iiit-pet"
    lines = {"test": [], "trainval": []}
    for label, breed in enumerate(sorted(cats + dogs, key=str.lower), 1):
        species, all_of_it = (1, cats) if breed in cats else (2, dogs)
        for split, first in [("test", 201), ("trainval", 34)]:
            for i in range(1 + (label == 3)):
                lines[split].append(f"{breed}_{first + i} {label} {species} {all_of_it.index(breed) + 1}\n")
    for split, text in lines.items():
        write(folder / f"annotations/{split}.txt", "".join(text))
    (folder / "images").mkdir()
    picture = Image.fromarray(pixels(1, 5).reshape(3, 32, 32).transpose(1, 2, 0)).quantize(16)
    picture.save(folder / "images/Abyssinian_34.jpg", format="gif")  # as the real one
    out = {"gif": digest(np.asarray(Image.open(folder / "images/Abyssinian_34.jpg").convert("RGB")))}
    for split in lines:
        data = torchvision.datasets.OxfordIIITPet(ROOT / "pets", split=split)
        out["classes"] = data.classes
        out[split] = [[path.name, label] for path, label in zip(data._images, data._labels)]
    write(ROOT / "pets/expected.json", json.dumps(out, indent=1) + "\n")


# --- Tables of pairs -----------------------------------------------------------------------------------------------

def flat(path, colour, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path, **options)


def pairs():
    folder = ROOT / "pairs/cc3m"
    captions = ["a banana on a table", "Two \"ripe\" bananas, yellow", "a line\nbreak", "Käse, naïve — 猫", "plain", "a second one"]
    images = [f"images/{i % 5:05}.png" for i in range(6)]
    for i in range(5):
        flat(folder / images[i], (40 * i, 9, 200))
    table = pandas.DataFrame({"image": images, "caption": captions, "is_backdoor": [0] * 6})
    table.to_csv(folder / "train.csv")  # with the index, as CleanCLIP does
    poisoned = table.assign(is_backdoor=[0, 0, 1, 0, 0, 0])
    poisoned.to_csv(folder / "poisoned.csv")
    table.assign(label=["fruit", "fruit", None, "cheese", None, "fruit"]).rename(columns={"image": "path"}).to_csv(
        folder / "labels.csv", index=False)
    read = pandas.read_csv(folder / "train.csv")
    labels = pandas.read_csv(folder / "labels.csv")["label"]
    rows = [[image, caption, None if label != label else label] for image, caption, label in zip(read["image"], read["caption"], labels)]
    write(ROOT / "pairs/expected.json", json.dumps(rows, indent=1) + "\n")


# --- WebDataset ----------------------------------------------------------------------------------------------------

def encoded(colour, kind, **options):
    out = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(out, kind, **options)
    return out.getvalue()


def archive(path, members):
    """A tar whose members have exactly these names."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def shards():
    folder = ROOT / "shards/img2dataset"
    folder.mkdir(parents=True)
    for shard in range(2):  # img2dataset writes with webdataset's TarWriter
        with webdataset.TarWriter(str(folder / f"{shard:05}.tar")) as writer:
            for i in range(4):
                key, caption = f"{shard:05}{i:04}", f"picture {i} of shard {shard}: ö\nsecond line"
                sample = {"__key__": key, "jpg": encoded((60 * i, 90 * shard, 7), "jpeg", quality=95), "txt": caption,
                          "json": json.dumps({"caption": caption, "key": key, "status": "success", "sha256": "0" * 64})}
                if (shard, i) == (0, 1):
                    del sample["txt"]  # the record has the caption too
                if (shard, i) == (0, 2):
                    sample["jpg"] = b"no picture"
                if (shard, i) == (1, 3):
                    sample["__key__"] = "long/" + "k" * 150
                writer.write(sample)
    png = encoded((1, 2, 3), "png")
    archive(folder / "leaving.tar", [("../a.jpg", png), ("../a.txt", b"x")])
    archive(folder / "absolute.tar", [("/a.jpg", png), ("/a.txt", b"x")])
    archive(folder / "twice.tar", [("a.jpg", png), ("a.txt", b"x"), ("b.jpg", png), ("b.txt", b"y"), ("a.jpg", png), ("a.txt", b"z")])
    archive(folder / "doubled.tar", [("a.jpg", png), ("a.jpg", png), ("a.txt", b"x")])
    for kind in ("labels", "retrieval"):
        root = ROOT / "shards" / kind
        write(root / "test/nshards.txt", "1")
        if kind == "labels":
            write(root / "classnames.txt", "cat\nstriped dog")
        else:
            write(root / "dataset_type.txt", "retrieval")
        with webdataset.TarWriter(str(root / "test/0.tar")) as writer:
            for i in range(3):
                more = {"cls": i % 2} if kind == "labels" else {"txt": f"first {i}\nsecond {i}"}
                writer.write({"__key__": f"s{i:07}", "webp": encoded((80 * i, 3, 200), "webp", lossless=True), **more})
    def read(pattern):
        urls = [str(ROOT / "shards" / url) for url in braceexpand.braceexpand(pattern)]
        for sample in webdataset.WebDataset(urls, shardshuffle=False, empty_check=False):
            picture = next(sample[kind] for kind in ("jpg", "webp") if kind in sample)
            text, record = sample.get("txt"), sample.get("json")
            caption = text.decode() if text else json.loads(record)["caption"] if record else None
            yield [sample["__key__"], digest(picture), caption, sample["cls"].decode() if "cls" in sample else None]
    patterns = ["img2dataset/{00000..00001}.tar", "labels/test/0.tar", "retrieval/test/0.tar"]
    expected = {pattern: list(read(pattern)) for pattern in patterns}
    write(ROOT / "shards/expected.json", json.dumps(expected, indent=1) + "\n")


# --- Karpathy's split ----------------------------------------------------------------------------------------------

def karpathy():
    for name, folder, of in [("coco", "val2014", "COCO_val2014_{:012}.jpg"), ("flickr30k", "flickr30k-images", "{}.jpg")]:
        images, expected = [], []
        for i, split in enumerate(["train", "test", "val", "restval", "test"]):
            raw = [f"Picture {i}, seen {k} times." + " " * k for k in range(5 + (i == 4))]
            file = of.format(391895 + 7 * i)
            record = {"sentids": [], "imgid": i, "sentences": [{"tokens": r.split(), "raw": r, "imgid": i, "sentid": k}
                      for k, r in enumerate(raw)], "split": split, "filename": file}
            images.append({"filepath": folder, "cocoid": 391895 + 7 * i, **record} if name == "coco" else record)
            if split == "test":
                flat(ROOT / "karpathy" / name / folder / file, (50 * i, 9, 9), quality=95)
                expected.append([f"{folder}/{file}", [r.strip() for r in raw]])
        write(ROOT / f"karpathy/{name}/dataset_{name}.json", json.dumps({"images": images, "dataset": name}))
        write(ROOT / f"karpathy/{name}.json", json.dumps(expected, indent=1) + "\n")


# --- Flickr30k as its authors hand it out --------------------------------------------------------------------------

def token_file():
    folder, lines = ROOT / "token/flickr30k", []
    for i, name in enumerate([3000, 1000092795, 1000268201]):  # names sort as text
        flat(folder / f"flickr30k-images/{name}.jpg", (70 * i, 9, 200), quality=95)
        lines += [f"{name}.jpg#{k}\tPicture {i} , seen \" {k} \" times .{' ' * (k == 2)}\n" for k in range(5)]
    write(folder / "results_20130124.token", "".join(lines))
    data = torchvision.datasets.Flickr30k(folder / "flickr30k-images", folder / "results_20130124.token")
    rows = [[f"flickr30k-images/{name}", captions] for name, (_, captions) in zip(data.ids, data)]
    write(ROOT / "token/expected.json", json.dumps(rows, indent=1) + "\n")


# --- COCO's own annotations ------------------------------------------------------------------------------------------

def annotations():
    folder = ROOT / "coco/coco"
    names = [(1, "person"), (3, "car"), (18, "dog"), (90, "toothbrush")]  # numbers with gaps, as there
    categories = [{"supercategory": "thing", "id": number, "name": name} for number, name in names]
    objects = {"train": [[18], [18, 18], [1, 18], [], [90]], "val": [[3, 3, 3], [1]]}
    expected = {}
    for split, all_of_it in objects.items():
        name = f"{split}2017"
        images, captions, instances = [], [], []
        for i, of in enumerate(all_of_it):
            number = 900 - 37 * i  # not ascending
            file = f"{number:012}.jpg"
            images.append({"license": 3, "file_name": file, "height": 3, "width": 4, "id": number})
            captions += [{"image_id": number, "id": 1000 * i + 7 * (5 - k), "caption": f"Picture {i}, said {k} times.{' ' * k}"} for k in range(5 + i % 2)]
            instances += [{"segmentation": {"counts": [1, 2], "size": [3, 4]} if crowd else [[0.5, 1, 2, 2, 1, 0.5]], "area": 1.5, "iscrowd": crowd,
                           "image_id": number, "bbox": [0, 0, 1.5, 2], "category_id": c, "id": 100 * i + k}
                          for k, c in enumerate(of) for crowd in [int(k == 2)]]
            flat(folder / name / file, (40 * i, 90, 200), quality=95)
        head = {"info": {"year": 2017}, "licenses": [], "images": images}
        write(folder / f"annotations/captions_{name}.json", json.dumps({**head, "annotations": captions}))
        write(folder / f"annotations/instances_{name}.json", json.dumps({**head, "annotations": instances, "categories": categories}))
        said, seen = (COCO(folder / f"annotations/{kind}_{name}.json") for kind in ("captions", "instances"))
        rows = []
        for number in sorted(said.imgs):
            texts = [a["caption"].strip() for a in sorted(said.imgToAnns[number], key=lambda a: a["id"])]
            classes = {seen.cats[a["category_id"]]["name"] for a in seen.imgToAnns[number]}
            rows.append([f"{name}/{said.imgs[number]['file_name']}", texts, classes.pop() if len(classes) == 1 else None])
        expected[split] = rows
    write(ROOT / "coco/expected.json", json.dumps(expected, indent=1) + "\n")


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for part in (imagenet, cifar, pets, pairs, shards, karpathy, token_file, annotations):
        part()


if __name__ == "__main__":
    main()
