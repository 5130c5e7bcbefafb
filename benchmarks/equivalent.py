"""Equivalent steps: how far plain optimisation comes meanwhile, and what it spends its steps on.

    python benchmarks/equivalent.py [--count 8] [--factor 10000]

Six styles of the gallery on the middle squares of held-out photographs, 256 px; they need the folder of development
data (see quality.py). For each style, medians over the photographs: the steps as `danqing evaluate --equivalent` counts
them, at most `LIMIT`; those that pass before the objective has lost a fifth, that is, before the noise is left; the
steps where the objective is searched with times a factor; content and style terms of what the network paints, and of
what the search has after fifty steps. Then the style term of both, layer by layer. Time is not measured here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from quality import SHARED, exam, gallery_works, work
from torch import Tensor
from torch.nn import functional

from danqing.atelier.nets.predictor import LAYERS
from danqing.atelier.train.equivalent import Aim, tensor
from danqing.commission import prepare
from danqing.evaluation import EQUIVALENT_SIDE
from danqing.image import mask
from danqing.image.fit import fit, square
from danqing.picture import Picture

STYLES = ("starry-night", "great-wave", "the-scream", "composition-vii", "udnie", "ink-cliffs")
BAR, LIMIT, LEFT = 50, 150, 0.8
"""Steps that are aimed at and at most taken; the share of the objective below which the noise is left."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Terms of a picture: content, style, and the style layer by layer."""

    content: float
    style: float
    layers: dict[str, float]

    @classmethod
    def by(cls, aim: Aim, x: Tensor) -> Seen:
        """What an aim sees of a picture (1, 3, H, W)."""
        with torch.no_grad():
            _, terms = aim(x)
            found = [aim.judgement.see(size, LAYERS) for size in (x, functional.avg_pool2d(x, 2))]
            distances = aim.judgement.distances(found, aim.targets)
        layers = {name: float(distance) for name, distance in distances.items()}
        return cls(content=float(terms["content"]), style=float(terms["style"]), layers=layers)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A photograph in a style: steps, those in the noise, those with a factor; painting and find after `BAR`."""

    steps: int
    noise: int
    louder: int
    painted: Seen
    found: Seen

    @classmethod
    def of(cls, aim: Aim, painting: Tensor, factor: float) -> Case:
        """Searched for until it is as good as the painting (1, 3, H, W), and for `BAR` steps at least."""
        with torch.no_grad():
            wanted = float(aim(painting)[0])
        values = []
        for step, (value, x) in enumerate(islice(aim.search(), LIMIT)):
            values.append(value)
            if step <= BAR:
                latest = x
            if step >= BAR and value <= wanted:
                break
        louder = (value for value, _ in islice(aim.search(factor=factor), LIMIT))
        return cls(
            steps=reached(values, wanted),
            noise=reached(values, LEFT * values[0]),
            louder=reached(louder, wanted),
            painted=Seen.by(aim, painting),
            found=Seen.by(aim, latest),
        )


def reached(values: Iterator[float] | list[float], wanted: float) -> int:
    """After how many steps a search is as good as wanted; `LIMIT` = never."""
    return next((step for step, value in enumerate(values) if value <= wanted), LIMIT)


def row(name: str, cases: list[Case]) -> str:
    """Medians of cases as a line of the table."""
    steps = [[case.steps for case in cases], [case.noise for case in cases], [case.louder for case in cases]]
    seen = [[case.painted for case in cases], [case.found for case in cases]]
    cells = [f"{statistics.median(column):g}" for column in steps]
    for side in seen:
        content, style = (statistics.median(getattr(one, term) for one in side) for term in ("content", "style"))
        cells.append(f"{content:.3f}, {style:.3f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def layers(cases: list[Case]) -> Iterator[str]:
    """Lines of a table: medians of the style term, layer by layer, of what is painted and of what is found."""
    for layer in LAYERS:
        columns = [
            [seen.layers[name] for seen in side]
            for name in (layer, f"{layer}/2")
            for side in ([case.painted for case in cases], [case.found for case in cases])
        ]
        yield f"| {layer} | " + " | ".join(f"{statistics.median(column):.3f}" for column in columns) + " |"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8, help="photographs (8)")
    parser.add_argument("--factor", type=float, default=1e4, help="by which the objective is multiplied (10000)")
    args = parser.parse_args()
    if not (SHARED / "weights").is_dir():
        print(f"no development data at {SHARED}: set DANQING_SHARED", file=sys.stderr)
        return 2
    works = gallery_works()
    names = {style.name: name for name, style in works.items()}
    files = [SHARED / "data" / "photos" / f"{name}.jpg" for name in exam(args.count)]
    photos = [fit(square(Picture.load(file)), size=EQUIVALENT_SIDE) for file in files]
    print(f"| style | steps | in the noise | with the objective x {args.factor:g} | network: content, style "
          f"| after {BAR} steps |\n" + "|---" * 6 + "|")  # fmt: skip
    every: list[Case] = []
    for style in STYLES:
        original = mask.flatten(fit(work(names[style], works), size=512))
        cases = []
        for photo in photos:
            painting = prepare(photo, style, engine="fast").paint().picture.pixels
            cases.append(Case.of(Aim(photo.pixels, original), tensor(painting), args.factor))
        print(row(style, cases), flush=True)
        every += cases
    print(row(f"**all {len(every)}**", every))
    print(f"\n| layer | network | after {BAR} steps | network, at half size | after {BAR} steps |\n" + "|---" * 5 + "|")
    print("\n".join(layers(every)))
    median = statistics.median(case.steps for case in every)
    print(f"\n{'holds' if median >= BAR else 'FAILS'}: median of {BAR} equivalent steps")
    return 0 if median >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
