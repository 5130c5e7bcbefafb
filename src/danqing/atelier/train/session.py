"""A training as a user orders it: pictures and a TrainRecipe go in, a model in the catalog comes out, or two.

Everything that the last step needs is tried before the first: the graph is written and compared with untrained weights,
and the disk must hold it. What is seen on the way lies in the run's folder: the recipe, the paintings, checkpoints, a
log, sample sheets and a plot of the losses. From there the same training goes on. What is learnt from paintings is
here too; what is learnt from collections of pictures that one kind is to become another, in `translation`.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from danqing import catalog
from danqing.atelier import adopt
from danqing.atelier.nets.johnson import Johnson
from danqing.atelier.nets.pastiche import PasticheNet
from danqing.atelier.nets.patch import StyledDiscriminator
from danqing.atelier.nets.predictor import Predictor
from danqing.atelier.train import publish
from danqing.atelier.train.data import U8, Folder, Held, Pictures, square
from danqing.atelier.train.gan import LAYERS, Adversary, Painters
from danqing.atelier.train.johnson import LOSSES, Classic, OneStyle, Own
from danqing.atelier.train.loop import Contest, Loop, Method, OnReport, Plan, Report, joined, parted
from danqing.atelier.train.pastiche import (
    BRUSHES,
    Judgement,
    Lesson,
    Pastiches,
    Teaching,
    fresh,
    seer,
    stacked,
)
from danqing.atelier.train.rendered import Rendered
from danqing.atelier.train.translation import Translation
from danqing.card import Card, LearntStyle
from danqing.collection import Collection
from danqing.errors import RunFailed, UsageError
from danqing.files import atomic_write, shown
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import TrainRecipe

log = logging.getLogger(__name__)

STEPS = {"pastiche": 600, "johnson": 40_000, "gan": 1500}
"""Steps of a method where neither steps, epochs nor hours are given."""

LEARNING_RATES = {"pastiche": 3e-4, "johnson": 1e-3, "gan": 2e-4}

TRIED = 3
"""Steps that are timed to turn hours into steps."""

SHEET_PHOTOS, SHEET_SIDE = 4, 256
"""Photographs of a sample sheet, and their side in px."""

COLOURS = {
    "content": "#2f6f8f",
    "style": "#b5462f",
    "adversary": "#7a5195",
    "G_A": "#b5462f",
    "G_B": "#ef8a62",
    "cycle_A": "#2f6f8f",
    "cycle_B": "#67a9cf",
    "idt_A": "#5aae61",
    "idt_B": "#a6dba0",
    "G_L1": "#2f6f8f",
    "G_GAN": "#b5462f",
    "D_A": "#762a83",
    "D_B": "#c2a5cf",
    "D": "#762a83",
    "loss": "#333333",
}
"""The terms of objectives that are drawn."""

NEEDED = 200 << 20
"""Bytes that must be free before a training begins."""


class Work(Protocol):
    """What is trained, and what becomes of it."""

    @property
    def method(self) -> Method | Contest:
        """What learns."""
        ...

    @property
    def count(self) -> int:
        """Pictures of an epoch."""
        ...

    def plan(self, steps: int | None) -> Plan:
        """How long and how fast is learnt; None = as long as is usual."""
        ...

    def written(self, loop: Loop, folder: Path) -> list[Card]:
        """The models' files in a folder; their cards."""
        ...

    def sheet(self, loop: Loop) -> Image.Image:
        """What is learnt so far."""
        ...


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be learnt from paintings.

    Attributes:
        recipe: with a name.
        styles: the paintings, uint8 (H, W, 3) each, and what is known of them.
        photos: to learn on.
        data: what was learnt on, for the card.
    """

    recipe: TrainRecipe
    styles: Sequence[tuple[U8, LearntStyle]]
    photos: Pictures
    data: str


def train(
    recipe: TrainRecipe,
    paintings: Sequence[tuple[Picture, LearntStyle]],
    *,
    photos: Path | None,
    folder: Path,
    kinds: Sequence[Collection] = (),
    names: Sequence[str] = (),
    device: str = "auto",
    on_report: OnReport | None = None,
) -> Card | None:
    """Train to the end, from where the folder's newest checkpoint stands; None when it was stopped before.

    Of several models that are made, the card of the first is handed back.

    Args:
        recipe: with a name.
        paintings: with what is known of them.
        photos: a folder; None = pictures that danqing draws itself.
        folder: of the run; it exists.
        kinds: for a translation, the pictures of each kind.
        names: for a translation, of the models.
        device: `auto`, `cpu`, `cuda` or `mps`.
        on_report: called after every step; returning False stops after a checkpoint.

    Raises:
        BadInput: there is no photograph in the folder.
        UsageError: a batch that cannot be shared out among the processes of a contest.
        RunFailed: what the last step needs does not work here, or the numbers got out of hand.
        ModelMissing: an encoder or the network to begin with is not here.
    """
    device = joined(device)
    work: Work = Translation(recipe, kinds, names) if kinds else Painting(ordered(recipe, paintings, photos))
    loop = Loop(work.method, work.plan(steps_of(recipe, work, folder, device)), folder, device=device)
    if isinstance(work.method, Contest) and recipe.batch % loop.world:
        raise UsageError(text("train.uneven", batch=recipe.batch, world=loop.world))
    if loop.rank == 0:
        ready(work, loop)
    loop.resume()

    def look(report: Report) -> bool | None:
        if loop.rank == 0 and (report.step % recipe.sample_every == 0 or report.step == report.steps):
            try:
                with atomic_write(folder / f"sheet-{report.step:08}.png", overwrite=True) as stream:
                    sheet(work, loop).save(stream, "PNG")
                plot(folder)
            except (OSError, RunFailed) as error:  # a full disk costs a sheet, not the training
                log.warning(text("train.not_drawn", step=report.step, reason=str(error)))
        return on_report(report) if on_report is not None else None

    done = loop.run(look)
    parted()
    if not done or loop.rank:
        return None
    loop.model.load_state_dict(loop.averaged())
    loop.model.cpu()
    return shipped(work, loop)


def shipped(work: Work, loop: Loop) -> Card:
    """The finished models in the user's catalog; the card of the first."""
    with tempfile.TemporaryDirectory(dir=loop.folder) as scratch:
        cards = work.written(loop, Path(scratch))
        for card in cards:
            target = catalog.home() / "models" / card.name
            target.mkdir(parents=True, exist_ok=True)
            for file in [*card.files(), f"{card.name}.toml"]:  # the card last: without it there is no model
                with atomic_write(target / file, overwrite=True) as stream:
                    stream.write((Path(scratch) / file).read_bytes())
    return cards[0]


