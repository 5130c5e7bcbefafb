"""Descent: steps from a picture to what an objective asks for, one at a time.

A start, an Objective and the recipe's optimiser go in; the picture after each step comes out, with the terms. It knows
no pyramid, no file and no style.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from danqing.atelier.objective import Objective
from danqing.recipe import Recipe


class Stopped(Exception):
    """`on_step` said stop; `picture` is what is kept."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture = picture


class NotFinite(Stopped):
    """The objective left the finite numbers; `picture` is the last good one."""


class Slope:
    """The objective at a picture: its value, its gradient and its terms, as torch's optimisers ask for them.

    What was asked for last is not computed twice: a line search asks again where it ended.
    """

    def __init__(self, x: Tensor, objective: Objective) -> None:
        self.x, self.objective = x, objective
        self.terms: dict[str, float] = {}
        self._where: Tensor | None = None
        self._value = 0.0

    def __call__(self) -> float:
        """The value at x, whose gradient is put into x."""
        if self._where is not None and torch.equal(self._where, self.x):
            return self._value
        terms = self.objective.terms(self.x)
        total = self.objective.total(terms)
        (gradient,) = torch.autograd.grad(total, self.x)
        self.x.grad = gradient.contiguous()
        weights, calibration = self.objective.weights, self.objective.calibration
        self.terms = {n: weights[n] * calibration[n] * float(v.detach()) for n, v in terms.items()}
        self._where, self._value = self.x.detach().clone(), float(total.detach())
        return self._value


def descend(
    x: Tensor, objective: Objective, recipe: Recipe, *, steps: int
) -> Iterator[tuple[Tensor, dict[str, float]]]:
    """Take steps from x, giving after each the picture so far and the terms, weighted, where it was last looked.

    The picture is the iterate itself with L-BFGS, and the average of the iterates with Adam. Without a line search the
    iterates are kept in 0..1; a line search needs them where it left them, so that only the picture is.

    Raises:
        NotFinite: at the step where it happens.
    """
    x = x.detach().clone().contiguous().requires_grad_()  # torch's L-BFGS wants a contiguous gradient
    optimizer = _optimizer(x, recipe)
    slope = Slope(x, objective)
    average, decay = torch.zeros_like(x), recipe.averaging
    good = objective.composed(x.detach()).clone()
    for number in range(1, steps + 1):
        optimizer.step(slope)
        with torch.no_grad():
            if not (math.isfinite(sum(slope.terms.values())) and bool(torch.isfinite(x).all())):
                raise NotFinite(good)
            if not recipe.line_search:
                x.clamp_(0, 1)
            good = x.detach().clamp(0, 1)
            if recipe.optimizer == "adam":
                average.lerp_(good, 1 - decay)
                good = average / (1 - decay**number)
            good = objective.composed(good)
        yield good, dict(slope.terms)


def _optimizer(x: Tensor, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser, taking one step at a time."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam([x], lr=recipe.learning_rate or 0.03, betas=(0.9, 0.99))
    return torch.optim.LBFGS(
        [x],
        lr=recipe.learning_rate or 1.0,
        max_iter=1,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe" if recipe.line_search else None,
    )
