"""Judge: how good a painting is, by the distances of `quality.py` and the features of the compact encoder.

Pictures go in, Scores come out. It knows no engine that paints.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from danqing import catalog, inputs, quality
from danqing.engines.onnx import Encoder
from danqing.image import color, mask
from danqing.image.fit import resize
from danqing.inputs import StyleLike, opaque
from danqing.picture import Picture
from danqing.picture.load import PictureSource

_SMALLEST = 32
"""px; a shorter side is continued by its edge, so that the deepest layer has something to see."""


class Judge:
    """Judges paintings of one photo in one style, with the features of the compact encoder (see `danqing.quality`).

    Args:
        content, style: as for `paint`; a style by name or as a picture.
        encoder: pixels (H, W, 3) -> {layer: (C, h, w)}; by default the bundled one.
    """

    def __init__(
        self,
        content: PictureSource,
        style: StyleLike,
        *,
        encoder: Callable[[quality.Pixels], quality.Features] | None = None,
    ) -> None:
        self.encoder: Callable[[quality.Pixels], quality.Features] = encoder or compact_encoder()
        (read_style,), _ = inputs.read_styles(style)
        self._photo = mask.flatten(Picture.load(content))
        self._painting_style = opaque(read_style).pixels
        self._content = self._features(self._photo, quality.WORKING_SIZES[0])
        self._style = [self._features(self._painting_style, size) for size in quality.WORKING_SIZES]

    def score(self, painting: PictureSource) -> quality.Score:
        """Content and style distance of a painting; one of another size is judged at the photo's proportions."""
        return self._score(mask.flatten(Picture.load(painting)))

    def baseline(self) -> quality.Score:
        """What a mere transfer of the style's colours scores, without a stroke."""
        return self._score(color.transfer(self._photo, self._painting_style))

    def _score(self, pixels: quality.Pixels) -> quality.Score:
        like = self._photo.shape[1::-1]
        features = [self._features(pixels, size, like=like) for size in quality.WORKING_SIZES]
        return quality.Score(
            content=quality.content_distance(features[0], self._content),
            style=quality.style_distance(features, self._style),
        )

    def _features(self, pixels: quality.Pixels, size: int, *, like: tuple[int, ...] | None = None) -> quality.Features:
        return features(self.encoder, pixels, size, like=like)


def features(
    encoder: Callable[[quality.Pixels], quality.Features],
    pixels: quality.Pixels,
    size: int,
    *,
    like: tuple[int, ...] | None = None,
) -> quality.Features:
    """What an encoder sees of pixels (H, W, 3) at a long side of `size` px, at the proportions of (width, height)."""
    width, height = like or pixels.shape[1::-1]
    judged = np.clip(resize(pixels, quality.judged_size((width, height), size)), 0, 1)
    short = [(0, max(0, _SMALLEST - side)) for side in judged.shape[:2]]
    return encoder(np.pad(judged, [*short, (0, 0)], mode="edge"))


def compact_encoder() -> Encoder:
    """The bundled encoder, without torch.

    Raises:
        ModelMissing, ModelDamaged: it is not what it should be.
    """
    return Encoder(catalog.find("compact", form="onnx")[1])
