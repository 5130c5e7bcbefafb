"""The optimisation engine: a painting is found by descending from a photograph to what a style asks for.

A content picture, styles and a Recipe go in, a Pastiche comes out (Gatys, Ecker & Bethge 2015/2016). It knows encoders
and losses; it knows neither files, nor colour modes, nor terminals.

Departures from the papers, each measured in docs/experiments.md:
- covariances of the features and, weakly, their means are matched instead of Gram matrices, which are mostly colour;
- the distance of two statistics is relative to their size and not squared, so that a pale style pulls like a loud one;
- content features are instance-normalised, blind to the colour and contrast that belong to the style;
- the start is the photograph in the style's colours, and the descent goes from coarse to fine;
- the terms are calibrated: at weight 1 each pulls equally hard at the start of every level.
`style_loss = "squared_gram"`, `content_loss = "squared_sum"` and `weighting = "caffe"` are the papers' own.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from danqing import catalog, machine
from danqing.atelier import adopt, tiled
from danqing.atelier.descent import NotFinite, Stopped, descend
from danqing.atelier.encoders import VGG
from danqing.atelier.objective import Objective, StyleView
from danqing.card import Card
from danqing.errors import RunFailed, UsageError
from danqing.image import color, mask
from danqing.image.fit import resize
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Step

COARSEST = 128
"""Long side of the coarsest level, px: at this size the encoder's deepest layer sees most of the picture."""

BASE_BYTES = 400 << 20
"""Memory of the process before a picture is there."""

BYTES_PER_PIXEL = 1150
"""Peak memory of a pixel besides the encoder's: pictures, and the 20 steps that L-BFGS remembers."""

BYTES_IN_TILES, BYTES_PER_KEPT = 380, 6.0
"""The same of a picture that is looked at in tiles: of a pixel, and of each value of the layers that are kept whole."""

BYTES_PER_VALUE = {False: 3.8, True: 2.1}
"""Peak memory of every value that the encoder computes, in bfloat16, without and with checkpointed activations."""

SECONDS_PER_VALUE, SECONDS_PER_PRODUCT = 1.5e-8, 2.7e-11
"""Time on one core, in bfloat16, of a value and of a multiplication, gradients included (docs/benchmarks.md)."""

FINE, BROAD = 0.4, 2.0
"""How large a style is seen by the finest and the broadest brush."""

WINDOW = 10
"""Steps over which it is judged whether a level still gets anywhere."""

SMALLEST = 32
"""Shortest side that the encoders take, px; smaller pictures are extended by their edge and cut again."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of the pyramid: the size in px, (width, height), and how many steps are taken there."""

    size: tuple[int, int]
    steps: int


def pyramid(size: tuple[int, int], recipe: Recipe) -> list[Level]:
    """The levels from coarse to fine, each larger than the one before; the last is the picture's own size.

    The steps are shared so that the coarsest level, where they cost least, gets twice as many as the finest.
    """
    count = recipe.levels or max(1, 1 + round(math.log(max(size) / COARSEST, recipe.level_ratio)))
    while count > 1 and min(size) / recipe.level_ratio ** (count - 1) < SMALLEST:
        count -= 1
    count = min(count, recipe.steps)
    shares = [1 + (count - 1 - i) / max(1, count - 1) for i in range(count)]
    steps = [max(1, int(recipe.steps * share / sum(shares))) for share in shares]
    steps[0] += recipe.steps - sum(steps)
    factors = [recipe.level_ratio**i for i in reversed(range(count))]
    sizes = [(round(size[0] / factor), round(size[1] / factor)) for factor in factors]
    return [Level(size=s, steps=n) for s, n in zip(sizes, steps, strict=True)]


# ── tensors and pictures ────────────────────────────────────────────────────────────────────────────────────────────


def to_tensor(pixels: NDArray[np.float32], size: tuple[int, int], device: torch.device) -> Tensor:
    """Pixels (H, W, 3) resized to (width, height), as (1, 3, height, width)."""
    resized = resize(pixels, size) if pixels.shape[1::-1] != size else pixels
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))[None].to(device)


def to_pixels(x: Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) -> float32 (H, W, 3), clipped to 0..1."""
    return np.ascontiguousarray(x.detach()[0].float().clamp(0, 1).cpu().numpy().transpose(1, 2, 0))


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A finished level as the start of the next one, (1, 3, h, w) -> (1, 3, H, W)."""
    return F.interpolate(x, size=size[::-1], mode="bicubic", antialias=False).clamp(0, 1)


