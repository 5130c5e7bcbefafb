"""OpenVINO: a model's bytes become a session that maps arrays to arrays, as `onnx.Session` does.

Where the processor multiplies bfloat16 in hardware, it does so here: several times as fast, and the difference cannot
be seen. Which operations may be halved is said here, not left to OpenVINO: what a graph names `exact.…`, and what has
no convolution before it, stays in float32. Compiled models are kept in the cache folder, so that only the first picture
ever pays for compiling.
"""

from __future__ import annotations

import queue
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import machine
from danqing.engines.onnx import Arrays, failure, in_turn, refuse_external_data, typed
from danqing.files import shown

EXACT = "exact."
"""How the names of operations begin that would go wrong in bfloat16."""

PLACE = ".place"
"""How the names of values end that are features at one place: others may be taken less them in bfloat16, whatever is
left of their own precision, for they count with nothing else."""

HALF = ".half"
"""How the names of others end that may be taken in bfloat16 although no convolution stands before them, or that are
means and sums: of rows, where what is lost in one is not lost in the next."""

_HALVED = {"Convolution", "ConvolutionBackpropData"}
_HALVED_BEHIND = {
    "Add",
    "Concat",
    "Interpolate",
    "MaxPool",
    "Multiply",
    "Pad",
    "Relu",
    "Reshape",
    "Slice",
    "StridedSlice",
}
"""Kinds of operation that are halved: always, and behind others that are."""

_compiling = threading.Lock()  # meanwhile OpenVINO changes the locale of the process; two at once would leave it so

_ALONG = {"Add", "Multiply", "Subtract"}
"""Kinds in which features meet one number for each of their channels."""


class Session:
    """A model, by OpenVINO on the processor.

    Args:
        data: the ONNX model.
        name: what messages call it.
        threads: how many it may use; None = all cores.
        at_once: how many calls may be made side by side; they share the threads.
        cache: the folder for compiled models; None = none.
        half: whether bfloat16 may be used; None = where the processor has it.

    Attributes:
        inputs: their names and shapes; sides that may be any are None.
        outputs: their names.

    Raises:
        ModelDamaged: it is no model, or refers to outside data.
        DoesNotFit: there is not enough memory.
    """

    def __init__(
        self,
        data: bytes,
        *,
        name: str,
        threads: int | None = None,
        at_once: int = 1,
        cache: Path | None = None,
        half: bool | None = None,
    ) -> None:
        openvino = runtime()
        refuse_external_data(data, name)
        self.name = name
        core = openvino.Core()
        half = machine.has_bf16() if half is None else half
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": max(at_once, threads or machine.cores()),
            "NUM_STREAMS": at_once,
            # Pinned to cores, the threads of several processes, or of several sessions in one, share the first of them.
            "ENABLE_CPU_PINNING": False,
        }
        if cache is not None:
            settings["CACHE_DIR"] = str(cache)
        try:
            with _compiling:
                model = core.read_model(data, b"")
                _fold(model)
                if half:
                    halve(model)
                self._model = core.compile_model(model, "CPU", settings)
            self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for _ in range(at_once):
                self._idle.put(self._model.create_infer_request())
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise failure("load", name, error, _reason(error)) from error
        self.inputs: dict[str, tuple[int | None, ...]] = {
            one.any_name: tuple(None if side.is_dynamic else side.get_length() for side in one.partial_shape)
            for one in self._model.inputs
        }
        self._kinds = {one.any_name: one.element_type.to_dtype().type for one in self._model.inputs}
        self.outputs: tuple[str, ...] = tuple(one.any_name for one in self._model.outputs)

    def __call__(self, values: Arrays) -> dict[str, NDArray[np.float32]]:
        """The outputs for inputs, each by its name.

        Raises:
            ModelDamaged: the model cannot be run on them.
            DoesNotFit: there is not enough memory.
        """
        return in_turn(self._run, self.inputs, values)

    def _run(self, values: Arrays) -> dict[str, NDArray[np.float32]]:
        request = self._idle.get()
        try:
            given = {name: typed(value, self._kinds.get(name)) for name, value in values.items()}
            found = request.infer(given, share_inputs=True)
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise failure("run", self.name, error, _reason(error)) from error
        finally:
            self._idle.put(request)
        return {one.any_name: found[one] for one in self._model.outputs}


