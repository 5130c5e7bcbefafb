"""Stylizer: the one contract between whoever wants a painting and whatever paints it.

`api`, and later batch, video and studio, hold a Stylizer and call it; nothing calls back up: progress is a `Step`
handed to `on_step`, and everything is cancelled by `on_step` returning False. This module knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from danqing.card import Card
from danqing.messages import text
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style

if TYPE_CHECKING:
    from danqing.picture.save import PictureTarget


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a painting is.

    Attributes:
        number, total: this step, counted from 1, of so many.
        size: (width, height) in px at which it was made; smaller than the result on the coarse levels.
        losses: the value of each term, weighted, by name; empty for engines that have none.
        seconds: since the painting began.
        remaining: seconds still to go, as well as can be told.
        preview: makes the picture as it stands; costs little, but not nothing.
    """

    number: int
    total: int
    size: tuple[int, int]
    losses: Mapping[str, float]
    seconds: float
    remaining: float
    preview: Callable[[], Picture]


OnStep = Callable[[Step], bool | None]
"""Called after every step; returning False stops the painting, which keeps what it has."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What a painting begins with, for engines that search; and what is known already, for those that measure.

    Attributes:
        picture: of the content's size; the content itself where nothing else is known.
        trust: float32 (H, W) in 0..1, how far the painting is held to it: the paintings of earlier frames of a film,
            where they belong now. None = it only begins there.
        measured: what was measured of the frames around, by the engine's own names (`Pastiche.measured`). The content
            is painted with it, and not measured.
    """

    picture: Picture
    trust: NDArray[np.float32] | None = None
    measured: Mapping[str, NDArray[np.float32]] | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a painting is going to need.

    Attributes:
        memory: bytes at the peak, the process as a whole.
        seconds: on this machine, roughly.
        scratch: bytes on the disk meanwhile.
    """

    memory: int
    seconds: float
    scratch: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Pastiche:
    """A finished painting, with everything needed to paint it again.

    Attributes:
        picture: the painting.
        recipe: the knobs and the references to its inputs.
        card: the papers of the network or encoder that painted it.
        seconds: how long it took.
        losses: per step, the value of each term.
        complete: False when it was stopped before its last step.
        measured: of the content, by an engine that tells it; see `Prior`.
    """

    picture: Picture
    recipe: Recipe
    card: Card
    seconds: float
    losses: Sequence[Mapping[str, float]] = field(default=(), repr=False)
    complete: bool = True
    measured: Mapping[str, NDArray[np.float32]] | None = field(default=None, repr=False)

    def embedded_recipe(self) -> str:
        """The recipe as it stands inside the picture: TOML, every knob written out, no paths."""
        from danqing import __version__

        opening = text("api.embedded", version=__version__)
        return f"# {opening}\n{self.recipe.without_paths().to_toml(complete=True)}"

    def save(
        self,
        target: PictureTarget,
        *,
        format: str | None = None,
        overwrite: bool = False,
        with_recipe: bool = True,
    ) -> Path | None:
        """Write the painting, at the quality and depth of its recipe; arguments and errors as `Picture.save`.

        Args:
            target: a path, or a binary stream, which then needs `format`.
            format: `jpeg`, `png`, ...; by the path's ending unless told.
            overwrite: whether an existing file may be replaced.
            with_recipe: whether the recipe goes into the file.
        """
        return self.picture.save(
            target,
            format=format,
            quality=self.recipe.quality,
            depth=self.recipe.depth,
            recipe=self.embedded_recipe() if with_recipe else None,
            overwrite=overwrite,
        )


class Stylizer(Protocol):
    """Paints a content picture in the manner of styles."""

    def __call__(
        self,
        content: Picture,
        styles: tuple[Style, ...],
        recipe: Recipe,
        *,
        prior: Prior | None = None,
        on_step: OnStep | None = None,
    ) -> Pastiche:
        """Paint. The result has exactly the content's size."""
        ...

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        """Memory and time for a content of (width, height) px."""
        ...