def ordered(recipe: TrainRecipe, paintings: Sequence[tuple[Picture, LearntStyle]], photos: Path | None) -> Order:
    """Paintings and photographs, read."""
    source: Pictures = Rendered() if photos is None else Folder.below(photos, subset=recipe.subset)
    what = "pictures that danqing draws" if photos is None else f"photographs of the folder {photos.name}"
    styles = [((np.clip(p.pixels, 0, 1) * 255).round().astype(np.uint8), style) for p, style in paintings]
    data = f"{len(source)} {what}, {len(styles)} paintings"
    return Order(recipe=recipe, styles=styles, photos=source, data=data)


def opened(order: Order) -> Pastiches | OneStyle:
    """The method of an order, with the weights that it begins with."""
    recipe = order.recipe
    torch.manual_seed(recipe.seed)
    lesson = Lesson(
        seed=recipe.seed,
        batch=recipe.batch,
        crops=((0, recipe.crop),),
        content_weight=recipe.content_weight,
        style_weight=recipe.style_weight,
        tv_weight=recipe.tv_weight,
        temporal_weight=recipe.temporal_weight,
        gallery_share=1.0,
    )
    pictures = [pixels for pixels, _ in order.styles]
    if recipe.method == "johnson":
        style = stacked([scaled(pictures[0], recipe.style_size)]).float() / 255
        if recipe.losses == "danqing":
            return OneStyle(Own(Johnson(), Judgement(seer("compact"), lesson), style), order.photos, lesson)
        loss = LOSSES[recipe.losses]
        model = Classic(Johnson(family=recipe.losses), seer(loss.encoder), loss, style)
        return OneStyle(model, order.photos, lesson)
    judge = seer("compact")
    net, predictor = fresh() if recipe.from_scratch else bundled()
    teaching = Teaching(net, predictor, judge, lesson, styles=len(pictures))
    for value in predictor.parameters():
        value.requires_grad_(False)
    method = Pastiches(teaching, order.photos, Held(pictures), gallery=Held(pictures))
    if recipe.from_scratch:
        method.accustom([("gallery", number, 1) for number in range(len(pictures))])
    method.fill_table()
    return method


