"""CycleGAN: pictures of two kinds go in, none of which belong together; what turns each kind into the other comes out.

The objective of Zhu et al. 2017: what a generator makes fools the other kind's discriminator, comes back through the
other generator as it was (L1), and a picture that is of the wanted kind already stays as it is (L1). The terms are
called in the log as in the authors' code and weighted as there: `G_A` turns A into B, `D_A` judges what it makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danqing.atelier.train.adversary import Pool, augmented, fooled, told_apart
from danqing.atelier.train.data import Feeder, order, places
from danqing.atelier.train.domains import F32, Domain, as_tensor, cut
from danqing.atelier.train.loop import Player


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is played for.

    Attributes:
        seed: decides all crops.
        batch: pictures of each kind a step.
        game: `lsgan` or `hinge`.
        adversary_weight: what fooling the discriminators counts.
        cycle_weight: what coming back counts.
        identity_weight: what staying counts, as a share of coming back.
        l1_weight: what being like the partner counts, for pairs.
        pool: pictures that each discriminator remembers.
        augment: whether discriminators see everything changed at random.
    """

    seed: int
    batch: int = 1
    game: str = "lsgan"
    adversary_weight: float = 1.0
    cycle_weight: float = 10.0
    identity_weight: float = 0.5
    l1_weight: float = 100.0
    pool: int = 50
    augment: bool = False


class CycleGAN:
    """A method of `loop`.

    Args:
        generators: from A to B, and back.
        discriminators: of what looks like B, and like A.
        a, b: the pictures.
        rules: what is played for.
        workers: threads that read.
    """

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        discriminators: tuple[nn.Module, nn.Module],
        *,
        a: Domain,
        b: Domain,
        rules: Rules,
        workers: int = 2,
    ) -> None:
        self.to_b, self.to_a = generators
        self.like_b, self.like_a = discriminators
        paint, judge = nn.ModuleList(generators), nn.ModuleList(discriminators)
        self.model: nn.Module = nn.ModuleDict({"paint": paint, "judge": judge})
        self.a, self.b, self.rules = a, b, rules
        self.pools = {"a": Pool(rules.pool), "b": Pool(rules.pool)}
        self._workers = workers
        self._feeder: Feeder[tuple[Tensor, Tensor]] | None = None
        self._round: dict[str, Tensor] = {}

    @property
    def players(self) -> tuple[Player, Player]:
        """The generators first."""
        return Player(name="paint", loss=self.painted), Player(name="judge", loss=self.judged)

    def painted(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The generators' objective; see `loop.Method`."""
        a, b = self.seen(step, rank=rank, world=world)
        made_b, same_b = at_once(self.to_b, a, b)
        made_a, same_a = at_once(self.to_a, b, a)
        self._round = {"a": a, "b": b, "made_a": made_a.detach(), "made_b": made_b.detach()}
        rules = self.rules
        numbers = self.numbers(step, rank=rank, world=world)
        terms = {
            "G_A": rules.adversary_weight * fooled([self.like_b(self.shown(made_b, numbers))], rules.game),
            "G_B": rules.adversary_weight * fooled([self.like_a(self.shown(made_a, numbers))], rules.game),
            "cycle_A": rules.cycle_weight * F.l1_loss(self.to_a(made_b), a),
            "cycle_B": rules.cycle_weight * F.l1_loss(self.to_b(made_a), b),
        }
        if rules.identity_weight:
            weight = rules.cycle_weight * rules.identity_weight
            terms |= {"idt_A": weight * F.l1_loss(same_b, b), "idt_B": weight * F.l1_loss(same_a, a)}
        return torch.stack(list(terms.values())).sum(), terms

    def judged(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The discriminators' objective, on what the generators made in this step, or earlier."""
        now, rng = self._round, np.random.default_rng((self.rules.seed, step, 1))
        made_a, made_b = (
            pool.exchanged(now[f"made_{kind}"], rng, rank=rank, world=world) for kind, pool in self.pools.items()
        )
        numbers = self.numbers(step, rank=rank, world=world)
        a, b, made_a, made_b = (self.shown(one, numbers) for one in (now["a"], now["b"], made_a, made_b))
        right_b, wrong_b = at_once(self.like_b, b, made_b)
        right_a, wrong_a = at_once(self.like_a, a, made_a)
        game = self.rules.game
        terms = {"D_A": told_apart([right_b], [wrong_b], game), "D_B": told_apart([right_a], [wrong_a], game)}
        return terms["D_A"] + terms["D_B"], terms

    def shown(self, x: Tensor, numbers: list[tuple[int, ...]]) -> Tensor:
        """Pictures in -1..1 as discriminators see them."""
        return 2 * augmented((x + 1) / 2, numbers) - 1 if self.rules.augment else x

    def numbers(self, step: int, *, rank: int, world: int) -> list[tuple[int, ...]]:
        """What the changes of a step's pictures depend on."""
        return [(self.rules.seed, n, 2) for n in places(step, self.rules.batch, rank=rank, world=world)]

    def seen(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Tensor]:
        """The pictures of a step, (N, C, side, side) in -1..1 of each kind."""
        if self._feeder is None:
            self._feeder = Feeder(lambda at: self.batch(at, rank=rank, world=world), workers=self._workers)
        device = next(self.model.parameters()).device
        a, b = self._feeder.batch(step)
        return a.to(device), b.to(device)

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor]:
        """The same, as they are drawn: each kind in an order of its own."""
        numbers = list(places(step, self.rules.batch, rank=rank, world=world))
        a, b = ([self.drawn(kind, number) for number in numbers] for kind in (0, 1))
        return as_tensor(a), as_tensor(b)

    def drawn(self, kind: int, number: int) -> F32:
        """A square of kind A (0) or B (1) for a place, counted from the first step."""
        domain = (self.a, self.b)[kind]
        seed = 2 * self.rules.seed + kind
        epoch, place = divmod(number, len(domain))
        picture = domain.picture(int(order(seed, epoch, len(domain))[place]))
        return cut([picture], domain.side, np.random.default_rng((seed, number)))[0]

    def state(self) -> dict[str, Tensor]:
        """What the discriminators remember."""
        return {f"{kind}.{name}": v for kind, pool in self.pools.items() for name, v in pool.state().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Remember that."""
        device = next(self.model.parameters()).device
        for kind, pool in self.pools.items():
            own = {name.removeprefix(f"{kind}."): v for name, v in state.items() if name.startswith(f"{kind}.")}
            pool.restore(own, device)


def at_once(net: nn.Module, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """What a network that sees every picture by itself makes of two batches of one size."""
    first, second = net(torch.cat([one, other])).chunk(2)
    return first, second
