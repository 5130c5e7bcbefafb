"""The fast engine: a picture and style vectors go in, a painting comes out of one pass of the pastiche network.

It runs without torch, on ONNX Runtime or OpenVINO. Vectors of styles are mixed by weight, and with the photo's own
vector where the strength is below 1. Regions are painted one after the other and laid over each other by their masks.
What does not fit into memory is painted in tiles (`tiles`). This module does not know where vectors come from
(`vectors`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from danqing import catalog, limits, machine, scratch
from danqing.card import Card, Network
from danqing.engines import feed, measured, onnx, openvino, tiles, vectors
from danqing.engines.grain import grained
from danqing.engines.tiles import Session
from danqing.errors import Interrupted, ModelMissing, UsageError
from danqing.files import shown
from danqing.image import mask
from danqing.image.fit import Size, fitted_size, resize
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Step

F32 = NDArray[np.float32]

BASE_BYTES, BYTES_PER_PIXEL, SECONDS_PER_PIXEL = 200 << 20, 450, 1.6e-6
"""Memory of the process without a picture; memory and, on one core, time of a pixel (docs/benchmarks.md)."""

MEASURING = 1.2
"""So many paintings more take as much memory as measuring some and painting others by them: the network's other form,
and the pictures that wait meanwhile."""

TILED = 1.5
"""So many times as long a picture takes in tiles."""

MANY = 12e6
"""So many pixels in one process are worth the time that OpenVINO needs to compile a network for this processor."""

LARGE = 1.5e5
"""Pixels of a picture from which on OpenVINO is quicker; for smaller ones of many sizes it prepares too long."""

WHOLE = 0.2
"""The strength from which on nothing but the network's painting is seen; below, more and more of the photo itself."""

NOTABLE = 1.5
"""So many times as broad strokes have to become for it to be worth painting twice."""

LOOK = 1024
"""px: the long side at which a painting looks as the broadest brush lets larger ones look."""

OVER = 0.5
"""The strength with which a painting that was enlarged is painted over, so that its strokes have sharp edges."""

RUNTIMES = ("auto", "onnx", "openvino")


