"""Pictures that wrap around: no seam, whatever the engine does at the edges; nothing else is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from danqing.engines.wrap import Wrapped, margin, wrapped
from danqing.errors import UsageError
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, Pastiche, Prior, Step
from tests.fake_engine import CARD

WIDTH, HEIGHT = 256, 40


class Uneven:
    """Paints darker to the left, as an engine may that sees something else on each side."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def __call__(self, content: Picture, styles: Any, recipe: Recipe, *, prior: Any = None, on_step: Any = None) -> Any:
        self.seen = {"content": content, "styles": styles, "prior": prior}
        shade = np.linspace(0.5, 1, content.size[0], dtype=np.float32)[:, None]
        picture = Picture(pixels=content.pixels * shade)
        if on_step is not None:
            on_step(
                Step(number=1, total=1, size=content.size, losses={}, seconds=0, remaining=0, preview=lambda: picture)
            )
        return Pastiche(picture=picture, recipe=recipe, card=CARD, seconds=0)

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        del recipe
        return Estimate(memory=size[0] * size[1], seconds=0)


def around() -> Picture:
    """A panorama whose ends join."""
    wave = 0.5 + 0.4 * np.sin(np.linspace(0, 2 * np.pi, WIDTH, endpoint=False))
    return Picture(pixels=np.broadcast_to(wave[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.float32).copy())


def test_no_seam() -> None:
    engine = Uneven()
    plain = engine(around(), (), Recipe()).picture.pixels
    joined = wrapped(engine, Recipe(wrap=True))(around(), (), Recipe(wrap=True)).picture.pixels
    assert joined.shape == plain.shape
    assert np.abs(plain[:, 0] - plain[:, -1]).max() > 0.2
    step = np.abs(np.diff(np.concatenate([joined, joined[:, :2]], axis=1), axis=1)).max()
    assert step < 0.02


def test_everything_goes_on_round_the_back() -> None:
    engine, steps = Uneven(), []
    by = margin(WIDTH)
    mask = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
    prior = Prior(picture=around(), trust=mask)
    styles = (Style(source="a", name="a", mask=mask), Style(source="b", name="b"))
    Wrapped(engine)(around(), styles, Recipe(wrap=True), prior=prior, on_step=steps.append)
    pixels = engine.seen["content"].pixels
    assert pixels.shape[1] == WIDTH + 2 * by
    np.testing.assert_array_equal(pixels[:, :by], around().pixels[:, -by:])
    np.testing.assert_array_equal(pixels[:, -by:], around().pixels[:, :by])
    for there in (engine.seen["styles"][0].mask, engine.seen["prior"].trust):
        np.testing.assert_array_equal(there[:, by:-by], mask)
        np.testing.assert_array_equal(there[:, :by], mask[:, -by:])
    assert engine.seen["styles"][1].mask is None and steps[0].preview().size == (WIDTH, HEIGHT)


def test_it_is_estimated_as_wide_as_it_is_painted() -> None:
    assert Wrapped(Uneven()).estimate((WIDTH, HEIGHT), Recipe()).memory == (WIDTH + 2 * margin(WIDTH)) * HEIGHT
    engine = Uneven()
    assert wrapped(engine, Recipe()) is engine
    assert margin(10) == 10


def test_a_square_has_no_ends_that_join() -> None:
    with pytest.raises(UsageError, match="wrap"):
        Recipe().turned({"wrap": True, "square": True})
