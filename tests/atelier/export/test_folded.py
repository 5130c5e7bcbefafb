"""Convolutions at half the resolution are those at full resolution, folded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the networks cannot be tested")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

import torch.nn.functional as F  # noqa: E402

from danqing.atelier.export import folded  # noqa: E402
from danqing.atelier.export.graph import Graph, value  # noqa: E402
from danqing.engines import onnx  # noqa: E402

OUTPUTS, INPUTS, HEIGHT, WIDTH = 3, 2, 6, 8


def made(kernels: np.ndarray[Any, Any], how: np.ndarray[Any, Any]) -> torch.Tensor:
    """The kernels that a graph makes of others."""
    graph = Graph()
    found = folded.kernels(graph, "given", (OUTPUTS, INPUTS), how, "map")
    data = graph.model([value("given", [OUTPUTS, INPUTS, 3, 3])], [value(found, [None] * 4)], name="folded")
    return torch.from_numpy(onnx.Session(data, name="folded")({"given": kernels})[found])


@pytest.fixture
def kernels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(OUTPUTS, INPUTS, 3, 3)).astype(np.float32)


def test_of_folded(kernels: np.ndarray[Any, Any]) -> None:
    x = torch.randn(1, INPUTS, HEIGHT, WIDTH)
    found = F.conv2d(F.pixel_unshuffle(x, 2), made(kernels, folded.OF_FOLDED), padding=1)
    expected = F.conv2d(x, torch.from_numpy(kernels), padding=1)
    torch.testing.assert_close(F.pixel_shuffle(found, 2), expected, atol=1e-5, rtol=0)


def test_of_enlarged(kernels: np.ndarray[Any, Any]) -> None:
    """Beyond the border are zeros before it is enlarged, too."""
    x = torch.randn(1, INPUTS, HEIGHT // 2, WIDTH // 2)
    found = F.conv2d(x, made(kernels, folded.OF_ENLARGED), padding=1)
    large = F.interpolate(F.pad(x, (2,) * 4), scale_factor=2, mode="bilinear", align_corners=False)
    expected = F.conv2d(large[:, :, 3:-3, 3:-3], torch.from_numpy(kernels))
    torch.testing.assert_close(F.pixel_shuffle(found, 2), expected, atol=1e-5, rtol=0)


def test_of_repeated(kernels: np.ndarray[Any, Any]) -> None:
    x = torch.randn(1, INPUTS, HEIGHT // 2, WIDTH // 2)
    found = F.conv2d(x, made(kernels, folded.OF_REPEATED), padding=1)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), torch.from_numpy(kernels), padding=1)
    torch.testing.assert_close(F.pixel_shuffle(found, 2), expected, atol=1e-5, rtol=0)
