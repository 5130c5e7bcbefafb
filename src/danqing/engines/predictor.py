"""The style predictor without torch: a picture goes in, the style vector that paints like it comes out.

The picture is seen by the compact encoder at `LONG` px. Means and covariances of what it sees are the head of the
vector; the rest is told by the small network of `danqing.atelier.nets.predictor`, which says where the method is from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from danqing import catalog
from danqing.card import Card
from danqing.engines.onnx import Encoder, Session, read
from danqing.errors import ModelMissing
from danqing.image.fit import fitted_size, resize
from danqing.messages import text

F32 = NDArray[np.float32]

LONG = 512
"""px: long side at which a style is seen."""

SMALLEST = 32
"""px: the shortest side that the encoder takes; smaller pictures are continued by their edge."""

FLAT = 1e-3
"""As in `nets.predictor`."""

STYLED = ("rgb", "relu2_1", "relu3_1", "relu4_1")
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class Predictor:
    """Predicts style vectors for one pastiche network.

    Args:
        card: of the network.

    Raises:
        ModelMissing: the network has no predictor, or its file is not here.
        ModelDamaged: it is not what the card says.
    """

    def __init__(self, card: Card) -> None:
        if card.predictor is None:
            raise ModelMissing(text("engines.no_predictor", name=card.name))
        path = catalog.location(card).with_name(card.predictor)
        catalog.verify(card, path)
        self._encoder = Encoder(catalog.find("compact", form="onnx")[1])
        self._inner = Session(read(path), name=card.predictor)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many channels each of `STYLED` has."""
        features = self._encoder(np.zeros((SMALLEST, SMALLEST, 3), dtype=np.float32))
        return tuple(3 if layer == "rgb" else len(features[layer]) for layer in STYLED)

    def __call__(self, seen: F32) -> F32:
        """The vector (P,) of a style, for pixels (H, W, 3) in 0..1 as they are `resized`."""
        features = self._encoder(seen)
        learnt: F32 = self._inner({"statistics": statistics(features)[None]})["learnt"][0]
        return np.concatenate([given(features, seen), learnt])


def resized(pixels: F32, long: int = LONG) -> F32:
    """A picture as the predictor sees it: its long side at `long` px, at most doubled."""
    size = pixels.shape[1], pixels.shape[0]
    long = min(long, 2 * max(size))
    if max(size) != long:
        pixels = np.clip(resize(pixels, fitted_size(size, size=long, enlarge=True)), 0, 1)
    missing = [(0, max(0, SMALLEST - side)) for side in pixels.shape[:2]]
    return np.pad(pixels, (*missing, (0, 0)), mode="edge")


def statistics(features: dict[str, F32]) -> F32:
    """Means and logarithms of deviations, {layer: (C, h, w)} -> (2 · channels of all layers,)."""
    parts = []
    for layer in LAYERS:
        flat = features[layer].reshape(len(features[layer]), -1)
        parts += [flat.mean(1), 0.5 * np.log(flat.var(1) + 1e-4)]
    return np.concatenate(parts).astype(np.float32)


def given(features: dict[str, F32], pixels: F32) -> F32:
    """The head of a style vector: means and factors of covariances of pixels (H, W, 3) and features; (G,)."""
    parts = []
    for layer in STYLED:
        flat = pixels.reshape(-1, 3).T if layer == "rgb" else features[layer].reshape(len(features[layer]), -1)
        flat = flat.astype(np.float64)
        mean = flat.mean(1)
        flat -= mean[:, None]
        covariance = flat @ flat.T / flat.shape[1]
        flatness = (FLAT * covariance.trace() / len(flat) + 1e-6) * np.eye(len(flat))
        parts += [mean, np.linalg.cholesky(covariance + flatness)[np.tril_indices(len(flat))]]
    return np.concatenate(parts).astype(np.float32)
