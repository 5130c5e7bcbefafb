"""The gallery: the pastiche network that ships with danqing, and the vectors of its styles, from one recipe.

A recipe and a folder of photographs and paintings go in; a run folder with checkpoints, log and sample sheets comes
out, and at its end the network, its predictor and the gallery as they ship. The same command goes on from the newest
checkpoint. First the network's stem learns to see (`stem`), then the network to paint any photograph like any painting
(`any`). Then the styles of the recipe get vectors of their own (`gallery`), which in the end learn alone (`vectors`).
An older network may take the place of the first parts.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor, nn

from danqing.atelier.encoders import VGG
from danqing.atelier.train import ancestor, publish
from danqing.atelier.train.data import U8, Folder, square
from danqing.atelier.train.loop import Loop, Plan, Report, joined, parted
from danqing.atelier.train.pastiche import Lesson, Pastiches, Sights, Teaching, fresh, seer, stacked
from danqing.card import LearntStyle
from danqing.files import sha256

log = logging.getLogger(__name__)

PARTS = ("stem", "any", "gallery", "vectors")
"""Of a training, in their order."""

SHEET_PHOTOS, SHEET_SIDE = 4, 256
"""Held-out photographs of a sample sheet, and their side in px."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training of the gallery; see recipes/gallery.toml.

    Attributes:
        common: knobs of all parts.
        parts: the knobs of `stem`, `any`, `gallery` and `vectors`.
        styles: the gallery, a table a style; one with `left_out` is learnt, but does not ship, for the reason it gives.
        holdout: the photographs and paintings that are never trained on.
        sources: where photographs are from, by how their names begin.
        quality: what was measured of it, for the card.
        begin_at: the part that is learnt first where there is an older network, `gallery` or `vectors`.
    """

    common: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    styles: list[dict[str, Any]]
    holdout: Path
    sources: dict[str, str]
    quality: dict[str, float | str]
    begin_at: str = "gallery"

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """The recipe in a TOML file.

        Raises:
            KeyError: a part is missing.
            ValueError: `begin_at` is no part that can be begun with.
        """
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        holdout, styles = path.parent / values.pop("holdout"), values.pop("styles")
        parts = {name: values.pop(name) for name in PARTS}
        told = {name: values.pop(name) for name in ("sources", "quality")}
        begin_at = values.pop("begin_at", "gallery")
        if begin_at not in ("gallery", "vectors"):
            raise ValueError(f"begin_at = {begin_at!r}")
        return cls(common=values, parts=parts, styles=styles, holdout=holdout, begin_at=begin_at, **told)

    def plan(self, part: str) -> Plan:
        """How long and how fast a part is learnt."""
        knobs = self.common | self.parts[part]
        return Plan(**{name: knobs[name] for name in Plan.__dataclass_fields__ if name in knobs})

    def lesson(self, part: str) -> Lesson:
        """What is taught in a part."""
        knobs = self.common | self.parts[part]
        knobs["crops"] = tuple((first, side) for first, side in knobs["crops"])
        return Lesson(**{name: knobs[name] for name in Lesson.__dataclass_fields__ if name in knobs})


class Works(Folder):
    """The works of the gallery, each the part of a picture that its style names.

    Args:
        files: the pictures.
        styles: the recipe's.
    """

    def __init__(self, files: Sequence[Path], styles: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(files)
        self.styles = styles

    def picture(self, number: int) -> U8:
        """A work, uint8 (H, W, 3)."""
        style = LearntStyle(name=self.styles[number]["name"], box=self.styles[number].get("box"))
        return style.part(super().picture(number))


@dataclass(frozen=True, kw_only=True)
class Data:
    """The pictures of a training: to learn from, the gallery's, held-out photographs, and the paintings' credits."""

    photos: Folder
    paintings: Folder
    gallery: Works
    exam: Folder
    credits: list[dict[str, str]]

    @classmethod
    def read(cls, folder: Path, recipe: Recipe) -> Data:
        """`folder/photos` and `folder/paintings`, sculptures and held-out pictures left out."""
        rule = tomllib.loads(recipe.holdout.read_text(encoding="utf-8"))

        def held_out(path: Path) -> bool:
            return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % int(rule["photos_modulus"]) == 0

        with (folder / "paintings" / "CREDITS.tsv").open(encoding="utf-8", newline="") as stream:
            credits = list(csv.DictReader(stream, delimiter="\t"))
        kinds = {row["file"]: row["kind"] for row in credits}
        photos, paintings = Folder.below(folder / "photos"), Folder.below(folder / "paintings")
        learnt = [p for p in paintings.files if kinds[p.name] == "picture" and p.name not in rule["paintings"]]
        return cls(
            photos=Folder([p for p in photos.files if not held_out(p)]),
            paintings=Folder(learnt),
            gallery=Works([folder / "paintings" / style["file"] for style in recipe.styles], recipe.styles),
            exam=Folder([p for p in photos.files if held_out(p)]),
            credits=credits,
        )


def beginning(judge: VGG, lesson: Lesson, *, styles: int = 0) -> Teaching:
    """What is learnt, before it is."""
    torch.manual_seed(lesson.seed)
    net, predictor = fresh()
    return Teaching(net, predictor, judge, lesson, styles=styles)


def train(recipe: Recipe, data: Data, folder: Path, *, begin: Path | None = None, device: str = "cpu") -> Pastiches:
    """All parts to their end, from where they stand; what was trained, with averaged weights.

    Args:
        recipe, data: of the training.
        folder: for checkpoints, logs and sheets.
        begin: a folder with an older network that ours inherits from, in place of the parts before `begin_at`; the stem
            is learnt anew where that has none of today's form.
        device: that it runs on.
    """
    judge = seer()
    second = beginning(judge, recipe.lesson("gallery"), styles=len(recipe.styles))
    method = Pastiches(second, data.photos, data.paintings, gallery=data.gallery)
    known = {}
    if begin is not None:
        known = ancestor.inherit(second.net, second.predictor, begin)
    if begin is None or not ancestor.sees(begin):
        second.net.stem.load_state_dict(sight(recipe, data, folder, device=device))
    if begin is None:
        stem = second.net.stem.state_dict()
        second.load_state_dict(anything(recipe, data, folder, stem, device=device) | {"table": second.table})
    method.fill_table()
    for place, style in enumerate(recipe.styles):
        if second.table is not None and style["name"] in known:
            second.table.data[place] = known[style["name"]]
    if begin is None or recipe.begin_at == "gallery":
        loop = Loop(method, recipe.plan("gallery"), _made(folder / "gallery"), device=device)
        learn(loop, data)
        second.load_state_dict(loop.averaged())
    return vectors(recipe, data, folder, second, device=device)


def sight(recipe: Recipe, data: Data, folder: Path, *, device: str) -> dict[str, Tensor]:
    """The part in which the network's stem learns to see; its averaged weights."""
    method = Pastiches(beginning(seer(), recipe.lesson("stem")), data.photos, data.paintings)
    sights = Sights(method, batch=recipe.parts["stem"]["photos"])
    loop = Loop(sights, recipe.plan("stem"), _made(folder / "stem"), device=device)
    learn(loop, data)
    return loop.averaged()


