"""Huge pictures: memory and time of tiles beside the same picture in one piece, and how far the two differ.

    python benchmarks/huge.py [--style STYLE] [--megapixels 100] [--optimize]

Photographs are scikit-image's `rocket`, enlarged. Each painting is a process of its own, whose anonymous memory is
watched (what lies in files, scratch files too, the system takes back when it needs it). The fast engine paints 12
megapixels in one piece and in tiles within 1 GB, then so many within 2 GB; --optimize paints 4096 px within 6 GB by the
optimisation engine instead, a few steps, and the same steps at 1024 px in one piece and in tiles.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from process import run

from danqing import machine
from danqing.atelier import tiled
from danqing.atelier.gatys import GatysStylizer
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style

ONE_PIECE, WITHIN = (4096, 3072), "1G"


def photo(size: tuple[int, int], path: Path) -> Path:
    """A photograph of (width, height) px, written to a file."""
    from skimage import data

    Image.fromarray(data.rocket()).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def painted(*words: str | Path) -> dict[str, Any]:
    """A painting by `danqing paint`: seconds, and the most anonymous memory in bytes."""
    return run([sys.executable, "-m", "danqing", "paint", *words, "-q"], memory="RssAnon")


def fast(style: str, megapixels: float, folder: Path) -> None:
    """The table of the fast engine."""
    side = int((megapixels * 1e6 / 12) ** 0.5)
    huge = 4 * side, 3 * side
    small, large = photo(ONE_PIECE, folder / "small.jpg"), photo(huge, folder / "large.jpg")
    common = ("--style", style, "--runtime", "onnx", "--overwrite")
    whole = painted(small, *common, "--size", str(ONE_PIECE[0]), "-o", folder / "whole.png")
    tiles = painted(small, *common, "--size", str(ONE_PIECE[0]), "-o", folder / "tiles.png", "--max-memory", WITHIN)
    a, b = (np.asarray(Image.open(folder / name), dtype=np.int16) for name in ("whole.png", "tiles.png"))
    most = painted(large, *common, "--size", str(huge[0]), "-o", folder / "large-painted.jpg", "--max-memory", "2G")
    print("| | px | seconds | microseconds a pixel | anonymous memory, MB |\n|---|---|---|---|---|")
    for name, size, found in (
        ("in one piece", ONE_PIECE, whole),
        (f"in tiles, --max-memory {WITHIN}", ONE_PIECE, tiles),
        ("in tiles, --max-memory 2G", huge, most),
    ):
        each = found["seconds"] / (size[0] * size[1]) * 1e6
        print(f"| {name} | {size[0]} x {size[1]} | {found['seconds']:.0f} | {each:.2f} | {found['memory'] / 1e6:.0f} |")
    print(f"\ngreatest difference of tiles from one piece: {np.abs(a - b).max()} of 255")


def optimize(size: tuple[int, int], *, tiles: bool, steps: int) -> dict[str, object]:
    """Some steps of the optimisation engine on one level: their losses, seconds and the peak memory (this process)."""
    from skimage import data

    pixels = np.asarray(Image.fromarray(data.rocket()).resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    style = Style(source=Picture(pixels=np.asarray(data.coffee(), dtype=np.float32) / 255), name="coffee")
    recipe = Recipe(tiles=tiles, steps=steps, levels=1)
    began = time.monotonic()
    pastiche = GatysStylizer()(Picture(pixels=pixels), (style,), recipe)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return {
        "losses": [sum(terms.values()) for terms in pastiche.losses],
        "seconds": (time.monotonic() - began) / steps,
        "memory": int(status.split("VmHWM:")[1].split()[0]) * 1024,
    }


def main() -> int:
    """The command line: see the top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--optimize", action="store_true")
    parser.add_argument("--one", nargs=4, metavar=("WIDTH", "HEIGHT", "TILES", "STEPS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        width, height, tiles, steps = map(int, args.one)
        print(json.dumps(optimize((width, height), tiles=bool(tiles), steps=steps)))
        return 0
    print(f"{machine.describe()}\n")
    if not args.optimize:
        with tempfile.TemporaryDirectory() as folder:
            fast(args.style, args.megapixels, Path(folder))
        return 0
    print(f"| tiles of {tiled.SIDE} px | px | seconds a step | peak MB | loss, first step |\n|---|---|---|---|---|")
    for width, height, tiles in ((1280, 960, 0), (1280, 960, 1), (4096, 3072, 1)):
        words = [sys.executable, __file__, "--one", *map(str, (width, height, tiles, 4))]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        told = f"{found['seconds']:.1f} | {found['memory'] / 1e6:.0f} | {found['losses'][0]:.6f}"
        print(f"| {'yes' if tiles else 'no'} | {width} x {height} | {told} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
