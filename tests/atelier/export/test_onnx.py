"""The graph is the encoder: ONNX Runtime against torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: nothing can be exported")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

import onnxruntime  # noqa: E402

from danqing.atelier import encoders  # noqa: E402
from danqing.atelier.export.onnx import encoder_to_onnx  # noqa: E402
from tests.atelier.conftest import seeded  # noqa: E402

LAYERS = ("relu1_1", "relu3_3", "relu5_1")


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("size", [(64, 64), (37, 90)])
def test_the_graph_gives_the_encoders_features(padding: encoders.Padding, size: tuple[int, int]) -> None:
    net = encoders.VGG((4, 6, 8, 8, 8), padding=padding, matrix=encoders.CAFFE_MATRIX, bias=encoders.CAFFE_BIAS)
    net = seeded(net).half().float()  # the graph holds its weights in float16
    x = torch.rand(1, 3, *size)
    session = onnxruntime.InferenceSession(encoder_to_onnx(net, LAYERS), providers=["CPUExecutionProvider"])
    expected = net(x, LAYERS)
    for layer, found in zip(LAYERS, session.run(list(LAYERS), {"picture": x.numpy()}), strict=True):
        np.testing.assert_allclose(found, expected[layer].numpy(), rtol=1e-3, atol=1e-2)


def test_average_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="max pooling"):
        encoder_to_onnx(encoders.VGG((4, 6, 8, 8, 8), pooling="average"), LAYERS)
