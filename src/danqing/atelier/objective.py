"""The objective of the optimisation engine: content, style and total variation, calibrated against each other.

An encoder, a Recipe and the pictures at one size go in; terms and their weighted sum come out. It knows no optimiser
and no pyramid. Departures from Gatys et al. stand in `gatys.py`, and why in docs/decisions/0004-objective.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from danqing.atelier import losses
from danqing.atelier.encoders import VGG
from danqing.recipe import Recipe

MEAN_SHARE = 0.3
"""What the means of the features weigh beside their covariances."""

PROBE_NOISE = 0.1
"""How much noise is mixed into the start to measure how hard each term pulls: at the photo itself content does not."""

Statistics = tuple[Tensor, Tensor]


def statistics(features: Tensor, kind: str) -> Statistics:
    """What a style is remembered by in one layer: mean (C,) and covariance (C, C), or mean and Gram matrix."""
    if kind == "gram":
        return losses.positions(features).mean(0), losses.gram(features)
    return losses.mean_and_covariance(features)


def style_distance(features: Tensor, target: Statistics, kind: str) -> Tensor:
    """Distance of one layer's statistics from the style's, about 0..1; 0 = the same."""
    mean, matrix = statistics(features, kind)
    distance = losses.ratio(matrix, target[1])
    if kind == "gram":
        return distance
    variance = target[1].diagonal().sum() + 1e-8
    return distance + MEAN_SHARE * (mean - target[0]).square().sum() / variance


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


class Objective:
    """What a level descends: content, style and total variation, each calibrated and weighted.

    `terms(x)` gives the raw terms, `total(terms)` the weighted sum that is minimised. Targets are computed here, once.
    """

    def __init__(self, encoder: VGG, recipe: Recipe, *, content: Tensor, styles: list[tuple[float, Tensor]]) -> None:
        self.encoder, self.recipe = encoder, recipe
        self.layers = set(recipe.content_layers) | set(recipe.style_layers)
        with torch.no_grad():
            own = encoder(content, self.layers)
            normalized = recipe.content_loss == "normalized"
            self.content = {
                layer: losses.instance_normalized(own[layer]) if normalized else own[layer].float()
                for layer in recipe.content_layers
            }
            learned = blend([(weight, self.remember(picture)) for weight, picture in styles])
            if recipe.strength < 1:
                kept = {layer: statistics(own[layer], recipe.style_loss) for layer in recipe.style_layers}
                learned = blend([(recipe.strength, learned), (1 - recipe.strength, kept)])
            self.style = learned
        self.weights = {
            "content": recipe.content_weight if recipe.content_layers else 0.0,
            "style": recipe.style_weight if recipe.style_layers else 0.0,
            "tv": recipe.tv_weight,
        }
        self.calibration = dict.fromkeys(self.weights, 1.0)

    def remember(self, picture: Tensor) -> dict[str, Statistics]:
        """Statistics of a style picture (1, 3, H, W) in every style layer."""
        features = self.encoder(picture, set(self.recipe.style_layers))
        return {layer: statistics(f, self.recipe.style_loss) for layer, f in features.items()}

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The raw terms that have a weight, for a picture (1, 3, H, W) in 0..1."""
        features = self.encoder(x, self.layers)
        recipe = self.recipe
        terms = {}
        if self.weights["content"]:
            distance = losses.normalized_content if recipe.content_loss == "normalized" else losses.content
            values = [w * distance(features[n], self.content[n]) for n, w in recipe.content_layers.items()]
            terms["content"] = torch.stack(values).sum() / sum(recipe.content_layers.values())
        if self.weights["style"]:
            values = [
                w * style_distance(features[n], self.style[n], recipe.style_loss)
                for n, w in recipe.style_layers.items()
            ]
            terms["style"] = torch.stack(values).sum() / sum(recipe.style_layers.values())
        if self.weights["tv"]:
            terms["tv"] = losses.total_variation(x)
        return terms

    def pulls(self, x: Tensor) -> dict[str, float]:
        """How hard each calibrated term pulls at x: the norm of its gradient, before its weight."""
        x = x.detach().requires_grad_()
        terms = self.terms(x)
        return {
            name: self.calibration[name] * float(torch.autograd.grad(term, x, retain_graph=True)[0].norm())
            for name, term in terms.items()
        }

    def calibrate(self, x: Tensor, generator: torch.Generator) -> None:
        """Scale the terms so that at weight 1 each pulls as hard as the hardest, beside the picture x."""
        noise = torch.rand(x.shape, generator=generator).to(x.device)
        pulls = self.pulls(x.lerp(noise, PROBE_NOISE))
        hardest = max(pulls.values())
        self.calibration |= {name: hardest / max(pull, 1e-8 * hardest) for name, pull in pulls.items()}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The scalar that is minimised."""
        return torch.stack([self.weights[n] * self.calibration[n] * value for n, value in terms.items()]).sum()