def style_size(
    style: Picture, content: tuple[int, int], full: tuple[int, int], *, scale: float = 1.0, brush: float = 1.0
) -> tuple[int, int]:
    """Size at which a style is seen while the content of `full` px is worked on at `content` px.

    At style scale 1 its long side is the content's; it is never enlarged beyond its own pixels. The brush then makes
    it larger or smaller, whatever its pixels.
    """
    width, height = style.size
    factor = min(max(full) * scale / max(width, height), 1.0) * brush * max(content) / max(full)
    return max(SMALLEST, round(width * factor)), max(SMALLEST, round(height * factor))


def brushes(brush: float) -> list[tuple[float, float]]:
    """The sizes at which a style is seen, each with its share, for a brush from 0 (fine) to 1 (broad).

    At ½ it is seen as it is, at 0 and 1 at `FINE` and `BROAD` times its size, so that its strokes come out finer and
    broader; in between the statistics of the two nearest are mixed. Above ½ the painting is seen at half size too,
    beside the style as it is: see `objective.Objective`. benchmarks/brush.py measures what comes of it.
    """
    away = 2 * brush - 1
    shares = [(1.0, 1 - abs(away)), (BROAD if away > 0 else FINE, abs(away))]
    return [(size, share) for size, share in shares if share > 0]


# ── the engine ──────────────────────────────────────────────────────────────────────────────────────────────────────


class GatysStylizer:
    """Paints by optimisation; implements `danqing.stylizer.Stylizer`.

    Args:
        encoder, card: what it sees with, brought to the device and the recipe's precision and pooling; by default what
            the recipe names, from the catalog.
        encoder_weights: the user's own file for the encoder that the recipe names.
        device: `auto`, `cpu`, `cuda` or `mps`.
    """

    def __init__(
        self,
        encoder: VGG | None = None,
        card: Card | None = None,
        *,
        encoder_weights: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        self._given = (encoder, card)
        self._opened: dict[str, tuple[VGG, Card]] = {}
        self._weights = encoder_weights
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)

    def __call__(
        self,
        content: Picture,
        styles: tuple[Style, ...],
        recipe: Recipe,
        *,
        prior: Prior | None = None,
        on_step: OnStep | None = None,
    ) -> Pastiche:
        """Paint.

        Raises:
            UsageError: no style, or a layer that the encoder does not have.
            RunFailed: the numbers got out of hand; its `kept` is the last good picture.
        """
        encoder, card = self._encoder(recipe)
        wanted = {*recipe.content_layers, *recipe.style_layers}
        if unknown := sorted(wanted - set(encoder.layers)):
            raise UsageError(text("atelier.unknown_layers", layers=", ".join(unknown), known=", ".join(encoder.layers)))
        if not styles:
            raise UsageError(text("atelier.no_style"))
        encoder = encoder.to(self.device, self.precision(recipe), memory_format=torch.channels_last)  # type: ignore[call-overload]
        encoder.checkpointed, encoder.tiled, encoder.pooling = recipe.checkpoint, recipe.tiles, recipe.pooling
        painting = Painting(encoder, card, content, styles, recipe, device=self.device, on_step=on_step)
        return painting.run(prior)

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        """Memory and time for a content of (width, height) px with the recipe's encoder."""
        encoder, _ = self._encoder(recipe)
        layers = {*recipe.content_layers, *recipe.style_layers} & set(encoder.layers)
        values, products = encoder.work(layers)
        single = 1 if self.precision(recipe) == torch.bfloat16 else 2
        worked = sum(level.steps * level.size[0] * level.size[1] for level in pyramid(size, recipe))
        again = 1.5 if recipe.tiles else 4 / 3 if recipe.checkpoint else 1
        step = single * (values * SECONDS_PER_VALUE + products * SECONDS_PER_PRODUCT) * again
        seen = single * values * BYTES_PER_VALUE[recipe.checkpoint]
        weights = 4 * sum(value.numel() for value in encoder.parameters())
        memory = BASE_BYTES + 2 * weights
        if recipe.tiles:
            whole = layers if recipe.style_loss == "histogram" else layers & set(recipe.content_layers)
            kept = single * sum(encoder.share(layer) for layer in whole) * BYTES_PER_KEPT
            memory += int(size[0] * size[1] * (BYTES_IN_TILES + kept))
            memory += int((tiled.SIDE + 2 * encoder.reach(layers)) ** 2 * seen) if layers else 0
        else:
            memory += int(size[0] * size[1] * (BYTES_PER_PIXEL + seen))
        return Estimate(memory=memory, seconds=3 + worked * step / machine.cores())

    def _encoder(self, recipe: Recipe) -> tuple[VGG, Card]:
        """What the recipe sees with; opened once."""
        encoder, card = self._given
        if encoder is not None and card is not None:
            return encoder, card
        if recipe.encoder not in self._opened:
            if self._weights is not None:
                card, arrays = catalog.from_file(self._weights, like=recipe.encoder)
            else:
                card, path = catalog.find(recipe.encoder)
                arrays = catalog.read(card, path)
            self._opened[recipe.encoder] = adopt.encoder(card, arrays), card
        return self._opened[recipe.encoder]

    def precision(self, recipe: Recipe) -> torch.dtype:
        """The encoder's precision: bfloat16 where this machine gains by it, unless the recipe says otherwise."""
        if recipe.precision != "auto":
            return torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
        return torch.bfloat16 if self.device.type == "cuda" or machine.has_bf16() else torch.float32