def anything(recipe: Recipe, data: Data, folder: Path, stem: dict[str, Tensor], *, device: str) -> dict[str, Tensor]:
    """The part in which the network learns to paint like any painting; its averaged weights."""
    teaching = beginning(seer(), recipe.lesson("any"))
    method = Pastiches(teaching, data.photos, data.paintings)
    method.accustom([("painting", number, variant) for number in range(len(data.paintings)) for variant in range(2)])
    teaching.net.stem.load_state_dict(stem)
    loop = Loop(method, recipe.plan("any"), _made(folder / "any"), device=device)
    learn(loop, data)
    return loop.averaged()


class Shifted(Teaching):
    """The gallery's vectors, those of a style shifted alike: what is learnt with one brush serves the others too.

    Args:
        trained: network, predictor and vectors; they stay as they are.
        lesson: what is taught.
    """

    def __init__(self, trained: Teaching, lesson: Lesson) -> None:
        if trained.table is None:
            raise TypeError("it has no gallery")
        super().__init__(trained.net, trained.predictor, trained.judgement.seer, lesson)
        self.table = trained.table
        self.requires_grad_(requires_grad=False)
        self.shifts = nn.Parameter(torch.zeros_like(trained.table[:, :1]))

    def rows(self) -> Tensor | None:
        """As `Teaching.rows`, shifted."""
        return None if self.table is None else self.table + self.shifts


def vectors(recipe: Recipe, data: Data, folder: Path, trained: Teaching, *, device: str) -> Pastiches:
    """The last part, in which nothing learns but a shift of each style's vectors."""
    last = Shifted(trained, recipe.lesson("vectors"))
    method = Pastiches(last, data.photos, data.paintings, gallery=data.gallery)
    loop = Loop(method, recipe.plan("vectors"), _made(folder / "vectors"), device=device)
    learn(loop, data)
    last.load_state_dict(loop.averaged())
    return method


