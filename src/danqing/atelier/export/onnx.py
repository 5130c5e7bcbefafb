"""Encoders as ONNX graphs, for the runtimes that need no torch.

The graph is written out by hand with onnx.helper: it has six kinds of node, takes any height and width, and its
weights are stored in float16 and computed with in float32. In: `picture` float32 (1, 3, H, W), sRGB in 0..1; out: one
float32 (1, C, h, w) for each layer asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from danqing.atelier.encoders import VGG

OPSET = 17


def encoder_to_onnx(encoder: VGG, layers: Sequence[str]) -> bytes:
    """An encoder with max pooling as a serialised ONNX model.

    Raises:
        ValueError: another pooling, which this export does not write.
    """
    if encoder.pooling != "max":
        raise ValueError(f"only max pooling is exported, not {encoder.pooling}")
    nodes, weights = [], []

    def constant(name: str, value: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(value.astype(np.float16), f"{name}.f16"))
        nodes.append(helper.make_node("Cast", [f"{name}.f16"], [name], to=TensorProto.FLOAT))
        return name

    matrix = numpy_helper.from_array(encoder.matrix.numpy()[:, :, None, None], "matrix")
    bias = numpy_helper.from_array(encoder.bias.numpy(), "bias")
    weights += [matrix, bias]
    if encoder.padding == "reflect":
        weights.append(numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64), "margins"))
    nodes.append(helper.make_node("Conv", ["picture", "matrix", "bias"], ["seen"]))
    flow, outputs = "seen", []
    for name in encoder.names:
        if name.endswith("_1") and name != "conv1_1":
            nodes.append(helper.make_node("MaxPool", [flow], [f"pooled.{name}"], kernel_shape=[2, 2], strides=[2, 2]))
            flow = f"pooled.{name}"
        convolution = encoder.convolution(name)
        if encoder.padding == "reflect":
            nodes.append(helper.make_node("Pad", [flow, "margins"], [f"padded.{name}"], mode="reflect"))
            flow = f"padded.{name}"
        inputs = [flow] + [
            constant(f"{name}.{part}", convolution.get_parameter(part).detach().float().numpy())
            for part in ("weight", "bias")
        ]
        relu = f"relu{name[4:]}"
        nodes.append(helper.make_node("Conv", inputs, [name], pads=[0 if encoder.padding == "reflect" else 1] * 4))
        nodes.append(helper.make_node("Relu", [name], [relu]))
        flow = relu
        if relu in layers:
            outputs.append(helper.make_tensor_value_info(relu, TensorProto.FLOAT, [1, None, None, None]))
        if len(outputs) == len(layers):
            break
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "encoder", [picture], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="danqing")
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