def runtime() -> Any:
    """OpenVINO, kept from telling its makers that it was imported, which takes a process of its own and the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it takes its own stand-in then
    import openvino

    return openvino


def _fold(model: Any) -> None:
    """Compute what depends on no input.

    OpenVINO 2026.4 does so by itself, but only behind steps that take a matrix for its own transpose where one that is
    known stands on both sides of a product.
    """
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)


def halve(model: Any) -> None:
    """Let convolutions, and what only passes their outputs on, work in bfloat16."""
    import openvino
    from openvino import opset13

    halved, varying = _sorted(model)
    changed: dict[tuple[str, int, bool], Any] = {}
    for node in model.get_ordered_ops():
        half, kind = node.get_friendly_name() in halved, node.get_type_name()
        for place, entry in enumerate(node.inputs()):
            output = entry.get_source_output()
            source = output.get_node().get_friendly_name()
            numbers = output.get_element_type() == openvino.Type.f32
            sizes = kind == "ShapeOf" or (place and kind == "Interpolate")
            if not numbers or sizes or half == (source in halved):
                continue
            key = source, output.get_index(), half
            if key not in changed:
                changed[key] = opset13.convert(output, "bf16" if half else "f32")
            found = changed[key]
            if half and place and kind in _ALONG and source in varying:
                found = _laid_out(found, node.input_value(0))
            entry.replace_source_output(found.output(0))
    model.validate_nodes_and_infer_types()


def _sorted(model: Any) -> tuple[set[str], set[str]]:
    """The names of what is halved, and of what depends on the inputs."""
    halved: set[str] = set()
    varying: set[str] = set()
    for node in model.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        sources = [entry.get_source_output().get_node().get_friendly_name() for entry in node.inputs()]
        behind = bool(sources) and sources[0] in halved
        less = kind == "Subtract" and sources[1].endswith(PLACE)
        may = kind in _HALVED or name.endswith(HALF) or (behind and (kind in _HALVED_BEHIND or less))
        if may and not name.startswith(EXACT):
            halved.add(name)
        if kind == "Parameter" or (kind != "ShapeOf" and not varying.isdisjoint(sources)):
            varying.add(name)
    return halved, varying


def _laid_out(numbers: Any, features: Any) -> Any:
    """One number for each channel, (1, C, 1, 1), as a row (1, C, 1, W) that is laid out as features (1, C, H, W) are.

    Convolutions give the channels of a place side by side. What meets them with another order is brought into it and
    back, which takes longer than the convolution; and channel by channel it is slow. A convolution of ones by the
    numbers puts them in order, and a whole row of them goes quickly.
    """
    from openvino import opset13

    shape = numbers.get_output_partial_shape(0)
    rank = features.get_partial_shape().rank
    if shape.is_dynamic or len(shape) != 4 or rank.is_dynamic or rank.get_length() != 4:
        return numbers
    pictures, channels, *sides = (side.get_length() for side in shape)
    if [pictures, *sides] != [1, 1, 1]:
        return numbers
    kernels = opset13.reshape(numbers, opset13.constant([channels, 1, 1, 1]), special_zero=False)
    width = opset13.gather(opset13.shape_of(features), opset13.constant([3]), opset13.constant(0))
    row = opset13.concat([opset13.constant(np.array([1, 1, 1])), width], 0)
    ones = opset13.convert(opset13.broadcast(opset13.constant(np.float32(1)), row), "bf16")
    return opset13.convolution(ones, kernels, [1, 1], [0, 0], [0, 0], [1, 1])


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[-1][:200]) if lines else type(error).__name__
