"""Encoders without torch: a picture goes in, the features of named layers come out, by ONNX Runtime.

The model is loaded from its bytes and must be whole: a file that refers to data outside itself is refused before the
runtime sees it, since such references have led to other people's files more than once (CVE-2022-25882 and its
successors). This module knows no catalog: which file belongs to which name is `catalog`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.errors import ModelDamaged, ModelMissing
from danqing.files import shown
from danqing.messages import text

# Of ONNX's protobuf schema (onnx.proto) what leads to tensors: {message: {field: message}}.
_SCHEMA: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DEEPEST = 64


class Encoder:
    """The features of a picture, by ONNX Runtime on the processor.

    Args:
        source: the model's file, or its bytes. Its one input is float32 (1, 3, H, W), sRGB in 0..1; its outputs are
            called as the layers.
        name: what messages call it; the path's, where there is one.

    Raises:
        ModelMissing: there is no such file.
        ModelDamaged: it is no model, refers to outside data, or is not of this form.
    """

    def __init__(self, source: str | Path | bytes, *, name: str | None = None) -> None:
        self.name = name or ("ONNX" if isinstance(source, bytes) else shown(source))
        data = source if isinstance(source, bytes) else _read(Path(source), self.name)
        refuse_external_data(data, self.name)
        self._session = _session(data, self.name)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            raise ModelDamaged(text("engines.onnx_form", name=self.name))
        self._input = inputs[0].name
        self.layers: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, pixels: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Features of pixels (H, W, 3) in 0..1: {layer: (C, h, w)}.

        Raises:
            ModelDamaged: the model cannot be run on a picture of this size.
        """
        x = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32)  # (1, 3, H, W)
        try:
            values = self._session.run(None, {self._input: x})
        except Exception as error:  # onnxruntime's errors have no common parent but this
            raise ModelDamaged(text("engines.onnx_run", name=self.name, reason=_reason(error))) from error
        return {layer: value[0] for layer, value in zip(self.layers, values, strict=True)}


def refuse_external_data(data: bytes, name: str) -> None:
    """Go through a model's bytes and refuse it if any tensor, however deep, lies outside them.

    Raises:
        ModelDamaged: one does, or the bytes are no protobuf.
    """
    try:
        external = _has_external(memoryview(data), "model", 0)
    except (ValueError, IndexError) as error:
        raise ModelDamaged(text("engines.onnx_damaged", name=name)) from error
    if external:
        raise ModelDamaged(text("engines.onnx_external", name=name))


def _has_external(data: memoryview, message: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    inner = _SCHEMA[message]
    for field, value in _fields(data):
        if message == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            return True
        if field in inner:
            if isinstance(value, int):
                raise ValueError("a number where a message belongs")
            if _has_external(value, inner[field], depth + 1):
                return True
    return False


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of a protobuf message: (number, bytes or whole number); numbers of fixed width count as 0."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, kind = key >> 3, key & 7
        if field == 0:
            raise ValueError("no field has the number 0")
        if kind == 0:
            value, at = _varint(data, at)
            yield field, value
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
            yield field, 0
        elif kind == 2:
            length, at = _varint(data, at)
            yield field, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {kind}")
    if at != len(data):
        raise ValueError("cut off")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelMissing(text("engines.onnx_missing", name=name)) from error
    except OSError as error:
        raise ModelDamaged(text("engines.onnx_unreadable", name=name, reason=error.strerror)) from error


def _session(data: bytes, name: str) -> Any:
    import onnxruntime

    if not data:
        raise ModelDamaged(text("engines.onnx_damaged", name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common parent but this
        raise ModelDamaged(text("engines.onnx_load", name=name, reason=_reason(error))) from error


def _reason(error: Exception) -> str:
    return shown(str(error).strip().splitlines()[0][:200]) if str(error).strip() else type(error).__name__
