"""Inputs: from what a caller hands in to pictures, and to the references by which a recipe finds them again.

Paths, bytes, arrays, gallery names and recipes' sources go in; Pictures and `Source`s come out. A file is read once:
what is hashed is what is painted. This module knows no engine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danqing import catalog, files, foreign
from danqing.card import Network
from danqing.errors import BadInput, BadPicture, BadRecipe, UsageError
from danqing.files import shown
from danqing.image import mask
from danqing.messages import text
from danqing.picture import Picture, formats
from danqing.picture.load import PictureSource, read_bytes
from danqing.recipe import FROM_MEMORY, Source, StyleSource, bare_name
from danqing.style import Style, split_weight


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadStyle:
    """A style that was read before, for whoever paints many photos in it."""

    style: Style
    reference: StyleSource


StyleLike = str | Path | bytes | Image.Image | NDArray[Any] | Picture | Style | ReadStyle


@dataclass(frozen=True, kw_only=True, eq=False)
class Input:
    """A picture with the reference to where it came from."""

    picture: Picture
    source: Source


def read(source: PictureSource, *, name: str | None = None, keep_gps: bool = False) -> Input:
    """A picture from wherever, with its name and the sha256 of its bytes where it has any.

    Raises:
        BadPicture, DoesNotFit: as `Picture.load`.
    """
    if isinstance(source, Picture | Image.Image | np.ndarray):
        called = bare_name(name) if name else FROM_MEMORY
        return Input(picture=Picture.load(source, name=name, keep_gps=keep_gps), source=Source(name=called))
    path = name or (str(source) if isinstance(source, str | Path) else "")
    data = read_bytes(source, shown(path) if path else text("picture.from_memory"))
    reference = Source(name=bare_name(path), sha256=hashlib.sha256(data).hexdigest())
    return Input(picture=Picture.load(data, name=path or None, keep_gps=keep_gps), source=reference)


def read_styles(styles: StyleLike | Sequence[StyleLike]) -> tuple[tuple[Style, ...], tuple[StyleSource, ...]]:
    """Styles, those of the gallery as their names, and the references to them, in the same order.

    Args:
        styles: one or several: gallery names and paths of pictures or of networks, each with a weight if wanted
            (`name:0.7`), Pillow images, arrays, bytes, Pictures, Styles, or styles that were read before.

    Raises:
        UsageError: a name that is not in the gallery, or a weight that cannot be meant.
        BadPicture, DoesNotFit: as `Picture.load`.
    """
    several: Sequence[Any] = styles if isinstance(styles, list | tuple) else [styles]
    read_ones = [_read_style(style) for style in several]
    return tuple(style for style, _ in read_ones), tuple(source for _, source in read_ones)


def _read_style(style: StyleLike) -> tuple[Style, StyleSource]:
    if isinstance(style, ReadStyle):
        return style.style, style.reference
    if isinstance(style, Style):
        if isinstance(style.source, str):
            found, reference = _from_gallery(style.source, style.weight)
            return dataclasses.replace(found, mask=style.mask), reference
        return style, StyleSource(name=bare_name(style.name), weight=_weight(style.weight, style.name))
    if isinstance(style, str):
        name, weight = split_weight(style, is_there)
        if not is_there(name) and not _looks_like_path(name):
            return _from_gallery(name, weight)
        return _from_file(name, weight)
    return _from_file(style, 1.0) if isinstance(style, Path) else _from_picture(style, 1.0)


def opaque(style: Style) -> Picture:
    """A style's picture on a neutral matte, as engines take it; of a style of the gallery, the study after it.

    Raises:
        UsageError: there is no study, only what a network has learnt, or a network.
    """
    if isinstance(style.source, Network):
        raise UsageError(text("api.model_fast", name=style.name))
    if isinstance(style.source, Picture):
        return Picture(pixels=mask.flatten(style.source))
    return Picture(pixels=mask.flatten(catalog.picture(style.source)))


def of_model(model: str | Path) -> StyleLike:
    """The style of a network that is named instead of a style: a file, or a model of the catalog.

    Raises:
        UsageError, ModelMissing: there is none, or it paints in several styles, or in none.
    """
    name = str(model)
    if foreign.is_network(name):
        return Path(name)
    if isinstance(model, Path) or is_there(name) or re.search(r"[/\\]", name):
        raise foreign.not_read(Path(name))
    card = catalog.card(name)
    if card.kind == "encoder":
        raise UsageError(text("api.model_encoder", name=name))
    if len(card.styles) != 1 or card.vectors is not None:
        known = ", ".join(style.name for style in card.styles)
        raise UsageError(text("api.model_several", name=name, known=shown(known)))
    return card.styles[0].name


def style_file(path: Path) -> Picture | Network:
    """What a style's file holds: a picture, or a network, by its ending.

    Raises:
        ModelMissing, ModelDamaged: as `foreign.read`.
        BadPicture, DoesNotFit: as `Picture.load`.
    """
    return foreign.read(path) if foreign.is_network(path) else read(path).picture


def _from_file(path: str | Path, weight: float) -> tuple[Style, StyleSource]:
    if not foreign.is_network(path):
        return _from_picture(path, weight)
    network = foreign.read(path)
    name = bare_name(path)
    reference = StyleSource(name=name, sha256=network.source_sha256, weight=_weight(weight, name))
    return Style(source=network, name=PurePath(name).stem, weight=weight), reference


def _from_picture(source: PictureSource, weight: float) -> tuple[Style, StyleSource]:
    found = read(source)
    name = found.source.name
    stem = PurePath(name).stem if name != FROM_MEMORY else text("api.own_style")
    reference = StyleSource(name=name, sha256=found.source.sha256, weight=_weight(weight, name))
    return Style(source=found.picture, name=stem, weight=weight), reference


def _from_gallery(name: str, weight: float) -> tuple[Style, StyleSource]:
    known = catalog.style(name).name
    reference = StyleSource(name=known, weight=_weight(weight, name))
    return Style(source=known, name=known, weight=weight), reference


def _weight(weight: float, name: str) -> float:
    if not 0 < weight <= 1e6:
        raise UsageError(text("api.style_weight", name=shown(name), weight=f"{weight:g}"))
    return weight


def is_there(path: str) -> bool:
    """Whether a path leads somewhere; a name that cannot be one does not."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _looks_like_path(name: str) -> bool:
    """Whether a name can only be meant as a path, so that its absence is to be said rather than a near name."""
    return bool(re.search(r"[/\\]", name)) or formats.by_suffix(name) is not None


