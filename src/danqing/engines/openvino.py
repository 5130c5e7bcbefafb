"""OpenVINO: a model's bytes become a session that maps arrays to arrays, as `onnx.Session` does.

Where the processor multiplies bfloat16 in hardware, it does so here: several times as fast, and the difference cannot
be seen. Compiled models are kept in the cache folder, so that only the first picture ever pays for compiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import machine
from danqing.engines.onnx import refuse_external_data
from danqing.errors import ModelDamaged
from danqing.files import shown
from danqing.messages import text


class Session:
    """A model, by OpenVINO on the processor.

    Args:
        data: the ONNX model.
        name: what messages call it.
        threads: how many it may use; None = all cores.
        cache: the folder for compiled models; None = none.
        half: whether bfloat16 may be used; None = where the processor has it.

    Attributes:
        inputs: their names and shapes; sides that may be any are None.
        outputs: their names.

    Raises:
        ModelDamaged: it is no model, or refers to outside data.
    """

    def __init__(
        self,
        data: bytes,
        *,
        name: str,
        threads: int | None = None,
        cache: Path | None = None,
        half: bool | None = None,
    ) -> None:
        import openvino

        refuse_external_data(data, name)
        self.name = name
        core = openvino.Core()
        half = machine.has_bf16() if half is None else half
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "INFERENCE_NUM_THREADS": threads or machine.cores(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        if cache is not None:
            settings["CACHE_DIR"] = str(cache)
        try:
            model = core.read_model(data, b"")
            self._model = core.compile_model(model, "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise ModelDamaged(text("engines.onnx_load", name=name, reason=_reason(error))) from error
        self.inputs: dict[str, tuple[int | None, ...]] = {
            one.any_name: tuple(None if side.is_dynamic else side.get_length() for side in one.partial_shape)
            for one in self._model.inputs
        }
        self.outputs: tuple[str, ...] = tuple(one.any_name for one in self._model.outputs)

    def __call__(self, values: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """The outputs for inputs, each by its name.

        Raises:
            ModelDamaged: the model cannot be run on them.
        """
        try:
            found = self._model({n: np.ascontiguousarray(v, dtype=np.float32) for n, v in values.items()})
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise ModelDamaged(text("engines.onnx_run", name=self.name, reason=_reason(error))) from error
        return {one.any_name: found[one] for one in self._model.outputs}


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[-1][:200]) if lines else type(error).__name__
