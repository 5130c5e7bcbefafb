"""The contact sheet: what has to be looked at, because no number sees checkerboards, dots, halos and mud.

    python benchmarks/sheet.py docs/images/sheet.jpg              4 photographs x the bundled styles, default settings
    python benchmarks/sheet.py docs/images/hero.jpg --hero astronaut starry-night
                                                                  one photograph, one style, the painting

The photographs are those that scikit-image carries (the extra `demo`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import danqing

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
CELL, GAP = 256, 6  # px


def cell(picture: Image.Image, side: int) -> Image.Image:
    """A picture reduced to fit a white square."""
    picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def painted(photo: str, style: str, size: int) -> Image.Image:
    """A photograph of scikit-image painted with the default settings."""
    pastiche = danqing.paint(getattr(data, photo)(), style, size=size, enlarge=True, engine="optimize")
    print(f"{photo} in {style}: {pastiche.seconds:.1f} s", file=sys.stderr)
    return Image.fromarray((pastiche.picture.pixels * 255).round().astype(np.uint8))


def sheet(size: int) -> Image.Image:
    """Styles across, photographs down, each painting between the two it is made of."""
    entries = danqing.styles()
    step = CELL + GAP
    page = Image.new("RGB", (step * (len(entries) + 1) + GAP, step * (len(PHOTOS) + 1) + GAP), "white")
    for across, entry in enumerate(entries, 1):
        page.paste(cell(Image.open(entry.path), CELL), (GAP + across * step, GAP))
    for down, photo in enumerate(PHOTOS, 1):
        page.paste(cell(Image.fromarray(getattr(data, photo)()), CELL), (GAP, GAP + down * step))
        for across, entry in enumerate(entries, 1):
            page.paste(cell(painted(photo, entry.name, size), CELL), (GAP + across * step, GAP + down * step))
    return page


def hero(photo: str, style: str, size: int) -> Image.Image:
    """Photograph and style small on the left, the painting large beside them."""
    painting = painted(photo, style, size)
    entry = next(entry for entry in danqing.styles() if entry.name == style)
    small = (painting.height - GAP) // 2
    page = Image.new("RGB", (small + GAP + painting.width, painting.height), "white")
    page.paste(cell(Image.fromarray(getattr(data, photo)()), small), (0, 0))
    page.paste(cell(Image.open(entry.path), small), (0, painting.height - small))
    page.paste(painting, (small + GAP, 0))
    return page


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=512, help="long side of the paintings in px (512)")
    parser.add_argument("--hero", nargs=2, metavar=("PHOTO", "STYLE"), help="one painting, large")
    args = parser.parse_args()
    page = hero(*args.hero, args.size) if args.hero else sheet(args.size)
    page.save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
