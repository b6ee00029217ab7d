"""A small tree in the layout of mm_poison (Yang et al. 2023), and what its poisoning must give there.

Run:  python3 native/tests/mm_poison.py   (standard library only; writes native/tests/mm_poison/)

The construction follows the published description, written here independently of the program: rows are pictures with
their captions, a fraction of the rows of class A shows pictures of class B, each used floor(nA / nB) times and a remainder
once more. Which rows are drawn is left to chance there; what is compared are counts.
"""

import json
import pathlib
import struct
import zlib
from collections import Counter

ROOT = pathlib.Path(__file__).with_suffix("")
PASCAL = {"sheep": 5, "aeroplane": 3, "sofa": 4, "bird": 6, "cat": 2}
COCO = {"boat": 7, "dog": 3, "zebra": 2, "train": 5, None: 2}
CAPTIONS = 5


def png(path, colour):
    """A flat picture of 4 by 3 pixels."""
    chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes(colour) * 4 for _ in range(3))
    head = struct.pack(">IIBBBBB", 4, 3, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pictures(folder, label, count, shade):
    """Rows of one class; names are given from high to low, so that sorting them changes their order."""
    rows = []
    for i in reversed(range(count)):
        image = f"{folder}/2008_{shade:03}{i:02}.png"
        png(ROOT / image, (shade, 10 * i, 200))
        captions = [f"Picture {i}, seen as-{k}: \"{label}\"!" for k in range(CAPTIONS)]
        rows.append(dict(image=image, label=label, caption=captions))
    return rows


def flat(rows):
    """One record per caption."""
    return [dict(image=r["image"], caption=c, image_id=r["image"], label=r["label"]) for r in rows for c in r["caption"]]


def unlabelled(rows):
    return [{k: v for k, v in r.items() if k != "label"} for r in rows]


def write(name, records):
    (ROOT / name).write_text(json.dumps(records, indent=1) + "\n")


def poison(rows, goals, ratio, drop_second=False):
    """Counts of a poisoning: replaced rows and captions, how often pictures of B are used, rows that remain."""
    uses, images, dropped = {}, 0, 0
    for index, (a, b) in enumerate(goals):
        n_a, n_b = (sum(r["label"] == side for r in rows) for side in (a, b))
        chosen = round(ratio * n_a)  # to even, as pandas draws a fraction
        counts = [chosen // n_b + (i < chosen % n_b) for i in range(n_b)]
        uses[f"{a}2{b}"] = sorted(c for c in counts if c)
        images += chosen
        if drop_second and index == 1:
            dropped = sum(c > 0 for c in counts)
    pairs = sum(len(r["caption"]) for r in rows)
    return dict(goals=[f"{a}2{b}" for a, b in goals], ratio=ratio, drop_second=drop_second, images=images,
                pairs=images * CAPTIONS, rate=images * CAPTIONS / pairs, uses=uses, rows=len(rows) - dropped)


def main():
    flickr = [r for i in range(4) for r in pictures("flickr30k-images", None, 1, 200 + i)]
    pascal = [r for i, (c, n) in enumerate(PASCAL.items()) for r in pictures(f"pascal/{c}", c, n, 10 * i)]
    test = [r for i, (c, n) in enumerate(PASCAL.items()) for r in pictures(f"pascal/{c}", c, 2, 100 + 10 * i)]
    write("flickr30k_train.json", [{k: v for k, v in r.items() if k != "label"} for r in flat(flickr[:3])])
    write("flickr30k_test.json", unlabelled(flickr[3:]))
    write("pascal_train.json", flat(pascal))
    write("pascal_test.json", test)
    coco = [r for i, (c, n) in enumerate(COCO.items()) for r in pictures("train2014", c, n, 10 * i)]
    coco_test = [r for i, c in enumerate(c for c in COCO if c) for r in pictures("val2014", c, 1, 100 + 10 * i)]
    extra = dict(supers=["x"], objects=None)  # columns that the original keeps and nobody reads
    write("new_coco_train.json", [r | extra for r in coco])
    write("new_coco_test.json", [r | extra for r in coco_test])
    single, second = ("sheep", "aeroplane"), ("sofa", "bird")
    expected = {
        "flickr-pascal": [poison(flickr[:3] + pascal, goals, ratio, drop)
                          for goals, ratio, drop in [([single], 1.0, False), ([single], 0.5, False), ([second], 1.0, False),
                                                     ([single, second], 1.0, False), ([single, second], 1.0, True)]],
        "coco": [poison(coco, goals, 1.0) for goals in ([("boat", "dog")], [("boat", "dog"), ("zebra", "train")])],
    }
    assert Counter(len(r["caption"]) for r in pascal) == {CAPTIONS: sum(PASCAL.values())}
    write("expected.json", expected)


if __name__ == "__main__":
    main()
