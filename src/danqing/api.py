"""The way in: a photo and a style go in, a painting comes out.

`paint` does it, `redo` paints a finished picture anew, `score` judges one. What they take apart and put together stands
in `commission.py` and `judge.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from danqing import catalog, quality
from danqing.commission import Styles, prepare
from danqing.errors import BadInput
from danqing.files import shown
from danqing.inputs import StyleLike
from danqing.judge import Judge
from danqing.messages import text
from danqing.picture import Picture, formats, provenance, save
from danqing.picture.load import PictureSource, read_bytes
from danqing.recipe import Recipe
from danqing.stylizer import OnStep, Pastiche

__all__ = ["Judge", "Redone", "paint", "prepare", "recipe_inside", "redo", "score", "styles"]


def paint(
    photo: PictureSource | None,
    style: Styles | None = None,
    *,
    recipe: Recipe | str | Path | None = None,
    on_step: OnStep | None = None,
    **knobs: Any,
) -> Pastiche:
    """Paint a photo in the manner of one or several styles.

    Args:
        photo: a path, bytes, Pillow image, array or Picture; None takes the one that the recipe names.
        style: a gallery name or path, each with a weight if wanted (`"great-wave:0.7"`), a Pillow image, array, bytes,
            Picture or Style; or a list of them. None takes those that the recipe names.
        recipe: knobs to begin with; the path of a TOML file may name the inputs too.
        on_step: called after every step; returning False stops the painting, which keeps what it has.
        knobs: any field of `Recipe` by name, and the further arguments of `prepare`.

    Raises:
        DanqingError: one line that says what is wrong; see `danqing.errors`.
    """
    return prepare(photo, style, recipe=recipe, **knobs).paint(on_step)


@dataclass(frozen=True, kw_only=True, eq=False)
class Redone:
    """A picture that was painted again.

    Attributes:
        pastiche: the new painting.
        identical: whether both, as files, hold the same pixels.
        psnr: how near they are, in dB; infinite when identical, None where their sizes differ.
    """

    pastiche: Pastiche
    identical: bool
    psnr: float | None


def redo(picture: str | Path, *, folders: Sequence[str | Path] = (), on_step: OnStep | None = None) -> Redone:
    """Paint a picture again by the recipe inside it, its inputs found by their hashes.

    Args:
        picture: a file that danqing painted.
        folders: where to look for the inputs besides the picture's own folder.
        on_step: as for `paint`.

    Raises:
        BadInput: it holds no recipe, or inputs are missing, all of which are listed.
        DanqingError: as `paint`.
    """
    path = Path(picture)
    data = read_bytes(path, shown(path))
    recipe = recipe_inside(data, name=shown(path))
    old = Picture.load(data, name=str(path))
    pastiche = prepare(None, recipe=recipe, beside=path.parent, folders=folders).paint(on_step)
    kind = formats.sniff(data[:512]) or formats.FORMATS["PNG"]
    encoded = save.encode(pastiche.picture, kind, name=shown(path), quality=recipe.quality, depth=recipe.depth)
    new = Picture.load(encoded)
    return Redone(pastiche=pastiche, identical=_identical(old, new), psnr=_psnr(old, new))


def recipe_inside(data: bytes, *, name: str) -> Recipe:
    """The recipe inside a picture's bytes.

    Raises:
        BadInput: there is none, or it is not to be used.
    """
    found = provenance.read(data)
    if found is None:
        raise BadInput(text("api.no_recipe", name=name))
    return Recipe.from_toml(found, name=name).without_paths()


def _identical(a: Picture, b: Picture) -> bool:
    if a.size != b.size or (a.alpha is None) != (b.alpha is None):
        return False
    alpha = a.alpha is None or b.alpha is None or np.array_equal(a.alpha, b.alpha)
    return bool(alpha and np.array_equal(a.pixels, b.pixels))


def _psnr(a: Picture, b: Picture) -> float | None:
    if a.size != b.size:
        return None
    error = float(np.mean(np.square(a.pixels - b.pixels), dtype=np.float64))
    return -10 * math.log10(error) if error > 0 else math.inf


def score(content: PictureSource, style: StyleLike, painting: PictureSource) -> quality.Score:
    """Judge one painting by the distances of `danqing.quality`, with the features of the compact encoder."""
    return Judge(content, style).score(painting)


def styles() -> list[catalog.StyleEntry]:
    """The bundled styles: name, titles, artist, date, source and path of each."""
    return list(catalog.styles())
