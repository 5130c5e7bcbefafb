"""The relief that plain areas get before they are painted."""

from __future__ import annotations

import numpy as np
import pytest

from danqing import scratch
from danqing.engines import grain

F32 = np.float32


def test_the_relief_is_weak_irregular_and_always_the_same() -> None:
    plain = np.full((300, 400, 3), 0.5, F32)
    one = grain.grained(plain, 1)
    np.testing.assert_array_equal(one, grain.grained(plain, 1))
    away = one - plain
    assert abs(float(away.mean())) < 0.002 and float(away.std()) == pytest.approx(grain.AMOUNT, rel=0.1)
    np.testing.assert_array_equal(away[..., 0], away[..., 2])
    near, far = (np.mean(away[:, :-step, 0] * away[:, step:, 0]) / away.var() for step in (1, 3 * grain.WIDTH))
    assert near > 0.8 and abs(far) < 0.15, "bumps of a few px, not a pattern"


def test_it_fades_with_the_strength_and_white_has_it_too() -> None:
    picture = np.random.default_rng(0).random((40, 50, 3), dtype=F32)
    np.testing.assert_array_equal(grain.grained(picture, 0), picture)
    half, whole = (grain.grained(picture, strength) for strength in (0.5, 1))
    np.testing.assert_allclose(whole - picture, 2 * (half - picture), atol=1e-5)
    white = grain.grained(np.ones_like(picture), 1)
    np.testing.assert_allclose(white - 1, whole - picture, atol=1e-5)


def test_it_goes_on_beyond_its_side_without_an_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = grain.grained(np.full((8, 2 * grain.SIDE + 9, 3), 0.5, F32), 1)
    np.testing.assert_array_equal(wide[:, : grain.SIDE], wide[:, grain.SIDE : 2 * grain.SIDE])
    steps = np.abs(np.diff(wide[..., 0], axis=1))
    assert steps[:, grain.SIDE - 1].max() <= steps.max() / 1.2
    tall = np.full((2 * grain.SIDE + 9, 12, 3), 0.5, F32)
    expected = grain.grained(tall, 1)
    monkeypatch.setattr(scratch, "LARGE", 1)  # on the disk
    np.testing.assert_array_equal(grain.grained(tall, 1), expected)


def test_several_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(1).random((3 * grain.ROWS + 7, grain.SIDE + 5, 3), dtype=F32)
    expected = grain.grained(picture, 1)
    monkeypatch.setattr(grain, "LARGE", 1)
    np.testing.assert_array_equal(grain.grained(picture, 1), expected)
