"""An engine without torch that mixes colours, and a gallery of two styles, for tests of what stands in front."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from danqing import catalog, engines
from danqing.card import Card
from danqing.errors import RunFailed
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Estimate, OnStep, Pastiche, Prior, Step

CARD = Card(name="fake", kind="encoder", file="fake.safetensors", sha256="0" * 64, license="MIT", origin="a test")


class FakeStylizer:
    """Every step moves the photo nearer to the mean colour of the styles; deterministic."""

    calls: ClassVar[list[SimpleNamespace]] = []

    def __init__(self, *, encoder_weights: Path | None = None) -> None:
        self.encoder_weights = encoder_weights

    def __call__(
        self,
        content: Picture,
        styles: tuple[Style, ...],
        recipe: Recipe,
        *,
        prior: Prior | None = None,
        on_step: OnStep | None = None,
    ) -> Pastiche:
        call = {"content": content, "styles": styles, "recipe": recipe, "prior": prior, "weights": self.encoder_weights}
        self.calls.append(SimpleNamespace(**call))
        total = sum(s.weight for s in styles)
        colour = sum(np.float32(s.weight / total) * s.source.pixels.mean(axis=(0, 1)) for s in styles)
        begin = prior.picture.pixels if prior else content.pixels
        pixels, losses, complete = begin, [], True
        for number in range(1, recipe.steps + 1):
            if "FAKE_MARK" in os.environ:
                Path(f"{os.environ['FAKE_MARK']}.{number}").touch()
            time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
            share = np.float32(recipe.strength * number / recipe.steps)
            pixels = ((1 - share) * begin + share * colour).astype(np.float32)
            losses.append({"content": number * 0.1, "style": 1 / number})
            now = Picture(pixels=pixels)
            if os.environ.get("FAKE_FAULT") == "nan" and number == 2:
                failed = RunFailed("out of hand")
                failed.kept = self._pastiche(now, recipe, losses, False)
                raise failed
            if os.environ.get("FAKE_FAULT") == "bug":
                raise ZeroDivisionError("a bug")
            step = Step(
                number=number, total=recipe.steps, size=content.size, losses=losses[-1], seconds=1.0, remaining=1.0,
                preview=lambda now=now: now,
            )  # fmt: skip
            if on_step and on_step(step) is False:
                complete = number == recipe.steps
                break
        return self._pastiche(Picture(pixels=pixels), recipe, losses, complete)

    def _pastiche(self, picture: Picture, recipe: Recipe, losses: list[Any], complete: bool) -> Pastiche:
        return Pastiche(picture=picture, recipe=recipe, card=CARD, seconds=0.1, losses=losses, complete=complete)

    def estimate(self, size: tuple[int, int], recipe: Recipe) -> Estimate:
        pixel = int(os.environ.get("FAKE_BYTES", "100")) * (0.25 if recipe.tiles else 0.5 if recipe.checkpoint else 1)
        return Estimate(memory=int(size[0] * size[1] * pixel), seconds=0.1)


@dataclass(frozen=True)
class Entry:
    name: str
    path: Path
    title: str = "The Title"
    title_zh: str = "标题"
    artist: str = "The Artist"
    date: str = "1890"
    source: str = "a museum"
    url: str = "https://example.org"
    classic: str = ""
    network: str | None = None
    file: Path | None = None


def picture(path: Path, size: tuple[int, int] = (48, 32), *, seed: int = 0, alpha: bool = False) -> Path:
    """A picture of soft noise."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 4 if alpha else 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def install(patch: pytest.MonkeyPatch, folder: Path) -> list[Entry]:
    """The fake engine instead of `optimize`, two styles in the gallery, and no network that paints them at once."""
    (folder / "gallery").mkdir(exist_ok=True)
    entries = [
        Entry(name, picture(folder / "gallery" / f"{name}.png", (40, 40), seed=seed))
        for seed, name in enumerate(("great-wave", "starry-night"), 100)
    ]
    FakeStylizer.calls.clear()
    patch.setitem(engines.ENGINES, "optimize", "tests.fake_engine:FakeStylizer")
    patch.setattr(engines, "NETWORK", "none")
    patch.setattr(catalog, "styles", lambda: entries)
    return entries
