"""The fast engine: a picture and style vectors go in, a painting comes out of one pass of the pastiche network.

It runs without torch, on ONNX Runtime or OpenVINO. Vectors of styles are mixed by weight, and with the photo's own
vector where the strength is below 1. Regions are painted one after the other and laid over each other by their masks.
This module does not know where vectors come from (`vectors`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from danqing import catalog, machine
from danqing.card import Card
from danqing.engines import onnx, openvino, vectors
from danqing.engines.predictor import resized
from danqing.errors import ModelMissing, UsageError
from danqing.files import shown
from danqing.image import mask
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Step

F32 = NDArray[np.float32]

BASE_BYTES, BYTES_PER_PIXEL, SECONDS_PER_PIXEL = 200 << 20, 450, 1.6e-6
"""Memory of the process without a picture; memory and, on one core, time of a pixel (docs/benchmarks.md)."""

MANY = 12e6
"""So many pixels in one process are worth the time that OpenVINO needs to compile a network for this processor."""

WHOLE = 0.2
"""The strength from which on nothing but the network's painting is seen; below, more and more of the photo itself."""

RUNTIMES = ("auto", "onnx", "openvino")


class Session(Protocol):
    """A model that is ready to run, whatever runs it."""

    def __call__(self, values: Mapping[str, F32]) -> dict[str, F32]:
        """Outputs by name, for inputs by name."""
        ...


class FastStylizer:
    """Paints in one pass; implements `danqing.stylizer.Stylizer`.

    Args:
        runtime: `onnx`, `openvino`, or `auto`: ONNX Runtime for a picture or a few, OpenVINO for many or large ones
            where it is installed and the processor multiplies bfloat16.
        threads: how many it may use; None = all cores.

    Raises:
        UsageError: no such runtime.
        ModelMissing: it is not installed.
    """

    def __init__(self, *, runtime: str = "auto", threads: int | None = None) -> None:
        self.threads = threads
        self.runtime = known(runtime)

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
        """
        del prior
        began = time.monotonic()
        card, found = vectors.of(styles, recipe)
        pixels = content.pixels
        if recipe.strength > 0:
            pixels = self.painted(pixels, card, styles, found, recipe.strength)
        picture = Picture(pixels=pixels)
        seconds = time.monotonic() - began
        if on_step is not None:
            step = Step(
                number=1, total=1, size=content.size, losses={}, seconds=seconds, remaining=0, preview=lambda: picture
            )
            on_step(step)
        return Pastiche(picture=picture, recipe=recipe, card=card, seconds=seconds)

    def painted(self, pixels: F32, card: Card, styles: Sequence[Style], found: F32 | None, strength: float) -> F32:
        """Pixels (H, W, 3) painted with the vectors found (S, P), all of them together or each where its mask is."""
        net = opened(card.name, chosen(self.runtime, pixels.shape[0] * pixels.shape[1]), self.threads)
        weights = np.array([style.weight for style in styles], dtype=np.float32)
        masks = mask.resolved([style.mask for style in styles])
        if found is None:
            painting = run(net, card, pixels)
            covered = np.float32(strength) if masks is None else np.float32(strength) * mask.cover(masks)
            return mask.composite(pixels, painting, np.broadcast_to(covered, pixels.shape[:2]))
        own = None
        if strength < 1:
            own = vectors.predictor(card.name)(resized(pixels))  # not remembered: photos come and go
        if masks is None:
            result = run(net, card, pixels, *towards(own, found, weights, strength))
        else:
            covered = np.sum([w * m for w, m in zip(weights, masks, strict=True)], axis=0)
            result = np.zeros_like(pixels)
            for vector, weight, where in zip(found, weights, masks, strict=True):
                share = weight * where / np.maximum(covered, np.float32(1e-6))
                painting = run(net, card, pixels, *towards(own, vector[None], np.ones(1, dtype=np.float32), strength))
                result += share[..., None] * painting
            result = mask.composite(pixels, result, mask.cover(masks))
        return pixels + np.float32(min(1.0, strength / WHOLE)) * (result - pixels) if strength < WHOLE else result

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        """Memory and time for a content of (width, height) px."""
        passes = max(1, sum(source.mask is not None for source in recipe.styles))
        seconds = 0.3 + size[0] * size[1] * passes * SECONDS_PER_PIXEL / (self.threads or machine.cores())
        return Estimate(memory=BASE_BYTES + size[0] * size[1] * BYTES_PER_PIXEL, seconds=seconds)


def towards(own: F32 | None, vectors: F32, weights: F32, strength: float) -> tuple[F32, F32]:
    """Vectors (S, P) and weights (S,) of styles mixed with the photo's own vector, so much as `strength` leaves."""
    shares = weights / weights.sum()
    if own is None:
        return vectors, shares
    return np.concatenate([vectors, own[None]]), np.append(strength * shares, np.float32(1 - strength))


def run(net: Session, card: Card, pixels: F32, vectors: F32 | None = None, weights: F32 | None = None) -> F32:
    """One pass of a network over pixels (H, W, 3), of any size."""
    height, width = pixels.shape[:2]
    least = -(-card.min_size // card.multiple_of) * card.multiple_of
    more = [(0, max(least, -(-side // card.multiple_of) * card.multiple_of) - side) for side in (height, width)]
    inputs = {"picture": np.pad(pixels, (*more, (0, 0)), mode="edge").transpose(2, 0, 1)[None]}
    if vectors is not None and weights is not None:
        inputs |= {"vectors": vectors, "weights": weights[None]}
    painting = net(inputs)["painting"]
    return np.ascontiguousarray(painting[0].transpose(1, 2, 0)[:height, :width])


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
    quick = find_spec("openvino") is not None and machine.has_bf16()
    return "openvino" if quick and _work.pixels > MANY else "onnx"


@dataclass
class _Work:
    """What this process was asked to paint so far."""

    pixels: int = 0


_work = _Work()


@lru_cache(4)
def opened(model: str, runtime: str, threads: int | None) -> Session:
    """A network that is ready to run, kept for the next picture."""
    _, path = catalog.find(model)
    data = onnx.read(path)
    if runtime == "openvino":
        return openvino.Session(data, name=model, threads=threads, cache=catalog.home() / "compiled")
    return onnx.Session(data, name=model, threads=threads)
