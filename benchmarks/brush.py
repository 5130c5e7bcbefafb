"""The brush: how much broader the strokes of the broadest brush are than those of the finest.

    python benchmarks/brush.py

Each of 12 held-out pairs is painted with `--brush 1`, then with `--brush 0` at the content weight that keeps as much of
the photograph, so that only the strokes differ. Strokes are what the painting has and the photograph in the style's
colours has not: the length over which they stay alike is where the autocorrelation of the luminance, without what is
larger than 16 px, falls to 1/e. Needs the folder of development data, as quality.py does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quality import PAIRS, SHARED, teachers_eye

import danqing
from danqing.api import Judge
from danqing.image import color
from danqing.image.fit import fit
from danqing.picture import Picture

SIZE = 384
EQUAL = 0.015
"""Content distances that differ by no more count as equal."""

LARGEST = 16
"""px: deviation of the Gaussian whose blur is taken away: larger areas are no strokes."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
BAR = 1.5

F64 = NDArray[np.float64]


def stroke_length(strokes: NDArray[np.float32]) -> float:
    """The radius in px at which the autocorrelation of (H, W) falls to 1/e."""
    fine = (strokes - blurred(strokes, LARGEST))[LARGEST // 2 : -LARGEST // 2, LARGEST // 2 : -LARGEST // 2]
    height, width = fine.shape
    correlation = correlated(fine - fine.mean()) / np.maximum(correlated(np.ones_like(fine)), 1)
    rows = np.minimum(np.arange(2 * height), 2 * height - np.arange(2 * height))[:, None]
    columns = np.minimum(np.arange(2 * width), 2 * width - np.arange(2 * width))[None]
    radius = np.hypot(rows, columns)
    near = radius < 40
    ring = np.round(radius[near] * 2).astype(int)
    count = np.bincount(ring)
    profile = np.bincount(ring, correlation[near])[count > 0] / count[count > 0] / correlation[0, 0]
    at = np.flatnonzero(count) / 2
    after = int(np.argmax(profile < 1 / np.e))
    share = (profile[after - 1] - 1 / np.e) / (profile[after - 1] - profile[after])
    return float(at[after - 1] + share * (at[after] - at[after - 1]))


def blurred(plane: NDArray[np.float32], deviation: float) -> F64:
    """A plane (H, W) blurred by a Gaussian, as if it went on at the other side."""
    rows, columns = np.fft.fftfreq(plane.shape[0])[:, None], np.fft.rfftfreq(plane.shape[1])[None]
    window = np.exp(-2 * (np.pi * deviation) ** 2 * (rows**2 + columns**2))
    return np.fft.irfft2(np.fft.rfft2(plane) * window, s=plane.shape)


def correlated(plane: F64) -> F64:
    """Sums of products of a plane (H, W) with itself, displaced by up to its size: (2H, 2W)."""
    size = (2 * plane.shape[0], 2 * plane.shape[1])
    return np.fft.irfft2(np.abs(np.fft.rfft2(plane, s=size)) ** 2, s=size)


def main() -> None:
    """The command line: see the top."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12, help="how many of the held-out pairs")
    parser.add_argument("--keep", type=Path, help="a folder for the paintings")
    args = parser.parse_args()
    eye = teachers_eye()
    ratios = []
    print("| photo | painting | content fine | broad | strokes fine, px | broad, px | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, style in PAIRS[: args.pairs]:
        photo = Picture.load(SHARED / "data" / "photos" / f"{name}.jpg")
        photo = fit(photo, size=SIZE, width=None, enlarge=True)
        painting = Picture.load(SHARED / "data" / "paintings" / f"{style}.jpg")
        judge = Judge(photo, painting, encoder=eye)
        broad = danqing.paint(photo, painting, engine="optimize", brush=1).picture
        wanted, weight = judge.score(broad).content, 1.0
        for _ in range(4):
            knobs = {"engine": "optimize", "brush": 0, "content_weight": weight}
            fine = danqing.paint(photo, painting, **knobs).picture
            content = judge.score(fine).content
            if abs(content - wanted) <= EQUAL:
                break
            weight *= (content / wanted) ** 2
        plain = color.transfer(photo.pixels, painting.pixels)
        lengths = [stroke_length((picture.pixels - plain) @ LUMINANCE) for picture in (fine, broad)]
        ratios.append(lengths[1] / lengths[0])
        figures = f"{content:.3f} | {wanted:.3f} | {lengths[0]:.2f} | {lengths[1]:.2f} | {ratios[-1]:.2f}"
        print(f"| {name} | {style} | {figures} |", flush=True)
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            for brush, picture in (("fine", fine), ("broad", broad)):
                picture.save(args.keep / f"{name}-{brush}.png", overwrite=True)
    found = statistics.median(ratios)
    print(f"| **median** | | | | | | **{found:.2f}** |")
    print(f"\nat least {BAR}: {'holds' if found >= BAR else 'FAILS'}")
    sys.exit(0 if found >= BAR else 1)


if __name__ == "__main__":
    main()
