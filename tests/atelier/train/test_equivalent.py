"""Equivalent steps: what lies at the beginning of the search, on its way and beyond its end."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from danqing.atelier.train import equivalent
from danqing.atelier.train.pastiche import Judgement, seer
from danqing.atelier.train.polish import LESSON
from tests.video.films import texture

SIDE = (64, 64)
PHOTO, STYLE = (texture(SIDE, seed=seed, cell=cell).astype(np.float32) / 255 for seed, cell in ((1, 16), (2, 4)))


def after(steps: int) -> np.ndarray:
    """Where so many steps from white noise lead."""
    judgement = Judgement(seer(), LESSON)
    targets = judgement.targets(equivalent.tensor(STYLE))
    x = torch.rand((1, 3, *SIDE), generator=torch.Generator().manual_seed(0)).requires_grad_()
    search = torch.optim.LBFGS([x], max_iter=1, history_size=20)
    for _ in range(steps):

        def value() -> torch.Tensor:
            search.zero_grad()
            loss = judgement(equivalent.tensor(PHOTO), x, targets)[0]
            loss.backward()
            return loss

        search.step(value)
        with torch.no_grad():
            x.clamp_(0, 1)
    return np.asarray(x.detach()[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("steps", [0, 3, 12])
def test_what_the_search_comes_by_is_found_where_it_lies(steps: int) -> None:
    assert equivalent.steps(PHOTO, STYLE, after(steps)) == steps


def test_what_no_search_reaches_takes_as_many_as_are_allowed() -> None:
    assert equivalent.steps(PHOTO, PHOTO, PHOTO, limit=4) == 4
