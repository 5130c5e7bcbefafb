"""Translation: what CycleGAN and pairs learn, against truths that are known.

    python benchmarks/translate.py sepia      photographs and other photographs as sepia prints; unpaired
    python benchmarks/translate.py blur       photographs and other photographs out of focus; unpaired
    python benchmarks/translate.py phantoms   grey bodies of 16 bits in two contrasts, other ones in each; unpaired
    python benchmarks/translate.py restore    photographs that are aged, and the way back; paired
    python benchmarks/translate.py collection --a PHOTOS --b PAINTINGS    no truth; only the sheet

All by the light preset, shortened where less will do (`LENGTHS`), on pictures of the development data beside the
checkout (or `--photos`); the phantoms are drawn by the tests' renderer. What is judged was kept out of the training.
With `--minutes` a training stops after a checkpoint and the same command goes on with it. The figures go to stdout as
JSON; a sheet of phantoms, or of scikit-image's photographs, into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1]))

from danqing import api, quality, training
from danqing.atelier import degrade
from danqing.image.fit import fit
from danqing.judge import compact_encoder, features
from danqing.picture import Picture
from tests.kinds import phantom, phantoms

SHARED = Path(os.environ.get("DANQING_SHARED", Path(__file__).parents[2] / "shared"))
HELD_OUT, LONG, CONTRAST, RADIUS = 40, 256, 0.8, 2.0
BODY = 72
"""px: side of a phantom."""

FREE, GAP = ("astronaut", "coffee", "chelsea", "rocket"), 6
"""Photographs of the sheet, which scikit-image carries; px between them."""

LENGTHS = {
    "sepia": (2000, 64),
    "blur": (2000, 64),
    "phantoms": (2000, 64),
    "restore": (5000, 128),
    "collection": (6000, 128),
}
"""Steps, and the side of the squares in px, for a processor; the preset itself has 6,000 steps of 128 px."""

F32 = NDArray[np.float32]


def small(path: Path) -> F32:
    """A photograph at `LONG` px."""
    return fit(Picture.load(path), size=LONG).pixels


def photographs(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Two halves of a folder's pictures, and those that are kept out."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    held = files[:: max(1, len(files) // HELD_OUT)][:HELD_OUT]
    left = [path for path in files if path not in set(held)]
    return left[::2], left[1::2], held


def old_print(pixels: F32) -> F32:
    """The known change: sepia, and less contrast."""
    return degrade.sepia(pixels, contrast=CONTRAST)


def out_of_focus(pixels: F32) -> F32:
    """Another known change: no edge is sharp."""
    return degrade.blurred(pixels, RADIUS)


CHANGES = {"sepia": old_print, "blur": out_of_focus}


def kept(folder: Path, files: list[Path], change: Callable[[F32], F32] | None = None) -> Path:
    """Photographs at `LONG` px in a folder, changed."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        for path in files:
            pixels = small(path)
            Picture(pixels=change(pixels) if change else pixels).save(folder / f"{path.stem}.png")
    return folder


def order_of(kind: str, folder: Path, arguments: argparse.Namespace) -> training.Training:
    """The training of a kind, begun or gone on with."""
    run = folder / "run"
    if (run / training.RECIPE).exists():
        return training.prepare(resume=run)
    knobs: dict[str, Any] = {"preset": "light", "name": arguments.name or kind, "folder": run}
    knobs |= {key: value for key, value in vars(arguments).items() if key in ("steps", "crop", "save_every")}
    photos = arguments.photos
    if kind in CHANGES:
        one, other, _ = photographs(photos)
        knobs["skips"] = True  # whatever is not to change is to stay sharp
        domains = kept(folder / "photos", one[:400]), kept(folder / "changed", other[:400], CHANGES[kind])
        return training.prepare(domains=domains, method="cyclegan", **knobs)
    if kind == "phantoms":
        for contrast, numbers in enumerate((range(300), range(300, 600))):
            if not (folder / f"contrast{contrast}").is_dir():
                phantoms(folder / f"contrast{contrast}", numbers, contrast=contrast, side=BODY)
        return training.prepare(domains=(folder / "contrast0", folder / "contrast1"), method="cyclegan", **knobs)
    if kind == "restore":
        one, other, _ = photographs(photos)
        return training.prepare(photos=kept(folder / "photos", one + other), method="pairs", **knobs)
    return training.prepare(domains=(arguments.a, arguments.b), method="cyclegan", **knobs)


def changed(kind: str, name: str, whole: F32, number: int) -> list[F32]:
    """A photograph as it goes in, as it comes out, and the truth where there is one."""
    if kind == "collection":
        return [whole, painted(whole, f"{name}-a2b")]
    if kind in CHANGES:
        return [whole, painted(whole, f"{name}-a2b"), CHANGES[kind](whole)]
    spoilt = degrade.aged(whole, np.random.default_rng((7, number)))
    return [spoilt, painted(spoilt, name), whole]


