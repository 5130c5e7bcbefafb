"""Equivalent steps: how long one would have to search for a painting as good as the one a network gave at once.

A photo, a style and a painting go in, a number of steps comes out, as Johnson et al. (2016) count them in section 4.1
and figure 5: the steps that plain L-BFGS, from white noise, on one scale and in float32, its picture clipped to 0..1
after each, needs to bring the training's objective to the painting's value. Which network painted is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danqing.atelier.train.pastiche import Judgement, Lesson, seer

LESSON = Lesson(seed=0, batch=1, crops=(), style_weight=1.8)
"""By which the network learnt to paint the gallery (recipes/gallery.toml), as far as it judges a picture by itself."""

HISTORY = 20
"""Steps that L-BFGS remembers."""

F32 = NDArray[np.float32]


class Aim:
    """What a search is after: what the network was taught the gallery's styles by, but for tones and promises.

    Args:
        photo, style: (H, W, 3) in 0..1.
    """

    def __init__(self, photo: F32, style: F32) -> None:
        self.judgement = Judgement(seer(), LESSON)
        self.content = tensor(photo)
        self.targets = self.judgement.targets(tensor(style))

    def __call__(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective of a picture (1, 3, H, W), and its terms."""
        return self.judgement(self.content, x, self.targets)

    def search(self, *, factor: float = 1.0) -> Iterator[tuple[float, Tensor]]:
        """Plain L-BFGS from white noise: before each step the objective, and the picture (1, 3, H, W) that has it.

        It ends where the objective is no longer finite. A `factor` that the objective is searched with leaves every
        picture its rank, but L-BFGS without a line search goes another way: where it has found no positive curvature
        yet, its step is the gradient itself.
        """
        x = torch.rand(self.content.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        descent = torch.optim.LBFGS([x], max_iter=1, history_size=HISTORY)

        def value() -> Tensor:
            descent.zero_grad()
            loss = factor * self(x)[0]
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        while True:
            before = x.detach().clone()
            reached = float(descent.step(value).detach()) / factor  # type: ignore[no-untyped-call]
            if not math.isfinite(reached):  # it has burst, and comes nowhere any more
                return
            yield reached, before
            with torch.no_grad():
                x.clamp_(0, 1)


def steps(photo: F32, style: F32, painting: F32, *, limit: int = 500) -> int:
    """The steps, at most `limit`, to reach a painting; (H, W, 3) in 0..1 each, photo and painting of one size."""
    aim = Aim(photo, style)
    with torch.no_grad():
        wanted = float(aim(tensor(painting))[0])
    for step, (reached, _) in zip(range(limit), aim.search(), strict=False):
        if reached <= wanted:
            return step
    return limit


def tensor(pixels: F32) -> Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