class Painting:
    """One painting on its way from the coarsest level to the finished Pastiche."""

    def __init__(
        self,
        encoder: VGG,
        card: Card,
        content: Picture,
        styles: tuple[Style, ...],
        recipe: Recipe,
        *,
        device: torch.device,
        on_step: OnStep | None,
    ) -> None:
        self.encoder, self.card, self.recipe = encoder, card, recipe
        self.device, self.on_step = device, on_step
        self.size = content.size
        self.content = extend(content.pixels, SMALLEST)
        self.styles = [(style.weight, picture_of(style)) for style in styles]
        self.masks = mask.resolved([style.mask for style in styles])
        height, width = self.content.shape[:2]
        self.levels = pyramid((width, height), recipe)
        # Noise is drawn on the processor whatever the device, so that a seed means the same everywhere.
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.held: Prior | None = None
        self.began = time.monotonic()
        self.losses: list[dict[str, float]] = []

    def run(self, prior: Prior | None = None) -> Pastiche:
        """Paint all levels, or until `on_step` says stop.

        What is held to earlier frames of a film begins at the finest level, where they are.

        Raises:
            RunFailed: with the last good picture in `kept`.
        """
        if prior is not None and prior.trust is not None:
            self.levels, self.held = self.levels[-1:], prior
        x = self.start(prior)
        complete = self.recipe.strength == 0
        try:
            for level in self.levels if not complete else []:
                x = self.paint(level, enlarge(x, level.size) if size_of(x) != level.size else x)
            complete = True
        except NotFinite as burst:
            failure = RunFailed(text("atelier.not_finite", step=len(self.losses) + 1))
            failure.kept = self.finish(burst.picture, complete=False)
            raise failure from None
        except Stopped as stopped:
            x, complete = stopped.picture, False
        return self.finish(x, complete=complete)

    def start(self, prior: Prior | None) -> Tensor:
        """Where the descent begins: (1, 3, H, W) at the size of the coarsest level."""
        recipe, size = self.recipe, self.levels[0].size
        if recipe.strength == 0:
            return to_tensor(self.content, self.levels[-1].size, self.device)
        if prior is not None:
            return to_tensor(extend(prior.picture.pixels, SMALLEST), size, self.device)
        if recipe.start == "style":
            return to_tensor(self.styles[0][1].pixels, size, self.device)
        photo = to_tensor(self.content, size, self.device)
        noise = torch.rand(photo.shape, generator=self.generator).to(self.device)
        if recipe.start == "recolored":
            return to_tensor(self.recolored(to_pixels(photo)), size, self.device)
        amount = {"content": 0.0, "noise": 1.0, "mixture": recipe.start_noise}[recipe.start]
        return photo.lerp(noise, amount)

    def recolored(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The photo with the mean and covariance of the styles' colours, as far as strength and the masks go."""
        height, width = pixels.shape[:2]
        masks = self.masks_at((width, height)) or [np.ones((height, width), np.float32) for _ in self.styles]
        parts = [weight * where[..., None] for (weight, _), where in zip(self.styles, masks, strict=True)]
        total = np.maximum(np.sum(parts, axis=0), np.float32(1e-6))
        painted = np.zeros_like(pixels)
        for part, (_, picture) in zip(parts, self.styles, strict=True):
            painted += part / total * color.transfer(pixels, picture.pixels)
        covered = mask.cover(masks)[..., None]
        return (pixels + self.recipe.strength * covered * (painted - pixels)).astype(np.float32)

    def paint(self, level: Level, x: Tensor) -> Tensor:
        """All steps of one level, from x and at its size."""
        content = to_tensor(self.content, level.size, self.device)
        full = self.levels[-1].size
        masks = self.masks_at(level.size) or (None,) * len(self.styles)
        views = [
            StyleView(
                weight=weight,
                sizes=tuple(
                    (share, self.view(picture, level.size, full, brush)) for brush, share in brushes(self.recipe.brush)
                ),
                own=self.view(picture, level.size, full),
                mask=None if where is None else torch.from_numpy(where)[None, None].to(self.device),
            )
            for (weight, picture), where in zip(self.styles, masks, strict=True)
        ]
        held = None if self.held is None else self.holding(self.held, level.size)
        objective = Objective(self.encoder, self.recipe, content=content, views=views, held=held)
        objective.calibrate(x, self.generator)
        began, first = time.monotonic(), len(self.losses)
        last = x
        for last, terms in descend(x, objective, self.recipe, steps=level.steps):
            self.losses.append(terms)
            done = len(self.losses)
            rate = (time.monotonic() - began) / (done - first) / (level.size[0] * level.size[1])
            if self.on_step is not None and self.on_step(self.step(level, last, terms, rate=rate)) is False:
                raise Stopped(last)
            if self.settled(first):
                break
        return last

    def holding(self, prior: Prior, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What the painting is held to at a size, and how far."""
        trust = mask.sized(extend(np.asarray(prior.trust)[..., None], SMALLEST)[..., 0], size)
        picture = to_tensor(extend(prior.picture.pixels, SMALLEST), size, self.device)
        return picture, torch.from_numpy(trust)[None, None].to(self.device)

    def view(self, style: Picture, size: tuple[int, int], full: tuple[int, int], brush: float = 1.0) -> Tensor:
        """A style as a brush sees it beside a photo of `size` px, (1, 3, H, W)."""
        scaled = style_size(style, size, full, scale=self.recipe.style_scale, brush=brush)
        return to_tensor(style.pixels, scaled, self.device).clamp(0, 1)

    def masks_at(self, size: tuple[int, int]) -> list[NDArray[np.float32]] | None:
        """Where each style is painted, (height, width) each; None = everywhere."""
        if self.masks is None:
            return None
        return [mask.sized(extend(where[..., None], SMALLEST)[..., 0], size) for where in self.masks]

    def settled(self, first: int) -> bool:
        """Whether the last ten steps of the level that began at step `first` brought less than the tolerance."""
        totals = [sum(terms.values()) for terms in self.losses[first:][-2 * WINDOW :]]
        if not self.recipe.tolerance or len(totals) < 2 * WINDOW:
            return False
        before, now = sum(totals[:WINDOW]), sum(totals[WINDOW:])
        return before - now < self.recipe.tolerance * before

    def step(self, level: Level, x: Tensor, terms: dict[str, float], *, rate: float) -> Step:
        """What is told after a step; `rate` is seconds per pixel and step."""
        here = self.levels.index(level)
        done_before = sum(other.steps for other in self.levels[:here])
        to_come = [(level, level.steps - (len(self.losses) - done_before))]
        to_come += [(other, other.steps) for other in self.levels[here + 1 :]]
        return Step(
            number=len(self.losses),
            total=sum(other.steps for other in self.levels),
            size=level.size,
            losses=terms,
            seconds=time.monotonic() - self.began,
            remaining=sum(rate * steps * other.size[0] * other.size[1] for other, steps in to_come),
            preview=lambda: self.picture(x),
        )

    def picture(self, x: Tensor) -> Picture:
        """The state of the painting as a picture of the content's size."""
        pixels = to_pixels(x)
        height, width = self.content.shape[:2]
        if pixels.shape[:2] != (height, width):
            pixels = np.clip(resize(pixels, (width, height)), 0, 1)
        return Picture(pixels=np.ascontiguousarray(pixels[: self.size[1], : self.size[0]]))

    def finish(self, x: Tensor, *, complete: bool) -> Pastiche:
        """The Pastiche of a state."""
        return Pastiche(
            picture=self.picture(x),
            recipe=self.recipe,
            card=self.card,
            seconds=time.monotonic() - self.began,
            losses=tuple(self.losses),
            complete=complete,
        )


def size_of(x: Tensor) -> tuple[int, int]:
    """(width, height) of a tensor (1, 3, H, W)."""
    return x.shape[3], x.shape[2]


def extend(pixels: NDArray[np.float32], smallest: int) -> NDArray[np.float32]:
    """Pixels continued by their edge to the right and below until no side is shorter than `smallest` px."""
    height, width = pixels.shape[:2]
    missing = ((0, max(0, smallest - height)), (0, max(0, smallest - width)), (0, 0))
    return np.pad(pixels, missing, mode="edge")


def picture_of(style: Style) -> Picture:
    """The picture of a style, as whoever opened the engine has put it there.

    Raises:
        TypeError: it is still a gallery name, or a network.
    """
    if not isinstance(style.source, Picture):
        raise TypeError(f"the style {style.source!r} is no picture, which this engine takes")
    return style.source
