"""The browser's engine and onnxruntime-web on the same checkpoints, in turns; writes docs/performance-browser.md.

  browser.py [--rounds 3] [--remark …] [--models tiny-vit,small-clip,browser/vit-s-32.json] [--binary …] [--chromium /usr/bin/chromium]

`toxiclip train` writes checkpoints of a step, open_clip reads them and exports the image tower to ONNX. Every turn is a headless
Chromium of its own: made ready (module, model, kernels), the first picture, then the median of the later ones. The answers of both
programs are compared. WebGPU is Chromium's software adapter: it says what the kernels cost two cores, not what a card does.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path

from programs import ROOT, build

PACKAGES = {"onnxruntime-web": "1.30.0", "playwright-core": "1.64.1"}
PAGE = ROOT / "docs/performance-browser.md"
OURS, THEIRS = "toxiclip", "onnxruntime-web"
# What stands beside what: (backend, our threads, their threads).
PAIRS = [("webgpu", 1, 1), ("wasm", 1, 1), ("wasm", 1, 2)]
TOLERANCE = 1e-3


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, text=True, **more)


def packages(folder):
    (folder / "package.json").write_text('{"private": true}')
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *wanted, cwd=folder)


def checkpoint(binary, encoder, folder):
    """A model of one step in open_clip's layout, its image tower as ONNX, and what a page must know."""
    import models  # open_clip is slow to import, and --help does not need it

    run(binary, "train", "--data", "emoji", "--encoder", encoder, "--steps", 1, "--batch", 16, "--out", folder, capture_output=True)
    definition = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    scale = models.export_checkpoint(folder, folder / "image.onnx")
    about = {"image_size": definition["vision_cfg"]["image_size"], "scale": scale}
    (folder / "about.json").write_text(json.dumps(about))


def measured(plan, folder):
    """All turns; a line for each is shown as it ends."""
    file = folder / "plan.json"
    file.write_text(json.dumps(plan))
    driver = subprocess.Popen(["node", str(ROOT / "benchmarks/perf/browser/drive.mjs"), str(file)], stdout=subprocess.PIPE, text=True)
    turns = []
    for line in driver.stdout:
        turn = json.loads(line)
        turns.append(turn)
        shown = turn.get("error") or f"ready {turn['ready_ms']:.0f}, first {turn['first_ms']:.1f}, then {turn['warm_ms']:.1f} ms"
        print(f"{turn['model']:12} {turn['program']:16} {turn['backend']:7} {turn['threads']} threads: {shown}", flush=True)
    if driver.wait():
        raise SystemExit("the browser was not driven to the end")
    return turns


def ratio(turns, model, pair, value):
    """Theirs over ours round by round, and both medians; None where one of them failed."""
    backend, our_threads, their_threads = pair

    def of(program, threads):
        own = [t for t in turns if (t["model"], t["program"], t["backend"], t["threads"]) == (model, program, backend, threads)]
        return None if any("error" in t for t in own) else [value(t) for t in sorted(own, key=lambda t: t["round"])]

    ours, theirs = of(OURS, our_threads), of(THEIRS, their_threads)
    if not ours or not theirs:
        return None
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return ratios, statistics.median(ours), statistics.median(theirs)


def deviation(turns, model):
    """The largest difference of two answers about the same picture."""
    answers = [t["answer"] for t in turns if t["model"] == model and "error" not in t]
    return max(abs(a - b) for answer in answers for a, b in zip(answers[0], answer, strict=True))


def table(turns, names):
    head = ["model", "backend", "their threads", "again: times as fast", "ours, ms", "theirs, ms", "first answer: times as fast", "ours, ms", "theirs, ms"]
    lines = [head, ["---"] * len(head)]
    for name in names:
        for pair in PAIRS:
            cells = [f"`{name}`", pair[0], str(pair[2])]
            for value in (lambda t: t["warm_ms"], lambda t: t["ready_ms"] + t["first_ms"]):
                found = ratio(turns, name, pair, value)
                if found is None:
                    cells += ["failed", "–", "–"]
                else:
                    ratios, ours, theirs = found
                    cells += [f"**{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})**", f"{ours:,.1f}", f"{theirs:,.1f}"]
            lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(turns, names, args):
    commit = run("git", "-C", ROOT, "rev-parse", "HEAD", capture_output=True).stdout.strip()
    version = run(args.chromium, "--version", "--no-sandbox", capture_output=True).stdout.strip()
    deviations = ", ".join(f"`{name}` {deviation(turns, name):.0e}" for name in names)
    remark = f"\n* {args.remark}" if args.remark else ""
    return f"""# Performance in a browser

Written by `python benchmarks/perf/browser.py`; [how it measures](../benchmarks/perf/README.md).

* {platform.machine()}, {args.rounds} rounds, commit {commit}
* {version}, onnxruntime-web {PACKAGES[THEIRS]}; WebGPU by the browser's software adapter: what kernels cost two cores, not a card{remark}

{table(turns, names)}

"Times as fast" is the median over rounds with the range in parentheses; "first answer" counts from an empty page: module, model,
kernels, one picture. Our WebAssembly has one thread. Largest difference of two answers: {deviations}.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--models", default="tiny-vit,small-clip,benchmarks/perf/browser/vit-s-32.json")
    parser.add_argument("--site", help="a folder that `cargo xtask www --release` wrote; built when it is not given")
    parser.add_argument("--binary", help="our program; built when it is not given")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--remark", help="a line about the machine for the page: what else ran, how fast it was")
    parser.add_argument("--dry", action="store_true", help="writes no page")
    args = parser.parse_args()
    binary = args.binary or build()
    site = args.site or run("cargo", "xtask", "www", "--release", cwd=ROOT, stdout=subprocess.PIPE).stdout.split("\n")[-2]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        packages(folder)
        encoders = {Path(encoder).stem: encoder for encoder in args.models.split(",")}
        for name, encoder in encoders.items():
            checkpoint(binary, str(ROOT / encoder) if encoder.endswith(".json") else encoder, folder / "models" / name)
        programs = {(OURS, b, o) for b, o, _ in PAIRS} | {(THEIRS, b, t) for b, _, t in PAIRS}
        keys = ("program", "backend", "threads")
        turns = [dict(zip(keys, p), model=name, runs=args.runs) for name in encoders for p in sorted(programs, key=lambda p: p[1:])]
        places = {"pkg": f"{site}/demo/pkg", "ort": str(folder / "node_modules/onnxruntime-web/dist"), "models": str(folder / "models")}
        plan = {"chromium": args.chromium, "packages": str(folder), "folders": places, "rounds": args.rounds, "turns": turns}
        found = measured(plan, folder)
    worst = max(deviation(found, name) for name in encoders)
    if worst > TOLERANCE:
        raise SystemExit(f"answers differ by {worst:.1e}: they are not of the same model")
    text = page(found, list(encoders), args)
    print(text)
    if not args.dry:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
