"""A collection of paintings as an adversary: the pastiche network learns until its strokes pass for the painters'.

The objective is that of `train/pastiche.py`, and beside it a discriminator that sees patches of the paintings and of
what was painted, at several scales, and knows whose manner it should be (`nets/patch.py`). Collections are small: the
discriminator sees everything changed at random (Zhao et al. 2020), and now and then its steepness at the real patches
counts (R1, Mescheder et al. 2018, lazily as in Karras et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from danqing.atelier.nets.patch import StyledDiscriminator
from danqing.atelier.nets.predictor import USUAL
from danqing.atelier.train.adversary import augmented, fooled, steepness, told_apart
from danqing.atelier.train.data import Feeder, crop, places
from danqing.atelier.train.loop import Player
from danqing.atelier.train.pastiche import Key, Pastiches, stacked, together


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """What the discriminator is played by.

    Attributes:
        weight: what fooling it counts.
        game: `lsgan` or `hinge`.
        augment: whether it sees everything changed at random.
        penalty: what its steepness counts.
        every: steps between looks at that.
    """

    weight: float = 0.1
    game: str = "lsgan"
    augment: bool = True
    penalty: float = 1.0
    every: int = 16


LAYERS = ("relu2_1", "relu3_1", "relu4_1")
"""Of the encoder that judges, what the discriminator looks through."""

PACE = 4.0
"""How much faster the discriminator learns than the network, which has learnt already (Heusel et al. 2017)."""

Batch = tuple[Tensor, list[Key], Tensor]


class Painters:
    """A method of `loop`.

    Args:
        pastiches: what learns to paint, with the collection as its gallery.
        discriminator: what knows the collection.
        adversary: how it is played.
        workers: threads that read.
    """

    def __init__(
        self, pastiches: Pastiches, discriminator: StyledDiscriminator, adversary: Adversary, *, workers: int = 2
    ) -> None:
        self.pastiches, self.teaching = pastiches, pastiches.teaching
        self.discriminator, self.adversary = discriminator, adversary
        self.model: nn.Module = nn.ModuleDict({"paint": pastiches.model, "judge": discriminator})
        self._workers = workers
        self._feeder: Feeder[Batch] | None = None
        self._round: dict[str, Tensor] = {}

    @property
    def players(self) -> tuple[Player, ...]:
        """The network first; the discriminator only where it counts."""
        both = Player(name="paint", loss=self.painted), Player(name="judge", loss=self.judged, pace=PACE)
        return both if self.adversary.weight else both[:1]

    def painted(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The network's objective; see `loop.Method`."""
        if self._feeder is None:
            self._feeder = Feeder(lambda at: self.batch(at, rank=rank, world=world), workers=self._workers)
        device = next(self.model.parameters()).device
        photos, keys, real = self._feeder.batch(step)
        look = together([self.pastiches.look(key) for key in keys])
        inside, total, terms = self.teaching.learnt(photos.to(device).float() / 255, look)
        if not self.adversary.weight:
            return total, terms
        made = inside.clamp(0, 1)
        stats = self.told(look.stats)
        self._round = {"real": real.to(device).float() / 255, "made": made.detach(), "stats": stats}
        shown = self.shown(made, step, rank=rank, world=world)
        adversary = fooled(self.judgements(shown, stats), self.adversary.game)
        return total + self.adversary.weight * adversary, {**terms, "adversary": adversary}

    def judged(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The discriminator's objective, on what was painted in this step."""
        now, play = self._round, self.adversary
        real, made = (self.shown(now[which], step, rank=rank, world=world) for which in ("real", "made"))
        right, wrong = (self.judgements(seen, now["stats"]) for seen in (real, made))
        total = told_apart(right, wrong, play.game)
        terms = {"D": total}
        if play.penalty and step % play.every == 0:
            with torch.autocast(real.device.type, enabled=False):
                real = real.detach().float().requires_grad_()
                terms["steepness"] = steepness(self.judgements(real, now["stats"]), real)
            total = total + 0.5 * play.penalty * play.every * terms["steepness"]
        return total, terms

    def judgements(self, x: Tensor, stats: Tensor) -> list[Tensor]:
        """What the discriminator says of pictures (N, 3, H, W) in 0..1, at every scale."""
        judged: list[Tensor] = self.discriminator(self.teaching.judgement.see(x, self.discriminator.layers), stats)
        return judged

    def told(self, stats: Tensor) -> Tensor:
        """Statistics of styles as the discriminator is told them: relative to what is common."""
        predictor = self.teaching.predictor
        return ((stats - predictor.mean) / predictor.deviation).clamp(-USUAL, USUAL)

    def shown(self, x: Tensor, step: int, *, rank: int, world: int) -> Tensor:
        """Pictures in 0..1 as the discriminator sees them."""
        if not self.adversary.augment:
            return x
        lesson = self.teaching.lesson
        return augmented(x, [(lesson.seed, n, 2) for n in places(step, lesson.batch, rank=rank, world=world)])

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Photographs of a step, the styles that they are painted in, and squares cut out of those paintings."""
        photos, keys = self.pastiches.batch(step, rank=rank, world=world)
        lesson = self.teaching.lesson
        numbers = places(step, lesson.batch, rank=rank, world=world)
        real = [
            crop(self.pastiches.style(key), lesson.crop(step), np.random.default_rng((lesson.seed, n, 3)), scale=1)
            for key, n in zip(keys, numbers, strict=True)
        ]
        return photos, keys, stacked(real)

    def state(self) -> dict[str, Tensor]:
        """Nothing is remembered."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing was."""