def bundled() -> tuple[PasticheNet, Predictor]:
    """The network that ships, and its predictor."""
    card, path = catalog.find("pastiche")
    if card.predictor is None:
        raise RunFailed(text("engines.no_predictor", name=card.name))
    return adopt.pastiche(card.name, path.read_bytes(), path.with_name(card.predictor).read_bytes())


def steps_of(recipe: TrainRecipe, work: Work, folder: Path, device: str) -> int | None:
    """How long is learnt, if that is said; hours become steps once, and are remembered in the run's folder."""
    if recipe.epochs is not None:
        return max(1, math.ceil(recipe.epochs * work.count / recipe.batch))
    if recipe.hours is not None:
        return steps_for(recipe.hours, work.method, folder, device)
    return recipe.steps


def steps_for(hours: float, method: Method | Contest, folder: Path, device: str) -> int:
    """The steps that fit into so many hours on this machine; measured once for a run, whose hours may change."""
    known = folder / "steps.json"
    if known.exists():
        told: dict[str, float] = json.loads(known.read_text(encoding="utf-8"))
        return max(1, round(told["steps"] * hours / told.get("hours", hours)))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        kept = {name: value.clone() for name, value in method.model.state_dict().items()}
        trial = Loop(method, Plan(steps=TRIED + 1, learning_rate=0.0), Path(scratch), device=device)
        trial.take_step()  # the first one warms up
        began = time.monotonic()
        for _ in range(TRIED):
            trial.take_step()
        seconds = (time.monotonic() - began) / TRIED
        method.model.load_state_dict(kept)
        if isinstance(method, Contest):
            method.restore({})
    steps = max(1, int(hours * 3600 / seconds))
    with atomic_write(known, overwrite=True) as stream:
        stream.write(json.dumps({"steps": steps, "hours": hours, "seconds_per_step": round(seconds, 4)}).encode())
    return steps


def ready(work: Work, loop: Loop) -> None:
    """Try with the weights as they are what the last step will do.

    Raises:
        RunFailed: it does not work.
    """
    free = shutil.disk_usage(loop.folder).free
    if free < NEEDED:
        fields = {"free": free >> 20, "needed": NEEDED >> 20}
        raise RunFailed(text("train.disk_small", folder=shown(loop.folder), **fields))
    with tempfile.TemporaryDirectory(dir=loop.folder) as scratch:
        loop.model.cpu()
        work.written(loop, Path(scratch))
        loop.model.to(loop.device)


