"""The pastiche network learns to paint: photographs, paintings and an encoder go in, its objective comes out.

What a step sees is a pure function of (seed, step): for every place of the batch a crop of a photograph, and a painting
or sometimes a photograph at some size. The objective is that of `quality`, seen by `compact`: structure by
instance-normalised features, style by covariances relative to their size, with the means as a weaker term, at two
sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from danqing import catalog
from danqing.atelier import adopt
from danqing.atelier.encoders import VGG
from danqing.atelier.nets.pastiche import LEARNING_MARGIN, PasticheNet, Stem, normalized
from danqing.atelier.nets.predictor import LAYERS, Predictor, given, statistics
from danqing.atelier.train import motion
from danqing.atelier.train.data import U8, Feeder, Pictures, crop, log_uniform, order, places

CONTENT = ("relu3_3", "relu4_1")
MEAN_SHARE = 0.3
POSITIONS = 64
"""The fewest positions of a layer whose covariance is compared: of fewer it says little."""

LONG = 512
"""px: long side at which photographs and styles are seen at scale 1."""

STYLE_CROP = 320
"""px: side of what is seen of a style at a time."""

SMALLEST = 64
"""px: the shortest side at which a style is seen: its half still has something for the deepest layer."""

TONE = 16
"""px: areas that keep the tone that the photo has in the style's colours."""

MOVED = 1
"""What tells the motion of a place from everything else that is drawn for it."""

VARIANTS = 8
"""How many ways a style is looked at: places, sizes, mirrored or not, sometimes with its colours exchanged."""

PHOTOS_AS_STYLES = 64
"""So many photographs serve as styles too: looking at a new one costs as much as several steps."""

REMEMBERED = 4096
"""Looks at styles that are kept, about 0.4 MB each."""

Statistics = dict[str, tuple[Tensor, Tensor]]
Targets = tuple[Statistics, Statistics]
"""Mean and covariance of a style's features by layer, at two sizes."""

Key = tuple[str, int, int]
"""A look at a style: of which group (`painting`, `photo` or `gallery`), its number, and the way it is looked at."""

BRUSHES = (0.5, 1.0, 2.0)
"""How large a style of the gallery is seen for the fine, the middling and the broad brush."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is seen of styles, of one or of a batch.

    Attributes:
        stats: what the predictor is told, (N, S).
        given: the head of the style vector, (N, G).
        targets: at two sizes.
        entries: rows of the gallery's table, (N,); -1 = a style that is no part of it.
    """

    stats: Tensor
    given: Tensor
    targets: Targets
    entries: Tensor = field(default_factory=lambda: torch.tensor([-1]))

    def to(self, device: torch.device) -> Look:
        """The same on a device."""
        return Look(
            stats=self.stats.to(device),
            given=self.given.to(device),
            targets=moved(self.targets, device),
            entries=self.entries.to(device),
        )


def moved(targets: Targets, device: torch.device) -> Targets:
    """The same on a device."""
    large, small = (
        {layer: (mean.to(device), covariance.to(device)) for layer, (mean, covariance) in found.items()}
        for found in targets
    )
    return large, small


