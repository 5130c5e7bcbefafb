"""Wrap: pictures whose left edge joins their right one, painted so that the painting's do.

An equirectangular picture of 360 degrees is continued on either side by its other end, painted, and cut again; where
the cut would be, the two paintings of the same place pass into each other. This module knows no engine by name.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Step, Stylizer

LEAST, SHARE = 64, 1 / 16
"""px, and part of the width, by which a picture is continued on either side: as far as engines look around them."""


def wrapped(stylizer: Stylizer, recipe: Recipe) -> Stylizer:
    """What paints by a recipe: the engine itself, or one that joins left and right."""
    return Wrapped(stylizer) if recipe.wrap else stylizer


class Wrapped:
    """Another engine, for pictures that wrap around; implements `danqing.stylizer.Stylizer`."""

    def __init__(self, stylizer: Stylizer) -> None:
        self.stylizer = stylizer

    def __call__(
        self,
        content: Picture,
        styles: tuple[Style, ...],
        recipe: Recipe,
        *,
        prior: Prior | None = None,
        on_step: OnStep | None = None,
    ) -> Pastiche:
        """Paint; errors as the engine's."""
        width = content.size[0]
        by = margin(width)
        if any(style.mask is not None for style in styles):
            styles = tuple(s if s.mask is None else dataclasses.replace(s, mask=continued(s.mask, by)) for s in styles)
        if prior is not None:
            trust = None if prior.trust is None else continued(prior.trust, by)
            prior = dataclasses.replace(prior, picture=_continued(prior.picture, by), trust=trust)
        told = None if on_step is None else lambda step: on_step(_cut(step, width))
        pastiche = self.stylizer(_continued(content, by), styles, recipe, prior=prior, on_step=told)
        return dataclasses.replace(pastiche, picture=joined(pastiche.picture, width))

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        """Memory and time for a content of (width, height) px."""
        return self.stylizer.estimate((size[0] + 2 * margin(size[0]), size[1]), recipe)


def margin(width: int) -> int:
    """px by which a picture is continued on either side."""
    return min(width, max(LEAST, round(width * SHARE)))


def continued(values: NDArray[Any], by: int) -> NDArray[Any]:
    """Values (H, W) or (H, W, C), continued on either side by their other end."""
    return np.concatenate([values[:, -by:], values, values[:, :by]], axis=1)


def joined(picture: Picture, width: int) -> Picture:
    """Of a picture that is continued on either side, the middle, its first columns coming out of its last ones."""
    by = (picture.size[0] - width) // 2
    pixels = picture.pixels[:, by : by + width].copy()
    over = max(1, by // 2)  # px: beyond them the outer edge is too near
    far = ((np.arange(over, dtype=np.float32) + 0.5) / over)[:, None]
    again = picture.pixels[:, by + width : by + width + over]
    pixels[:, :over] = again + far * (pixels[:, :over] - again)
    return Picture(pixels=pixels)


def _continued(picture: Picture, by: int) -> Picture:
    return Picture(pixels=continued(picture.pixels, by))


def _cut(step: Step, width: int) -> Step:
    """A step with the middle of its picture."""
    return dataclasses.replace(step, preview=partial(_middle, step, width))


def _middle(step: Step, width: int) -> Picture:
    return joined(step.preview(), width)