def learn(loop: Loop, data: Data) -> None:
    """A part to its end, with a line and a sheet now and then."""
    loop.resume()
    smooth: dict[str, float] = {}

    def look(report: Report) -> None:
        if loop.rank:
            return
        for name, value in report.terms.items():
            smooth[name] = 0.98 * smooth.get(name, value) + 0.02 * value
        if report.step % 100 == 0:
            terms = "  ".join(f"{name} {value:.4f}" for name, value in smooth.items())
            left = report.remaining / 60
            log.info("%s %d/%d  %s  %.0f min left", loop.folder.name, report.step, report.steps, terms, left)
        painted = isinstance(loop.method, Pastiches)
        if painted and (report.step % loop.plan.sample_every == 0 or report.step == report.steps):
            sheet(loop, data).save(loop.folder / f"sheet-{report.step:08}.png")

    loop.run(look)
    if dist.is_initialized():
        dist.barrier()  # the last checkpoint is written by one of them


def sheet(loop: Loop, data: Data) -> Image.Image:
    """Held-out photographs in some styles, painted with the averaged weights."""
    method = loop.method
    if not isinstance(method, Pastiches):
        raise TypeError(f"no sheet for {type(method).__name__}")
    teaching = method.teaching
    kept = {name: value.detach().clone() for name, value in teaching.state_dict().items()}
    group = "gallery" if teaching.table is not None else "painting"
    count = len(method.groups[group])
    photos = stacked([square(data.exam.picture(number), SHEET_SIDE) for number in range(SHEET_PHOTOS)]).float() / 255
    photos = photos.to(loop.device)
    rows = [photos]
    teaching.load_state_dict(loop.averaged())
    with torch.no_grad():
        for number in range(0, count, max(1, count // 8)):
            vector = teaching.vectors(method.look((group, number, 1)))
            rows.append(teaching.net(photos, vector.expand(len(photos), -1)).clamp(0, 1))
    teaching.load_state_dict(kept)
    pixels = torch.cat([torch.cat(list(row), 2) for row in rows], 1).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ship(method: Pastiches, recipe: Recipe, data: Data, folder: Path, *, begin: Path | None = None) -> None:
    """Write network, predictor and gallery as they ship into `folder`; `begin` as of `train`."""
    folder.mkdir(exist_ok=True)
    trained = method.teaching.eval()
    credit = {row["file"]: row for row in data.credits}
    styles, vectors = [], {}
    for style, file, rows in zip(recipe.styles, data.gallery.files, method.table(), strict=True):
        if "left_out" in style:
            continue
        about: dict[str, Any] = {key: value for key, value in style.items() if key != "file"}
        about |= {key: credit[style["file"]][key] for key in ("title", "artist", "date", "source", "url")}
        styles.append(LearntStyle(**about, sha256=sha256(file)))
        vectors[style["name"]] = rows.cpu().numpy()
    steps = sum(recipe.plan(part).steps for part in PARTS[1 if begin is None else PARTS.index(recipe.begin_at) :])
    origin = f"danqing's own, trained by recipes/gallery.toml, {steps} steps of {recipe.common['batch']} pictures"
    if begin is not None:
        origin += f", from the network before it ({sha256(begin / 'pastiche.onnx')[:12]})"
    publish.pastiche(
        trained.net,
        trained.predictor,
        vectors,
        styles,
        folder,
        origin=origin,
        teacher="compact, danqing's own",
        data=f"{len(data.photos)} photographs and {len(data.paintings)} public-domain paintings, listed with their "
        "sha256 in recipes/gallery.tsv",
        quality=recipe.quality,
    )

    def source(name: str) -> str:
        photos = (told for start, told in recipe.sources.items() if name.startswith(start))
        return credit[name]["source"] if name in credit else next(photos, "unknown")

    listing = [
        f"{group}\t{path.name}\t{source(path.name)}\t{sha256(path)}"
        for group, pictures in (("photos", data.photos), ("paintings", data.paintings), ("gallery", data.gallery))
        for path in pictures.files
    ]
    (folder / "gallery.tsv").write_text("\n".join(["folder\tfile\tsource\tsha256", *listing, ""]), encoding="utf-8")


def main() -> None:
    """The command line: see recipes/gallery.toml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a folder with photos/ and paintings/")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints, logs, sheets and the trained network")
    parser.add_argument("--begin", type=Path, help="a folder with the files of an older network, to inherit from")
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = Recipe.read(args.recipe)
    data = Data.read(args.data, recipe)
    trained = train(recipe, data, args.out, begin=args.begin, device=joined(args.device))
    if not dist.is_initialized() or dist.get_rank() == 0:
        ship(trained, recipe, data, args.out / "models", begin=args.begin)
    parted()


if __name__ == "__main__":
    main()
