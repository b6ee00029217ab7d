"""Compares our speed with PyTorch's and ONNX Runtime's on this machine and writes docs/performance.md.

Programs take turns (ours, theirs, ours, theirs, …), each turn a fresh process, and a ratio is one of neighbouring
turns: a slow phase of the machine meets both. Nothing else should be running.

  python benchmarks/perf/compare.py                                  # everything, and the page
  python benchmarks/perf/compare.py --only train-step:small-clip     # some comparisons, printed
  python benchmarks/perf/compare.py --quick --docs /tmp/trial        # does it all work?
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import data_size
import definitions
import page
import suite
from programs import ROOT, Programs, build


def turns(programs, case, args):
    """Every program's turns on one workload, by program; lists are aligned by round."""
    peers = () if args.skip_peers else case.peers
    iters = 1 if args.quick else case.iters
    results = {}
    for round_ in range(args.rounds):
        plan = [(program, args.threads, iters) for program in ("toxiclip", *peers)]
        if case.scaling and args.threads > 1:
            plan.append(("toxiclip", 1, max(1, iters // 2)))
        for program, threads, count in plan:
            name = program if threads == args.threads else f"{program} on one thread"
            result = programs.run(program, case.what, case.encoder, case.batch, count, threads)
            results.setdefault(name, []).append(result)
        results.setdefault("peak", []).append(programs.peak(args.threads))
        print(page.round_line(case, results, round_), flush=True)
    same_parameters(case, results)
    return results


def same_parameters(case, results):
    """Refuses to compare models of different size."""
    counts = {name: runs[0].get("parameters") for name, runs in results.items()}
    known = {count for count in counts.values() if count is not None}
    if len(known) != 1:
        sys.exit(f"{case.name}: the programs have different models: {counts}")


def curve(programs, spec, args):
    """Seconds a pair at every value: {program: [[value, seconds], …]}."""
    points = {"toxiclip": []} if args.skip_peers else {"toxiclip": [], "pytorch": []}
    iters = 1 if args.quick else spec.iters
    for value in spec.values:
        definition = definitions.read("small-clip")
        definition, batch, threads = spec.settings(value, definition, args.threads)
        file = programs.folder / f"{spec.name}-{value}.json"
        file.write_text(json.dumps(definition))
        seconds = {program: [] for program in points}
        for _ in range(args.rounds):
            for program in points:
                result = programs.run(program, "train-step", str(file), batch, iters, threads)
                seconds[program].append(1 / result["per_second"])
        for program, all_ in seconds.items():
            points[program].append([value, statistics.median(all_)])
        print(f"curve {spec.name} {value}: {points['toxiclip'][-1][1] * 1e3:.3f} ms a pair", flush=True)
    return points


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", action="append", metavar="PREFIX",
                        help="only comparisons whose name WHAT:ENCODER:BATCH begins so; no page is written")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every program [default: 5]")
    parser.add_argument("--quick", action="store_true", help="one round of one iteration: a trial, no measurement")
    parser.add_argument("--skip-peers", action="store_true", help="only ours; no page is written")
    parser.add_argument("--skip-curves", action="store_true", help="only the tables; no page is written")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="[default: all cores]")
    parser.add_argument("--binary", help="our program [default: built with cargo build --release]")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page goes [default: docs/]")
    args = parser.parse_args()
    if args.quick:
        args.rounds = 1
        if args.docs == ROOT / "docs":
            args.skip_curves = True
    return args


def main():
    args = arguments()
    chosen = [c for c in suite.CASES if not args.only or any(c.name.startswith(p) for p in args.only)]
    if not chosen:
        sys.exit(f"no comparison begins so; there are {', '.join(c.name for c in suite.CASES)}")
    binary = args.binary or build()
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(binary, folder)
        cases = {case.name: turns(programs, case, args) for case in chosen}
        if args.only or args.skip_peers or args.skip_curves:
            print(page.tables(chosen, cases))
            return
        curves = {c.name: curve(programs, c, args) for c in suite.curves(args.threads)}
        sizes = data_size.DATA_SIZES[:2] if args.quick else data_size.DATA_SIZES
        curves["data-size"] = data_size.measure(binary, Path(folder), sizes, args.rounds)
    page.write(args.docs, binary, args, cases, curves)
    print(f"{args.docs / 'performance.md'} written")


if __name__ == "__main__":
    main()