# ── what a recipe refers to ─────────────────────────────────────────────────────────────────────────────────────────


def find(sources: Iterable[Source], *, beside: Path, below: Sequence[Path] = ()) -> dict[Source, Path]:
    """The files that a recipe refers to.

    Those with a path are where it says; those with a hash are looked for by it, those with a name alone by that.

    Args:
        sources: from a recipe, gallery names left out.
        beside: the folder of the recipe or picture, looked through without its sub-folders.
        below: folders that are looked through with everything in them.

    Raises:
        BadRecipe: a path that leads out of the folder, or to another file than the recipe was made with.
        BadInput: some are not there; all of them are listed.
    """
    found = {source: _at_path(source, beside) for source in sources if source.path}
    wanted = {source for source in sources if not source.path}
    digest = cache(files.sha256)
    for source in wanted:  # those called as then come first: most are found without hashing anything else
        for path in _files(beside, below, name=source.name):
            if source.sha256 is None or digest(path) == source.sha256:
                found[source] = path
                break
    lacking = {source for source in wanted - set(found) if source.sha256}
    for path in _files(beside, below) if lacking else ():
        same = {source for source in lacking if source.sha256 == digest(path)}
        found |= dict.fromkeys(same, path)
        lacking -= same
        if not lacking:
            break
    if missing := [source for source in wanted if source not in found]:
        listed = ", ".join(f"{s.name} ({s.sha256[:12]})" if s.sha256 else s.name for s in missing)
        raise BadInput(text("api.missing_inputs", missing=listed, folder=shown(beside)))
    return found


def _at_path(source: Source, folder: Path) -> Path:
    path = folder / str(source.path)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadRecipe(text("recipe.bad_link", value=shown(str(source.path)), name=shown(folder)))
    if not path.exists():
        raise BadPicture(text("picture.missing", name=shown(path)))
    if source.sha256 and files.sha256(path) != source.sha256:
        raise BadRecipe(text("api.other_file", path=shown(path)))
    return path


def _files(beside: Path, below: Sequence[Path], *, name: str | None = None) -> Iterator[Path]:
    """Files that may be pictures or weights, each once; links to folders are not followed."""
    seen = set()
    places = [(beside, sorted(_listed(beside)))]
    for folder in below:
        places += [(Path(root), sorted(names)) for root, _, names in os.walk(folder)]
    for folder, names in places:
        for found in names:
            path = folder / found
            fits = bare_name(found) == name if name else _may_be_input(found)
            if fits and path not in seen and path.is_file():
                seen.add(path)
                yield path


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder or ".")  # noqa: PTH208 - names are wanted, not paths
    except OSError:
        return []


def _may_be_input(name: str) -> bool:
    return formats.by_suffix(name) is not None or PurePath(name).suffix.lower() in {*catalog.WEIGHTS, *catalog.NETWORKS}
