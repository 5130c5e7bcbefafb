"""Encoders and pictures for the tests behind the wall; skipped where torch is absent."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the optimisation engine cannot be tested")

from danqing.atelier import encoders  # noqa: E402
from danqing.card import Card  # noqa: E402
from danqing.picture import Picture  # noqa: E402


def seeded(encoder: encoders.VGG, seed: int = 7) -> encoders.VGG:
    """An encoder with weights drawn so that features neither fade nor explode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in encoder.named_parameters():
        if name.endswith("weight"):
            fan_in = value.shape[1] * value.shape[2] * value.shape[3]
            value.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        else:
            value.data.zero_()
    return encoder.requires_grad_(requires_grad=False)


def pattern(height: int, width: int, *, seed: int = 0) -> Picture:
    """A picture with structure at several scales and colours of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    waves = [np.sin(rng.uniform(0.3, 2) * x + rng.uniform(0.3, 2) * y + rng.uniform(0, 6)) for _ in range(3)]
    pixels = 0.5 + 0.3 * np.stack(waves, axis=-1) * rng.uniform(0.4, 1, 3) + rng.normal(0, 0.03, (height, width, 3))
    return Picture(pixels=np.clip(pixels, 0, 1).astype(np.float32))


@pytest.fixture
def small_encoder() -> encoders.VGG:
    """Compact's shape with drawn weights."""
    return seeded(encoders.compact())


@pytest.fixture
def card() -> Card:
    """Papers for an encoder made here."""
    return Card(name="drawn", kind="encoder", file="none", sha256="0" * 64, license="Apache-2.0", origin="a test")
