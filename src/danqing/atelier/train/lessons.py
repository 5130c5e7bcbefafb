"""What `compact` learns from: crops of photographs and paintings, and what the teachers see in them.

Crops are a pure function of (seed, number), their order one of (seed, epoch). It knows no student.
"""

from __future__ import annotations

import hashlib
import logging
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danqing.atelier.train.teachers import LESSONS, Teachers, thin

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The recipe of a distillation; see recipes/compact.toml."""

    seed: int
    steps: int
    batch: int
    crops: int
    crop: int
    learning_rate: float
    weight_decay: float
    covariance_weight: float
    ema: float
    paintings_share: float
    holdout: str
    refine_steps: int
    refine_paintings: int
    refine_learning_rate: float

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The recipe in a TOML file.

        Raises:
            TypeError: a key is missing or unknown.
        """
        return cls(**tomllib.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Pictures:
    """Photographs and paintings in memory, each uint8 (H, W, 3)."""

    photos: list[NDArray[np.uint8]]
    paintings: list[NDArray[np.uint8]]

    @classmethod
    def read(cls, data: Path, holdout: Path, *, held_out: bool) -> Pictures:
        """All pictures under `data/photos` and `data/paintings`, without the held-out ones, or only those."""
        rule = tomllib.loads(holdout.read_text(encoding="utf-8"))

        def photo_held(path: Path) -> bool:
            return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % int(rule["photos_modulus"]) == 0

        photos = [p for p in sorted((data / "photos").glob("*.jpg")) if photo_held(p) == held_out]
        paintings = [p for p in sorted((data / "paintings").glob("*.jpg")) if (p.name in rule["paintings"]) == held_out]
        return cls(*([np.asarray(Image.open(p).convert("RGB")) for p in group] for group in (photos, paintings)))


def crop_at(pictures: Pictures, plan: Plan, number: int) -> NDArray[np.float32]:
    """One training crop, float32 (3, crop, crop) in 0..1: cut, scaled, recoloured, and sometimes drowned in noise.

    Noise belongs here because optimisation passes through pictures that no camera would take: an encoder that has
    only seen photographs answers the finest grain by chance, and its gradients draw that grain into every painting.
    """
    rng = np.random.default_rng((plan.seed, number))
    group = pictures.paintings if rng.random() < plan.paintings_share else pictures.photos
    source = group[rng.integers(len(group))]
    height, width = source.shape[:2]
    side = min(plan.crop * rng.uniform(0.6, 1.8), height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    box = (left, top, left + side, top + side)
    image = Image.fromarray(source).resize((plan.crop, plan.crop), Image.Resampling.BICUBIC, box=box)
    x = np.asarray(image, dtype=np.float32) / 255
    if rng.random() < 0.5:
        x = x[:, ::-1]
    if rng.random() < 0.35:
        x = (x - 0.5) * rng.uniform(0.5, 1.5, 3).astype(np.float32) + 0.5 + rng.normal(0, 0.1, 3).astype(np.float32)
    if rng.random() < 0.1:
        x = x[:, :, rng.permutation(3)]
    if rng.random() < 0.7:
        x = x + rng.normal(0, np.exp(rng.uniform(np.log(0.01), np.log(0.2))), x.shape).astype(np.float32)
    if rng.random() < 0.1:
        x = x + rng.uniform(0, 1) * (_noise(rng, plan.crop) - x)
    return np.ascontiguousarray(np.clip(x, 0, 1).transpose(2, 0, 1))


def plain_crop(group: list[NDArray[np.uint8]], side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A square crop of one of the pictures at `side` px, float32 (side, side, 3) in 0..1, as it is."""
    source = group[rng.integers(len(group))]
    height, width = source.shape[:2]
    cut = min(side * rng.uniform(1.0, 1.8), height, width)
    left, top = rng.uniform(0, width - cut), rng.uniform(0, height - cut)
    box = (left, top, left + cut, top + cut)
    image = Image.fromarray(source).resize((side, side), Image.Resampling.LANCZOS, box=box)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _noise(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Noise of a random grain, float32 (size, size, 3) around 0.5."""
    grain = int(rng.choice([1, 1, 2, 4, 8]))
    small = rng.normal(0.5, rng.uniform(0.05, 0.3), (size // grain, size // grain, 3)).clip(0, 1)
    image = Image.fromarray((small * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def still_crops(pictures: Pictures, seed: int) -> Tensor:
    """32 crops of at most 256 px, half of them paintings, without noise or recolouring: (32, 3, 256, 256) in 0..1."""
    crops = []
    for place in range(32):
        rng = np.random.default_rng((seed, place))
        group = (pictures.photos, pictures.paintings)[place % 2]
        source = group[place // 2 % len(group)]
        top, left = (rng.integers(0, max(1, side - 255)) for side in source.shape[:2])
        crops.append(source[top : top + 256, left : left + 256].transpose(2, 0, 1) / np.float32(255))
    return torch.from_numpy(np.stack(crops))


@dataclass(frozen=True)
class Lessons:
    """Crops and what the teachers see in them, kept in memory: about 1.6 MB a crop.

    Attributes:
        crops: uint8 (N, 3, crop, crop).
        answers: {lesson: bfloat16 (N, C, h, w)}, thinned.
    """

    crops: Tensor
    answers: dict[str, Tensor]

    @classmethod
    def prepare(cls, pictures: Pictures, teachers: Teachers, plan: Plan) -> Lessons:
        """Cut all crops and ask the teachers."""
        return cls.asked(cls.cut(pictures, plan, plan.crops), teachers)

    @classmethod
    def cut(cls, pictures: Pictures, plan: Plan, count: int) -> Tensor:
        """The first crops, uint8 (count, 3, crop, crop)."""
        crops = torch.empty((count, 3, plan.crop, plan.crop), dtype=torch.uint8)
        for number in range(count):
            crops[number] = torch.from_numpy((crop_at(pictures, plan, number) * 255).round().astype(np.uint8))
        return crops

    @classmethod
    def asked(cls, crops: Tensor, teachers: Teachers) -> Lessons:
        """Ask the teachers about crops, uint8 (N, 3, crop, crop), eight at a time."""
        answers: dict[str, Tensor] = {}
        for first in range(0, len(crops), 8):
            x = (crops[first : first + 8].float() / 255).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                found = thin(teachers(x))
            for name in LESSONS:
                if name not in answers:  # all at once: pieces put together in the end would need twice the memory
                    answers[name] = torch.empty((len(crops), *found[name].shape[1:]), dtype=found[name].dtype)
                answers[name][first : first + 8] = found[name]
            if first % 800 == 0:
                log.info("teachers asked for %d of %d crops", first, len(crops))
        return cls(crops, answers)

    def batch(self, plan: Plan, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch of a step: crops (batch, 3, crop, crop) in 0..1 and the teachers' features."""
        count = len(self.crops)
        a_pass = count // plan.batch
        order = np.random.default_rng((plan.seed, step // a_pass)).permutation(count)
        chosen = torch.from_numpy(order[step % a_pass * plan.batch :][: plan.batch])
        x = (self.crops[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        return x, {name: answers[chosen] for name, answers in self.answers.items()}
