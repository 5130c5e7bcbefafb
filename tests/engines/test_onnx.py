"""The encoder without torch: its features against a plain computation, and models that reach outside themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danqing.engines.onnx import Encoder, failure, refuse_external_data
from danqing.errors import DoesNotFit, ModelDamaged, ModelMissing

onnx = pytest.importorskip("onnx")
helper = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


def tensor(name: str, values: np.ndarray) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(values.astype(np.float32), name)


def external(name: str, shape: list[int], location: str = "../../etc/passwd") -> onnx.TensorProto:
    made = onnx.TensorProto(name=name, data_type=FLOAT, dims=shape, data_location=onnx.TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=location)
    return made


def model(weights: onnx.TensorProto, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    nodes = nodes or [
        helper.make_node("Conv", ["image", "weights"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu1_1"]),
        helper.make_node("MaxPool", ["relu1_1"], ["relu2_1"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("image", FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info(n, FLOAT, None) for n in ("relu1_1", "relu2_1")],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_features_are_what_the_network_computes(tmp_path: Path) -> None:
    weights = np.array([[1, 0, 0], [-1, 1, 0], [0.5, 0.5, -1]])[..., None, None]
    path = tmp_path / "编码器.onnx"
    path.write_bytes(model(tensor("weights", weights)).SerializeToString())
    encoder = Encoder(path)
    assert encoder.layers == ("relu1_1", "relu2_1")
    pixels = np.random.default_rng(0).random((6, 4, 3), dtype=np.float32)
    features = encoder(pixels)
    expected = np.maximum(np.einsum("hwc,oc->ohw", pixels, weights[..., 0, 0]), 0)
    np.testing.assert_allclose(features["relu1_1"], expected, atol=1e-6)
    np.testing.assert_allclose(features["relu2_1"], expected.reshape(3, 3, 2, 2, 2).max(axis=(2, 4)), atol=1e-6)


def _in_an_attribute() -> onnx.ModelProto:
    constant = helper.make_node("Constant", [], ["relu1_1"], value=external("c", [1]))
    relu = helper.make_node("Relu", ["image"], ["relu2_1"])
    return model(tensor("weights", np.zeros((3, 3, 1, 1))), [constant, relu])


def _in_a_branch() -> onnx.ModelProto:
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("c", FLOAT, [1])], [external("c", [1])])
    node = helper.make_node("If", ["image"], ["relu1_1"], then_branch=branch, else_branch=branch)
    return model(tensor("weights", np.zeros((3, 3, 1, 1))), [node])


def _in_a_function() -> onnx.ModelProto:
    made = model(tensor("weights", np.zeros((3, 3, 1, 1))))
    constant = helper.make_node("Constant", [], ["y"], value=external("c", [1]))
    made.functions.append(helper.make_function("own", "F", [], ["y"], [constant], [helper.make_opsetid("", 17)]))
    return made


def _sparse() -> onnx.ModelProto:
    made = model(tensor("weights", np.zeros((3, 3, 1, 1))))
    made.graph.sparse_initializer.add().values.CopyFrom(external("s", [1]))
    return made


OUTSIDE = {
    "initializer": lambda: model(external("weights", [3, 3, 1, 1])),
    "hard link beside": lambda: model(external("weights", [3, 3, 1, 1], "beside.bin")),
    "attribute": _in_an_attribute,
    "branch": _in_a_branch,
    "function": _in_a_function,
    "sparse": _sparse,
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_data_outside_the_file_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_LANG", "en")
    with pytest.raises(ModelDamaged, match="outside its own file"):
        Encoder(OUTSIDE[kind]().SerializeToString(), name="x")


def test_a_whole_model_is_not_refused() -> None:
    refuse_external_data(model(tensor("weights", np.zeros((3, 3, 1, 1)))).SerializeToString(), "x")


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"<html>404</html>", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3a\x02" + b"\x0a" * 400],
    ids=["empty", "zero", "HTML", "longer than there is", "cut off"],
)
def test_garbage_is_one_line(data: bytes) -> None:
    with pytest.raises(ModelDamaged) as caught:
        Encoder(data, name="模型.onnx")
    assert "模型.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_every_cut_of_a_model_is_refused() -> None:
    whole = model(tensor("weights", np.ones((3, 3, 1, 1)))).SerializeToString()
    for length in range(0, len(whole) - 1, 7):
        with pytest.raises(ModelDamaged):
            Encoder(whole[:length], name="x")


def test_models_of_another_form_are_refused() -> None:
    made = model(tensor("weights", np.zeros((3, 3, 1, 1))))
    made.graph.input.append(helper.make_tensor_value_info("more", FLOAT, [1]))
    with pytest.raises(ModelDamaged):
        Encoder(made.SerializeToString())


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="没有"):
        Encoder(tmp_path / "没有.onnx")


def test_a_lack_of_memory_is_no_damage() -> None:
    for words in ("std::bad_alloc", "[E:onnxruntime] Failed to allocate memory for requested buffer of size 1"):
        assert isinstance(failure("run", "a", RuntimeError(words), words), DoesNotFit)
    assert isinstance(failure("load", "a", RuntimeError("no such operator"), "no such operator"), ModelDamaged)
