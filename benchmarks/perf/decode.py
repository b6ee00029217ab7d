"""Pictures out of tar shards to an encoder's size: our reader and Pillow's, in turns; and memory over the number of shards.

  decode.py [--threads 2] [--rounds 5] [--binary target/release/toxiclip]

Makes shards of JPEG pictures of 500 by 375 with a caption each, as img2dataset writes them. Both sides read a picture from its
place in the archive, decode it, convert it to RGB, bring the shortest edge to 224 by bicubic with antialiasing and cut the
middle out. Pillow runs in as many threads, and lets go of Python's lock while it decodes and resizes. Prints a table.
"""

import argparse
import io
import json
import subprocess
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from PIL import Image

from programs import build

WIDTH, HEIGHT, SIZE, SHARD = 500, 375, 224, 100


def photograph(rng):
    """Smooth areas, edges and some grain, so that the file is as large as a photograph's (about 45 kB)."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=numpy.uint8))
    smooth = numpy.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=numpy.int16)
    pixels = smooth + rng.normal(0, 6, smooth.shape).astype(numpy.int16)
    for _ in range(12):
        x, y = rng.integers(0, WIDTH - 60), rng.integers(0, HEIGHT - 60)
        pixels[y : y + rng.integers(10, 60), x : x + rng.integers(10, 60)] += rng.integers(-80, 80, 3, dtype=numpy.int16)
    file = io.BytesIO()
    Image.fromarray(numpy.clip(pixels, 0, 255).astype(numpy.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_shards(folder, count):
    rng = numpy.random.default_rng(0)
    pictures = [photograph(rng) for _ in range(SHARD)]
    for shard in range(count):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for i, picture in enumerate(pictures):
                for ending, data in (("jpg", picture), ("txt", b"a photo of something")):
                    member = tarfile.TarInfo(f"{shard:05}{i:04}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return sum(map(len, pictures)) / SHARD


def places(path):
    """Offset and size of every picture."""
    with tarfile.open(path) as tar:
        return [(path, m.offset_data, m.size) for m in tar if m.name.endswith(".jpg")]


def ready(place):
    path, offset, size = place
    with open(path, "rb") as file:
        file.seek(offset)
        image = Image.open(io.BytesIO(file.read(size))).convert("RGB")
    short = min(image.size)
    width, height = (SIZE if edge == short else SIZE * edge // short for edge in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
    return numpy.asarray(image.crop((left, top, left + SIZE, top + SIZE)))


def pillow(shards, batch, iters, threads):
    """Pictures a second, at the median of the batches."""
    all_places = [place for shard in shards for place in places(shard)]
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for i in range(iters + 3):
            rows = [all_places[(i * batch + j) % len(all_places)] for j in range(batch)]
            start = time.perf_counter()
            list(pool.map(ready, rows, chunksize=8))
            seconds.append(time.perf_counter() - start)
    return batch / sorted(seconds[3:])[iters // 2]


def ours(binary, pattern, batch, iters, threads):
    command = [binary, "bench", "decode", "--encoder", "vit-b-32", "--data", f"wds:{pattern}", "--json"]
    command += ["--batch", batch, "--iters", iters, "--threads", threads]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", help="our program; built when it is not given")
    args = parser.parse_args()
    binary = args.binary or build()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        size = write_shards(folder, 100)
        shards = [folder / f"{i:05}.tar" for i in range(10)]
        pattern = f"{folder}/{{00000..00009}}.tar"
        print(f"{WIDTH}x{HEIGHT} JPEG of {size / 1000:.0f} kB to {SIZE}x{SIZE}, {args.threads} threads, pictures a second")
        ratios = []
        for _ in range(args.rounds):
            we = ours(binary, pattern, 100, 10, args.threads)["per_second"]
            they = pillow(shards, 100, 10, args.threads)
            ratios.append(we / they)
            print(f"toxiclip {we:8.0f}   Pillow {they:8.0f}   ratio {we / they:.2f}", flush=True)
        print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.2f}")
        for count in (1, 10, 100):
            pattern = f"{folder}/{{00000..{count - 1:05}}}.tar"
            peak = ours(binary, pattern, 100, max(1, count - 3), args.threads)["peak_rss_bytes"]
            print(f"{count:4} shards, {count * SHARD:6} pictures read once: {peak / 2**20:6.0f} MiB resident at most", flush=True)


if __name__ == "__main__":
    main()