class FastStylizer:
    """Paints in one pass; implements `danqing.stylizer.Stylizer`.

    Args:
        runtime: `onnx`, `openvino`, or `auto`: ONNX Runtime for a picture or a few, OpenVINO for many or large ones
            where it is installed and the processor multiplies bfloat16.
        threads: how many it may use; None = all cores.
        memory: bytes that a painting may take; what takes more is painted in tiles. None = there is no end.
        at_once: how many paintings are made side by side, by as many threads that call; see `abreast`.
        measuring: whether paintings come with what was measured of their content; see `measures`.
        same: whether what is painted with such measures has the same styles from one painting to the next; the network
            is made ready for them then.

    Raises:
        UsageError: no such runtime.
        ModelMissing: it is not installed.
    """

    def __init__(
        self,
        *,
        runtime: str = "auto",
        threads: int | None = None,
        memory: int | None = None,
        at_once: int = 1,
        measuring: bool = False,
        same: bool = False,
    ) -> None:
        self.threads, self.memory, self.at_once = threads, memory, at_once
        self.measuring, self.same = measuring, same
        self.runtime = known(runtime)
        self._found: tuple[Sequence[Style], Recipe, Card, F32 | None] | None = None
        self._ready: Session | None = None
        self._opening = threading.Lock()

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
            UsageError: no style, one that no network has learnt, or styles of different networks.
            ModelMissing, ModelDamaged: of the network.
            RunFailed: there is no room on the disk for a picture that is painted in tiles.
            Interrupted: it was stopped between tiles, when nothing can be seen yet.
        """
        last = self._found
        if last is None or last[0] is not styles or last[1] is not recipe:
            last = self._found = styles, recipe, *vectors.of(styles, recipe)  # the frames of a film share them
        _, _, card, found = last
        steps = _Steps(content, on_step, passes=len(styles) if any(s.mask is not None for s in styles) else 1)
        pixels = content.pixels
        small = beginning(content.size, recipe.brush) if card.vectors else None
        known: dict[str, F32] | None = None
        if card.vectors and self._measures(content.size, styles, recipe):
            known = {} if prior is None or prior.measured is None else dict(prior.measured)
        task = _Task(card=card, styles=styles, found=found, strength=recipe.strength, steps=steps, known=known)
        if recipe.strength > 0:
            pixels = self.painted(pixels, task) if small is None else self.enlarged(pixels, task, small)
        picture = Picture(pixels=pixels)
        seconds = steps.last(picture)
        return Pastiche(picture=picture, recipe=recipe, card=card, seconds=seconds, measured=known)

    def enlarged(self, pixels: F32, task: _Task, small: Size) -> F32:
        """Pixels painted as `painted` does at a smaller (width, height), enlarged, and painted over for sharp edges."""
        size = pixels.shape[1], pixels.shape[0]
        sketch = resize(pixels, small).clip(0, 1)
        placed = [s if s.mask is None else replace(s, mask=mask.sized(s.mask, small)) for s in task.styles]
        silent = _Steps(Picture(pixels=sketch), None, passes=1)
        large = resize(self.painted(sketch, replace(task, styles=placed, steps=silent)), size)
        if task.strength < 1:  # so much of the photo is seen, with what is too fine for the sketch
            large += np.float32(1 - task.strength) * (pixels - resize(sketch, size))
        large = self.painted(np.clip(large, 0, 1, out=large), replace(task, strength=OVER * task.strength))
        masks = mask.resolved([style.mask for style in task.styles])
        return large if masks is None else mask.composite(pixels, large, mask.cover(masks))

    def painted(self, pixels: F32, task: _Task) -> F32:
        """Pixels (H, W, 3) painted with the vectors found (S, P), all of them together or each where its mask is."""
        card, styles, found, strength = task.card, task.styles, task.found, task.strength
        paint = self.way(pixels if found is None else grained(pixels, strength), task)
        weights = np.array([style.weight for style in styles], dtype=np.float32)
        masks = mask.resolved([style.mask for style in styles])
        if found is None:
            painting = paint(None, None)
            covered = np.float32(strength) if masks is None else np.float32(strength) * mask.cover(masks)
            return mask.composite(pixels, painting, np.broadcast_to(covered, pixels.shape[:2]))
        own = None
        if strength < 1:
            own = vectors.of_photo(card, pixels)
        if masks is None:
            result = paint(*towards(own, found, weights, strength))
        else:
            covered = np.sum([w * m for w, m in zip(weights, masks, strict=True)], axis=0)
            result = np.zeros_like(pixels)
            for vector, weight, where in zip(found, weights, masks, strict=True):
                share = weight * where / np.maximum(covered, np.float32(1e-6))
                painting = paint(*towards(own, vector[None], np.ones(1, dtype=np.float32), strength))
                result += share[..., None] * painting
            result = mask.composite(pixels, result, mask.cover(masks))
        return pixels + np.float32(min(1.0, strength / WHOLE)) * (result - pixels) if strength < WHOLE else result

    def way(self, pixels: F32, task: _Task) -> Paint:
        """What paints pixels with vectors and their weights: the network as a whole, or in tiles."""
        height, width = pixels.shape[:2]
        card, known, runtime = task.card, task.known, chosen(self.runtime, width * height)
        side = self.side((width, height)) if card.vectors else None
        if side is None:
            at_once = self.abreast((width, height))
            if known and self.same:
                return lambda vectors, weights: run(
                    self.ready(task.model, runtime, at_once, inputs(vectors, weights)), card, pixels, known=known
                )
            form = None if known is None else measured.taking if known else measured.telling
            at_once = 1 if form is measured.telling else at_once  # few are measured
            return partial(run, opened(task.model, runtime, self.threads, at_once, form), card, pixels, known=known)
        _, path = catalog.find(card.name)

        def in_tiles(vectors: F32 | None, weights: F32 | None) -> F32:
            return tiles.paint(
                onnx.read(path),
                lambda part: _session(part, card.name, runtime, self.threads),
                pixels,
                inputs(vectors, weights),
                multiple_of=card.multiple_of,
                side=side,
                on_tile=task.steps.tile,
            )

        return in_tiles

    def ready(self, model: Card | Network, runtime: str, at_once: int, fixed: dict[str, F32]) -> Session:
        """The network that takes what was measured, made ready for vectors that stay the same.

        It is of use to nobody else: it goes with this engine, and is compiled sooner than looked for on the disk.
        """
        with self._opening:
            if self._ready is None:
                card, data = graph_of(model)
                data = measured.taking(data, card.painting, fixed)
                self._ready = _session(data, card.name, runtime, self.threads, at_once, kept=False)
            return self._ready

    def abreast(self, size: tuple[int, int]) -> int:
        """How many paintings of (width, height) px are made side by side: as many as are wanted, and fit."""
        return max(1, min(self.at_once, int(self._room(size))))

    def _room(self, size: tuple[int, int]) -> float:
        """How many paintings of (width, height) px fit into the memory, beside what it takes to measure."""
        if self.memory is None:
            return self.at_once
        return (self.memory - BASE_BYTES) / (size[0] * size[1] * BYTES_PER_PIXEL) - MEASURING * self.measuring

    def measures(self, size: tuple[int, int], styles: Sequence[Style], recipe: Recipe) -> bool:
        """Whether what is measured of one content of (width, height) px is told, and may be taken for others."""
        return self._measures(size, styles, recipe) and vectors.of_statistics(recipe)

    def _measures(self, size: tuple[int, int], styles: Sequence[Style], recipe: Recipe) -> bool:
        """The same for a network that knows styles by their vectors."""
        if not self.measuring or self._room(size) < 1 or beginning(size, recipe.brush) is not None:
            return False
        return not any(style.mask is not None for style in styles)

    def side(self, size: tuple[int, int]) -> int | None:
        """px of the sides of the tiles that a picture of (width, height) px is painted in; None = in one piece."""
        area = size[0] * size[1]
        if self.memory is None or BASE_BYTES + area * BYTES_PER_PIXEL <= self.memory:
            return None
        return tiles.side_within((self.memory - BASE_BYTES - _held(area)) / BYTES_PER_PIXEL)

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        """Memory and time for a content of (width, height) px."""
        passes = max(1, sum(source.mask is not None for source in recipe.styles))
        area = size[0] * size[1]
        seconds = 0.3 + area * passes * SECONDS_PER_PIXEL / (self.threads or machine.cores())
        side = self.side(size) if vectors.of_statistics(recipe) else None
        if side is None:
            return Estimate(memory=BASE_BYTES + area * BYTES_PER_PIXEL, seconds=seconds)
        memory = BASE_BYTES + _held(area) + tiles.whole(side) ** 2 * BYTES_PER_PIXEL
        return Estimate(memory=memory, seconds=TILED * seconds, scratch=tiles.scratch_bytes(size) + 12 * area)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What is to be painted, but for the pixels.

    Attributes:
        card: of the network.
        styles, found: styles, and their vectors (S, P) if the network has any.
        strength: 0..1.
        steps: who is told.
        known: what was measured, which is taken; where it is empty, what is measured is put there. None = neither.
    """

    card: Card
    styles: Sequence[Style]
    found: F32 | None
    strength: float
    steps: _Steps
    known: dict[str, F32] | None

    @property
    def model(self) -> Card | Network:
        """The network, where it is here in memory; else its card."""
        return next((style.source for style in self.styles if isinstance(style.source, Network)), self.card)