def body(name: str, number: int) -> list[F32]:
    """The same for a phantom."""
    one, other = (np.repeat(grey[..., None], 3, 2) for grey in phantom(number, side=BODY))
    return [one, painted((one * 65535).round().astype(np.uint16), f"{name}-a2b"), other]


def judged(kind: str, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Figures of the pictures that were kept out."""
    if kind == "collection":
        return {}
    if kind == "phantoms":
        seen = [body(name, number) for number in range(1000, 1000 + HELD_OUT)]
    else:
        held = photographs(arguments.photos)[2]
        seen = [changed(kind, name, small(path), number) for number, path in enumerate(held)]
    figures: dict[str, float] = {"pictures": len(seen)}
    for tag, place in (("", 1), ("_before", 0)):
        figures[f"psnr{tag}"] = float(np.mean([psnr(one[place], one[2]) for one in seen]))
        figures[f"correlation{tag}"] = float(np.mean([correlation(one[place], one[2]) for one in seen]))
    if kind == "restore":
        encoder = compact_encoder()
        known = [[features(encoder, one, quality.WORKING_SIZES[0]) for one in three] for three in seen]
        for tag, place in (("", 1), ("_before", 0)):
            distances = [quality.content_distance(three[place], three[2]) for three in known]
            figures[f"content{tag}"] = float(np.median(distances))
    return {key: round(float(value), 4) for key, value in figures.items()}


def shown(kind: str, name: str) -> list[list[F32]]:
    """The columns of the sheet: phantoms, or the photographs that scikit-image carries."""
    if kind == "phantoms":
        return [body(name, number) for number in range(1000, 1006)]
    photos = (fit(Picture.load(Image.fromarray(getattr(data, which)())), size=LONG).pixels for which in FREE)
    return [changed(kind, name, photo, number) for number, photo in enumerate(photos)]


def painted(pixels: NDArray[Any], style: str) -> F32:
    """What a model makes of a picture."""
    return api.paint(pixels, style).picture.pixels


def psnr(one: F32, other: F32) -> float:
    """dB."""
    return float(-10 * np.log10(np.mean(np.square(one - other, dtype=np.float64))))


def correlation(one: F32, other: F32) -> float:
    """Between the values of two pictures."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def sheet(columns: list[list[F32]]) -> Image.Image:
    """Pictures side by side, as high as the lowest: below each other before, after, truth."""
    height = min(column[0].shape[0] for column in columns)
    strips = []
    for column in columns:
        width = round(column[0].shape[1] * height / column[0].shape[0])
        whole = [Image.fromarray((np.clip(one, 0, 1) * 255).round().astype(np.uint8)) for one in column]
        strips.append([one.resize((width, height), Image.Resampling.LANCZOS) for one in whole])
    across = sum(strip[0].width + GAP for strip in strips) - GAP
    page = Image.new("RGB", (across, (height + GAP) * len(columns[0]) - GAP), "white")
    left = 0
    for strip in strips:
        for down, one in enumerate(strip):
            page.paste(one, (left, down * (height + GAP)))
        left += strip[0].width + GAP
    return page


def main() -> None:
    """Train, judge, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=tuple(LENGTHS))
    parser.add_argument("--folder", type=Path, required=True, help="for pictures, the run and the sheet")
    parser.add_argument("--photos", type=Path, default=SHARED / "data" / "photos")
    parser.add_argument("--a", type=Path)
    parser.add_argument("--b", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--crop", type=int)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=1e6)
    arguments = parser.parse_args()
    steps, crop = LENGTHS[arguments.kind]
    arguments.steps, arguments.crop = arguments.steps or steps, arguments.crop or crop
    folder = arguments.folder / arguments.kind
    os.environ.setdefault("DANQING_HOME", str(arguments.folder / "home"))
    order, began = order_of(arguments.kind, folder, arguments), time.monotonic()
    last: list[Any] = []

    def on_report(report: Any) -> bool:
        last[:] = [report]
        return time.monotonic() - began < 60 * arguments.minutes

    card = order.run(on_report)
    told = {"kind": arguments.kind, "step": last[-1].step if last else order.recipe.steps}
    if last:
        told |= {"seconds": round(last[-1].seconds), "steps_per_second": round(last[-1].per_second, 2)}
    if card is not None:
        sheet(shown(arguments.kind, order.recipe.name)).save(folder / "sheet.png")
        told |= judged(arguments.kind, order.recipe.name, arguments)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
