"""Commission: a painting that is ordered, before a stroke of it is made.

A photo, styles and knobs go in, with pictures wherever they come from; `prepare` reads and checks them all, fits the
photo and says what the painting will cost. `Commission.paint` calls the engine, sees to colours, alpha, profile and
EXIF, and hands back a Pastiche with the recipe that paints it again. This module knows no engine by name and no
terminal: progress is a Step given to `on_step`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import catalog, engines, foreign, inputs, limits, scratch
from danqing.card import Network
from danqing.engines.wrap import wrapped
from danqing.errors import DoesNotFit, ModelMissing, RunFailed, UsageError
from danqing.files import sha256, shown
from danqing.image import color, mask, smooth
from danqing.image.fit import fit, fitted_size, resize, square
from danqing.inputs import Input, StyleLike, opaque
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.load import PictureSource
from danqing.preset import find as find_preset
from danqing.problems import choices
from danqing.recipe import Recipe, Source, StyleSource, bare_name
from danqing.regions import Regions
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Stylizer

Styles = StyleLike | Sequence[StyleLike]

UNASKED = {"fast": 2048}
UNASKED_ELSE = 1024
"""Long side in px that an engine paints when no size is asked for: time and memory grow with the pixels."""

SPARING = ("checkpoint", "tiles")
"""Knobs of the optimisation engine that spend time instead of memory, in the order in which they are tried."""

OnDownload = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all while an encoder is fetched."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Commission:
    """A painting that is ordered: all inputs are read and fitted, nothing is painted yet.

    Attributes:
        content: the photo, at the size of the painting.
        styles: with their pictures.
        recipe: with references to all inputs.
        estimate: memory and time that it will take.
        notes: what had to be decided, a line each, in the user's language.
        start: what the painting starts from, at its size.
        cover: where styles are painted, (H, W) in 0..1; elsewhere the photo stays. None = everywhere.
    """

    content: Picture
    styles: tuple[Style, ...]
    recipe: Recipe
    estimate: Estimate
    notes: tuple[str, ...] = ()
    start: Picture | None = None
    cover: NDArray[np.float32] | None = None
    stylizer: Stylizer

    def paint(self, on_step: OnStep | None = None, *, prior: Prior | None = None) -> Pastiche:
        """Paint it; `on_step` returning False stops after that step and keeps what is there.

        Args:
            on_step: called after every step.
            prior: what to begin with, instead of `start`.

        Raises:
            RunFailed: the engine failed; `kept` is the last good painting, if there is one.
        """
        began = time.monotonic()
        flat = Picture(pixels=mask.flatten(self.content))
        if prior is None and self.start is not None:
            prior = Prior(picture=self.start)
        try:
            pastiche = wrapped(self.stylizer, self.recipe)(flat, self.styles, self.recipe, prior=prior, on_step=on_step)
        except RunFailed as error:
            if isinstance(error.kept, Pastiche):
                error.kept = self._finished(error.kept, flat, time.monotonic() - began)
            raise
        return self._finished(pastiche, flat, time.monotonic() - began)

    def _finished(self, pastiche: Pastiche, flat: Picture, seconds: float) -> Pastiche:
        pixels = smooth.median(pastiche.picture.pixels, self.recipe.median)
        if self.recipe.median and self.cover is not None:
            pixels = mask.composite(flat.pixels, pixels, self.cover)
        if self.recipe.keep_color is not None:
            pixels = color.keep_color(pixels, flat.pixels, self.recipe.keep_color)
            if self.cover is not None:
                pixels = mask.composite(flat.pixels, pixels, self.cover)
        picture = mask.reattach(pixels, self.content)
        return dataclasses.replace(pastiche, picture=picture, recipe=self.recipe, seconds=seconds)


def prepare(
    photo: PictureSource | None,
    style: Styles | None = None,
    *,
    recipe: Recipe | str | Path | None = None,
    model: str | Path | None = None,
    preset: str | None = None,
    masks: Sequence[PictureSource | None] = (),
    protect: PictureSource | None = None,
    max_memory: int | str | None = None,
    beside: str | Path | None = None,
    folders: Sequence[str | Path] = (),
    name: str | None = None,
    keep_gps: bool = False,
    start: PictureSource | None = None,
    encoder_weights: str | Path | None = None,
    runtime: str | None = None,
    offline: bool = False,
    on_download: OnDownload | None = None,
    **knobs: Any,
) -> Commission:
    """Read and check everything that a painting needs, without painting it.

    Args:
        photo, style, recipe, knobs: as for `danqing.paint`.
        model: a network instead of a style: the file of another tool's, or a model of the catalog that has one style.
        preset: the name of a `danqing.preset` to begin with, instead of a recipe.
        masks: for each style, in order, a picture that is white where it is painted, or None.
        protect: a picture that is white where the photo is to be left alone.
        max_memory: bytes, or text such as `4G`, that the painting may take; by default what the machine can spare.
        beside: the folder to look in for what the recipe names; that of a recipe's file, unless told.
        folders: where else to look, sub-folders included.
        name: what to call a photo that has no path.
        keep_gps: keep the place where the photo was taken.
        start: what the painting starts from: a word of the knob of that name, or a picture.
        encoder_weights: a file with the encoder's weights.
        runtime: what the fast engine runs on, `onnx` or `openvino`; by default what is quickest.
        offline: fetch nothing.
        on_download: called while an encoder is fetched.

    Raises:
        DanqingError: one line that says what is wrong; all problems of the knobs at once.
    """
    if model is not None:
        if style:
            raise UsageError(text("api.model_and_style"))
        style = inputs.of_model(model)
    base, folder = _opened(recipe, preset)
    budget = limits.budget(max_memory)
    chosen = _chosen(knobs, start=start, encoder_weights=encoder_weights)
    start = None if _is_word(start) else start
    lookup = base.turned(chosen)  # all knobs are checked before any file is opened
    given = {
        "content": photo, "styles": style, "start_picture": start, "encoder_weights": encoder_weights,
        "protect": protect,
    }  # fmt: skip
    found = _found(lookup, given, beside=Path(beside or folder), folders=[Path(other) for other in folders])
    content = _content(photo, lookup, found, name=name, keep_gps=keep_gps)
    painted_in, references = _styles(style, lookup, found)
    regions = Regions.read(painted_in, references, lookup, found, masks=masks, protect=protect)
    begin = _start_picture(start, lookup, found)
    weights = Path(encoder_weights) if encoder_weights else lookup.encoder_weights and found[lookup.encoder_weights]
    sources = {
        "content": content.source,
        "styles": regions.references,
        "protect": regions.protect.source if regions.protect else None,
        "start_picture": begin.source if begin else None,
        "encoder_weights": Source(name=bare_name(weights), sha256=sha256(weights)) if weights else None,
    }
    full = lookup.turned(sources)
    learnt = frozenset(entry.name for entry in catalog.styles() if entry.network)
    full = full.turned({"engine": _engine(full, [s for s in painted_in if s.source not in learnt])})
    by_name = full.engine in engines.BY_NAME
    if runtime is not None and not by_name:
        raise UsageError(text("api.runtime", engine=full.engine))
    of_engine = {"runtime": runtime, "memory": budget} if by_name else {"encoder_weights": weights}
    stylizer = engines.open(full.engine, **of_engine)
    if weights is None and not by_name:
        _fetch(full.encoder, offline=offline, on_download=on_download)
    said = _said(painted_in) if by_name else []
    painted_in = tuple(
        s if by_name and (isinstance(s.source, Network) or s.source in learnt)
        else dataclasses.replace(s, source=opaque(s))
        for s in painted_in
    )  # fmt: skip
    photograph = square(content.picture) if full.square else content.picture
    fitted, full, notes = _fitted(photograph, full, wrapped(stylizer, full), budget)
    placed, cover = regions.at(fitted.size, square=full.square)
    return Commission(
        content=fitted,
        styles=tuple(
            dataclasses.replace(s, source=_cut(s.source, square_only=full.square), mask=m)
            for s, m in zip(painted_in, placed, strict=True)
        ),
        recipe=full,
        estimate=wrapped(stylizer, full).estimate(fitted.size, full),
        notes=(*content.picture.notes, *regions.notes(photograph.size), *said, *notes),
        start=_at_size(square(begin.picture) if full.square else begin.picture, fitted.size) if begin else None,
        cover=cover,
        stylizer=stylizer,
    )


def _engine(recipe: Recipe, strange: Sequence[Style]) -> str:
    """The engine that is meant: a painting is made at once, unless a knob asks for the other way.

    Args:
        recipe: with all knobs.
        strange: the styles that no network here has learnt.

    Raises:
        UsageError: the fast engine with knobs that it does not have.
        ModelMissing: the fast engine with a picture, and the network that looks at pictures is not here.
    """
    turned = recipe.of_optimization()
    given = next((style.name for style in strange if isinstance(style.source, Network)), None)
    if given is not None and (turned or recipe.engine not in ("auto", *engines.BY_NAME)):
        raise UsageError(text("api.model_fast", name=given))
    strange = [style for style in strange if not isinstance(style.source, Network)]
    if recipe.engine in engines.BY_NAME and turned:
        raise UsageError(text("api.not_fast", engine=recipe.engine, knobs=", ".join(turned)))
    looks = any(card.name == engines.NETWORK for card in catalog.cards())
    if recipe.engine in engines.BY_NAME and strange and not looks:
        raise ModelMissing(text("engines.not_in_gallery", name=strange[0].name))
    if recipe.engine != "auto":
        return recipe.engine
    return "fast" if not turned and (looks or not strange) else "optimize"


def _said(styles: Sequence[Style]) -> list[str]:
    """What is to be said of styles that are painted by name, a line each."""
    entries = {entry.name: entry for entry in catalog.styles()}
    lines: list[str] = []
    for style in styles:
        entry = entries.get(style.source) if isinstance(style.source, str) else None
        if isinstance(style.source, Network):
            lines += style.source.notes
        elif entry is not None and entry.network is not None:
            lines += foreign.notes(catalog.card(entry.network), entry.network)
        elif entry is not None and entry.file is not None:
            lines.append(text("api.note_other_network", name=entry.name))
    return lines


def _cut(source: Picture | str | Network, *, square_only: bool) -> Picture | str | Network:
    """A style as it is painted from."""
    return square(source) if square_only and isinstance(source, Picture) else source


def _opened(recipe: Recipe | str | Path | None, preset: str | None) -> tuple[Recipe, Path]:
    """A recipe, and the folder in which its inputs are looked for."""
    if preset is not None:
        if recipe is not None:
            raise UsageError(text("api.preset_and_recipe", preset=shown(preset)))
        return find_preset(preset).recipe, Path()
    if isinstance(recipe, str | Path):
        return Recipe.load(recipe), Path(recipe).parent
    return recipe or Recipe(), Path()


def _chosen(
    knobs: Mapping[str, Any], *, start: PictureSource | None, encoder_weights: str | Path | None
) -> dict[str, Any]:
    """The knobs that are turned, and those that must turn with them."""
    chosen = {name: value for name, value in knobs.items() if value is not None}
    for one, other in (("size", "width"), ("width", "size")):
        if one in chosen and other not in chosen:
            chosen[other] = None
    if "encoder" in chosen and encoder_weights is None:
        chosen["encoder_weights"] = None
    if _is_word(start):
        chosen["start"] = start
        if start != "picture":
            chosen["start_picture"] = None
    elif start is not None:
        chosen |= {"start": "picture", "start_picture": Source(name="(given)")}
    return chosen


def _fetch(encoder: str, *, offline: bool, on_download: OnDownload | None) -> None:
    """Make sure that an encoder which is not bundled is here."""
    if encoder != Recipe.model_fields["encoder"].default:
        catalog.pull(encoder, on_progress=on_download, offline=offline)


def _is_word(start: PictureSource | None) -> bool:
    return isinstance(start, str) and start in choices(Recipe.model_fields["start"])


def _found(recipe: Recipe, given: Mapping[str, object], *, beside: Path, folders: Sequence[Path]) -> dict[Source, Path]:
    """The files of those inputs of a recipe that the caller has not given himself."""
    gallery = {entry.name for entry in catalog.styles()} if given["styles"] is None else set()
    sources: list[Source] = []
    for knob in ("content", "start_picture", "encoder_weights", "protect"):
        source: Source | None = getattr(recipe, knob)
        if given[knob] is None and source is not None:
            sources.append(source)
    if given["styles"] is None:
        sources += [s for s in recipe.styles if s.sha256 or s.path or s.name not in gallery]
        sources += [s.mask for s in recipe.styles if s.mask is not None]
    return inputs.find(sources, beside=beside, below=folders)


def _content(
    photo: PictureSource | None,
    recipe: Recipe,
    found: Mapping[Source, Path],
    *,
    name: str | None,
    keep_gps: bool,
) -> Input:
    if photo is None:
        if recipe.content is None:
            raise UsageError(text("api.no_photo"))
        photo = found[recipe.content]
    return inputs.read(photo, name=name, keep_gps=keep_gps)


def _styles(
    style: Styles | None, recipe: Recipe, found: Mapping[Source, Path]
) -> tuple[tuple[Style, ...], tuple[StyleSource, ...]]:
    if style is not None:
        return inputs.read_styles(style)
    if not recipe.styles:
        raise UsageError(text("engines.no_style"))
    likes: list[StyleLike] = [Style(source=s.name, name=s.name, weight=s.weight) for s in recipe.styles]
    for at, source in enumerate(recipe.styles):
        if source in found:
            read = inputs.style_file(found[source])
            likes[at] = Style(source=read, name=Path(source.name).stem, weight=source.weight)
    styles, references = inputs.read_styles(likes)
    hashed = [StyleSource(name=s.name, sha256=s.sha256, weight=s.weight) for s in recipe.styles]
    return styles, tuple(h if s in found else r for h, s, r in zip(hashed, recipe.styles, references, strict=True))


def _start_picture(start: PictureSource | None, recipe: Recipe, found: Mapping[Source, Path]) -> Input | None:
    if recipe.start_picture is None:
        return None
    return inputs.read(found[recipe.start_picture] if start is None else start)


def _at_size(picture: Picture, size: tuple[int, int]) -> Picture:
    pixels = mask.flatten(picture)
    return Picture(pixels=np.clip(resize(pixels, size), 0, 1) if picture.size != size else pixels)


def _fitted(photo: Picture, recipe: Recipe, stylizer: Stylizer, budget: int) -> tuple[Picture, Recipe, list[str]]:
    """The photo at the size of the painting, and how it is painted, so that it fits into `budget` bytes.

    The size is what is asked for, else the photo's own up to `UNASKED`. What does not fit is painted more sparingly,
    then, if no size was asked for, smaller.
    """
    notes = []
    asked = recipe.size is not None or recipe.width is not None
    unasked = UNASKED.get(recipe.engine, UNASKED_ELSE)
    if not asked and max(photo.size) > unasked:
        recipe = recipe.turned({"size": unasked})
        notes.append(text("api.note_unasked", size=unasked, own=max(photo.size)))
    wanted = fitted_size(photo.size, size=recipe.size, width=recipe.width, enlarge=recipe.enlarge)
    estimate = stylizer.estimate(wanted, recipe)
    needs = estimate.memory
    if estimate.scratch and needs <= budget:
        notes.append(_in_tiles(estimate.scratch))
    if needs > budget:
        fields = {"width": wanted[0], "height": wanted[1], "needs": f"{needs / 1e9:.1f}", "has": f"{budget / 1e9:.1f}"}
        for knob in () if recipe.engine in engines.BY_NAME else SPARING:
            recipe = recipe.turned(dict.fromkeys(SPARING, False) | {knob: True})
            if stylizer.estimate(wanted, recipe).memory <= budget:
                notes.append(text(f"api.note_{knob}", **fields))
                break
        else:
            largest = _largest(wanted, recipe, stylizer, budget)
            if largest is None:
                raise DoesNotFit(text("api.nothing_fits", **fields))
            if asked:
                raise DoesNotFit(text("api.too_large", size=largest, **fields))
            recipe = recipe.turned({"size": largest})
            notes.append(text("api.note_smaller", size=largest, **fields))
    return fit(photo, size=recipe.size, width=recipe.width, enlarge=recipe.enlarge), recipe, notes


def _in_tiles(needs: int) -> str:
    """The note that a painting takes so many bytes on the disk.

    Raises:
        DoesNotFit: there are not as many.
    """
    has = scratch.free()
    fields = {"folder": shown(scratch.folder()), "needs": f"{needs / 1e9:.1f}", "has": f"{has / 1e9:.1f}"}
    if needs > has:
        raise DoesNotFit(text("api.no_scratch", **fields))
    return text("api.note_scratch", **fields)


def _largest(size: tuple[int, int], recipe: Recipe, stylizer: Stylizer, available: int) -> int | None:
    """The longest side in px, of multiples of 16, at which a painting of these proportions fits."""
    low, high = 0, max(size) // 16
    while low < high:
        middle = (low + high + 1) // 2
        tried = fitted_size(size, size=16 * middle)
        if stylizer.estimate(tried, recipe).memory <= available:
            low = middle
        else:
            high = middle - 1
    return 16 * low or None
