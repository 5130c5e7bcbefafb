"""Style vectors: what a painting is to be like, for the pastiche network.

Styles and a recipe go in, the network and a vector for each style come out: of the gallery's from its table, of a
picture from the predictor. What was predicted once is remembered, in memory and in the user's cache folder, under what
the picture holds and the network's hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from danqing import cache, catalog
from danqing.card import Card, Network
from danqing.engines import NETWORK
from danqing.engines.predictor import LONG, Predictor, resized
from danqing.errors import UsageError
from danqing.image import mask
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style

F32 = NDArray[np.float32]

OCTAVES = 1.0
"""The finest and the broadest brush see a style so many octaves smaller and larger."""

REMEMBERED, KEPT_BYTES = 64, 64 << 20
"""Predicted vectors that are kept in memory, and bytes of them on the disk."""

PHOTOS = 4
"""Vectors of photos that are kept in memory."""


def of(styles: Sequence[Style], recipe: Recipe) -> tuple[Card, F32 | None]:
    """The network that paints in all of some styles, and their vectors (S, P), if it has any.

    Raises:
        UsageError: no style, one that no network has learnt, or styles of different networks.
        ModelMissing, ModelDamaged: of the network or its predictor.
    """
    if not styles:
        raise UsageError(text("engines.no_style"))
    for style in styles:
        if isinstance(style.source, Network):
            if len(styles) > 1:
                other = next(one.name for one in styles if one is not style)
                raise UsageError(text("engines.other_network", one=style.name, other=other))
            return style.source.card, None
    learnt = {style.source: catalog.vectors(style.source) for style in styles if isinstance(style.source, str)}
    first = next(iter(learnt), None)
    card = catalog.card(NETWORK) if first is None else learnt[first][0]
    several = []
    for style in styles:
        if isinstance(style.source, Picture):
            several.append(predicted(card, style.source, octave(recipe.brush, recipe.style_scale)))
            continue
        own, vectors = learnt[str(style.source)]
        if own != card:
            raise UsageError(text("engines.other_network", one=first, other=style.name))
        if vectors is not None:
            several.append(at_brush(vectors, recipe.brush, recipe.style_scale))
    return card, np.stack(several) if several else None


def of_statistics(recipe: Recipe) -> bool:
    """Whether a recipe's styles are painted by a network that knows them by vectors, not by one for a single style."""
    if any(style.sha256 and PurePath(style.name).suffix.lower() in catalog.NETWORKS for style in recipe.styles):
        return False
    known = {entry.name: entry.network for entry in catalog.styles()}
    networks = {known.get(style.name) or NETWORK for style in recipe.styles if style.sha256 is None}
    return all(catalog.card(name).vectors is not None for name in networks)


def octave(brush: float, scale: float) -> float:
    """How many octaves larger than usual a style is seen, for a brush in 0..1 and a scale of styles.

    A style that is seen twice as large has strokes twice as broad, as with the broadest brush.
    """
    return float(np.clip(OCTAVES * (2 * brush - 1) + np.log2(scale), -OCTAVES, OCTAVES))


def at_brush(vectors: F32, brush: float, scale: float) -> F32:
    """Of vectors (3, P) for the fine, the middling and the broad brush, the one for a brush in 0..1."""
    away = octave(brush, scale) / OCTAVES
    other = vectors[2] if away > 0 else vectors[0]
    vector: F32 = vectors[1] + np.float32(abs(away)) * (other - vectors[1])
    return vector


def predicted(card: Card, picture: Picture, octaves: float) -> F32:
    """The vector (P,) of a picture that is seen so many octaves larger than usual.

    Raises:
        ModelMissing, ModelDamaged: of the network's predictor.
    """
    seen = resized(mask.flatten(picture), round(LONG * 2**octaves))
    key = _key(card, seen)
    vector = _memory.get(key)
    if vector is None:
        shelf = cache.Shelf(catalog.home() / "vectors", limit=KEPT_BYTES)
        there = shelf.get(key)
        if there is not None:
            vector = np.frombuffer(there, dtype="<f4").astype(np.float32)
        else:
            vector = predictor(card)(seen)
            shelf.put(key, vector.astype("<f4").tobytes())
        while len(_memory) >= REMEMBERED:
            _memory.pop(next(iter(_memory)), None)  # another thread may have taken it
        _memory[key] = vector
    return vector


def of_photo(card: Card, pixels: F32) -> F32:
    """The vector (P,) of what a photo itself looks like; the last few are remembered, while somebody turns the knobs.

    Args:
        card: of the network.
        pixels: (H, W, 3) in 0..1.

    Raises:
        ModelMissing, ModelDamaged: of the network's predictor.
    """
    seen = resized(pixels)
    key = _key(card, seen)
    vector = _photos.pop(key, None)
    if vector is None:
        vector = predictor(card)(seen)
        while len(_photos) >= PHOTOS:
            _photos.pop(next(iter(_photos)), None)
    _photos[key] = vector
    return vector


def _key(card: Card, seen: F32) -> str:
    """What the vector of pixels is remembered under."""
    return hashlib.sha256(card.sha256.encode() + str(seen.shape).encode() + seen.tobytes()).hexdigest()


def nearest(picture: Picture) -> list[tuple[str, float]]:
    """The styles of the gallery that `NETWORK` paints in, the one whose work is most like a picture first.

    The distance is the root mean square of the differences of means and deviations of colours and features, each
    relative to how far the gallery's own lie apart.

    Raises:
        ModelMissing, ModelDamaged: of the network or its predictor.
    """
    card = catalog.card(NETWORK)
    one = predicted(card, picture, 0)
    widths = predictor(card).widths
    names = [entry.name for entry in catalog.styles() if entry.network == NETWORK]
    tables = {name: catalog.vectors(name)[1] for name in names}
    rows = {name: outline(table[1], widths) for name, table in tables.items() if table is not None}
    if not rows:
        return []
    spread = np.std(list(rows.values()), axis=0) + 1e-3
    mine = outline(one, widths)
    distances = {name: float(np.sqrt(np.square((row - mine) / spread).mean())) for name, row in rows.items()}
    return sorted(distances.items(), key=lambda found: found[1])


def outline(vector: F32, widths: Sequence[int]) -> F32:
    """Means and logarithms of deviations that stand at the head of a style vector."""
    parts, at = [], 0
    for width in widths:
        count = width * (width + 1) // 2
        root = np.zeros((width, width), dtype=np.float32)
        root[np.tril_indices(width)] = vector[at + width : at + width + count]
        parts += [vector[at : at + width], 0.5 * np.log(np.square(root).sum(1) + 1e-6)]
        at += width + count
    return np.concatenate(parts)


def predictor(card: Card) -> Predictor:
    """The predictor of a network's vectors, kept for the next picture."""
    return _predictor(card.name, card.predictor_sha256)


@lru_cache(2)
def _predictor(name: str, sha256: str | None) -> Predictor:
    del sha256  # another network of the same name is another key
    return Predictor(catalog.card(name))


_memory: dict[str, F32] = {}
_photos: dict[str, F32] = {}