Form = Callable[[bytes, str], bytes]
"""Makes of a network, and the name of its painting, another form of it."""

Paint = Callable[[F32 | None, F32 | None], F32]
"""Makes a painting of vectors (S, P) and their weights (S,), if the network has any."""


class _Steps:
    """The steps of a painting as they are told: one in all, or one for every tile as well.

    Args:
        content: what is painted.
        on_step: who is told.
        passes: how often the whole picture is painted.
    """

    def __init__(self, content: Picture, on_step: OnStep | None, *, passes: int) -> None:
        self.content, self.on_step, self.passes = content, on_step, passes
        self.began, self.done, self.total = time.monotonic(), 0, 1

    def tile(self, total: int) -> None:
        """A tile is painted, of so many in a pass.

        Raises:
            Interrupted: no more is wanted.
        """
        self.done, self.total = self.done + 1, total * self.passes + 1
        if self.tell(self.content) is False:
            raise Interrupted(text("engines.stopped_tiles"))

    def last(self, picture: Picture) -> float:
        """The painting is there; the seconds that it took."""
        self.done = self.total
        self.tell(picture)
        return time.monotonic() - self.began

    def tell(self, picture: Picture) -> bool | None:
        """Hand on where it stands."""
        if self.on_step is None:
            return None
        seconds = time.monotonic() - self.began
        return self.on_step(
            Step(
                number=self.done,
                total=self.total,
                size=self.content.size,
                losses={},
                seconds=seconds,
                remaining=seconds * (self.total / self.done - 1),
                preview=lambda: picture,
            )
        )


def _held(area: int) -> int:
    """Bytes of photo and painting of so many pixels that lie in memory."""
    return area * limits.PICTURE_BYTES if area * 12 < scratch.LARGE else 0


