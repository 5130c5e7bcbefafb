"""Flow against motion that is known, and trust against what is known to be hidden."""

from __future__ import annotations

import numpy as np
import pytest

from danqing.video.flow import Effort, Seer, agreeing, enlarged, grid, warp
from tests.video.films import panned, texture

SIZE = (160, 120)


def moving(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of another texture that moves to the right over a background that stands still."""
    ground, square = texture(SIZE, seed=1), texture((48, 48), seed=2)
    frames = []
    for left in (40, 40 + shift):
        frame = ground.copy()
        frame[36:84, left : left + 48] = square
        frames.append(frame)
    return frames[0], frames[1]


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("step", [0, 1, 4])
def test_a_pan_is_found(effort: Effort, step: int) -> None:
    before, now = panned(2, SIZE, step=step)
    motion = Seer(effort=effort)(before, now)
    inner = motion.flow[16:-16, 16:-16]  # the view moves right: what is at x was at x + step
    assert np.abs(inner - (step, 0)).mean() < 0.25
    assert motion.trust[16:-16, 16:-16].mean() > 0.9 and not motion.cut


def test_what_the_flow_leads_to_is_what_is_there() -> None:
    before, now = panned(2, SIZE, step=5)
    motion = Seer()(before, now)
    off = np.abs(warp(before, motion.flow).astype(int) - now)[8:-8, 8:-8]
    assert off.mean() < 3 < np.abs(before.astype(int) - now).mean()


def test_what_was_hidden_is_not_trusted() -> None:
    motion = Seer()(*moving(10))
    uncovered = motion.sure[40:80, 42:49]
    still = motion.sure[4:28, 4:-4]
    assert uncovered.mean() < 0.2 and still.mean() > 0.95


def test_boundaries_of_motion_are_not_trusted() -> None:
    flow = np.zeros((60, 80, 2), np.float32)
    flow[:, 40:] = 3
    agreed = agreeing(-flow, flow)
    assert not agreed[:, 39:41].any() and agreed[:, :36].all() and agreed[:, 46:].all()


def test_what_looks_otherwise_is_not_trusted_though_it_stands_still() -> None:
    before = texture(SIZE)
    now = before.copy()
    now[40:80, 60:100] = np.clip(now[40:80, 60:100].astype(int) + 70, 0, 255)  # a lamp goes on
    motion = Seer()(before, now)
    assert motion.trust[50:70, 70:90].mean() < 0.1 and motion.trust[:30].mean() > 0.9


def test_a_cut_is_seen_and_a_pan_is_none() -> None:
    seer = Seer()
    assert seer(texture(SIZE, seed=1), texture(SIZE, seed=2)).cut
    assert not seer(*panned(2, SIZE, step=6)).cut


def test_flow_is_sought_small_and_used_large() -> None:
    before, now = panned(2, (640, 480), step=8)
    motion = Seer(long=320)(before, now)
    assert motion.flow.shape == (240, 320, 2) and abs(np.median(motion.flow[..., 0]) - 4) < 0.3
    assert abs(np.median(enlarged(motion.flow, (640, 480))[..., 0]) - 8) < 0.6


def test_sixteen_bits_are_seen_as_eight() -> None:
    before, now = panned(2, SIZE)
    seer = Seer()
    deep = seer(before.astype(np.uint16) * 257, now.astype(np.uint16) * 257)
    np.testing.assert_array_equal(deep.flow, seer(before, now).flow)


def test_what_leaves_on_one_side_comes_in_on_the_other() -> None:
    wide = texture((320, 160))
    around = np.concatenate([wide, wide[:, ::-1]], axis=1)
    before, now = around, np.roll(around, -6, axis=1)
    motion = Seer(wraps=True)(before, now)
    assert motion.flow.shape == (*around.shape[:2], 2) and motion.trust[20:-20, -6:].mean() > 0.8
    assert Seer()(before, now).trust[20:-20, -5:].mean() < 0.2
    off = np.abs(warp(before.astype(np.float32), motion.flow, wraps=True) - now)[20:-20]
    assert off[:, -6:].mean() < 3


def test_the_grid_is_where_pixels_are() -> None:
    assert grid(3, 4)[2, 1].tolist() == [1, 2]
