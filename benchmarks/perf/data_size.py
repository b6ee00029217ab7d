"""Cost against the number of pairs: one epoch of training, and embedding, over a folder of generated pictures."""

import statistics
import time

from programs import output

DATA_SIZES = (500, 1000, 2000, 4000)
ENCODER = "tiny-resnet"
EDGE = 64


def draw_pictures(folder, count):
    """`count` PNG pictures of coloured noise in ten classes."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for i in range(count):
        pixels = generator.integers(0, 256, (EDGE // 8, EDGE // 8, 3), dtype=np.uint8)
        file = folder / f"class {i % 10}" / f"{i:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((EDGE, EDGE)).save(file)


def wall_seconds(command):
    start = time.perf_counter()
    output(command)
    return time.perf_counter() - start


def measure(binary, folder, sizes, rounds):
    """Wall seconds of whole commands by size: {command: [[pairs, seconds], …]}."""
    ours = [binary, "--cache", "none"]
    checkpoint = folder / "checkpoint"
    output([*ours, "train", "--data", "emoji", "--encoder", ENCODER, "--steps", 1, "--out", checkpoint])
    points = {"train, one epoch": [], "embed": []}
    for size in sizes:
        pictures = folder / f"pictures-{size}"
        draw_pictures(pictures, size)
        source = f"folder:{pictures}"
        train = [*ours, "train", "--data", source, "--encoder", ENCODER, "--init", checkpoint]
        embed = [*ours, "embed", "--checkpoint", checkpoint, "--images", source]
        commands = {
            "train, one epoch": [*train, "--epochs", 1, "--out", folder / "trained"],
            "embed": [*embed, "--out", folder / "embeddings.safetensors"],
        }
        for name, command in commands.items():
            seconds = [wall_seconds(command) for _ in range(rounds)]
            points[name].append([size, statistics.median(seconds)])
        print(f"curve data-size {size}: " + ", ".join(f"{n} {p[-1][1]:.2f} s" for n, p in points.items()), flush=True)
    return points
