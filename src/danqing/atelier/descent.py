"""Descent: steps from a picture to what an objective asks for, one at a time.

A start, an Objective and the recipe's optimiser go in; the picture after each step comes out, with the terms. It knows
no pyramid, no file and no style.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from danqing.atelier.objective import Objective
from danqing.recipe import Recipe

MARGIN = 0.02
"""How far frequencies may leave 0..1 before they feel nothing: at the very edge they could not come back."""

ASTRAY = 1.2
"""How far above its lowest value L-BFGS may climb: without a line search it now and then steps out of its valley, and
is then put back and begins anew with steps half as long."""

RECOVERY = 1.2
"""By what steps that were halved grow again with every one that leads lower."""


HISTORY = {False: 20, True: 2}
"""Steps that L-BFGS remembers, two pictures each: without and with tiles, which are for want of memory."""


class Stopped(Exception):
    """`on_step` said stop; `picture` is what is kept."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture = picture


class NotFinite(Stopped):
    """The objective left the finite numbers; `picture` is the last good one."""


class Canvas:
    """The painting as an optimiser turns it: its pixels, or what is added to the start in scaled frequencies.

    With a slope p every frequency f of the variable counts f^(−p) in the picture, so that large strokes move before
    fine grain does (Olah, Mordvintsev & Schubert 2017, "Feature visualization", preconditioning). Departure: added to
    the start, and p below 1.

    Args:
        start: (1, 3, H, W) in 0..1.
        slope: p; 0 = pixels.
    """

    def __init__(self, start: Tensor, slope: float) -> None:
        self.start = start.detach().clone().contiguous()  # torch's L-BFGS wants a contiguous gradient
        self.filter = frequencies(start.shape[2:], slope).to(start.device) if slope else None
        self.variable = (self.start.clone() if slope == 0 else torch.zeros_like(self.start)).requires_grad_()

    def picture(self) -> Tensor:
        """(1, 3, H, W), a little beyond 0..1 where that is where the optimiser went."""
        if self.filter is None:
            return self.variable
        spectrum = torch.fft.rfft2(self.variable) * self.filter
        picture: Tensor = self.start + torch.fft.irfft2(spectrum, s=self.start.shape[2:])
        return picture.clamp(-MARGIN, 1 + MARGIN)

    def clamp(self) -> None:
        """Bring the pixels back to 0..1; frequencies are held there by `picture`."""
        if self.filter is None:
            with torch.no_grad():
                self.variable.clamp_(0, 1)


def frequencies(size: Sequence[int], slope: float) -> Tensor:
    """f^(−slope) for every frequency of a real (H, W) picture, (H, W // 2 + 1), with a mean square of 1.

    f in cycles per px, taken as at least 1/64, the breadth of the largest strokes.
    """
    f = torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None])
    scale = f.clamp(min=1 / 64).pow(-slope)
    return torch.div(scale, scale.square().mean().sqrt())


class Slope:
    """The objective on a canvas: its value, its gradient and its terms, as torch's optimisers ask for them.

    What was asked for last is not computed twice: a line search asks again where it ended.
    """

    def __init__(self, canvas: Canvas, objective: Objective) -> None:
        self.canvas, self.objective = canvas, objective
        self.terms: dict[str, float] = {}
        self.where = canvas.variable.detach().clone()
        self.value = math.nan

    def __call__(self) -> float:
        """The value there, whose gradient is put into the canvas's variable."""
        variable = self.canvas.variable
        if not math.isnan(self.value) and torch.equal(self.where, variable):
            return self.value
        terms = self.objective.terms(self.canvas.picture())
        total = self.objective.total(terms)
        (gradient,) = torch.autograd.grad(total, variable)
        variable.grad = gradient.contiguous()
        weights, calibration = self.objective.weights, self.objective.calibration
        self.terms = {n: weights[n] * calibration[n] * float(v.detach()) for n, v in terms.items()}
        self.where, self.value = variable.detach().clone(), float(total.detach())
        return self.value


def descend(
    x: Tensor, objective: Objective, recipe: Recipe, *, steps: int
) -> Iterator[tuple[Tensor, dict[str, float]]]:
    """Take steps from x, giving after each the picture so far and the terms, weighted, where it was last looked.

    The picture is the iterate itself with L-BFGS, and the average of the iterates with Adam. Without a line search the
    iterates are kept in 0..1; a line search needs them where it left them, so that only the picture is.

    Raises:
        NotFinite: at the step where it happens.
    """
    canvas = Canvas(x, recipe.frequency_slope)
    optimizer, rate = _optimizer(canvas.variable, recipe), 1.0
    slope = Slope(canvas, objective)
    average, decay = torch.zeros_like(x), recipe.averaging
    watched = recipe.optimizer == "lbfgs" and not recipe.line_search
    lowest, best = math.inf, canvas.variable.detach().clone()
    good = objective.composed(x.detach()).clone()
    for number in range(1, steps + 1):
        optimizer.step(slope)
        with torch.no_grad():
            if not (math.isfinite(sum(slope.terms.values())) and bool(torch.isfinite(canvas.variable).all())):
                raise NotFinite(good)
            if watched and slope.value > ASTRAY * lowest:
                canvas.variable.copy_(best)
                rate /= 2
                optimizer = _optimizer(canvas.variable, recipe, rate)
            elif watched and slope.value < lowest:
                lowest, best = slope.value, slope.where
                rate = min(1.0, RECOVERY * rate)
                optimizer.param_groups[0]["lr"] = rate * _step_length(recipe)
            if not recipe.line_search:
                canvas.clamp()
            good = canvas.picture().detach().clamp(0, 1)
            if recipe.optimizer == "adam":
                average.lerp_(good, 1 - decay)
                good = average / (1 - decay**number)
            good = objective.composed(good)
        yield good, dict(slope.terms)


def _step_length(recipe: Recipe) -> float:
    """The learning rate: the recipe's, else what suits the optimiser."""
    return recipe.learning_rate or {"adam": 0.03, "lbfgs": 1.0}[recipe.optimizer]


def _optimizer(x: Tensor, recipe: Recipe, rate: float = 1.0) -> torch.optim.Optimizer:
    """The recipe's optimiser, taking one step at a time, with `rate` of its learning rate."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam([x], lr=rate * _step_length(recipe), betas=(0.9, 0.99))
    return torch.optim.LBFGS(
        [x],
        lr=rate * _step_length(recipe),
        max_iter=1,
        history_size=HISTORY[recipe.tiles],
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe" if recipe.line_search else None,
    )
