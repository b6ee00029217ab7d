"""What every peer measures and prints: the keys of `toxiclip bench --json`."""

import argparse
import json
import resource
import statistics
import time

WARM_UP = 2


def arguments(doc):
    """The command line that all peers share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["train-step", "image", "text"])
    parser.add_argument("--encoder", default="small-clip", help="a registered name or a JSON file")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--iters", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def report(args, once, **more):
    """Times `once` and prints one JSON object; `more` are keys that only some peers know."""
    for _ in range(WARM_UP):
        once()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    seconds = []
    for _ in range(args.iters):
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    median = statistics.median(seconds)
    print(json.dumps({
        "what": args.what,
        "encoder": args.encoder,
        "batch": args.batch,
        "iters": args.iters,
        "threads": args.threads,
        "per_second": args.batch / median,
        "seconds_median": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "minor_faults": (usage.ru_minflt - before) / args.iters,
        **more,
    }))
