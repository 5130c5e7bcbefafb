"""The façade: every public name imports, is documented, and costs nothing until it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib

import pytest

import danqing
from tests.contracts.source import PACKAGE, ROOT


@pytest.mark.parametrize("name", sorted(danqing.__all__))
def test_every_name_is_there_and_documented(name: str) -> None:
    thing = getattr(danqing, name)
    if callable(thing):
        assert inspect.getdoc(thing), f"{name} has no docstring"
    assert f"`{name}" in (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), f"{name} is not in docs/python.md"


def test_dir_shows_the_names() -> None:
    assert set(danqing.__all__) <= set(dir(danqing))
    assert len(danqing.__all__) == len(set(danqing.__all__))


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        danqing.no_such_name  # noqa: B018


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert danqing.__version__ == project["version"]


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["no-such-verb"], 2)])
def test_python_m_danqing_ends_with_the_exit_code(arguments: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, "-m", "danqing", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
