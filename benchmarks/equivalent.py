"""Equivalent steps: what plain optimisation does in the time in which it comes as far as the network, and why.

    python benchmarks/equivalent.py [--count 8] [--factor 10000]

Six styles of the gallery on the middle squares of held-out photographs, 256 px. For each style, medians over the
photographs: the steps that `danqing evaluate --equivalent` counts; those that pass before the objective has lost a
fifth, that is, before L-BFGS leaves the noise; the steps with the objective times a factor, which changes no picture's
rank, but the first steps of a search without a line search; content and style terms of what the network paints, and of
what the search has after fifty steps. Then the style term of both, layer by layer. Needs the folder of development
data.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys

import numpy as np
import torch
from quality import SHARED, exam, opened, work
from torch import Tensor
from torch.nn import functional

from danqing import catalog
from danqing.atelier.nets.predictor import LAYERS
from danqing.atelier.train.equivalent import Aim, tensor
from danqing.atelier.train.pastiche import POSITIONS, mean_and_covariance, style_distance
from danqing.commission import prepare
from danqing.evaluation import EQUIVALENT_SIDE
from danqing.image.fit import fit, square
from danqing.picture import Picture

WORKS = {
    "starry-night": "the-starry-night-vincent-van-gogh",
    "great-wave": "under-the-wave-off-kanagawa-kanagawa-oki-nami-ur",
    "the-scream": "the-scream-edvard-munch",
    "composition-vii": "composition-vii-wassily-kandinsky",
    "udnie": "udnie-francis-picabia",
    "ink-cliffs": "ink-cliffs-and-boat",
}
BAR, LIMIT, LEFT = 50, 120, 0.8
"""Steps that are aimed at and at most taken; the share of the objective below which the noise is left."""


def count(values: list[float], wanted: float) -> int:
    """Steps after which a search is as good as wanted; `LIMIT` where it never is."""
    return next((step for step, value in enumerate(values) if value <= wanted), LIMIT)


def layers(aim: Aim, x: Tensor) -> list[float]:
    """The style term of a picture (1, 3, H, W), layer by layer, at its size and at half of it; NaN = not compared."""
    found = []
    for seen, target in zip((x, functional.avg_pool2d(x, 2)), aim.targets, strict=True):
        features = aim.judgement.see(seen, LAYERS)
        for layer in LAYERS:
            large = features[layer].shape[2] * features[layer].shape[3] >= POSITIONS
            distance = style_distance(mean_and_covariance(features[layer]), target[layer])
            found.append(float(distance) if large else math.nan)
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8, help="photographs (8)")
    parser.add_argument("--factor", type=float, default=1e4, help="by which the objective is multiplied (10000)")
    args = parser.parse_args()
    if not (SHARED / "weights").is_dir():
        print(f"no development data at {SHARED}: set DANQING_SHARED", file=sys.stderr)
        return 2
    about = {style.name: style for style in catalog.card("pastiche").styles}
    photos = [fit(square(opened(name)), size=EQUIVALENT_SIDE) for name in exam(args.count)]
    print(f"| style | steps | to leave the noise | steps, objective x {args.factor:g} | network: content, style "
          f"| after {BAR} steps: content, style |\n" + "|---" * 6 + "|")  # fmt: skip
    plain, louder, ours, theirs = [], [], [], []
    for name, file in WORKS.items():
        original = fit(Picture(pixels=about[name].part(work(file).pixels)), size=512)
        rows = []
        for photo in photos:
            aim = Aim(photo.pixels, np.ascontiguousarray(original.pixels))
            painting = tensor(prepare(photo, name, engine="fast").paint().picture.pixels)
            with torch.no_grad():
                wanted, terms = aim(painting)
            values, later = [], {"content": math.nan, "style": math.nan}
            for step, (value, x) in zip(range(LIMIT), aim.search(), strict=False):
                values.append(value)
                if step == BAR:
                    with torch.no_grad():
                        later = {key: float(term) for key, term in aim(x)[1].items()}
                        theirs.append(layers(aim, x))
            loud = [value for _, (value, _) in zip(range(LIMIT), aim.search(factor=args.factor), strict=False)]
            plain.append(count(values, float(wanted)))
            louder.append(count(loud, float(wanted)))
            with torch.no_grad():
                ours.append(layers(aim, painting))
            rows.append((
                plain[-1], count(values, LEFT * values[0]), louder[-1],
                float(terms["content"]), float(terms["style"]), later["content"], later["style"],
            ))  # fmt: skip
        steps, left, loud_steps, *told = (statistics.median(column) for column in zip(*rows, strict=True))
        told_text = "{:.3f}, {:.3f} | {:.3f}, {:.3f}".format(*told)
        print(f"| {name} | {steps:g} | {left:g} | {loud_steps:g} | {told_text} |", flush=True)
    print(f"| **median of all {len(plain)}** | {statistics.median(plain):g} | | {statistics.median(louder):g} | | |")
    print("\n| layer | network | after 50 steps | network, at half size | after 50 steps |\n" + "|---" * 5 + "|")
    one, other = np.median(ours, 0), np.median(theirs, 0)
    for place, layer in enumerate(LAYERS):
        half = place + len(LAYERS)
        print(f"| {layer} | {one[place]:.3f} | {other[place]:.3f} | {one[half]:.3f} | {other[half]:.3f} |")
    holds = statistics.median(plain) >= BAR
    print(f"\n{'holds' if holds else 'FAILS'}: median of {BAR} equivalent steps")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
