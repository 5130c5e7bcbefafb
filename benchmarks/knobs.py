"""The knobs: one strip of paintings for each, everything else at its default. The pictures of docs/which-way.md.

    python benchmarks/knobs.py docs/images/knobs                 every strip
    python benchmarks/knobs.py docs/images/knobs brush start     some of them

The photograph is scikit-image's `chelsea` (the extra `demo`), the style a bundled study.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

import danqing

PHOTO, STYLE = "chelsea", "starry-night"
SIZE, CELL, GAP = 256, 256, 6  # px

LAYERS = [f"relu{block}_1" for block in (1, 2, 3, 4, 5)]

STRIPS: dict[str, list[dict[str, Any]]] = {
    "style_weight": [{"style_weight": weight} for weight in (0.5, 1.5, 3, 12)],
    "strength": [{"strength": strength} for strength in (0.25, 0.5, 0.75, 1)],
    "style_scale": [{"style_scale": scale} for scale in (0.35, 0.7, 1, 2)],
    "brush": [{"brush": brush} for brush in (0, 0.25, 0.5, 1)],
    "keep_color": [{"keep_color": how} for how in ("luminance", "moments", "coral", "histogram")],
    "start": [{"start": start} for start in ("recolored", "content", "noise", "style")],
    "content_layers": [{"content_layers": {layer: 1}} for layer in ("relu2_2", "relu3_3", "relu4_1", "relu5_1")],
    "style_layers": [{"style_layers": dict.fromkeys(LAYERS[:count], 1)} for count in (1, 2, 3, 5)],
    "style_loss": [{"style_loss": loss} for loss in ("covariance", "gram", "wasserstein", "histogram")],
    "tv_weight": [{"tv_weight": weight} for weight in (0, 0.1, 0.5, 2)],
    "steps": [{"steps": steps} for steps in (15, 45, 130, 500)],
    "presets": [  # on `compact`, which ends at relu5_1; the true VGG-19 has to be fetched
        {"preset": "gatys", "encoder": "compact", "content_layers": {"relu4_2": 1}},
        {"preset": "lbfgs-tv", "encoder": "compact"},
        {"preset": "tutorial", "encoder": "compact"},
        {"preset": "crowsonkb", "encoder": "compact"},
    ],
    "frequency_slope": [{"frequency_slope": slope} for slope in (0, 0.45, 0.8, 1.2)],
}


def painted(**knobs: Any) -> Image.Image:
    """The photograph painted with some knobs turned."""
    pastiche = danqing.paint(getattr(data, PHOTO)(), STYLE, size=SIZE, engine="optimize", **knobs)
    print(f"{knobs}: {pastiche.seconds:.1f} s", file=sys.stderr)
    picture = Image.fromarray((pastiche.picture.pixels * 255).round().astype(np.uint8))
    picture.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return picture


def strip(settings: list[dict[str, Any]]) -> Image.Image:
    """The paintings of several settings, side by side."""
    cells = [painted(**knobs) for knobs in settings]
    width, height = cells[0].size
    page = Image.new("RGB", ((width + GAP) * len(cells) - GAP, height), "white")
    for place, cell in enumerate(cells):
        page.paste(cell, (place * (width + GAP), 0))
    return page


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("knobs", nargs="*", metavar="KNOB", help=", ".join(STRIPS))
    args = parser.parse_args()
    if unknown := set(args.knobs) - set(STRIPS):
        parser.error(f"no strip for {', '.join(sorted(unknown))}: choose from {', '.join(STRIPS)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    for knob in args.knobs or STRIPS:
        path = args.folder / f"{knob}.jpg"
        strip(STRIPS[knob]).save(path, quality=85)
        print(path)


if __name__ == "__main__":
    main()
