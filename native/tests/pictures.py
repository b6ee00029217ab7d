"""Pictures of every kind that people have, and what open_clip's preprocessing makes of them before it normalises.

Run:  python3 native/tests/pictures.py   (requirements.txt beside it says what must be installed)

Writes native/tests/pictures/. Each is opened by Pillow and becomes RGB, on white where it has alpha (Pillow's own conversion
would show whatever colour lies under a transparent pixel);
then shortest edge by bicubic, centre crop. NAME.expected.png is the result. Pillow turns every grey of 16 bits above 255 into
white; there the upper 8 bits are what is expected.
"""

import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

FOLDER = pathlib.Path(__file__).with_suffix("")
SIZE = 24
TRANSFORM = Compose([Resize(SIZE, InterpolationMode.BICUBIC), CenterCrop(SIZE)])


def scene(width, height, bands="RGB", depth=8):
    """Waves, an edge and a ramp: something at every frequency that a photograph has."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    waves = [np.sin(x / (5 + 2 * i) + i) * np.cos(y / (7 + i)) for i in range(len(bands))]
    ramp = (x / width + y / height) / 2
    planes = [0.5 + 0.25 * wave + 0.25 * (ramp - 0.5) + 0.2 * ((x > width * 0.6) - 0.5) for wave in waves]
    top = 2**depth - 1
    return np.clip(np.stack(planes, -1) * top, 0, top).astype(np.uint8 if depth == 8 else np.uint16)


def save(name, image, **options):
    image.save(FOLDER / name, **options)


def png_16(name, pixels, colour):
    """A PNG of 16 bits a channel, which Pillow does not write in colour."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).astype(">u2")
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (FOLDER / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def exif_rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def main():
    FOLDER.mkdir(exist_ok=True)
    colour = Image.fromarray(scene(120, 90))
    save("jpeg.jpg", colour, quality=90)
    save("jpeg-444.jpg", colour, quality=95, subsampling=0)
    save("jpeg-progressive.jpg", colour, quality=85, progressive=True)
    save("jpeg-grey.jpg", colour.convert("L"), quality=90)
    save("jpeg-cmyk.jpg", Image.fromarray(scene(120, 90, "CMYK"), "CMYK"), quality=95)
    save("jpeg-exif.jpg", colour, quality=90, exif=exif_rotated())
    save("png.png", colour)
    save("png-grey.png", colour.convert("L"))
    save("png-palette.png", colour.quantize(64))
    transparent = colour.quantize(64)
    save("png-palette-alpha.png", transparent, transparency=3)
    save("png-alpha.png", Image.fromarray(scene(120, 90, "RGBA"), "RGBA"))
    save("png-grey-alpha.png", Image.fromarray(scene(120, 90, "LA"), "LA"))
    save("png-bits.png", colour.convert("1"))
    png_16("png-16.png", scene(60, 45, depth=16), 2)
    png_16("png-16-grey.png", scene(60, 45, "L", 16)[..., 0], 0)
    save("webp.webp", colour, quality=90)
    save("webp-lossless.webp", colour, lossless=True)
    save("webp-alpha.webp", Image.fromarray(scene(120, 90, "RGBA"), "RGBA"), lossless=True, exact=True)
    save("line.png", Image.fromarray(scene(1, 40)))
    save("column.png", Image.fromarray(scene(40, 1)))
    save("small.png", Image.fromarray(scene(7, 9)))
    for path in sorted(FOLDER.iterdir()):
        if ".expected." not in path.name:
            image = Image.open(io.BytesIO(path.read_bytes()))
            if image.mode == "I;16":
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            whole = Image.new("RGBA", image.size, "white")
            whole.alpha_composite(image.convert("RGBA"))
            rgb = whole.convert("RGB")
            TRANSFORM(rgb).save(path.with_name(f"{path.name}.expected.png"), optimize=True)


if __name__ == "__main__":
    main()
