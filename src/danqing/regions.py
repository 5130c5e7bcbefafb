"""Regions: which style is painted where, and what of the photo is left alone.

Styles, drawn masks and a drawing of what to protect go in; for a painting of some size out come the mask of each style
and what they cover together. This module knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danqing import inputs
from danqing.errors import UsageError
from danqing.image import mask
from danqing.image.fit import square as middle
from danqing.inputs import Input
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.load import PictureSource
from danqing.recipe import FROM_MEMORY, Recipe, Source, StyleSource
from danqing.style import Style

F32 = NDArray[np.float32]

ODD = 0.02
"""Difference of proportions from which on a mask seems to belong to another picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Regions:
    """The masks of a painting's styles, as drawn.

    Attributes:
        references: to the styles, with their masks.
        masks: a drawn mask, numbers (H, W) of any size, or None, for each style.
        protect: what to leave alone.
    """

    references: tuple[StyleSource, ...]
    masks: tuple[Input | F32 | None, ...]
    protect: Input | None = None

    @classmethod
    def read(
        cls,
        styles: Sequence[Style],
        references: Sequence[StyleSource],
        recipe: Recipe,
        found: Mapping[Source, Path],
        *,
        masks: Sequence[PictureSource | None],
        protect: PictureSource | None,
    ) -> Regions:
        """Read the masks given, else those that the recipe names.

        Raises:
            UsageError: more masks than styles.
            BadPicture, DoesNotFit: as `Picture.load`.
        """
        if len(masks) > len(styles):
            raise UsageError(text("api.masks", masks=len(masks), styles=len(styles)))
        drawn: list[Input | F32 | None] = []
        sources: list[StyleSource] = []
        named = {(s.name, s.sha256): s.mask for s in recipe.styles}
        for at, (style, reference) in enumerate(zip(styles, references, strict=True)):
            source = masks[at] if at < len(masks) else None
            own = named.get((reference.name, reference.sha256))
            if source is None and style.mask is None and own is not None and own in found:
                source = found[own]
            one = inputs.read(source) if source is not None else style.mask
            drawn.append(one)
            kept = one.source if isinstance(one, Input) else Source(name=FROM_MEMORY) if one is not None else None
            sources.append(reference.model_copy(update={"mask": kept}))
        if protect is None and recipe.protect is not None:
            protect = found[recipe.protect]
        left = inputs.read(protect) if protect is not None else None
        return cls(references=tuple(sources), masks=tuple(drawn), protect=left)

    def at(self, size: tuple[int, int], *, square: bool) -> tuple[Sequence[F32 | None], F32 | None]:
        """The mask of each style, with what is protected taken out, and what they cover together; None = everywhere.

        Args:
            size: (width, height) of the painting.
            square: whether only the middle square of the photo is painted.

        Raises:
            UsageError: a mask, or what is left of all of them, is black.
        """
        masks = [_numbers(one, size, square=square) for one in self.masks]
        for reference, one in zip(self.references, masks, strict=True):
            if one is not None and reference.mask is not None and not one.max() > 0:
                raise UsageError(text("api.mask_black", name=reference.mask.name))
        protected = _numbers(self.protect, size, square=square)
        resolved = mask.resolved(masks, protected)
        if resolved is None:
            return masks, None
        covered = mask.cover(resolved)
        if not covered.max() > 0:
            raise UsageError(text("api.nothing_to_paint"))
        return resolved, covered

    def notes(self, size: tuple[int, int]) -> list[str]:
        """A line for every mask whose proportions are clearly not those of a photo of (width, height)."""
        lines = []
        for one in (*self.masks, self.protect):
            if isinstance(one, Input):
                width, height = one.picture.size
                if abs(width * size[1] / (height * size[0]) - 1) > ODD:
                    fields = {"width": width, "height": height, "photo": f"{size[0]} x {size[1]}"}
                    lines.append(text("api.note_mask", name=one.source.name, **fields))
        return lines


def _numbers(drawn: Input | F32 | None, size: tuple[int, int], *, square: bool) -> F32 | None:
    if drawn is None:
        return None
    if isinstance(drawn, Input):
        return mask.drawn(middle(drawn.picture) if square else drawn.picture, size)
    array = np.asarray(drawn, dtype=np.float32)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise UsageError(text("api.mask_array", shape=str(array.shape)))
    if square:
        array = middle(Picture(pixels=np.repeat(array[..., None], 3, axis=2))).pixels[..., 0]
    return mask.sized(array, size)
