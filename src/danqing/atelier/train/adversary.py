"""What adversaries play by: who is right, what the discriminator remembers, and how few pictures go a long way.

Judgements of a discriminator go in, losses come out (Mao et al. 2017; Lim & Ye 2017); pictures go into a pool, and
earlier ones come out (Shrivastava et al. 2017); pictures are changed alike, real or not, by what a gradient passes
through (Zhao et al. 2020). Everything random is a function of numbers that are handed in. This module knows no
network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

HALF = 0.5
"""How often an earlier picture is taken instead of the one at hand."""


def fooled(judged: Sequence[Tensor], game: str) -> Tensor:
    """How far a discriminator is from taking what it judged for real; `game` is `lsgan` or `hinge`."""
    if game == "hinge":
        return torch.stack([-one.mean() for one in judged]).mean()
    return torch.stack([(one - 1).square().mean() for one in judged]).mean()


def told_apart(real: Sequence[Tensor], made: Sequence[Tensor], game: str) -> Tensor:
    """How far a discriminator is from telling real ones from made ones; half the sum of both mistakes."""
    if game == "hinge":
        found = [F.relu(1 - r).mean() + F.relu(1 + m).mean() for r, m in zip(real, made, strict=True)]
    else:
        found = [(r - 1).square().mean() + m.square().mean() for r, m in zip(real, made, strict=True)]
    return 0.5 * torch.stack(found).mean()


def steepness(judged: Sequence[Tensor], real: Tensor) -> Tensor:
    """R1: the mean over pictures of the squared gradient of their judgement (Mescheder et al. 2018)."""
    total = torch.stack([one.flatten(1).mean(1).sum() for one in judged]).sum()
    (gradient,) = torch.autograd.grad(total, real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


# ── what the discriminator remembers ────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class Pool:
    """Pictures made earlier, so that the discriminator does not forget.

    Among several processes all hold the same pictures, those of all of them.

    Args:
        size: how many are kept; with 0 pictures come back as they are.

    Attributes:
        kept: one picture each, (C, H, W).
    """

    size: int
    kept: list[Tensor] = field(default_factory=list)

    def exchanged(self, made: Tensor, rng: np.random.Generator, *, rank: int = 0, world: int = 1) -> Tensor:
        """Pictures (N, C, H, W), some of them exchanged for earlier ones, which they replace.

        Args:
            made: those of this process, which are the places rank, rank + world, ... of the batch.
            rng: the same in every process.
        """
        if not self.size:
            return made
        found = []
        for picture in gathered(made.detach(), world):
            if len(self.kept) < self.size:
                self.kept.append(picture.clone())
                found.append(picture)
            elif rng.random() < HALF:
                place = int(rng.integers(self.size))
                found.append(self.kept[place])
                self.kept[place] = picture.clone()
            else:
                found.append(picture)
        return torch.stack(found[rank::world])

    def state(self) -> dict[str, Tensor]:
        """What is kept, by name."""
        return {"kept": torch.stack(self.kept)} if self.kept else {}

    def restore(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Keep what was kept."""
        self.kept = [one.to(device) for one in state["kept"].unbind()] if state else []


def gathered(own: Tensor, world: int) -> Tensor:
    """A batch of which every process has the places rank, rank + world, ..., as many each."""
    if world == 1:
        return own
    parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(world)]
    dist.all_gather(parts, own.contiguous())
    return torch.stack(parts, 1).flatten(0, 1)


# ── how few pictures go a long way ──────────────────────────────────────────────────────────────────────────────────

SHIFTED, CUT_OUT = 1 / 8, 1 / 2
"""How far a picture is shifted at most, and the side of the square that is taken out of it, as shares of its side."""


def augmented(x: Tensor, numbers: Sequence[tuple[int, ...]]) -> Tensor:
    """Pictures (N, C, H, W) in 0..1, each brighter or darker, shifted, and with a hole, as its number has it."""
    return torch.stack([_augmented(one, np.random.default_rng(number)) for one, number in zip(x, numbers, strict=True)])


def _augmented(x: Tensor, rng: np.random.Generator) -> Tensor:
    x = x + float(rng.uniform(-0.5, 0.5))
    if len(x) == 3:
        grey = x.mean(0, keepdim=True)
        x = grey + (x - grey) * float(rng.uniform(0, 2))
    middle = x.mean()
    x = middle + (x - middle) * float(rng.uniform(0.5, 1.5))
    height, width = x.shape[1:]
    reach = [max(1, round(side * SHIFTED)) for side in (height, width)]
    padded = F.pad(x, (reach[1], reach[1], reach[0], reach[0]))
    top, left = (int(rng.integers(2 * r + 1)) for r in reach)
    x = padded[:, top : top + height, left : left + width]
    hole = torch.ones_like(x[:1])
    sides = [round(side * CUT_OUT) for side in (height, width)]
    top, left = (
        int(rng.integers(-cut // 2, side - cut // 2)) for cut, side in zip(sides, (height, width), strict=True)
    )
    hole[:, max(0, top) : max(0, top + sides[0]), max(0, left) : max(0, left + sides[1])] = 0
    return x * hole
