"""What Pillow's JPEG leaves of two pictures, in colour and in grey: writes storage.json. Bytes are (edge, edge, 3) row by row as hexadecimal text."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

EDGE = 48


def smooth():
    """Slow waves with a hard border of colour, as drawings have it."""
    y, x, c = np.indices((EDGE, EDGE, 3))
    waves = 128 + 90 * np.sin((x + 2 * y) / 9 + c)
    return np.where((x - 20) ** 2 + (y - 28) ** 2 < 100, np.array([220, 30, 40]), waves).astype(np.uint8)


def noise():
    return np.random.default_rng(0).integers(0, 256, (EDGE, EDGE, 3), dtype=np.uint8)


def grey(picture):
    """The same without colour: what is left is the part that no file halves."""
    return np.repeat(picture[..., :1], 3, axis=2)


def main():
    cases = []
    for picture in (smooth(), noise(), grey(smooth()), grey(noise())):
        for quality in (75, 90):
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "JPEG", quality=quality)
            left = np.asarray(Image.open(file))
            cases.append({"quality": quality, "before": picture.tobytes().hex(), "after": left.tobytes().hex()})
    text = json.dumps({"edge": EDGE, "cases": cases}, indent=0) + "\n"
    Path(__file__).with_name("storage.json").write_text(text)


if __name__ == "__main__":
    main()
