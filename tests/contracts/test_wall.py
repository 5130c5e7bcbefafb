"""torch lives in the atelier; nothing else loads it, not even inside a function, and importing danqing costs little."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.contracts.source import Module, imports, modules

HEAVY = ("torch", "onnxruntime", "openvino", "av", "cv2", "ray", "fastapi")
OUTSIDE = [module for module in modules() if module.room != "atelier"]


def breaches(tree: ast.AST) -> list[str]:
    """Every way through the wall: an import of torch or of the atelier, at any depth."""
    return [
        f"line {line}: {name}"
        for line, name in imports(tree)
        if name.partition(".")[0] == "torch" or f"{name}.".startswith("danqing.atelier.")
    ]


@pytest.mark.parametrize("module", OUTSIDE, ids=lambda m: m.name)
def test_no_module_outside_the_atelier_imports_torch(module: Module) -> None:
    assert not breaches(module.tree)


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import Tensor",
        "def f():\n    from torch.nn import functional",
        "importlib.import_module('torch')",
        "if TYPE_CHECKING:\n    import torch",
        "from danqing.atelier import gatys",
        "from danqing import atelier",
        "def f():\n    import danqing.atelier.gatys",
    ],
)
def test_the_test_sees_every_way_through(source: str) -> None:
    assert breaches(ast.parse(source))


@pytest.mark.parametrize("module", [m for m in modules() if m.room], ids=lambda m: m.name)
def test_no_room_goes_through_the_facade(module: Module) -> None:
    rooms = {other.room for other in modules()}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "danqing":
            assert {alias.name for alias in node.names} <= rooms | {"__version__"}, f"line {node.lineno}"


def test_the_test_lets_the_hatch_be() -> None:
    assert not breaches(ast.parse("ENGINES = {'optimize': 'danqing.atelier.gatys:GatysStylizer'}\nimport torchlike"))


@pytest.mark.parametrize("module", ["danqing", "danqing.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    loaded = python(f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded.split() == []


def test_everything_outside_the_atelier_imports_without_torch() -> None:
    left_out = ("__main__", "heif_child")
    names = [module.name for module in OUTSIDE if not module.name.endswith(left_out)]
    if find_spec("av") is None or find_spec("cv2") is None:  # a room that is imported only with its extra
        names = [name for name in names if not name.startswith("danqing.video")]
    without = "import sys, importlib; sys.modules.update(torch=None, onnx=None, scipy=None, pillow_heif=None)\n"
    assert python(without + f"for name in {names!r}: importlib.import_module(name)") == ""


def python(program: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
