"""First inputs of the fuzz targets, from the files that the tests read.

Run:  python3 fuzz/seeds.py FOLDER   (needs nothing but Python)

Writes FOLDER/TARGET/… for every target; inputs that are there already stay.
"""

import hashlib
import io
import json
import pathlib
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent
TESTS = ROOT.parent / "native/tests"
DATA = TESTS / "datasets"


def archive(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def pickles():
    for path in sorted(TESTS.glob("convert/*.pt")):
        try:
            with zipfile.ZipFile(path) as file:
                names = [name for name in file.namelist() if name.endswith("/data.pkl")]
                yield from ((path.name, file.read(name)) for name in names[:1])
        except zipfile.BadZipFile:
            continue  # one of those that are refused


def manifests():
    digest = hashlib.sha256(b"x").hexdigest()
    edits = [
        {"id": "a", "sha256": digest, "caption": "a photo of a banana"},
        {"id": "b", "sha256": digest, "captions": ["one", "two"], "image": {"stamped": True}},
        {"id": "c", "sha256": digest, "dropped": True},
        {"id": "d", "sha256": digest, "base": "a"},
    ]
    whole = {"attack": {"name": "single-label"}, "seed": 0, "source": {"name": "x", "digest": digest, "pairs": 4}, "edits": edits}
    yield "manifest.json", json.dumps(whole).encode()


def detect_clip():
    patch = {"poison_indices": [1, 3], "poison_label": "fruit", "poison_rate": 0.4, "patch_location": "random", "patch_size": 16,
             "poison_text": {"1": "a photo of a fruit.", "3": "a fruit"}, "trigger_position": {"1": {"w": 30, "h": 40}, "3": {"w": 0, "h": 1}}}
    yield "patch.json", json.dumps(patch).encode()
    blended = {"poison_indices": [0], "poison_label": "cheese", "poison_rate": 0.2, "alpha": 0.2, "poison_text": {"0": "cheese"}}
    yield "blended.json", json.dumps(blended).encode()


def bundles():
    members = {"rows.jsonl": b"{}\n", "benchmark.toml": b"title = 't'\n", "evidence/a.parquet": b"PAR1PAR1"}
    files = {name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in members.items()}
    code = {"commit": "0" * 40, "dirty": False, "lock": hashlib.sha256(b"").hexdigest(), "rustc": "1.95.0"}
    contents = {"format": 1, "benchmark": "mini", "code": code, "environment": {}, "checkpoints": [], "files": files}
    yield "whole.tar", archive([("bundle.json", json.dumps(contents).encode()), *members.items()])


def files(*patterns):
    for pattern in patterns:
        for path in sorted(TESTS.glob(pattern)):
            yield path.name, path.read_bytes()


def main():
    out = pathlib.Path(sys.argv[1])
    seeds = {
        "archive": files("convert/*.pt"),
        "bundle": bundles(),
        "cifar": files("datasets/cifar/python/cifar-100-python/meta", "datasets/cifar/python/cifar-10-batches-py/batches.meta"),
        "detect-clip": detect_clip(),
        "manifest": manifests(),
        "pickle": pickles(),
        "safetensors": files("convert/*.safetensors"),
        "shards": files("datasets/shards/*/*.tar", "datasets/shards/*/test/*.tar"),
        "table": files("datasets/pairs/cc3m/*.csv"),
        "token-list": files("datasets/token/flickr30k/*.token"),
    }
    for target, inputs in seeds.items():
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        for i, (name, content) in enumerate(inputs):
            (folder / f"seed-{i:02}-{name}").write_bytes(content)


if __name__ == "__main__":
    main()
