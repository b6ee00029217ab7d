"""What lossy WebP leaves of pictures: `webp.py EDGE QUALITY` reads (EDGE, EDGE, 3) bytes a picture and writes as many, until its input ends.

A C library in every build is too much for one column of a table.
"""

import io
import sys

from PIL import Image


def main():
    edge, quality = (int(argument) for argument in sys.argv[1:])
    while pixels := sys.stdin.buffer.read(edge * edge * 3):
        file = io.BytesIO()
        Image.frombytes("RGB", (edge, edge), pixels).save(file, "WEBP", quality=quality)
        sys.stdout.buffer.write(Image.open(file).convert("RGB").tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
