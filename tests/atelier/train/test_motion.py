"""Photographs that move by known flow: one map for photo and painting, and what flickers is told from what does not."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from danqing.atelier import encoders  # noqa: E402
from danqing.atelier.train import motion, pastiche  # noqa: E402
from danqing.errors import UsageError  # noqa: E402
from danqing.recipe import TrainRecipe  # noqa: E402


def shifted(pixels: int, side: int) -> torch.Tensor:
    return torch.tensor([[[1, 0, 2 * pixels / side], [0, 1, 0]]], dtype=torch.float32)


def test_a_shift_is_a_shift() -> None:
    frames = torch.rand(1, 3, 32, 32)
    moved, seen = motion.carried(frames, shifted(4, 32))
    torch.testing.assert_close(moved[..., :-4], frames[..., 4:], atol=1e-4, rtol=0)
    assert seen[..., :-4].all() and not seen[..., -4:].any()


def test_what_is_painted_alike_does_not_flicker() -> None:
    photos = torch.rand(2, 3, 48, 48)
    motions = torch.from_numpy(np.stack([motion.drawn(np.random.default_rng(n)) for n in range(2)]))
    carried, _ = motion.carried(photos, motions)
    assert float(motion.flicker(photos, carried, motions)) < 1e-9
    assert float(motion.flicker(photos, 1 - carried, motions)) > 0.1
    grain = float((motion.following(photos, motions) - carried).std())
    assert 0.5 * motion.GRAIN < grain < 1.2 * motion.GRAIN


def test_motions_are_small_and_a_function_of_their_number() -> None:
    maps = np.stack([motion.drawn(np.random.default_rng(n)) for n in range(200)])
    assert np.abs(maps[:, :, 2]).max() <= 2 * motion.SHIFT and np.abs(maps[:, :, :2] - np.eye(2)).max() < 0.15
    np.testing.assert_array_equal(maps[3], motion.drawn(np.random.default_rng(3)))


def test_only_the_pastiche_network_is_taught_so() -> None:
    with pytest.raises(UsageError, match="temporal_weight"):
        TrainRecipe().turned({"method": "johnson", "temporal_weight": 1.0})


def test_the_network_is_taught_by_a_second_frame() -> None:
    judge = encoders.compact()
    torch.manual_seed(0)
    net, predictor = pastiche.fresh()
    lesson = pastiche.Lesson(seed=0, batch=1, crops=((0, 96),), temporal_weight=2.0)
    teaching = pastiche.Teaching(net, predictor, judge, lesson)
    photos, motions = torch.rand(1, 3, 96, 96), torch.from_numpy(motion.drawn(np.random.default_rng(0)))[None]
    look = teaching.look(torch.rand(1, 3, 96, 96))
    torch.manual_seed(1)
    total, terms = teaching(photos, look, motions)
    without, plain = teaching(photos, look)
    assert "temporal" not in plain and float(terms["temporal"].detach()) > 0
    assert float(total.detach() - without.detach()) == pytest.approx(2 * float(terms["temporal"].detach()), rel=1e-3)
    total.backward()  # type: ignore[no-untyped-call]
    assert any(value.grad is not None and value.grad.abs().sum() > 0 for value in net.parameters())