def together(looks: Sequence[Look]) -> Look:
    """Several looks as one batch."""

    def joined(place: int) -> Statistics:
        return {
            layer: (
                torch.cat([look.targets[place][layer][0] for look in looks]),
                torch.cat([look.targets[place][layer][1] for look in looks]),
            )
            for layer in LAYERS
        }

    return Look(
        stats=torch.cat([look.stats for look in looks]),
        given=torch.cat([look.given for look in looks]),
        targets=(joined(0), joined(1)),
        entries=torch.cat([look.entries for look in looks]),
    )


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, h, w) -> float32 (N, C), (N, C, C)."""
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        mean = flat.mean(2)
        flat = flat - mean[:, :, None]
        return mean, flat @ flat.mT / flat.shape[2]


def style_distance(ours: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> Tensor:
    """As `objective.style_distance` for covariances, for every picture of a batch: (N,)."""
    mean, covariance = ours

    def norm(matrix: Tensor) -> Tensor:
        return (matrix.square().sum((1, 2)) + 1e-12).sqrt()

    ratio = norm(covariance - target[1]) / (norm(covariance) + norm(target[1]))
    variance = target[1].diagonal(dim1=1, dim2=2).sum(1) + 1e-8
    return ratio + MEAN_SHARE * (mean - target[0]).square().sum(1) / variance


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a network is taught.

    Attributes:
        seed: decides all crops.
        batch: photographs a step.
        crops: their side in px, from which step on.
        content_weight, style_weight, tv_weight, range_weight, promise_weight, tone_weight, seen_weight: what the terms
            count.
        temporal_weight: what it counts that the next frame is painted otherwise; 0 = no frames are painted twice.
        photos_as_styles: how often a photograph is the style.
        gallery_share: how often a style of the gallery is.
        photo_scales, style_scales: how large photographs and styles are seen, at least and at most.
    """

    seed: int
    batch: int
    crops: tuple[tuple[int, int], ...]
    content_weight: float = 1.0
    style_weight: float = 3.0
    tv_weight: float = 0.0
    range_weight: float = 1.0
    promise_weight: float = 0.3
    tone_weight: float = 1.0
    seen_weight: float = 0.05
    temporal_weight: float = 0.0
    photos_as_styles: float = 0.15
    gallery_share: float = 0.0
    photo_scales: tuple[float, float] = (0.3, 1.3)
    style_scales: tuple[float, float] = (0.6, 1.5)

    def crop(self, step: int) -> int:
        """The side of the crops of a step, px."""
        return [side for first, side in self.crops if step >= first][-1]


