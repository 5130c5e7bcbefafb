"""ONNX Runtime: a model's bytes become a session that maps arrays to arrays; and encoders without torch on top of it.

The model is loaded from its bytes and must be whole: a file that refers to data outside itself is refused before the
runtime sees it, since such references have led to other people's files more than once (CVE-2022-25882 and its
successors). This module knows no catalog: which file belongs to which name is `catalog`'s business.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import machine
from danqing.engines.protobuf import encoded, fields, replaced
from danqing.errors import DanqingError, DoesNotFit, ModelDamaged, ModelMissing
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

KINDS: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8
}  # fmt: skip
"""Kinds of numbers that a picture may be made of."""

Arrays = Mapping[str, NDArray[np.float32]]
"""Inputs of a model, each by its name."""


class Session:
    """A model, by ONNX Runtime on the processor.

    Args:
        data: the model.
        name: what messages call it.
        threads: how many it may use; None = all cores.

    Attributes:
        inputs: their names and shapes; sides that may be any are None.
        kinds: the kind of number that each input takes; None for one that no picture is made of.
        outputs: their names.

    Raises:
        ModelDamaged: it is no model, or refers to outside data.
        DoesNotFit: there is not enough memory.
    """

    def __init__(self, data: bytes, *, name: str, threads: int | None = None) -> None:
        refuse_external_data(data, name)
        self.name = name
        self._session = _session(data, name, threads=threads)
        self.inputs: dict[str, tuple[int | None, ...]] = {
            one.name: tuple(side if isinstance(side, int) else None for side in one.shape)
            for one in self._session.get_inputs()
        }
        self.kinds = {one.name: KINDS.get(one.type) for one in self._session.get_inputs()}
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, values: Arrays) -> dict[str, NDArray[np.float32]]:
        """The outputs for inputs, each by its name.

        Raises:
            ModelDamaged: the model cannot be run on them.
            DoesNotFit: there is not enough memory.
        """
        return in_turn(self._run, self.inputs, values)

    def _run(self, values: Arrays) -> dict[str, NDArray[np.float32]]:
        try:
            given = {name: typed(value, self.kinds.get(name)) for name, value in values.items()}
            found = self._session.run(None, given)
        except Exception as error:  # onnxruntime's errors have no common parent but this
            raise failure("run", self.name, error, _reason(error)) from error
        return dict(zip(self.outputs, found, strict=True))


def in_turn(
    run: Callable[[Arrays], dict[str, NDArray[np.float32]]],
    shapes: Mapping[str, tuple[int | None, ...]],
    values: Arrays,
) -> dict[str, NDArray[np.float32]]:
    """The outputs for several pictures; a model that takes one at a time gets them one after the other.

    Args:
        run: the model.
        shapes: of its inputs, as it says; sides that may be any are None.
        values: its inputs, each by its name.
    """
    several = {name for name, value in values.items() if shapes.get(name, ())[:1] == (1,) and len(value) > 1}
    if not several:
        return run(values)
    count = max(len(values[name]) for name in several)
    turns = [
        run({name: value[n : n + 1] if name in several else value for name, value in values.items()})
        for n in range(count)
    ]
    return {name: np.concatenate([found[name] for found in turns]) for name in turns[0]}


def typed(value: NDArray[np.float32], kind: type[np.generic] | None) -> NDArray[Any]:
    """Numbers in the kind that a model takes; whole ones are rounded."""
    if kind is np.uint8:
        value = np.clip(np.rint(value), 0, 255)
    return np.ascontiguousarray(value, dtype=kind or np.float32)


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
        name = name or ("ONNX" if isinstance(source, bytes) else shown(source))
        self._session = Session(source if isinstance(source, bytes) else read(Path(source)), name=name)
        single = set(self._session.kinds.values()) == {np.float32}
        if not single or [len(shape) for shape in self._session.inputs.values()] != [4]:
            raise ModelDamaged(text("engines.onnx_form", name=name))
        self.layers = self._session.outputs

    def __call__(self, pixels: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Features of pixels (H, W, 3) in 0..1: {layer: (C, h, w)}.

        Raises:
            ModelDamaged: the model cannot be run on a picture of this size.
        """
        (name,) = self._session.inputs
        values = self._session({name: pixels.transpose(2, 0, 1)[None]})  # (1, 3, H, W)
        return {layer: value[0] for layer, value in values.items()}


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
    for field, value in fields(data):
        if message == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            return True
        if field in inner:
            if isinstance(value, int):
                raise ValueError("a number where a message belongs")
            if _has_external(value, inner[field], depth + 1):
                return True
    return False


def freed(data: bytes, picture: str, layout: str) -> bytes:
    """A model that says of its picture and its paintings that they may be of any size.

    Networks of convolutions are often written down for the one size that they were exported with; nothing in them
    depends on it. Whether that is so has to be tried.

    Args:
        data: the model; `refuse_external_data` has gone through it.
        picture: what the model calls its input.
        layout: `NCHW` or `NHWC`.
    """
    sides = {layout.index("H"): b"height", layout.index("W"): b"width"}

    def dimensions(shape: memoryview) -> bytes:
        places = itertools.count()
        return replaced(shape, lambda _, one: encoded(2, side) if (side := sides.get(next(places))) else one)

    def declared(value: memoryview) -> bytes:  # ValueInfoProto.type.tensor_type.shape
        return _within(value, (2, 1, 2), dimensions)

    def graph(field: int, value: memoryview) -> bytes | memoryview | None:
        if field == 13:  # what is known of the values in between
            return None
        named = field == 11 and (1, picture.encode()) in [(n, bytes(one)) for n, one in fields(value) if n == 1]
        return declared(value) if named or field == 12 else value

    return replaced(memoryview(data), lambda field, value: replaced(value, graph) if field == 7 else value)


def _within(message: memoryview, path: tuple[int, ...], change: Callable[[memoryview], bytes]) -> bytes:
    """A message with what stands at a path of field numbers changed."""
    if not path:
        return change(message)
    return replaced(message, lambda field, value: _within(value, path[1:], change) if field == path[0] else value)


def read(path: Path) -> bytes:
    """The bytes of a model's file.

    Raises:
        ModelMissing: there is no such file.
        ModelDamaged: it cannot be read.
    """
    name = shown(path)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelMissing(text("engines.onnx_missing", name=name)) from error
    except OSError as error:
        raise ModelDamaged(text("engines.onnx_unreadable", name=name, reason=error.strerror)) from error


def runtime() -> Any:
    """ONNX Runtime, kept from telling its makers that it is used, and how."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # of Windows, where that is not read
    return onnxruntime


def _session(data: bytes, name: str, *, threads: int | None) -> Any:
    onnxruntime = runtime()
    if not data:
        raise ModelDamaged(text("engines.onnx_damaged", name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or machine.cores()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common parent but this
        raise failure("load", name, error, _reason(error)) from error


def failure(what: str, name: str, error: Exception, reason: str) -> DanqingError:
    """The one line for a runtime's own error: `DoesNotFit` where memory was wanting, else `ModelDamaged`.

    Args:
        what: `load` or `run`.
        name: of the model.
        error: what the runtime raised; memory is told by its words alone.
        reason: what it says, in a line.
    """
    if isinstance(error, MemoryError) or re.search(r"bad_alloc|bad allocation|failed to allocate", str(error), re.I):
        return DoesNotFit(text("engines.no_memory", name=name))
    return ModelDamaged(text(f"engines.onnx_{what}", name=name, reason=reason))


def _reason(error: Exception) -> str:
    return shown(str(error).strip().splitlines()[0][:200]) if str(error).strip() else type(error).__name__
