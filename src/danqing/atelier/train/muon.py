"""Muon: momentum whose step is made orthogonal, for the weights of convolutions.

Gradients go in, steps come out. It knows no network; biases, heads and first layers are for Adam.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal (Jordan et al. 2024): for convolutions, flattened to matrices.

    torch.optim.Muon takes matrices only. Newton-Schulz coefficients and scale are the authors'.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One step from the gradients as they are."""
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                update = (parameter.grad + group["momentum"] * average).reshape(parameter.shape[0], -1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                parameter.add_(self.orthogonal(update).view_as(parameter), alpha=-group["lr"] * scale)

    @staticmethod
    def orthogonal(matrix: Tensor) -> Tensor:
        """The nearest orthogonal matrix, roughly: five Newton-Schulz iterations."""
        x: Tensor = matrix / (matrix.norm() + 1e-7)
        if tall := x.shape[0] > x.shape[1]:
            x = x.T
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        return x.T if tall else x