class Judgement:
    """How far paintings are from what is asked for: structure of the photo, statistics of the style, at two sizes.

    Args:
        seer: the encoder that judges; not trained.
        lesson: the weights.
    """

    def __init__(self, seer: VGG, lesson: Lesson) -> None:
        self.seer, self.lesson = seer, lesson

    def see(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Features by the encoder that judges."""
        features: dict[str, Tensor] = self.seer.to(x.device)(x, layers)
        return features

    def overlooked(self, stem: Stem, photos: Tensor) -> Tensor:
        """How far what a stem sees of photos (N, 3, H, W) is from what the encoder sees; squared, of deviations."""
        seen = stem(photos)
        with torch.no_grad():
            asked = self.see(photos, sorted(seen))
        gaps = [normalized(features) - normalized(asked[layer]) for layer, features in seen.items()]
        return torch.stack([gap.square().mean() for gap in gaps]).mean()

    def targets(self, styles: Tensor) -> Targets:
        """The statistics of styles (N, 3, H, W) at two sizes."""
        with torch.no_grad():
            return self.targets_of(self.see(styles, LAYERS), styles)

    def targets_of(self, features: dict[str, Tensor], styles: Tensor) -> Targets:
        """The same where the features at the larger size are there already."""
        found = (features, self.see(F.avg_pool2d(styles, 2), LAYERS))
        large, small = ({layer: mean_and_covariance(features[layer]) for layer in LAYERS} for features in found)
        return large, small

    def distances(self, found: Sequence[Mapping[str, Tensor]], targets: Targets) -> dict[str, Tensor]:
        """How far the style of features is, found at two sizes, {layer: (N, C, h, w)} each: (N,) by size and layer.

        The names are those of `LAYERS`, with "/2" behind them at the smaller size; those of few positions are left out.
        """
        return {
            f"{layer}{size}": style_distance(mean_and_covariance(features[layer]), target[layer])
            for size, features, target in zip(("", "/2"), found, targets, strict=True)
            for layer in LAYERS
            if features[layer].shape[2] * features[layer].shape[3] >= POSITIONS
        }

    def __call__(self, photos: Tensor, painted: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms for photos and what was painted of them, (N, 3, H, W) each in 0..1."""
        with torch.no_grad():
            asked = {layer: normalized(value) for layer, value in self.see(photos, CONTENT).items()}
        seen = self.see(painted, sorted({*CONTENT, *LAYERS}))
        smaller = self.see(F.avg_pool2d(painted, 2), LAYERS)
        content = [0.5 * (normalized(seen[layer]) - asked[layer]).square().mean() for layer in CONTENT]
        style = [distance.mean() for distance in self.distances((seen, smaller), targets).values()]
        down, right = painted[:, :, 1:] - painted[:, :, :-1], painted[..., 1:] - painted[..., :-1]
        terms = {
            "content": torch.stack(content).mean(),
            "style": torch.stack(style).mean(),
            "tv": down.square().mean() + right.square().mean(),
            "range": (painted - painted.clamp(0, 1)).square().mean(),
        }
        lesson = self.lesson
        weights = {
            "content": lesson.content_weight,
            "style": lesson.style_weight,
            "tv": lesson.tv_weight,
            "range": lesson.range_weight,
        }
        return torch.stack([weights[name] * term for name, term in terms.items() if weights[name]]).sum(), terms


class Teaching(nn.Module):
    """Network and predictor, and how far what they paint is from what is asked for.

    Args:
        net, predictor: what learns.
        seer: the encoder that judges; not trained.
        lesson: what is taught.
        styles: in the gallery; for each and every brush the learnt part of the vector is a row of `table`.
    """

    def __init__(self, net: PasticheNet, predictor: Predictor, seer: VGG, lesson: Lesson, *, styles: int = 0) -> None:
        super().__init__()
        self.net, self.predictor = net, predictor
        self.table = nn.Parameter(net.neutral().repeat(styles, len(BRUSHES), 1)) if styles else None
        self.judgement = Judgement(seer, lesson)  # no part of what is trained and saved
        self.lesson = lesson

    def look(self, styles: Tensor) -> Look:
        """At styles (N, 3, H, W)."""
        with torch.no_grad():
            features = self.judgement.see(styles, LAYERS)
            targets = self.judgement.targets_of(features, styles)
            return Look(stats=statistics(features), given=given(features, styles), targets=targets)

    def forward(self, photos: Tensor, look: Look, motions: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms for photos (N, 3, H, W) painted like the styles that were looked at.

        With motions (N, 2, 3) each photo is followed by a frame that moved so, which is to be painted alike.
        """
        _, total, terms = self.learnt(photos, look, motions)
        return total, terms

    def learnt(
        self, photos: Tensor, look: Look, motions: Tensor | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The same, and before it what was painted, without its margins."""
        vectors = self.vectors(look)
        own = slice(LEARNING_MARGIN, -LEARNING_MARGIN)
        whole, promised = self.net.paint(photos, vectors, margin=LEARNING_MARGIN)
        inside = whole[:, :, own, own]
        total, terms = self.judgement(photos, inside, look.targets)
        lesson = self.lesson
        more: dict[str, Tensor] = {}
        weights = {
            "promise": lesson.promise_weight,
            "tone": lesson.tone_weight,
            "seen": lesson.seen_weight,
            "temporal": lesson.temporal_weight,
        }
        if lesson.promise_weight:
            more["promise"] = self.broken(whole, promised)
        more["tone"] = self.tone(whole, promised["rgb"])
        if lesson.seen_weight and self.net.stem.first.weight.requires_grad:
            more["seen"] = self.judgement.overlooked(self.net.stem, photos)
        if motions is not None:
            now, _ = self.net.paint(motion.following(photos, motions), vectors, margin=LEARNING_MARGIN)
            more["temporal"] = motion.flicker(inside, now[:, :, own, own], motions)
        total = total + torch.stack([weights[name] * term for name, term in more.items()]).sum()
        return inside, total, terms | more

    def broken(self, whole: Tensor, promised: Mapping[str, Tensor]) -> Tensor:
        """How far paintings (N, 3, H, W) are from what the network promised of them: mean squared, of deviations."""
        layers = [layer for layer in promised if layer != "rgb"]
        seen = self.judgement.see(whole.clamp(0, 1), layers)
        gaps = [promised[layer] - self.net.usual[layer](seen[layer]) for layer in layers]
        return torch.stack([gap.square().mean() for gap in gaps]).mean()

    def tone(self, whole: Tensor, tinted: Tensor) -> Tensor:
        """How far large areas of paintings are from those of the photos in the style's colours; mean squared.

        Without it, clouds appear that have the style's contrast, and faces drown in them: neither the content nor the
        style term sees where a picture is light and where it is dark.
        """
        painted = F.avg_pool2d(self.net.usual["rgb"](whole), TONE)
        return (painted - F.avg_pool2d(tinted, TONE)).square().mean()

    def rows(self) -> Tensor | None:
        """The learnt part of the gallery's vectors, (styles, brushes, K); None where there is no gallery."""
        return self.table

    def vectors(self, look: Look) -> Tensor:
        """The style vectors (N, P): the gallery's own, and predicted ones for all others."""
        predicted = torch.cat([look.given, self.predictor(look.stats)], 1)
        rows = self.rows()
        if rows is None:
            return predicted
        own = torch.cat([look.given, rows.flatten(0, 1)[look.entries.clamp(min=0)]], 1)
        return torch.where((look.entries >= 0)[:, None], own, predicted)


def seer(name: str = "compact") -> VGG:
    """An encoder of the catalog, to judge with."""
    card, path = catalog.find(name)
    encoder: VGG = adopt.encoder(card, catalog.read(card, path))
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def fresh() -> tuple[PasticheNet, Predictor]:
    """An untrained network, and an untrained predictor."""
    net = PasticheNet()
    return net, Predictor(net.neutral())


class Pastiches:
    """A method of `loop`: the network and the predictor learn to paint any photograph like any painting.

    Args:
        teaching: what learns.
        photos, paintings, gallery: what is learnt from; styles of the gallery get vectors of their own.
        workers: threads that read.
    """

    def __init__(
        self,
        teaching: Teaching,
        photos: Pictures,
        paintings: Pictures,
        *,
        gallery: Pictures | None = None,
        workers: int = 2,
    ) -> None:
        self.model: nn.Module = teaching
        self.teaching = teaching
        self.groups = {"photo": photos, "painting": paintings} | ({"gallery": gallery} if gallery else {})
        self._feeder: Feeder[tuple[Tensor, list[Key]]] | None = None
        self._workers = workers
        self._looks: dict[Key, Look] = {}

    def loss(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of a step; see `loop.Method`."""
        if self._feeder is None:
            self._feeder = Feeder(lambda at: self.batch(at, rank=rank, world=world), workers=self._workers)
        device = next(self.model.parameters()).device
        photos, keys = self._feeder.batch(step)
        motions = None
        if (lesson := self.teaching.lesson).temporal_weight:
            numbers = places(step, lesson.batch, rank=rank, world=world)
            maps = [motion.drawn(np.random.default_rng((lesson.seed, number, MOVED))) for number in numbers]
            motions = torch.from_numpy(np.stack(maps)).to(device)
        look = together([self.look(key) for key in keys])
        total, terms = self.model(photos.to(device).float() / 255, look, motions)
        return total, terms

    def batch(self, step: int, *, rank: int = 0, world: int = 1) -> tuple[Tensor, list[Key]]:
        """Photographs of a step, uint8 (N, 3, side, side), and the styles that they are painted in."""
        drawn = [self.drawn(number) for number in places(step, self.teaching.lesson.batch, rank=rank, world=world)]
        return stacked([photo for photo, _ in drawn]), [key for _, key in drawn]

    def drawn(self, number: int) -> tuple[U8, Key]:
        """The photograph and the style of a place, counted from the first step."""
        lesson, photos = self.teaching.lesson, self.groups["photo"]
        rng = np.random.default_rng((lesson.seed, number))
        epoch, place = divmod(number, len(photos))
        photo = photos.picture(int(order(lesson.seed, epoch, len(photos))[place]))
        scale = LONG / max(photo.shape) * log_uniform(rng, *lesson.photo_scales)
        content = crop(photo, lesson.crop(number // lesson.batch), rng, scale=scale)
        chance = rng.random()
        if chance < lesson.gallery_share:
            group = "gallery"
        else:
            group = "photo" if rng.random() < lesson.photos_as_styles else "painting"
        variant = rng.integers(len(BRUSHES) if group == "gallery" else VARIANTS)
        count = len(self.groups[group]) if group != "photo" else min(len(photos), PHOTOS_AS_STYLES)
        return content, (group, int(rng.integers(count)), int(variant))

    def look(self, key: Key) -> Look:
        """What is seen of a style, remembered."""
        device = next(self.model.parameters()).device
        if key not in self._looks:
            if len(self._looks) >= REMEMBERED:
                self._looks.pop(next(iter(self._looks)))
            found = self.teaching.look(stacked([self.style(key)]).to(device).float() / 255)
            row = key[1] * len(BRUSHES) + key[2] if key[0] == "gallery" else -1
            self._looks[key] = replace(found, entries=torch.tensor([row], device=device))
        elif self._looks[key].stats.device != device:  # a model is looked at before and after it learns elsewhere
            self._looks[key] = self._looks[key].to(device)
        return self._looks[key]

    def style(self, key: Key) -> U8:
        """A style as it is looked at: one of the gallery as a whole, others cut to (STYLE_CROP, STYLE_CROP, 3)."""
        group, number, variant = key
        source, lesson = self.groups[group].picture(number), self.teaching.lesson
        if group == "gallery":
            factor = min(LONG * BRUSHES[variant] / max(source.shape), 2)  # as `engines.predictor.resized`
            size = (max(SMALLEST, round(source.shape[1] * factor)), max(SMALLEST, round(source.shape[0] * factor)))
            return np.asarray(Image.fromarray(source).resize(size, Image.Resampling.LANCZOS))
        rng = np.random.default_rng((lesson.seed, ("painting", "photo").index(group), number, variant))
        scale = LONG / max(source.shape) * log_uniform(rng, *lesson.style_scales)
        seen = crop(source, STYLE_CROP, rng, scale=scale)
        return seen if rng.random() > 0.15 else seen[:, :, rng.permutation(3)]

    def accustom(self, keys: Sequence[Key]) -> None:
        """Tell network and predictor what styles are usually like, from looks at many."""
        looks = [self.look(key) for key in keys]
        self.teaching.predictor.accustom(torch.cat([look.stats for look in looks]))
        self.teaching.net.accustom(torch.cat([look.given for look in looks]))

    def gallery(self) -> list[Look]:
        """The gallery as it is looked at for every brush: for each style one look of three."""
        count = 0 if self.teaching.table is None else len(self.teaching.table)
        return [together([self.look(("gallery", n, brush)) for brush in range(len(BRUSHES))]) for n in range(count)]

    def fill_table(self) -> None:
        """Begin the gallery's vectors where the predictor would put them."""
        table = self.teaching.table
        if table is not None:
            with torch.no_grad():
                for rows, look in zip(table, self.gallery(), strict=True):
                    rows.copy_(self.teaching.predictor(look.stats))

    def table(self) -> list[Tensor]:
        """The gallery's style vectors, (3, P) for each style."""
        with torch.no_grad():
            return [self.teaching.vectors(look) for look in self.gallery()]


class Sights:
    """A method of `loop`: the network's stem learns to see what the encoder sees.

    Args:
        method: what the network learns by afterwards; its photographs are looked at.
        batch: photographs a step.
    """

    def __init__(self, method: Pastiches, *, batch: int, workers: int = 2) -> None:
        self.model: nn.Module = method.teaching.net.stem
        self._method, self._batch, self._workers = method, batch, workers
        self._feeder: Feeder[Tensor] | None = None

    def loss(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of a step; see `loop.Method`."""
        if self._feeder is None:
            self._feeder = Feeder(lambda at: self.photos(at, rank=rank, world=world), workers=self._workers)
        stem, judgement = self._method.teaching.net.stem, self._method.teaching.judgement
        photos = self._feeder.batch(step).to(stem.first.weight.device).float() / 255
        gap = judgement.overlooked(stem, photos)
        return gap, {"seen": gap}

    def photos(self, step: int, *, rank: int = 0, world: int = 1) -> Tensor:
        """Photographs of a step, uint8 (N, 3, side, side)."""
        return stacked([self._method.drawn(number)[0] for number in places(step, self._batch, rank=rank, world=world)])


def stacked(pictures: Sequence[U8]) -> Tensor:
    """Pictures (H, W, 3) as one tensor (N, 3, H, W), channels last in memory."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
