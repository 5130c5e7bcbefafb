"""What pyproject.toml declares is what the code imports, no more and no less, and constraints.txt pins all of it."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from tests.contracts.source import ROOT, Module, imports, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage", "opencv-python-headless": "cv2"}
BELONGS_TO = {"pydantic_core": "pydantic"}


def names(requirements: list[str]) -> set[str]:
    """The distributions of a list of requirements, without danqing itself."""
    found = {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return found - {"danqing"}


BASE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(requirements) for extra, requirements in PROJECT["optional-dependencies"].items()}


def as_modules(distributions: set[str]) -> set[str]:
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in distributions}


def foreign(module: Module) -> set[str]:
    """The third-party packages that a module imports, at any depth."""
    tops = {name.partition(".")[0] for _, name in imports(module.tree)}
    return {BELONGS_TO.get(top, top) for top in tops} - {"danqing"} - sys.stdlib_module_names


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name)
def test_every_import_is_declared(module: Module) -> None:
    declared = as_modules(BASE)
    if module.room == "atelier":
        declared |= as_modules(EXTRAS["torch"])
    if module.room in ("picture", "cli", "machine"):
        declared |= as_modules(EXTRAS["heif"])
    if module.room in ("engines", "cli", "video"):
        declared |= as_modules(EXTRAS["openvino"])
    if module.room == "studio":
        declared |= as_modules(EXTRAS["studio"])
    if module.room == "video":
        declared |= as_modules(EXTRAS["video"])
    if module.room == "weights":
        declared |= as_modules(EXTRAS["torch"]) & {"scipy"}
    assert foreign(module) <= declared


def test_every_base_dependency_is_used() -> None:
    used = set().union(*(foreign(module) for module in modules() if module.room != "atelier"))
    assert as_modules(BASE) <= used


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - {"all"}))
def test_constraints_pin_everything(extra: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "exact versions only: no addresses, no builds"
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    assert BASE | EXTRAS[extra] <= pinned
