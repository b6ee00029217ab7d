"""Thousands of captions and the ids that open_clip's own tokenizer gives them; and CLIP's merges as we carry them.

  clip_tokens.py           writes clip_tokens.json.gz, and shared/src/text/clip/merges.txt.gz
  clip_tokens.py --check   recomputes both and compares

Captions: names of emoji in fifteen languages (package emoji), every class of ImageNet in one of its prompts, entities of
HTML, text whose encoding was mistaken, characters of all planes, controls, quotes, widths, and texts of 300 words. Those
that spell a special token are left out: open_clip makes it one, and we read it as text (a caption must not end its row).
So are code points that Unicode has not assigned: which of them are letters depends on a library's version.
Those whose encoding was mistaken stand apart: ftfy decides about them by rules that are not ours.
"""

import argparse
import gzip
import html
import json
import random
import sys
import unicodedata
from pathlib import Path

import emoji
import open_clip
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

FOLDER = Path(__file__).parent
MERGES = FOLDER / "../../src/text/clip/merges.txt.gz"
COUNT = 49152 - 256 - 2
EDGES = [
    "", " ", "a", "A  B\tC\r\nD", "it's we've they'll I'd you're don't I'm", "IT'S WE'VE", "x\u00a0y\u2003z\u3000w",
    "3.14159 1,000,000 ½ ² ① ٣ 五", "#hashtag @name http://example.org/a?b=c&d=e", "\u201cquoted\u201d \u2018single\u2019 \u201elow\u201f",
    "ＦＵＬＬ　ＷＩＤＴＨ ｶﾀｶﾅ ﾊﾟ ￦", "ﬁne ﬂow oﬃce ﬅ ǆ Ĳssel ŉ", "line\u2028para\u2029next\u0085end", "\ufeffbom \u200bzero \u200djoin\u200c",
    "\x1b[31mred\x1b[0m \x00nul\x07bell\x7fdel", "\u0080\u0091\u0099 controls", "\ud7ff\ue000 private \U000f0000 \U0010ffff",
    "e\u0301 a\u030a n\u0303 \u1100\u1161\u11a8", "ǅ ß ẞ İ ı Σίσυφος ΣΑΣ ſ K Å", "नमस्ते สวัสดี 안녕하세요 שלום مرحبا",
    "👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ❤️", "_under_score_ --- ... !!! ??? $$$ %%% ^^^ ~~~ ``` |||", "\\n \\t \\u0041 \\\\",
    "ˈaɪpʰiːeɪ ʼmodifier ʻokina", "\u206a\u206f \ufff9a\ufffab\ufffb \ufffc", "C:\\path\\file.txt", "a<b>c</b>&amp;d", "x < y &lt; z",
    "&amp;amp;amp;lt;", "&notit; &copy2025 &AMP &#65; &#x41; &#128; &#0; &#xD800; &#1114112; &hearts;", "&EACUTE;&NTILDE;&SZLIG; &Auml;",
    "&unknown; &; &#; &#x; &a b", "caf&eacute; &ldquo;x&rdquo; &mdash; &hellip; &nbsp;z", "İstanbul DİYARBAKIR", "…—–•·", "°C µm ±5 ×10 ÷2",
]


def prompts():
    for i, name in enumerate(IMAGENET_CLASSNAMES):
        for step in (0, 37):
            yield OPENAI_IMAGENET_TEMPLATES[(i + step) % len(OPENAI_IMAGENET_TEMPLATES)](name)


def names(rng):
    languages = sorted(emoji.LANGUAGES)
    emoji.config.load_language(languages)
    for symbol in rng.sample(sorted(emoji.EMOJI_DATA), 900):
        known = {language: emoji.EMOJI_DATA[symbol].get(language) for language in languages}
        spoken = [name.strip(":").replace("_", " ") for name in known.values() if name]
        for name in rng.sample(spoken, min(3, len(spoken))):
            yield f"{name} {symbol}" if rng.random() < 0.3 else name


def entities(rng):
    for name in sorted(html.entities.html5):
        if rng.random() < 0.25:
            yield f"a &{name} b"
    for code in rng.sample(range(0x20, 0x3000), 100):
        yield rng.choice([f"x&#{code};y", f"x&#x{code:x};y", f"&amp;#{code};"])


def scrambled(rng):
    """Characters of one block with ASCII between them."""
    for _ in range(500):
        start = rng.choice([0x20, 0xA0, 0x370, 0x400, 0x590, 0x900, 0xE00, 0x1100, 0x2000, 0x2190, 0x3040, 0x4E00, 0xAC00, 0xFE00, 0x1F300, 0x20000])
        width = 0x60 if start in (0x20, 0xFE00) else 0x200
        letters = (chr(rng.randrange(start, start + width)) if rng.random() < 0.7 else rng.choice(" aeR'5.") for _ in range(rng.randrange(3, 30)))
        yield "".join(letters)


def mistaken(words, rng):
    """UTF-8 read as Latin-1 or Windows-1252, once or twice, alone or beside good text."""
    for word in words:
        encoding = rng.choice(["latin-1", "cp1252", "cp1252"])
        try:
            broken = word.encode("utf-8").decode(encoding)
            if rng.random() < 0.15:
                broken = broken.encode("utf-8").decode(encoding)
        except UnicodeDecodeError:
            continue
        yield rng.choice(["{}", "{}", "a photo of {}.", "{} – 日本", "({})"]).format(broken)


def long_texts(words, rng):
    for _ in range(40):
        yield " ".join(rng.choice(words) for _ in range(300))


def assigned(text):
    return not any(unicodedata.category(c) == "Cn" for c in text)


def captions():
    rng = random.Random(0)
    spoken = [name for name in names(rng) if assigned(name)]
    broken = list(mistaken([w for w in spoken if not w.isascii()], rng))
    plain = EDGES + list(prompts()) + spoken + list(entities(rng)) + list(scrambled(rng)) + list(long_texts(spoken, rng))
    keep = lambda text: "_of_text>" not in text and assigned(text)
    return [t for t in dict.fromkeys(plain) if keep(t)], [t for t in dict.fromkeys(broken) if keep(t)]


def ids(row):
    """Without what follows the first end of text, which is padding."""
    end = row.index(49407) + 1
    assert not any(row[end:])
    return row[:end]


def packed(text):
    return gzip.compress(text.encode(), 9, mtime=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    check = parser.parse_args().check
    lines = gzip.open(default_bpe()).read().decode().split("\n")[1 : COUNT + 1]
    tokenizer = SimpleTokenizer()
    plain, broken = captions()
    rows = lambda texts: [[text, ids(row)] for text, row in zip(texts, tokenizer(texts).tolist())]
    golden = json.dumps({"captions": rows(plain), "mistaken": rows(broken)}, ensure_ascii=True)
    files = {FOLDER / "clip_tokens.json.gz": golden, MERGES: "\n".join(lines) + "\n"}
    for path, text in files.items():
        if not check:
            path.write_bytes(packed(text))
        elif gzip.decompress(path.read_bytes()).decode() != text:
            sys.exit(f"{path} is not what open_clip {open_clip.__version__} gives")
    print(f"{len(plain)} captions, {len(broken)} with a mistaken encoding")


if __name__ == "__main__":
    main()
