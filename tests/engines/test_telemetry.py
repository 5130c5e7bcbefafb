"""Runtimes do not tell their makers that they are used: each is opened in a fresh process with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from danqing import catalog

OPEN = """
import sys
from pathlib import Path
from danqing.engines.{runtime} import Session
Session(Path({model!r}).read_bytes(), name="compact")
assert sys.modules.get("openvino_telemetry") is None
"""


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_runtime_leaves_no_trace_of_its_own(runtime: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino", reason="not installed")
    model = catalog.MODELS / "compact.onnx"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_", "CI"))}
    code = OPEN.format(runtime=runtime, model=str(model))
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"HOME": str(tmp_path)}, cwd=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
