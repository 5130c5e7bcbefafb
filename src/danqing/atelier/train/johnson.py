"""The classic training: one network learns one style (Johnson, Alahi & Fei-Fei 2016).

Photographs, a style and an encoder go in, the objective of the old tools comes out, each as its tool has it:
`pytorch-examples`: relu2_2 of VGG-16 for content with 1e5, Gram matrices of relu1_2, relu2_2, relu3_3 and relu4_3 with
1e10; `jcjohnson`: relu3_3 with 1, the same Gram matrices with 5, squared total variation with 1e-6 in VGG's own range.
`danqing` is our own objective, by `compact`: that of `train/pastiche.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from danqing.atelier.encoders import VGG
from danqing.atelier.nets.johnson import Johnson
from danqing.atelier.train.data import U8, Feeder, Pictures, crop, order, places
from danqing.atelier.train.pastiche import Judgement, Lesson, moved, stacked

GRAMS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What an old tool asks for.

    Attributes:
        encoder: with which weights.
        content: the layer.
        content_weight, style_weight, tv_weight: beside each other.
    """

    encoder: str
    content: str
    content_weight: float
    style_weight: float
    tv_weight: float = 0.0


LOSSES = {
    "pytorch-examples": Loss(encoder="vgg16", content="relu2_2", content_weight=1e5, style_weight=1e10),
    "jcjohnson": Loss(encoder="vgg16", content="relu3_3", content_weight=1.0, style_weight=5.0, tv_weight=1e-6),
}


def gram(features: Tensor) -> Tensor:
    """F·Fᵀ / (C·h·w), float32 (N, C, h, w) -> (N, C, C); the old tools divide by the channels too."""
    flat = features.float().flatten(2)
    return flat @ flat.mT / flat[0].numel()


class Classic(nn.Module):
    """A network and how far its paintings are from what an old tool asks for.

    Args:
        net: what learns.
        seer: VGG-16.
        loss: what is asked for.
        style: (1, 3, H, W) in 0..1.
    """

    def __init__(self, net: Johnson, seer: VGG, loss: Loss, style: Tensor) -> None:
        super().__init__()
        self.net, self.weights = net, loss
        self._seer = (seer,)  # no part of what is trained and saved
        with torch.no_grad():
            for layer, value in seer(style, GRAMS).items():
                self.register_buffer(f"target_{layer}", gram(value), persistent=False)

    def forward(self, photos: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms for photos (N, 3, H, W) in 0..1."""
        painted = self.net(photos * 255).float() / 255
        return self.judged(photos, painted)

    def judged(self, photos: Tensor, painted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms for paintings (N, 3, H, W) in 0..1."""
        layer, seer = self.weights.content, self._seer[0].to(photos.device)
        with torch.no_grad():
            asked = seer(photos, [layer])[layer].float()
        seen = seer(painted, {layer, *GRAMS})
        grams = [(gram(seen[name]) - self.get_buffer(f"target_{name}")).square().mean() for name in GRAMS]
        inside = 255 * painted
        down, right = inside[:, :, 1:] - inside[:, :, :-1], inside[..., 1:] - inside[..., :-1]
        terms = {
            "content": self.weights.content_weight * (seen[layer].float() - asked).square().mean(),
            "style": self.weights.style_weight * torch.stack(grams).sum(),
            "tv": self.weights.tv_weight * (down.square().sum() + right.square().sum()),
        }
        return terms["content"] + terms["style"] + terms["tv"], terms


class Own(nn.Module):
    """A network of Johnson's kind with danqing's own objective.

    Args:
        net: what learns.
        judgement: what judges.
        style: (1, 3, H, W) in 0..1.
    """

    def __init__(self, net: Johnson, judgement: Judgement, style: Tensor) -> None:
        super().__init__()
        self.net = net
        self._judgement = judgement
        self._targets = judgement.targets(style)

    def forward(self, photos: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms for photos (N, 3, H, W) in 0..1."""
        self._targets = moved(self._targets, photos.device)
        return self._judgement(photos, self.net(photos * 255).float() / 255, self._targets)


class OneStyle:
    """A method of `loop`: a network learns the one style that its objective knows.

    Args:
        model: `Classic` or `Own`.
        photos: to learn on.
        lesson: sizes and seed.
        workers: threads that read.
    """

    def __init__(self, model: Classic | Own, photos: Pictures, lesson: Lesson, *, workers: int = 2) -> None:
        self.model: nn.Module = model
        self.photos, self.lesson = photos, lesson
        self._workers = workers
        self._feeder: Feeder[Tensor] | None = None

    def loss(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of a step; see `loop.Method`."""
        if self._feeder is None:
            self._feeder = Feeder(lambda at: self.batch(at, rank=rank, world=world), workers=self._workers)
        device = next(self.model.parameters()).device
        found: tuple[Tensor, dict[str, Tensor]] = self.model(self._feeder.batch(step).to(device).float() / 255)
        return found

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> Tensor:
        """Photographs of a step, uint8 (N, 3, side, side)."""
        return stacked([self.drawn(n) for n in places(step, self.lesson.batch, rank=rank, world=world)])

    def drawn(self, number: int) -> U8:
        """The photograph of a place, counted from the first step: its middle, as the old tools cut it, or near it."""
        rng = np.random.default_rng((self.lesson.seed, number))
        epoch, place = divmod(number, len(self.photos))
        photo = self.photos.picture(int(order(self.lesson.seed, epoch, len(self.photos))[place]))
        side = self.lesson.crop(number // self.lesson.batch)
        return crop(photo, side, rng, scale=side / min(photo.shape[:2]))
