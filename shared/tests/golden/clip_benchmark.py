"""What `clip_benchmark eval` and `toxiclip eval` make of the same checkpoint and the same shards, number by number.

  clip_benchmark.py PROGRAM [--steps 200]

PROGRAM is the built `toxiclip`. It trains a small ModifiedResNet that open_clip loads, and gives away its drawings; this script
writes them as shards in the layout of CLIP_benchmark's `wds/`. Fails where a number is more than 0.001 apart. Captions that are
the same word for word tie, and each program orders ties in its own way: recall of captions within 5 and 10 may be 0.005 apart. Needs, in an
environment of its own:

  pip install clip_benchmark==1.6.2 "numpy<2.4" torch==2.15.0 open_clip_torch==3.3.0 transformers==5.23.0 webdataset requests
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

SHARD = 500
PROMPTS = ["a photo of a {c}.", "an image of a {c}"]
RECALLS = [f"{side}_retrieval_recall@{k}" for side in ("image", "text") for k in (1, 5, 10)]
# Set, our name of the task, theirs, and the numbers that both must give.
TASKS = [
    ("classified", "zero-shot", "zeroshot_classification", ["acc1", "acc5", "mean_per_class_recall"]),
    ("captioned", "retrieval", "zeroshot_retrieval", RECALLS),
    ("probed", "linear-probe", "linear_probe", ["lp_acc1", "lp_acc5", "lp_mean_per_class_recall"]),
]
# Their linear probe asks for CUDA and gets a CPU, whose random numbers are those of any machine. SHUFFLED is 1 as published; else
# its shuffle before all epochs, which depends on how often building the model has thrown dice, keeps the order.
ON_CPU = """
import os, runpy, torch
from clip_benchmark.metrics import linear_probe
class Cpu(str):
    __hash__ = str.__hash__
    def __eq__(self, other):
        return other == "cuda" or str.__eq__(self, other)
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
evaluate, randperm = linear_probe.evaluate, torch.randperm
linear_probe.evaluate = lambda *args, **more: evaluate(*args, **{**more, "device": Cpu("cpu")})
if os.environ["SHUFFLED"] != "1":
    torch.randperm = lambda n, **more: randperm(n, **more) if more else torch.arange(n)
runpy.run_module("clip_benchmark.cli", run_name="__main__")
"""


def write(folder, split, samples, files):
    """Shards `SPLIT/0.tar` and so on of samples, each a dict from ending to bytes; further files by their names."""
    (folder / split).mkdir(parents=True)
    shards = [samples[i : i + SHARD] for i in range(0, len(samples), SHARD)]
    for number, shard in enumerate(shards):
        with tarfile.open(folder / f"{split}/{number}.tar", "w") as tar:
            for i, sample in enumerate(shard):
                for ending, data in sample.items():
                    member = tarfile.TarInfo(f"s{number * SHARD + i:07}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    for name, text in ({f"{split}/nshards.txt": str(len(shards))} | files).items():
        (folder / name).write_text(text)


def drawings(program, folder):
    """Class, captions and PNG of every drawing of the training split, from a table that PROGRAM writes; one has a patch."""
    attack = "badnets:target=banana,count=1"
    run(program, "poison", "--data", "emoji", "--attack", attack, "--write", "csv", "--out", folder)
    found = {}
    with open(folder / "pairs.csv", newline="") as file:
        for path, caption, name, _ in list(csv.reader(file))[1:]:
            found.setdefault(path, (name, []))[1].append(caption)
    return [(name, captions, opaque(folder / path)) for path, (name, captions) in found.items()]


def opaque(file):
    """The picture on white: the colours under transparent pixels, which CLIP_benchmark shows, are nobody's picture."""
    picture = Image.open(file).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    out = io.BytesIO()
    Image.alpha_composite(white, picture).convert("RGB").save(out, "PNG")
    return out.getvalue()


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def theirs(folder, task, model, out, seed=0, shuffled=False):
    run(
        *(sys.executable, "-P", "-c", ON_CPU, "eval", "--dataset", f"wds/{folder.name}", "--dataset_root", folder),
        *("--task", task, "--model", f"local-dir:{model}", "--pretrained", "", "--no_amp", "--num_workers", 0, "--recall_k", 1, 5, 10),
        *("--seed", seed, "--feature_root", out.with_suffix(".features"), "--output", out),
        env=os.environ | {"SHUFFLED": str(int(shuffled))},
    )
    return json.loads(out.read_text())["metrics"]


def shards(folder, split):
    return f"wds:{folder}/{split}/{{0..{len(list(folder.glob(f'{split}/*.tar'))) - 1}}}.tar"


def ours(program, folder, task, model, out, seed=0):
    train = ("--train", shards(folder, "train")) if task == "linear-probe" else ()
    asked = ("--data", shards(folder, "test"), *train, "--task", task, "--seed", seed)
    run(program, "eval", "--checkpoint", model, *asked, "--out", out)
    [result] = [json.loads(file.read_text()) for file in out.glob("*_en_*.json")]
    return result["metrics"]


def compare(names, ours, theirs):
    """Prints a line a number; whether all agree. A number that one of them lacks is an error."""
    good = True
    for name in names:
        apart = abs(ours[name] - theirs[name])
        holds = apart <= (0.005 if name in ("text_retrieval_recall@5", "text_retrieval_recall@10") else 0.001)
        good &= holds
        print(f"{name:28} {ours[name]:.9f} {theirs[name]:.9f} {apart:.1e}{'' if holds else '  TOO FAR'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    # A comparer that cannot fail says nothing.
    if compare(["acc1"], {"acc1": 0.5}, {"acc1": 0.502}):
        sys.exit("the comparison does not see a difference")
    program = args.program.resolve()
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        model = place / "model"
        run(program, "train", "--data", "emoji", "--encoder", "tiny-rn", "--steps", args.steps, "--out", model)
        found = drawings(program, place / "poison")
        names = sorted({name for name, _, _ in found})
        classified = [{"png": picture, "cls": str(names.index(name)).encode()} for name, _, picture in found]
        beside = {"classnames.txt": "\n".join(names), "zeroshot_classification_templates.txt": "\n".join(PROMPTS)}
        write(place / "classified", "test", classified, beside)
        write(place / "probed", "test", classified[::5], beside)
        write(place / "probed", "train", [sample for i, sample in enumerate(classified) if i % 5], {})
        captioned = [{"png": picture, "txt": captions[0].encode()} for _, captions, picture in found[::4]]
        write(place / "captioned", "test", captioned, {"dataset_type.txt": "retrieval"})
        good = True
        for name, short, long, numbers in TASKS:
            print(f"{long}: ours, clip_benchmark's, apart")
            mine = ours(program, place / name, short, model, place / f"ours-{short}")
            good &= compare(numbers, mine, theirs(place / name, long, model, place / f"{short}.json"))
        spread(program, place, model)
        sys.exit(0 if good else "numbers differ")


def spread(program, place, model):
    """What the seed is worth in a linear probe, theirs as published."""
    for seed in range(3):
        mine = ours(program, place / "probed", "linear-probe", model, place / f"seed-{seed}", seed)
        alike = theirs(place / "probed", "linear_probe", model, place / f"seed-{seed}.json", seed, shuffled=True)
        print(f"linear probe, seed {seed}, theirs shuffled: acc1 {mine['lp_acc1']:.4f} {alike['lp_acc1']:.4f}")


if __name__ == "__main__":
    main()
