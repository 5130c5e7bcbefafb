"""The objective of the optimisation engine: content, style and total variation, calibrated against each other.

An encoder, a Recipe and the pictures at one size go in; terms and their weighted sum come out. It knows no optimiser
and no pyramid. Departures from Gatys et al. stand in `gatys.py`, and why in docs/decisions/0004-objective.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from danqing.atelier import losses, tiled
from danqing.atelier.encoders import VGG
from danqing.recipe import Recipe

MEAN_SHARE = 0.3
"""What the means of the features weigh beside their covariances."""

PROBE_NOISE = 0.1
"""How much noise is mixed into the start to measure how hard each term pulls: at the photo itself content does not."""

RANGES = {"caffe": 255.0, "torchvision": 4.43}
"""Spread of what a VGG of each kind sees: 0..255, or 0..1 divided by the deviations of ImageNet."""

HALF_SHARE = 0.75
"""What the painting seen at half size counts with the broadest brush; the rest keeps the finest grain in hand."""

SMALLEST_HALF = 32
"""Shortest side in px at which a picture is still seen at half its size."""

TEMPORAL_WEIGHT = 1.0
"""How hard earlier frames of a film hold a painting where they are trusted, beside the term that pulls hardest."""

Statistics = tuple[Tensor, Tensor]

Held = tuple[Tensor, Tensor]
"""Paintings of earlier frames where they belong now, (1, 3, H, W), and how far they are trusted, (1, 1, H, W)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StyleView:
    """A style as a level sees it.

    Attributes:
        weight: its share beside the others.
        sizes: the picture at one or several sizes, each (1, 3, H, W), with the share of each.
        own: the picture at its own size, for what is seen at half size; None = the first of the sizes.
        mask: where it is painted, (1, 1, H, W) at the level's size; None = everywhere.
    """

    weight: float
    sizes: tuple[tuple[float, Tensor], ...]
    own: Tensor | None = None
    mask: Tensor | None = None

    @property
    def at_own_size(self) -> Tensor:
        """The picture as a middling brush sees it."""
        return self.sizes[0][1] if self.own is None else self.own


def statistics(mean: Tensor, covariance: Tensor, kind: str) -> Statistics:
    """What this kind of loss compares, from a layer's mean (C,) and covariance (C, C); not for histograms."""
    if kind in ("gram", "squared_gram"):
        return mean, losses.gram(mean, covariance)
    if kind == "moments":
        return mean, losses.deviation(covariance)
    return mean, covariance


def style_distance(ours: Statistics, target: Statistics, kind: str) -> Tensor:
    """Distance of one layer's statistics from the style's; 0 = the same. Not for histograms."""
    mean, other = ours
    if kind == "squared_gram":
        return losses.squared_gram(other, target[1])
    if kind == "moments":
        return losses.moments(mean, other, target)
    if kind == "wasserstein":
        return losses.wasserstein(mean, other, target)
    distance = losses.ratio(other, target[1])
    if kind == "gram":
        return distance
    variance = target[1].diagonal().sum() + 1e-8
    return distance + MEAN_SHARE * (mean - target[0]).square().sum() / variance


def size_of_target(target: Statistics, kind: str) -> float:
    """What a distance of this kind is to be divided by to be free of the features' scale."""
    mean, other = target
    if kind == "squared_gram":
        return float(losses.squared_gram(other, torch.zeros_like(other)))
    if kind == "moments":
        return float((mean.square() + other.square()).mean())
    if kind == "wasserstein":
        return float((mean.square() + other.diagonal()).mean())
    if kind == "histogram":
        return float(other.square().mean())
    return 1.0  # the others are relative already


def blend(parts: list[tuple[float, dict[str, Statistics]]]) -> dict[str, Statistics]:
    """The weighted average of several styles' statistics."""
    total = sum(weight for weight, _ in parts)
    layers = parts[0][1]
    return {
        layer: (
            torch.stack([stats[layer][0] * (w / total) for w, stats in parts]).sum(0),
            torch.stack([stats[layer][1] * (w / total) for w, stats in parts]).sum(0),
        )
        for layer in layers
    }


def placed(views: Sequence[StyleView]) -> list[tuple[Tensor | None, list[StyleView]]]:
    """Styles by the place where they are painted; those of the same mask are blended there."""
    places: list[tuple[Tensor | None, list[StyleView]]] = []
    for view in views:
        for where, there in places:
            if view.mask is where or (view.mask is not None and where is not None and torch.equal(where, view.mask)):
                there.append(view)
                break
        else:
            places.append((view.mask, [view]))
    return places


