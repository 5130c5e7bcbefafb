"""Paired translation: pictures and what is to become of each go in, what does it for others comes out.

The objective of Isola et al. 2017: like the partner (L1), and not to be told from it by a discriminator that sees the
picture beside it. The terms are called in the log as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danqing.atelier.train.adversary import augmented, fooled, told_apart
from danqing.atelier.train.cyclegan import Rules
from danqing.atelier.train.data import Feeder, order, places
from danqing.atelier.train.domains import F32, as_tensor, cut
from danqing.atelier.train.loop import Player


class Couples(Protocol):
    """Pictures that belong together."""

    side: int

    def pair(self, number: int, rng: np.random.Generator) -> list[F32]:
        """Both of a number, (H, W, C) in 0..1; random things are drawn from `rng`."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...


class Paired:
    """A method of `loop`.

    Args:
        generator: from the first of a pair to the second.
        discriminator: of both, one above the other.
        pairs: what is learnt from.
        rules: what is played for.
        workers: threads that read.
    """

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, *, pairs: Couples, rules: Rules, workers: int = 2
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.model: nn.Module = nn.ModuleDict({"paint": generator, "judge": discriminator})
        self.pairs, self.rules = pairs, rules
        self._workers = workers
        self._feeder: Feeder[tuple[Tensor, Tensor]] | None = None
        self._round: dict[str, Tensor] = {}

    @property
    def players(self) -> tuple[Player, ...]:
        """The generator first; the discriminator only where it counts."""
        both = Player(name="paint", loss=self.painted), Player(name="judge", loss=self.judged)
        return both if self.rules.adversary_weight else both[:1]

    def painted(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The generator's objective; see `loop.Method`."""
        if self._feeder is None:
            self._feeder = Feeder(lambda at: self.batch(at, rank=rank, world=world), workers=self._workers)
        device = next(self.model.parameters()).device
        a, b = (one.to(device) for one in self._feeder.batch(step))
        made = self.generator(a)
        self._round = {"a": a, "b": b, "made": made.detach()}
        rules, numbers = self.rules, self.numbers(step, rank=rank, world=world)
        terms = {"G_L1": rules.l1_weight * F.l1_loss(made, b)}
        if rules.adversary_weight:
            judged = self.discriminator(self.shown(a, made, numbers))
            terms["G_GAN"] = rules.adversary_weight * fooled([judged], rules.game)
        return torch.stack(list(terms.values())).sum(), terms

    def judged(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The discriminator's objective, on what the generator made in this step."""
        now, numbers = self._round, self.numbers(step, rank=rank, world=world)
        real, made = (self.discriminator(self.shown(now["a"], now[which], numbers)) for which in ("b", "made"))
        loss = told_apart([real], [made], self.rules.game)
        return loss, {"D": loss}

    def shown(self, a: Tensor, b: Tensor, numbers: list[tuple[int, ...]]) -> Tensor:
        """Pairs in -1..1 as the discriminator sees them, (N, 2 C, side, side)."""
        both = torch.cat([a, b], 1)
        return 2 * augmented((both + 1) / 2, numbers) - 1 if self.rules.augment else both

    def numbers(self, step: int, *, rank: int, world: int) -> list[tuple[int, ...]]:
        """What the changes of a step's pictures depend on."""
        return [(self.rules.seed, n, 2) for n in places(step, self.rules.batch, rank=rank, world=world)]

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor]:
        """The pairs of a step, (N, C, side, side) in -1..1 of each."""
        drawn = [self.drawn(number) for number in places(step, self.rules.batch, rank=rank, world=world)]
        return as_tensor([one for one, _ in drawn]), as_tensor([other for _, other in drawn])

    def drawn(self, number: int) -> list[F32]:
        """The squares of a place, counted from the first step."""
        rng = np.random.default_rng((self.rules.seed, number))
        epoch, place = divmod(number, len(self.pairs))
        chosen = int(order(self.rules.seed, epoch, len(self.pairs))[place])
        return cut(self.pairs.pair(chosen, rng), self.pairs.side, rng)

    def state(self) -> dict[str, Tensor]:
        """Nothing is remembered."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing was."""
