"""A picture painted with what was measured of others: told, taken, mixed, and when it is not done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: no network can be drawn")

from danqing.engines import fast, measured
from danqing.engines.wrap import Wrapped
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Pastiche, Prior
from tests.engines.test_fast import REEDS, SMOKE, WAVE, needs_openvino, photo

PICTURE, OTHER = photo(64, 96), photo(64, 96, seed=5)
RUNTIMES = ["onnx", pytest.param("openvino", marks=needs_openvino)]


pytestmark = pytest.mark.usefixtures("bundled")


def painted(
    stylizer: fast.FastStylizer | Wrapped, *, known: measured.Measured | None = None, picture: Picture = PICTURE
) -> Pastiche:
    prior = None if known is None else Prior(picture=picture, measured=known)
    return stylizer(picture, (REEDS,), Recipe(), prior=prior)


def far(one: Pastiche, other: Pastiche) -> float:
    return float(np.abs(one.picture.pixels - other.picture.pixels).max())


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("same", [False, True])
def test_what_was_measured_of_a_picture_paints_it_again(runtime: str, same: bool) -> None:
    usual = painted(fast.FastStylizer(runtime=runtime))
    stylizer = fast.FastStylizer(runtime=runtime, measuring=True, same=same)
    told = painted(stylizer)
    assert usual.measured is None and told.measured
    near = 2e-4 if runtime == "onnx" else 0.05  # in bfloat16 other operations are taken together
    assert far(told, usual) <= near
    again = painted(stylizer, known=told.measured)
    assert far(again, usual) <= near
    assert again.measured is not None and again.measured.keys() == told.measured.keys()


@pytest.mark.parametrize("same", [False, True])
def test_what_was_measured_of_another_decides_how_it_looks(same: bool) -> None:
    stylizer = fast.FastStylizer(runtime="onnx", measuring=True, same=same)
    own, other = painted(stylizer), painted(stylizer, picture=OTHER)
    assert own.measured is not None and other.measured is not None
    ways = [painted(stylizer, known=measured.between(own.measured, other.measured, share)) for share in (0, 0.1, 1)]
    assert far(ways[0], own) <= 2e-4
    assert 0.01 < far(ways[1], own) < far(ways[2], own)


def test_between_does_not_depend_on_the_places_that_means_are_told_less_of() -> None:
    stylizer = fast.FastStylizer(runtime="onnx", measuring=True)
    known = dict(painted(stylizer).measured or {})
    moved = dict(known)
    for name in [name for name in known if name.endswith(".place")]:
        mean = name.removesuffix(".place") + ".mean"
        moved[name], moved[mean] = known[name] + np.float32(0.3), known[mean] - np.float32(0.3)
    assert any(np.any(moved[name] != known[name]) for name in known)
    between = measured.between(known, moved, 0.5)
    assert far(painted(stylizer, known=between), painted(stylizer, known=known)) <= 1e-3


def test_styles_and_strength_may_change_unless_it_was_said_that_they_do_not() -> None:
    stylizer = fast.FastStylizer(runtime="onnx", measuring=True)
    for styles, strength in (((SMOKE,), 1.0), ((REEDS, SMOKE), 1.0), ((REEDS,), 0.6)):
        recipe = Recipe(strength=strength)
        told = stylizer(PICTURE, styles, recipe)
        again = stylizer(PICTURE, styles, recipe, prior=Prior(picture=PICTURE, measured=told.measured))
        assert far(again, fast.FastStylizer(runtime="onnx")(PICTURE, styles, recipe)) <= 2e-4


def test_a_network_made_ready_for_a_style_goes_with_its_engine() -> None:
    fast._opened.cache_clear()
    for style in (REEDS, SMOKE, REEDS):
        stylizer = fast.FastStylizer(runtime="onnx", measuring=True, same=True)
        told = stylizer(PICTURE, (style,), Recipe())
        before = fast._opened.cache_info().misses
        known = Prior(picture=PICTURE, measured=told.measured)
        made = [stylizer(PICTURE, (style,), Recipe(), prior=known) for _ in range(2)]
        assert far(made[0], told) <= 2e-4 and far(made[0], made[1]) == 0
        assert fast._opened.cache_info().misses == before


def test_frames_side_by_side_make_one_network_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    made, make = [], measured.taking
    monkeypatch.setattr(measured, "taking", lambda *given: made.append(given) or make(*given))
    stylizer = fast.FastStylizer(runtime="onnx", at_once=2, measuring=True, same=True)
    known = painted(stylizer).measured
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: painted(stylizer, known=known), range(4)))
    assert len(made) == 1


def test_masks_broad_strokes_and_tiles_measure_for_themselves() -> None:
    recipe = Recipe()
    half = np.zeros((64, 96), np.float32)
    half[:, :48] = 1
    masked = (Style(source="reeds", name="reeds", mask=half), Style(source="smoke", name="smoke", mask=1 - half))
    stylizer = fast.FastStylizer(runtime="onnx", measuring=True)
    known = painted(stylizer).measured
    plain = fast.FastStylizer(runtime="onnx")(PICTURE, masked, recipe)
    given = stylizer(PICTURE, masked, recipe, prior=Prior(picture=PICTURE, measured=known))
    assert given.measured is None and far(given, plain) == 0
    small = fast.FastStylizer(runtime="onnx", measuring=True, memory=fast.BASE_BYTES)
    assert painted(small).measured is None
    assert stylizer.measures((96, 64), (REEDS,), recipe) and not stylizer.measures((96, 64), masked, recipe)
    assert not stylizer.measures((4096, 64), (WAVE,), Recipe(brush=1))
    assert not small.measures((96, 64), (REEDS,), recipe)
    assert not fast.FastStylizer(runtime="onnx").measures((96, 64), (REEDS,), recipe)


def test_measuring_takes_the_room_of_more_than_one_painting() -> None:
    size, each = (1000, 500), 500_000 * fast.BYTES_PER_PIXEL
    rooms = [int(fast.BASE_BYTES + n * each) for n in (1, 2.1, 2.3, 3.3, 4)]
    stylizers = [fast.FastStylizer(at_once=2, memory=memory, measuring=True) for memory in rooms]
    assert [one.abreast(size) for one in stylizers] == [1, 1, 1, 2, 2]
    assert [one.measures(size, (), Recipe()) for one in stylizers] == [False, False, True, True, True]


def test_around_it_is_handed_on() -> None:
    stylizer = Wrapped(fast.FastStylizer(runtime="onnx", measuring=True))
    told, other = painted(stylizer), painted(stylizer, picture=OTHER)
    assert told.measured and other.measured
    assert far(painted(stylizer, known=told.measured), told) <= 2e-4
    assert far(painted(stylizer, known=other.measured), told) > 0.01