class Objective:
    """What a level descends: content, style, total variation and, in films, earlier frames; calibrated and weighted.

    `terms(x)` gives the raw terms, `total(terms)` the weighted sum that is minimised. Targets are computed here, once.

    Args:
        encoder, recipe: what sees, and the knobs.
        content: the photo at the level's size, (1, 3, H, W).
        views: the styles.
        held: what the painting is held to, at the level's size.
    """

    def __init__(
        self, encoder: VGG, recipe: Recipe, *, content: Tensor, views: Sequence[StyleView], held: Held | None = None
    ) -> None:
        self.encoder, self.recipe, self.photo, self.held = encoder, recipe, content, held
        broad = min(content.shape[2:]) >= 2 * SMALLEST_HALF
        self.half = HALF_SHARE * max(0.0, 2 * recipe.brush - 1) if broad else 0.0
        seen = float(encoder.matrix.norm()) / 3**0.5
        self.scale = 1.0 if recipe.weighting == "calibrated" else RANGES[recipe.weighting] / seen
        places = placed(views)
        self.places = tuple(where for where, _ in places)
        masks = [where for where in self.places if where is not None]
        self.cover = torch.stack(masks).sum(0).clamp(0, 1) if masks else None
        with torch.no_grad():
            own = self.look(content, self.places, content=True, style=recipe.strength < 1)
            normalized = recipe.content_loss == "normalized"
            self.content = {
                layer: losses.instance_normalized(own[0][layer]) if normalized else own[0][layer].float()
                for layer in recipe.content_layers
            }
            kept = self.remembered(own, self.places) if recipe.strength < 1 else [{} for _ in places]
            self.targets = [self.learned(there, mine) for (_, there), mine in zip(places, kept, strict=True)]
            self.halves = self.targets
            if self.half:
                alone = [[replace(view, sizes=((1.0, view.at_own_size),)) for view in there] for _, there in places]
                self.halves = [self.learned(there, mine) for there, mine in zip(alone, kept, strict=True)]
        areas = [1.0 if where is None else float(where.mean()) for where in self.places]
        self.shares = [area / sum(areas) for area in areas]
        self.sizes = [
            {
                layer: max(size_of_target(target, recipe.style_loss), 1e-12) if self.calibrated else 1.0
                for layer, target in targets.items()
            }
            for targets in self.targets
        ]
        self.weights = {
            "content": recipe.content_weight if recipe.content_layers else 0.0,
            "style": recipe.style_weight if recipe.style_layers else 0.0,
            "tv": recipe.tv_weight,
        } | ({} if held is None else {"temporal": TEMPORAL_WEIGHT})
        self.calibration = dict.fromkeys(self.weights, 1.0)

    @property
    def calibrated(self) -> bool:
        """Whether the terms are brought to the same pull before their weights."""
        return self.recipe.weighting == "calibrated"

    def look(self, x: Tensor, places: Sequence[Tensor | None], *, content: bool, style: bool) -> tiled.Found:
        """A picture (1, 3, H, W) as the losses need it, in the range that the weights are for.

        Whole are the layers of the content; those of the style are summed in every place, but histograms need all of
        their values.
        """
        recipe = self.recipe
        styled = tuple(recipe.style_layers) if style else ()
        histograms = recipe.style_loss == "histogram"
        whole = dict.fromkeys((*(recipe.content_layers if content else ()), *(styled if histograms else ())))
        wish = tiled.Wish(whole=tuple(whole), summed=() if histograms else styled, guides=tuple(places))
        features, sums = self.encoder.look(x, wish)
        if self.scale == 1:
            return features, sums
        return {layer: value * self.scale for layer, value in features.items()}, [
            {layer: (mean * self.scale, covariance * self.scale**2) for layer, (mean, covariance) in there.items()}
            for there in sums
        ]

    def remembered(self, found: tiled.Found, places: Sequence[Tensor | None]) -> list[dict[str, Statistics]]:
        """What a style is remembered by in each place: {layer: statistics}."""
        kind, layers = self.recipe.style_loss, self.recipe.style_layers
        features, sums = found
        if kind != "histogram":
            return [{layer: statistics(*there[layer], kind) for layer in layers} for there in sums]
        return [
            {n: (features[n].float().mean((0, 2, 3)), losses.quantiles(features[n], where)) for n in layers}
            for where in places
        ]

    def learned(self, views: Sequence[StyleView], own: dict[str, Statistics]) -> dict[str, Statistics]:
        """The target of every style layer in one place: its styles, and the photo's own as strength leaves them."""
        parts = []
        for view in views:
            for share, picture in view.sizes:
                found = self.look(picture, (None,), content=False, style=True)
                parts.append((view.weight * share, self.remembered(found, (None,))[0]))
        target, strength = blend(parts), self.recipe.strength
        return blend([(strength, target), (1 - strength, own)]) if strength < 1 else target

    def composed(self, x: Tensor) -> Tensor:
        """The painting where styles are painted, and the photo elsewhere: (1, 3, H, W) -> (1, 3, H, W)."""
        return x if self.cover is None else self.photo.lerp(x, self.cover)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The raw terms that have a weight, for a picture (1, 3, H, W) in 0..1."""
        x = self.composed(x)
        recipe = self.recipe
        found = self.look(x, self.places, content=bool(self.weights["content"]), style=bool(self.weights["style"]))
        features, terms = found[0], {}
        if self.weights["content"]:
            distance = {
                "normalized": losses.normalized_content,
                "features": losses.content,
                "squared_sum": losses.squared_sum,
            }[recipe.content_loss]
            values = [w * distance(features[n], self.content[n]) for n, w in recipe.content_layers.items()]
            terms["content"] = torch.stack(values).sum() / sum(recipe.content_layers.values())
        if self.weights["style"]:
            terms["style"] = self.style_term(x, found)
        if self.weights["tv"]:
            absolute = recipe.tv_loss == "absolute_sum"
            terms["tv"] = losses.absolute_variation(x) if absolute else losses.total_variation(x)
        if self.held is not None:
            terms["temporal"] = losses.temporal(x, *self.held)
        return terms

    def style_term(self, x: Tensor, found: tiled.Found) -> Tensor:
        """How far a picture (1, 3, H, W) and what was seen of it are from the styles.

        A broad brush sees it at half size, too.
        """
        looks = [(1 - self.half, found, self.targets)]
        if self.half:
            smaller = self.look(F.avg_pool2d(x, 2), self.places, content=False, style=True)
            looks.append((self.half, smaller, self.halves))
        values = [
            much * share * w * self.distance(seen, place, n, target[n]) / self.sizes[place][n]
            for much, seen, targets in looks
            for place, (share, target) in enumerate(zip(self.shares, targets, strict=True))
            for n, w in self.recipe.style_layers.items()
        ]
        return torch.stack(values).sum() / sum(self.recipe.style_layers.values())

    def distance(self, found: tiled.Found, place: int, layer: str, target: Statistics) -> Tensor:
        """How far a layer of what was seen is from its target in one place."""
        kind = self.recipe.style_loss
        if kind != "histogram":
            return style_distance(statistics(*found[1][place][layer], kind), target, kind)

        def compared(features: Tensor) -> Tensor:
            return losses.histogram(losses.sorted_channels(features, self.places[place]), target[1])

        if self.recipe.checkpoint and torch.is_grad_enabled():  # float32 copies are not kept for the gradient
            again: Tensor = checkpoint(compared, found[0][layer], use_reentrant=False)
            return again
        return compared(found[0][layer])

    def pulls(self, x: Tensor) -> dict[str, float]:
        """How hard each calibrated term pulls at x: the norm of its gradient, before its weight."""
        x = x.detach().requires_grad_()
        terms = self.terms(x)
        return {
            name: self.calibration[name] * float(torch.autograd.grad(term, x, retain_graph=True)[0].norm())
            for name, term in terms.items()
        }

    def calibrate(self, x: Tensor, generator: torch.Generator) -> None:
        """Scale the terms so that at weight 1 each pulls as hard as the hardest, beside the picture x.

        Raw weights are left alone, but for that of earlier frames, which always pull as hard as the hardest.
        """
        if not self.calibrated and self.held is None:
            return
        noise = torch.rand(x.shape, generator=generator).to(x.device)
        pulls = self.pulls(x.lerp(noise, PROBE_NOISE))
        held = pulls.pop("temporal", 0.0)
        hardest = max(pulls.values())
        if self.calibrated:
            self.calibration |= {name: hardest / max(pull, 1e-8 * hardest) for name, pull in pulls.items()}
        else:
            hardest = max(self.weights[name] * pull for name, pull in pulls.items())
        if self.held is not None:
            self.calibration["temporal"] = hardest / max(held, 1e-8 * hardest)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The scalar that is minimised."""
        return torch.stack([self.weights[n] * self.calibration[n] * value for n, value in terms.items()]).sum()
