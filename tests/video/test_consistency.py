"""The temporal error against films of which it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danqing.errors import BadInput
from danqing.video.consistency import consistency, difference
from danqing.video.flow import Motion
from tests.video.films import film, panned, texture

SIZE = (160, 96)
LOSSLESS = {"codec": "libx264", "options": {"crf": "0", "preset": "ultrafast"}}


def noisy(frames: list[np.ndarray], deviation: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.clip(128 + (f.astype(float) - 128) * 0.5 + rng.normal(0, deviation, f.shape), 0, 255).astype(np.uint8)
            for f in frames]  # fmt: skip


def test_the_formula() -> None:
    before, now = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 51, np.uint8)
    sure = np.zeros((4, 6), np.float32)
    sure[1, 2] = sure[2, 3] = 1
    now[1, 2] = 102
    motion = Motion(flow=np.zeros((4, 6, 2), np.float32), sure=sure, trust=sure)
    assert difference(before, now, motion) == pytest.approx((0.4**2 + 0.2**2) / 2)


def test_a_still_painting_has_the_error_of_its_film_and_noise_has_its_own(tmp_path: Path) -> None:
    frames = panned(8, SIZE)
    original = film(tmp_path / "影.mkv", frames, **LOSSLESS)
    same = consistency(original, original)
    assert same.error == same.own < 1e-3 and same.frames == 8 and same.rate == 25 and same.cuts == 0
    for deviation in (5, 10):
        flickering = film(tmp_path / f"{deviation}.mkv", noisy(frames, deviation), **LOSSLESS)
        found = consistency(original, flickering)
        assert found.error == pytest.approx(2 * (deviation / 255) ** 2, rel=0.35)  # of two frames' noise
    assert len(found.each) == 7


def test_cuts_are_not_compared(tmp_path: Path) -> None:
    frames = panned(4, SIZE, seed=1) + panned(4, SIZE, seed=2)
    original = film(tmp_path / "a.mkv", frames, **LOSSLESS)
    found = consistency(original, original)
    assert found.cuts == 1 and len(found.each) == 6 and found.error < 1e-3


def test_fewer_frames_and_another_size_are_compared_at_their_times(tmp_path: Path) -> None:
    frames = panned(12, (320, 192), step=4)
    original = film(tmp_path / "a.mkv", frames, **LOSSLESS)
    small = [np.ascontiguousarray(frame[::2, ::2]) for frame in frames[::3]]
    painted = film(tmp_path / "b.mkv", small, times=[512 * n for n in range(0, 12, 3)], **LOSSLESS)
    found = consistency(original, painted)
    assert found.frames == 4 and found.error < 4e-3
    shuffled = film(tmp_path / "c.mkv", small[::-1], times=[512 * n for n in range(0, 12, 3)], **LOSSLESS)
    assert consistency(original, shuffled).error > 3 * found.error


def test_one_frame_cannot_be_compared(tmp_path: Path) -> None:
    one = film(tmp_path / "a.mkv", [texture()])
    with pytest.raises(BadInput, match="two frames"):
        consistency(one, one)
