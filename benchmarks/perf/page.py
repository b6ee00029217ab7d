"""The page of results: tables in Markdown, curves as SVG, and all numbers behind them as JSON."""

import datetime
import importlib.metadata
import json
import platform
import statistics

import drawing
import suite
from programs import output

TITLES = {"toxiclip": "toxiclip", "pytorch": "PyTorch", "onnxruntime": "ONNX Runtime"}
ONE = "toxiclip on one thread"


def ratios(results, other):
    """Our speed over another's, one ratio a round."""
    pairs = zip(results["toxiclip"], results[other])
    return [ours["per_second"] / theirs["per_second"] for ours, theirs in pairs]


def of_peak(results):
    """The share of the machine's peak at which our operations run, one a round."""
    pairs = zip(results["toxiclip"], results["peak"])
    return [ours["gflop_per_item"] * ours["per_second"] / peak["per_second"] for ours, peak in pairs]


def spread(values):
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def speed(runs):
    """Median speed of a program, items a second."""
    return statistics.median(run["per_second"] for run in runs)


def memory(runs):
    return f"{max(run['peak_rss_bytes'] for run in runs) / 2**20:,.0f}"


def round_line(case, results, round_):
    """One line of progress."""
    parts = [f"{name} {runs[round_]['per_second']:.1f}/s" for name, runs in results.items()]
    return f"{case.name} round {round_ + 1}: {', '.join(parts)}"


def rows(case, results):
    """The lines of one comparison: one for every peer."""
    ours = results["toxiclip"]
    for peer in case.peers:
        if peer not in results:
            continue
        theirs = results[peer]
        work = theirs[0].get("gflop_per_item")
        share = f"{ours[0]['gflop_per_item'] / work:.2f}" if work else ""
        speeds = ratios(results, peer)
        at_peak = statistics.median(ratio / reached for ratio, reached in zip(speeds, of_peak(results)))
        yield [f"`{case.encoder}`", case.what, case.batch, TITLES[peer], f"**{spread(speeds)}**", f"{at_peak:.2f}",
               f"{speed(ours):.1f}", f"{speed(theirs):.1f}", memory(ours), memory(theirs), share]


def table(head, lines):
    """A Markdown table."""
    shown = ["| " + " | ".join(str(cell) for cell in line) + " |" for line in [head, ["---"] * len(head), *lines]]
    return "\n".join(shown)


def tables(cases, results):
    """All tables of the given comparisons."""
    head = ["encoder", "workload", "batch", "against", "times as fast", "at the roof", "ours, items/s", "theirs",
            "our peak MiB", "their peak MiB", "our share of their work"]
    lines = [line for case in cases for line in rows(case, results[case.name])]
    alone = [case for case in cases if ONE in results[case.name]]
    scaling = [[f"`{c.encoder}`", c.what, c.batch, spread(ratios(results[c.name], ONE)),
                f"{statistics.median(r['minor_faults'] for r in results[c.name]['toxiclip']):.0f}",
                spread(of_peak(results[c.name])), f"{speed(results[c.name]['peak']):.0f}"] for c in alone]
    threads = next(iter(results.values()))["toxiclip"][0]["threads"]
    scaled = table(["encoder", "workload", "batch", f"{threads} threads over one", "page faults an iteration",
                    "of the roof", "the roof, GFLOP/s"], scaling)
    return "\n\n".join([table(head, lines), scaled] if scaling else [table(head, lines)])


def facts(binary, args):
    """Machine, versions, date and commit, as lines of a list."""
    doctor = json.loads(output([binary, "doctor", "--json"]))
    machine, code = doctor["machine"], doctor["code"]
    version = importlib.metadata.version
    peers = [f"PyTorch {version('torch')}", f"open_clip {version('open_clip_torch')}",
             f"ONNX Runtime {version('onnxruntime')}", f"Python {platform.python_version()}"]
    dirty = ", with local changes" if code["dirty"] else ""
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB,"
        f" {' '.join(machine['features'])}; {platform.system()} {platform.release()}",
        f"toxiclip {doctor['version']}, commit {code['commit']}{dirty}, {code['rustc']}",
        ", ".join(peers),
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {args.rounds} rounds, {args.threads} threads",
    ]


PAGE = """# Performance

Written by `python benchmarks/perf/compare.py`; [how it measures](../benchmarks/perf/README.md).

{facts}

## Against other programs

{tables}

"Times as fast" is the median over rounds with the range in parentheses. Peak memory is of the whole process, the
interpreter and libraries included. "Our share of their work" compares floating-point operations, counted by each program
in its own graph: we compute the last block of a transformer only for the row that is read, which is exact, and the
others compute all rows. What is left out is part of the ratio; ratio times share is the ratio of arithmetic speed.
The roof is `toxiclip bench peak`, taken beside every comparison: multiplications and additions on numbers that stay in
registers. "At the roof" is how many times as fast we would be if all our operations ran so, and nothing else took time.

## Curves

Training steps of `small-clip`, 64 pairs unless the picture says otherwise; time for one pair. The last picture shows
whole commands on `tiny-resnet`, start and checkpoint included.

{curves}

The numbers behind tables and curves, round by round: [results.json](performance/results.json).
"""


def write(docs, binary, args, cases, curves):
    """Writes `performance.md` and its pictures below `docs`."""
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    about = facts(binary, args)
    everything = {"facts": about, "cases": cases, "curves": curves}
    (folder / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    labels = {c.name: c.label for c in suite.curves(args.threads)}
    pictures = []
    for name, points in curves.items():
        drawing.curve(folder / f"{name}.svg", points, labels.get(name, "pairs"), TITLES)
        pictures.append(f"![cost against {name.replace('-', ' ')}](performance/{name}.svg)")
    text = PAGE.format(
        facts="\n".join(f"* {fact}" for fact in about),
        tables=tables(suite.CASES, cases),
        curves="\n".join(pictures),
    )
    (docs / "performance.md").write_text(text)
