"""Equivalent steps: what lies at the beginning of the search, on its way and beyond its end."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from danqing.atelier.nets.predictor import LAYERS
from danqing.atelier.train import equivalent
from danqing.atelier.train.pastiche import Judgement, seer
from tests.video.films import texture

SIDE = (64, 64)
PHOTO, STYLE = (texture(SIDE, seed=seed, cell=cell).astype(np.float32) / 255 for seed, cell in ((1, 16), (2, 4)))


def after(steps: int) -> np.ndarray:
    """Where so many steps from white noise lead."""
    judgement = Judgement(seer(), equivalent.LESSON)
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


def test_a_factor_changes_the_way_but_not_what_is_told() -> None:
    aim = equivalent.Aim(PHOTO, STYLE)
    plain, louder = (list(islice(aim.search(factor=factor), 6)) for factor in (1.0, 1e4))
    for found in (plain, louder):
        for value, x in found:
            assert value == pytest.approx(float(aim(x)[0].detach()), rel=1e-4)
    assert plain[0][0] == pytest.approx(louder[0][0], rel=1e-5)
    assert not torch.equal(plain[5][1], louder[5][1])


def test_the_style_term_is_the_mean_of_what_layers_tell_and_few_positions_tell_nothing() -> None:
    aim, x = equivalent.Aim(PHOTO, STYLE), equivalent.tensor(PHOTO)
    found = [aim.judgement.see(size, LAYERS) for size in (x, torch.nn.functional.avg_pool2d(x, 2))]
    distances = aim.judgement.distances(found, aim.targets)
    assert set(distances) == {f"{layer}{size}" for layer in LAYERS for size in ("", "/2")} - {
        "relu5_1",
        "relu4_1/2",
        "relu5_1/2",
    }
    assert float(torch.cat(list(distances.values())).mean()) == pytest.approx(float(aim(x)[1]["style"]), rel=1e-6)
