"""The fast engine: a picture and style vectors go in, a painting comes out of one pass of the pastiche network.

It runs without torch, on ONNX Runtime or OpenVINO. Styles are names of the gallery; their vectors, one for each of
three sizes of the brush, are mixed by weight. Regions are painted one after the other and laid over each other by
their masks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from danqing import catalog, machine
from danqing.engines import onnx, openvino
from danqing.errors import ModelMissing, UsageError
from danqing.image import mask
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Step

F32 = NDArray[np.float32]

MULTIPLE = 8
"""The network takes sides that are multiples of this many px."""

SMALLEST = 24
"""px: the shortest side that it takes; smaller pictures are continued by their edge."""

BASE_BYTES, BYTES_PER_PIXEL, SECONDS_PER_PIXEL = 200 << 20, 450, 1.6e-6
"""Memory of the process without a picture; memory and, on one core, time of a pixel (docs/benchmarks.md)."""

Runtime = Literal["auto", "onnx", "openvino"]


class Session(Protocol):
    """A model that is ready to run, whatever runs it."""

    def __call__(self, values: Mapping[str, F32]) -> dict[str, F32]:
        """Outputs by name, for inputs by name."""
        ...


class FastStylizer:
    """Paints in one pass; implements `danqing.stylizer.Stylizer`.

    Args:
        model: the network's name in the catalog.
        runtime: `onnx`, `openvino`, or `auto`, which is OpenVINO where it is installed and the processor multiplies
            bfloat16, else ONNX Runtime.
        threads: how many it may use; None = all cores.
    """

    def __init__(self, model: str = "pastiche", *, runtime: Runtime = "auto", threads: int | None = None) -> None:
        self.model, self.threads = model, threads
        self.runtime = chosen(runtime)

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
            UsageError: no style, or one that is not in the gallery.
            ModelMissing, ModelDamaged: of the network.
        """
        del prior
        if not styles:
            raise UsageError(text("engines.no_style"))
        began = time.monotonic()
        card, _ = catalog.find(self.model, form="onnx")
        vectors = np.stack([vector_of(style, recipe) for style in styles])
        weights = np.array([style.weight for style in styles], dtype=np.float32)
        masks = mask.resolved([style.mask for style in styles])
        pixels = content.pixels
        if recipe.strength > 0:
            pixels = self.painted(pixels, vectors, weights, masks)
        picture = Picture(pixels=pixels)
        seconds = time.monotonic() - began
        if on_step is not None:
            on_step(
                Step(
                    number=1,
                    total=1,
                    size=content.size,
                    losses={},
                    seconds=seconds,
                    remaining=0,
                    preview=lambda: picture,
                )
            )
        return Pastiche(picture=picture, recipe=recipe, card=card, seconds=seconds)

    def painted(self, pixels: F32, vectors: F32, weights: F32, masks: Sequence[F32] | None) -> F32:
        """Pixels (H, W, 3) painted with vectors (S, P), all of them together or each where its mask is."""
        if masks is None:
            return self.run(pixels, vectors, weights)
        result, covered = np.zeros_like(pixels), np.sum([w * m for w, m in zip(weights, masks, strict=True)], axis=0)
        for vector, weight, where in zip(vectors, weights, masks, strict=True):
            share = weight * where / np.maximum(covered, np.float32(1e-6))
            result += share[..., None] * self.run(pixels, vector[None], np.ones(1, dtype=np.float32))
        return mask.composite(pixels, result, mask.cover(masks))

    def run(self, pixels: F32, vectors: F32, weights: F32) -> F32:
        """One pass of the network over pixels (H, W, 3), of any size."""
        height, width = pixels.shape[:2]
        more = [(0, max(SMALLEST, -(-side // MULTIPLE) * MULTIPLE) - side) for side in (height, width)]
        x = np.pad(pixels, (*more, (0, 0)), mode="edge").transpose(2, 0, 1)[None]
        shares = (weights / weights.sum())[None]
        session = opened(self.model, self.runtime, self.threads)
        painting = session({"picture": x, "vectors": vectors, "weights": shares})["painting"]
        return np.ascontiguousarray(painting[0].transpose(1, 2, 0)[:height, :width])

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        """Memory and time for a content of (width, height) px."""
        pixels = size[0] * size[1] * max(1, sum(source.mask is not None for source in recipe.styles))
        seconds = 0.3 + pixels * SECONDS_PER_PIXEL / (self.threads or machine.cores())
        return Estimate(memory=BASE_BYTES + size[0] * size[1] * BYTES_PER_PIXEL, seconds=seconds)


def chosen(runtime: Runtime) -> Literal["onnx", "openvino"]:
    """The runtime that is meant.

    Raises:
        ModelMissing: OpenVINO is asked for and not installed.
    """
    there = find_spec("openvino") is not None
    if runtime == "openvino" and not there:
        raise ModelMissing(text("engines.needs_extra", name="openvino", extra="openvino"))
    if runtime == "auto":
        return "openvino" if there and machine.has_bf16() else "onnx"
    return runtime


@lru_cache(4)
def opened(model: str, runtime: str, threads: int | None) -> Session:
    """A network that is ready to run, kept for the next picture."""
    _, path = catalog.find(model, form="onnx")
    data = onnx.read(path)
    if runtime == "openvino":
        return openvino.Session(data, name=model, threads=threads, cache=catalog.home() / "compiled")
    return onnx.Session(data, name=model, threads=threads)


def vector_of(style: Style, recipe: Recipe) -> F32:
    """The vector (P,) of a style for the recipe's brush.

    Raises:
        UsageError: a picture, which this engine cannot read a vector from.
    """
    if not isinstance(style.source, str):
        raise UsageError(text("engines.not_in_gallery", name=style.name))
    return at_brush(catalog.vectors(style.source), recipe.brush, recipe.style_scale)


def at_brush(vectors: F32, brush: float, scale: float) -> F32:
    """Of vectors (3, P) for the fine, the middling and the broad brush, the one for a brush in 0..1.

    A style that is seen twice as large has strokes twice as broad, as with the broadest brush.
    """
    octave = float(np.clip(2 * brush - 1 + np.log2(scale), -1, 1))
    other = vectors[2] if octave > 0 else vectors[0]
    return vectors[1] + np.float32(abs(octave)) * (other - vectors[1])