def beginning(size: Size, brush: float) -> Size | None:
    """The (width, height) at which a picture of `size` is painted first, for broad strokes; None = at its own.

    Strokes of the network are as broad in px in a large picture as in a small one. Half a brush leaves them so; the
    broadest lets them be as broad in the picture as at `LOOK`.
    """
    side = max(size)
    least = side * (LOOK / side) ** (2 * brush - 1)
    return fitted_size(size, size=round(least)) if least < side / NOTABLE and brush > 0.5 else None


def towards(own: F32 | None, vectors: F32, weights: F32, strength: float) -> tuple[F32, F32]:
    """Vectors (S, P) and weights (S,) of styles mixed with the photo's own vector, so much as `strength` leaves."""
    shares = weights / weights.sum()
    if own is None:
        return vectors, shares
    return np.concatenate([vectors, own[None]]), np.append(strength * shares, np.float32(1 - strength))


def inputs(vectors: F32 | None, weights: F32 | None) -> dict[str, F32]:
    """Vectors (S, P) and weights (S,) as a network takes them, if it has any."""
    return {} if vectors is None or weights is None else {"vectors": vectors, "weights": weights[None]}


def run(
    net: Session,
    card: Card,
    pixels: F32,
    vectors: F32 | None = None,
    weights: F32 | None = None,
    *,
    known: dict[str, F32] | None = None,
) -> F32:
    """One pass of a network over pixels (H, W, 3), of any size; takes what is known, adds what the network tells."""
    more = inputs(vectors, weights)

    def painting(picture: F32) -> F32:
        found = net({card.picture: picture, **more, **(known or {})})
        painted = found.pop(card.painting)
        if known is not None:
            known.update(found)
        return painted

    return feed.run(card, pixels, painting)


def known(runtime: str) -> str:
    """The runtime, if there is such a one here.

    Raises:
        UsageError: there is no such runtime.
        ModelMissing: it is not installed.
    """
    if runtime not in RUNTIMES:
        raise UsageError(text("engines.no_runtime", name=shown(runtime), known=", ".join(RUNTIMES)))
    if runtime == "openvino" and find_spec("openvino") is None:
        raise ModelMissing(text("engines.needs_extra", name="openvino", extra="openvino"))
    return runtime


def chosen(runtime: str, pixels: int) -> str:
    """What to run the next picture of so many pixels on: `onnx` or `openvino`."""
    if runtime != "auto":
        return runtime
    _work.pixels += pixels
    return suited(_work.pixels, each=pixels)


def suited(pixels: int, *, each: int) -> str:
    """What to run work of so many pixels on, all in all and in each picture: `onnx` or `openvino`."""
    quick = find_spec("openvino") is not None and machine.has_bf16()
    return "openvino" if quick and pixels > MANY and each >= LARGE else "onnx"


@dataclass
class _Work:
    """What this process was asked to paint so far."""

    pixels: int = 0


_work = _Work()
_opening = threading.Lock()


def opened(
    model: Card | Network, runtime: str, threads: int | None, at_once: int = 1, form: Form | None = None
) -> Session:
    """A network that is ready to run, of the catalog or here in memory; kept for the next picture.

    Args:
        model: the network.
        runtime: `onnx` or `openvino`.
        threads, at_once: as of the engine.
        form: which of its forms; None = as it is.
    """
    key = model if isinstance(model, Network) else (model.name, model.sha256)
    with _opening:  # what several threads ask for is opened once
        return _opened(key, runtime, threads, at_once, form)


@lru_cache(4)
def _opened(
    model: tuple[str, str] | Network, runtime: str, threads: int | None, at_once: int, form: Form | None
) -> Session:
    card, data = graph_of(model if isinstance(model, Network) else catalog.card(model[0]))
    return _session(data if form is None else form(data, card.painting), card.name, runtime, threads, at_once)


def graph_of(model: Card | Network) -> tuple[Card, bytes]:
    """A network's card and its graph, of the catalog or here in memory."""
    if isinstance(model, Network):
        return model.card, model.graph
    card, path = catalog.find(model.name)
    return card, onnx.read(path)


def _session(
    data: bytes, name: str, runtime: str, threads: int | None, at_once: int = 1, *, kept: bool = True
) -> Session:
    if runtime == "openvino":
        cache = catalog.home() / "compiled" if kept else None
        return openvino.Session(data, name=name, threads=threads, at_once=at_once, cache=cache)
    return onnx.Session(data, name=name, threads=max(1, (threads or machine.cores()) // at_once))
