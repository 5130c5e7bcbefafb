"""A pastiche network with drawn weights, its predictor and two styles, published into a folder as a trained one is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed: no network can be published")
pytest.importorskip("onnx", reason="onnx is not installed: no network can be published")

import torch

from danqing import catalog
from danqing.atelier.nets.pastiche import PasticheNet
from danqing.atelier.nets.predictor import Predictor, given
from danqing.atelier.train import publish
from danqing.card import Card, LearntStyle

STYLES = (
    LearntStyle(name="reeds", title="Reeds", title_zh="芦苇", artist="Unknown", date="1700", source="a test"),
    LearntStyle(name="smoke", title="Smoke", title_zh="烟", artist="Unknown", date="1800", source="a test"),
)


def drawn(*, seed: int = 3) -> tuple[PasticheNet, Predictor]:
    """A network and a predictor whose weights are drawn."""
    torch.manual_seed(seed)
    net = PasticheNet()
    predictor = Predictor(net.neutral())
    with torch.no_grad():
        net.out.weight.mul_(5)
    return net.eval(), predictor.eval()


def vector(net: PasticheNet, rng: np.random.Generator) -> NDArray[np.float32]:
    """A style vector: the statistics of drawn colours and features, and drawn entries near the neutral ones."""
    seen = {
        layer: torch.from_numpy(rng.random((1, channels, 24, 24), dtype=np.float32) ** 2)
        for layer, channels in net.styled.items()
    }
    head = given(seen, seen["rgb"])[0].numpy()
    tail = net.neutral().numpy()
    return np.concatenate([head, tail + 0.3 * rng.normal(size=tail.shape)]).astype(np.float32)


def bundle(folder: Path) -> None:
    """Bundled models in `folder`: the encoder that ships, and a drawn network."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in catalog.MODELS.glob("compact.*"):
        shutil.copy(path, folder)
    published(folder)


def published(folder: Path, *, seed: int = 3, name: str = "pastiche", prefix: str = "") -> Card:
    """Network, predictor and styles of a seed as files in `folder`; the network's card."""
    folder.mkdir(parents=True, exist_ok=True)
    net, predictor = drawn(seed=seed)
    rng = np.random.default_rng(seed)
    styles = [style.model_copy(update={"name": prefix + style.name}) for style in STYLES]
    vectors = {style.name: np.stack([vector(net, rng) for _ in range(3)]) for style in styles}
    origin = {"origin": "a test", "teacher": "none", "data": "none"}
    return publish.pastiche(net, predictor, vectors, styles, folder, name=name, **origin)
