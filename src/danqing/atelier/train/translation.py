"""Translation as a user orders it: two collections and a TrainRecipe go in, generators in the catalog come out.

`cyclegan` learns both ways between kinds of pictures of which none belong together; `pairs` learns one way from
pictures that do, or, given one collection alone, from photographs that are aged (`atelier.degrade`) the way back. This
is what `session` asks of a work: its method, its plan, its files and its sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from danqing.atelier import degrade
from danqing.atelier.nets.patch import PatchDiscriminator
from danqing.atelier.nets.resnet import ResnetGenerator, blocks_for
from danqing.atelier.train import publish
from danqing.atelier.train.cyclegan import CycleGAN, Rules
from danqing.atelier.train.domains import Domain, Pairs, Spoilt, as_tensor, middle
from danqing.atelier.train.loop import Loop, Plan
from danqing.atelier.train.pairs import Couples, Paired
from danqing.card import Card
from danqing.collection import Collection
from danqing.recipe import TrainRecipe

SHOWN = 6
"""Pictures of a kind on a sample sheet."""

LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)

STEPS = 6000
"""Where neither steps, epochs nor hours are given."""


def rules(recipe: TrainRecipe) -> Rules:
    """What a recipe plays for."""
    return Rules(
        seed=recipe.seed,
        batch=recipe.batch,
        game=recipe.game,
        adversary_weight=recipe.adversary_weight,
        cycle_weight=recipe.cycle_weight,
        identity_weight=recipe.identity_weight,
        l1_weight=recipe.l1_weight,
        pool=recipe.pool,
        augment=recipe.augment,
    )


class Translation:
    """A work of `session`.

    Args:
        recipe: with a name.
        kinds: one collection or two.
        names: of the models that are made.

    Attributes:
        method: what learns.
        count: pictures of an epoch.
    """

    def __init__(self, recipe: TrainRecipe, kinds: Sequence[Collection], names: Sequence[str]) -> None:
        self.recipe, self.kinds, self.names = recipe, kinds, names
        channels = max(kind.channels for kind in kinds)
        self.domains = [Domain(kind, channels=channels, side=recipe.crop) for kind in kinds]
        torch.manual_seed(recipe.seed)
        played = rules(recipe)
        if recipe.method == "cyclegan":
            a, b = self.domains
            self.generators = [self.generator(channels), self.generator(channels)]
            judges = self.discriminator(channels), self.discriminator(channels)
            self.method: CycleGAN | Paired = CycleGAN(
                (self.generators[0], self.generators[1]), judges, a=a, b=b, rules=played
            )
        else:
            self.generators = [self.generator(channels)]
            couples: Couples = Pairs(*self.domains) if len(kinds) > 1 else Spoilt(self.domains[0], degrade.aged)
            self.method = Paired(self.generators[0], self.discriminator(2 * channels), pairs=couples, rules=played)
        self.count = max(len(kind.files) for kind in kinds)

    def generator(self, channels: int) -> ResnetGenerator:
        """One that has learnt nothing."""
        recipe = self.recipe
        return ResnetGenerator(
            channels,
            width=recipe.width,
            blocks=recipe.blocks or blocks_for(recipe.crop),
            upsampling=recipe.upsampling,
            skips=recipe.skips,
        )

    def discriminator(self, channels: int) -> nn.Module:
        """One that has learnt nothing."""
        return PatchDiscriminator(channels, width=self.recipe.width, layers=self.recipe.layers)

    def plan(self, steps: int | None) -> Plan:
        """How it is learnt: Adam with the paper's betas, in a straight line to 0 from the middle of the run on."""
        recipe = self.recipe
        return Plan(
            seed=recipe.seed,
            steps=steps or STEPS,
            learning_rate=recipe.learning_rate or LEARNING_RATE,
            warmup=1,
            schedule="linear",
            betas=BETAS,
            clip=None,
            ema=recipe.ema or 0.0,
            save_every=recipe.save_every,
            sample_every=recipe.sample_every,
        )

    def written(self, loop: Loop, folder: Path) -> list[Card]:
        """The models' files in a folder; their cards."""
        data = " and ".join(f"{len(kind.files)} pictures of the folder {kind.folder.name}" for kind in self.kinds)
        origin = f"the user's own, trained with danqing's {self.recipe.method}, {loop.plan.steps} steps"
        papers = {"origin": f"{origin} of {self.recipe.batch}", "data": data}
        depth = self.kinds[0].depth
        return [
            publish.generator(net, folder, name=name, depth=depth, **papers)
            for net, name in zip(self.generators, self.names, strict=True)
        ]

    def sheet(self, loop: Loop) -> Image.Image:
        """Pictures of each kind above what becomes of them; of A and B also what comes back."""
        method, device = self.method, loop.device
        rows: list[Tensor] = []
        with torch.no_grad():
            if isinstance(method, CycleGAN):
                for domain, there, back in ((method.a, method.to_b, method.to_a), (method.b, method.to_a, method.to_b)):
                    x = first(domain).to(device)
                    made = there(x)
                    rows += [x, made, back(made)]
            else:
                pairs = [method.pairs.pair(n, np.random.default_rng(n)) for n in range(min(SHOWN, len(method.pairs)))]
                x, wanted = (as_tensor([middle(pair[place], method.pairs.side) for pair in pairs]) for place in (0, 1))
                rows = [x, method.generator(x.to(device)), wanted]
        return tiled(rows)


def first(domain: Domain) -> Tensor:
    """The middles of the first pictures of a kind, as they are trained on."""
    return as_tensor([domain.square(number) for number in range(min(SHOWN, len(domain)))])


def tiled(rows: Sequence[Tensor]) -> Image.Image:
    """Rows of pictures (N, C, H, W) in -1..1, as many in each as there are in the longest."""
    side = rows[0].shape[2]
    sheet = Image.new("RGB", (side * max(len(row) for row in rows), side * len(rows)), "white")
    for down, row in enumerate(rows):
        for across, one in enumerate(row.float().cpu().clamp(-1, 1)):
            pixels = ((one.expand(3, -1, -1).permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
            sheet.paste(Image.fromarray(pixels), (side * across, side * down))
    return sheet
