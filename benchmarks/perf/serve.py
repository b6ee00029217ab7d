"""Load on a server of this machine: so many readers at once for so many seconds, and what they waited.

Starts `toxiclip serve` on a folder of its own, publishes nothing, and reads what readers read. Nothing else should be running.

  python benchmarks/perf/serve.py --program target/release/toxiclip
  python benchmarks/perf/serve.py --program … --readers 200 --seconds 20 --data DIR    # a folder with accepted results
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PATHS = ("/api/v1/leaderboard", "/api/v1/submissions", "/api/v1/feed", "/api/v1/health", "/")


def start(program, folder):
    """The process and its port."""
    command = [program, "serve", "--addr", "127.0.0.1:0", "--data", folder, "--address-rate", "1000000000"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    found = re.match(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())
    if not found:
        server.kill()
        sys.exit("the server did not start")
    return server, int(found.group(1))


def read(port, end, barrier, waits, failures):
    """One reader: asks on one connection, and anew where that ends, until the time is over."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    barrier.wait()
    turn = 0
    while time.perf_counter() < end[0]:
        path = PATHS[turn % len(PATHS)]
        turn += 1
        begin = time.perf_counter()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failures.append((path, answer.status))
        except (OSError, http.client.HTTPException) as error:
            failures.append((path, repr(error)))
            connection.close()
        waits.append((path, time.perf_counter() - begin))
    connection.close()


def measure(port, readers, seconds):
    """Waits of all readers together, and what failed."""
    waits = [[] for _ in range(readers)]
    failures, end = [], [0.0]
    barrier = threading.Barrier(readers + 1)
    threads = [
        threading.Thread(target=read, args=(port, end, barrier, own, failures), daemon=True) for own in waits
    ]
    for thread in threads:
        thread.start()
    end[0] = time.perf_counter() + seconds
    barrier.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return sum(waits, []), failures, time.perf_counter() - begin


def milliseconds(values):
    cut = statistics.quantiles(values, n=100) if len(values) > 1 else values * 99
    return {"p50": round(cut[49] * 1e3, 2), "p99": round(cut[98] * 1e3, 2), "max": round(max(values) * 1e3, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/toxiclip")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--data", help="a server's folder [default: an empty one]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        server, port = start(args.program, args.data or empty)
        try:
            waits, failures, took = measure(port, args.readers, args.seconds)
        finally:
            server.terminate()
            server.wait()
    by_path = {path: milliseconds([w for p, w in waits if p == path]) for path in PATHS}
    said = {
        "readers": args.readers,
        "requests": len(waits),
        "per_second": round(len(waits) / took, 1),
        "failures": len(failures),
        "milliseconds": milliseconds([w for _, w in waits]),
        "by_path": by_path,
    }
    print(json.dumps(said, indent=2))
    for path, why in failures[:5]:
        print(f"{path}: {why}", file=sys.stderr)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
