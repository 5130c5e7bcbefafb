"""Equivalent steps: how long one would have to search for a painting as good as the one a network gave at once.

A photo, a style and a painting go in, a number of steps comes out, as Johnson et al. (2016) count them in section 4.1
and figure 5: the steps that plain L-BFGS, from white noise, on one scale and in float32, its picture clipped to 0..1
after each, needs to bring the training's objective to the painting's value.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danqing.atelier.train.pastiche import Judgement, seer
from danqing.atelier.train.polish import LESSON

HISTORY = 20
"""Steps that L-BFGS remembers."""

F32 = NDArray[np.float32]


def steps(photo: F32, style: F32, painting: F32, *, limit: int = 500) -> int:
    """The steps, at most `limit`, to reach a painting; (H, W, 3) in 0..1 each, photo and painting of one size.

    The objective is the one that the gallery's styles were taught by, and users' are polished by.
    """
    judgement = Judgement(seer(), LESSON)
    content = tensor(photo)
    targets = judgement.targets(tensor(style))
    with torch.no_grad():
        wanted = float(judgement(content, tensor(painting), targets)[0])
    x = torch.rand(content.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    search = torch.optim.LBFGS([x], max_iter=1, history_size=HISTORY)

    def value() -> Tensor:
        search.zero_grad()
        loss = judgement(content, x, targets)[0]
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for step in range(limit):
        reached = float(search.step(value).detach())  # type: ignore[no-untyped-call]
        if reached <= wanted:  # the value before this step
            return step
        if not math.isfinite(reached):  # it has burst, and comes nowhere any more
            break
        with torch.no_grad():
            x.clamp_(0, 1)
    return limit


def tensor(pixels: F32) -> Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