class Painting:
    """A work of which paintings are the model: its network paints in their styles."""

    def __init__(self, order: Order) -> None:
        self.order, self.count = order, len(order.photos)
        self.learner = opened(order)
        self.method: Method | Contest = self.learner
        if order.recipe.method == "gan" and isinstance(self.learner, Pastiches):
            self.method = against(self.learner, order.recipe)

    def plan(self, steps: int | None) -> Plan:
        """See `Work`."""
        recipe = self.order.recipe
        steps = steps or STEPS[recipe.method]
        return Plan(
            seed=recipe.seed,
            steps=steps,
            learning_rate=recipe.learning_rate or LEARNING_RATES[recipe.method],
            warmup=min(100, max(1, steps // 10)),
            ema=min(0.999, 1 - 10 / (steps + 10)) if recipe.ema is None else recipe.ema,
            save_every=recipe.save_every,
            sample_every=recipe.sample_every,
        )

    def written(self, loop: Loop, folder: Path) -> list[Card]:
        """See `Work`."""
        return [written(self.order, loop, self.learner, folder)]

    def sheet(self, loop: Loop) -> Image.Image:
        """See `Work`."""
        return painted(self.order, self.learner, loop)


def against(learner: Pastiches, recipe: TrainRecipe) -> Painters:
    """A learner, and an adversary that knows its gallery."""
    told = len(learner.teaching.predictor.mean)
    adversary = Adversary(
        weight=recipe.adversary_weight,
        game=recipe.game,
        augment=recipe.augment,
        penalty=recipe.penalty_weight,
        every=recipe.penalty_every,
    )
    seer = learner.teaching.judgement.seer
    channels = {layer: seer.convolution(layer).out_channels for layer in LAYERS}
    discriminator = StyledDiscriminator(told, channels=channels, width=recipe.width, layers=recipe.layers)
    return Painters(learner, discriminator, adversary)


def written(order: Order, loop: Loop, method: Pastiches | OneStyle, folder: Path) -> Card:
    """The model's files in a folder; its card."""
    recipe = order.recipe
    known = [style for _, style in order.styles]
    papers: dict[str, Any] = {
        "origin": f"the user's own, trained with danqing's {recipe.method}, {loop.plan.steps} steps of {recipe.batch}",
        "data": order.data,
        "license": "unknown",
    }
    if isinstance(method, Pastiches):
        teaching = method.teaching
        vectors = {style.name: rows.cpu().numpy() for style, rows in zip(known, method.table(), strict=True)}
        papers["teacher"] = "compact, danqing's own"
        return publish.pastiche(teaching.net, teaching.predictor, vectors, known, folder, name=recipe.name, **papers)
    net = method.model.get_submodule("net")
    if not isinstance(net, Johnson):
        raise TypeError(f"no way to write {type(net).__name__}")
    papers["teacher"] = "compact, danqing's own" if recipe.losses == "danqing" else "VGG-16 (CC BY 4.0)"
    return publish.johnson(net, known, folder, name=recipe.name, **papers)


# ── what is seen on the way ─────────────────────────────────────────────────────────────────────────────────────────


def sheet(work: Work, loop: Loop) -> Image.Image:
    """A work's sheet, with the averaged weights."""
    kept = {name: value.detach().clone() for name, value in loop.model.state_dict().items()}
    loop.model.load_state_dict(loop.averaged())
    found = work.sheet(loop)
    loop.model.load_state_dict(kept)
    return found


def painted(order: Order, method: Pastiches | OneStyle, loop: Loop) -> Image.Image:
    """Some photographs, painted in each style."""
    photos = [
        square(order.photos.picture(number), SHEET_SIDE) for number in range(min(SHEET_PHOTOS, len(order.photos)))
    ]
    x = (stacked(photos).float() / 255).to(loop.device)
    rows = [x]
    with torch.no_grad():
        if isinstance(method, Pastiches):
            for vectors in method.table()[:8]:
                rows.append(method.teaching.net(x, vectors[len(BRUSHES) // 2].expand(len(x), -1)))
        else:
            rows.append(method.model.get_submodule("net")(x * 255).float() / 255)
    pixels = torch.cat([torch.cat(list(row.clamp(0, 1).cpu()), 2) for row in rows], 1).permute(1, 2, 0).numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def plot(folder: Path) -> None:
    """`loss.svg`: the terms of the log against the steps, each relative to its first value, logarithmic."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    values = [json.loads(line) for line in lines if line.endswith("}")]
    curves = {}
    for name in COLOURS:
        points = [(one["step"], one[name]) for one in values if one.get(name, 0) > 0]
        if points:
            size = max(1, len(points) // 100)
            groups = [points[first : first + size] for first in range(0, len(points), size)]
            curves[name] = [
                (float(np.mean([p[0] for p in group])), float(np.mean([p[1] for p in group]))) for group in groups
            ]
    with atomic_write(folder / "loss.svg", overwrite=True) as stream:
        stream.write(drawn(curves).encode())


def drawn(curves: dict[str, list[tuple[float, float]]]) -> str:
    """Curves of (step, value) as SVG, each relative to its first value."""
    width, height, pad = 640, 320, 40
    last = max((points[-1][0] for points in curves.values()), default=1)
    ratios = [math.log2(max(value / points[0][1], 1e-6)) for points in curves.values() for _, value in points]
    low, high = min([*ratios, -1]), max([*ratios, 1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{pad},{pad} V{height - pad} H{width - pad}" fill="none" stroke="#888"/>',
        f'<text x="{pad}" y="{height - 12}" font-size="12">0 .. {last:.0f}</text>',
    ]
    for row, (name, points) in enumerate(curves.items()):
        places = []
        for step, value in points:
            x = pad + step / last * (width - 2 * pad)
            y = height - pad - (math.log2(max(value / points[0][1], 1e-6)) - low) / (high - low) * (height - 2 * pad)
            places.append(f"{x:.1f},{y:.1f}")
        colour = COLOURS[name]
        parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{name} {points[-1][1]:.4g}"
        parts.append(f'<text x="{width - 190}" y="{20 + 16 * row}" font-size="13" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def scaled(pixels: U8, long: int) -> U8:
    """A picture with its long side at `long` px, never enlarged."""
    image = Image.fromarray(pixels)
    image.thumbnail((long, long), Image.Resampling.LANCZOS)
    return np.asarray(image)
