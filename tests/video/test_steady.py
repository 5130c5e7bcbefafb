"""Holding still: flicker goes, strokes stay sharp, nothing of what was before a cut is seen after it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from danqing.video.flow import Seer, warp
from danqing.video.steady import HELD, Steady, broad
from tests.video.films import panned, texture

SIZE = (160, 120)


def painted(frame: np.ndarray, number: int) -> np.ndarray:
    """A painting that flickers: strokes that are drawn anew in each frame, and a tone that wavers."""
    rng = np.random.default_rng(number)
    strokes = rng.normal(0, 0.08, frame.shape[:2]).astype(np.float32)[..., None]
    wave = np.float32(0.06 * np.sin(2.1 * number))
    return np.clip(0.2 + 0.6 * frame.astype(np.float32) / 255 + strokes + wave, 0, 1)


def run(frames: list[np.ndarray], strength: float) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """Paintings alone, held still, and the ratio of their errors along the true flow."""
    steady, seer = Steady(strength), Seer()
    alone = [painted(frame, number) for number, frame in enumerate(frames)]
    held = []
    for number, fresh in enumerate(alone):
        motion = seer(frames[number - 1], frames[number]) if number else None
        held.append(steady(fresh, motion))
    return alone, held, error(held) / error(alone)


def error(paintings: list[np.ndarray], step: int = 2) -> float:
    """Mean squared difference along a pan of `step` px a frame."""
    inner = slice(16, -16)
    pairs = itertools.pairwise(paintings[3:])
    return float(np.mean([np.square(a[inner, 16 + step : -16 + step] - b[inner, 16:-16]).mean() for a, b in pairs]))


@pytest.mark.parametrize(("strength", "most"), [(0.8, 0.35), (1.0, 0.25)])
def test_flicker_goes(strength: float, most: float) -> None:
    assert run(panned(12, SIZE), strength)[2] < most


def test_strength_nought_is_the_painting_alone() -> None:
    alone, held, ratio = run(panned(6, SIZE), 0)
    assert ratio == 1 and all(np.array_equal(a, b) for a, b in zip(alone, held, strict=True))


def test_neither_blur_nor_drift_builds_up() -> None:
    """After a hundred frames of carrying there are as sharp strokes as after ten, and the picture is the frame's."""
    frames = panned(100, SIZE, step=1)
    alone, held, _ = run(frames, 1.0)
    sharp = [np.square(np.diff(picture, axis=1)).mean() for picture in held]
    assert (
        np.mean(sharp[-5:]) > 0.9 * np.mean(sharp[8:13])
        and np.mean(sharp[-5:]) > 0.5 * np.square(np.diff(alone[-1], axis=1)).mean()
    )
    ideal = 0.2 + 0.6 * frames[-1].astype(np.float32) / 255
    assert np.abs(broad(held[-1] - ideal, 20.0, ideal.shape[1::-1])).mean() < 0.05


def test_no_ghost_after_a_cut() -> None:
    first, second = panned(4, SIZE, seed=1), panned(4, SIZE, seed=9)
    alone, held, _ = run([*first, *second], 1.0)
    np.testing.assert_array_equal(held[4], alone[4])


def test_no_ghost_where_something_was_hidden() -> None:
    ground, square = texture(SIZE, seed=1), texture((48, 48), seed=2)
    before, now = ground.copy(), ground.copy()
    before[36:84, 40:88], now[36:84, 52:100] = square, square
    steady, motion = Steady(1.0), Seer()(before, now)
    first, fresh = before.astype(np.float32) / 255, now.astype(np.float32) / 255
    steady(first, None)
    shown = steady(fresh, motion)
    hidden = (slice(40, 80), slice(42, 50))
    ghost = np.asarray(warp(first, motion.flow))[hidden]
    assert np.abs(shown[hidden] - fresh[hidden]).mean() < 0.25 * np.abs(ghost - fresh[hidden]).mean()


def test_where_nothing_is_painted_nothing_is_carried() -> None:
    frames = panned(2, SIZE)
    cover = np.zeros(SIZE[::-1], np.float32)
    cover[:, 80:] = 1
    steady = Steady(1.0, cover=cover)
    steady(painted(frames[0], 0), None)
    fresh = painted(frames[1], 1)
    shown = steady(fresh, Seer()(*frames))
    assert np.abs(shown[:, :60] - fresh[:, :60]).max() < 1e-3 < np.abs(shown[:, 100:] - fresh[:, 100:]).max()


def test_a_tone_that_jumps_is_followed_within_a_few_frames() -> None:
    """A lamp that goes on is no flicker: what is carried is soon forgotten."""
    still = texture(SIZE)
    steady, motion = Steady(1.0), Seer()(still, still)
    dark, light = (np.full((*SIZE[::-1], 3), value, np.float32) for value in (0.3, 0.6))
    steady(dark, None)
    last = dark
    for _ in range(30):
        last = steady(light, motion)
    assert np.abs(last - light).max() < 0.3 * HELD**30 + 1e-3


def test_it_goes_on_where_it_was() -> None:
    frames = panned(6, SIZE)
    _, held, _ = run(frames, 0.8)
    other = Steady(0.8)
    other.restore({"last": held[2]})
    seer = Seer()
    for number in (3, 4, 5):
        again = other(painted(frames[number], number), seer(frames[number - 1], frames[number]))
    np.testing.assert_array_equal(again, held[5])
    assert set(other.state()) == {"last"}
