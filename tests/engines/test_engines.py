"""The tables of engines: names, entry points, and what is said when torch or an engine is missing."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest

from danqing import engines
from danqing.errors import ModelMissing, RunFailed, UsageError


class Plain:
    def __init__(self, *, colour: str = "blue") -> None:
        self.colour = colour


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_LANG", "en")


def test_an_engine_is_made_with_the_options_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.ENGINES, "plain", f"{__name__}:Plain")
    assert engines.open("plain", colour=None).colour == "blue"  # type: ignore[attr-defined]
    assert engines.open("plain", colour="red").colour == "red"  # type: ignore[attr-defined]


def test_an_unknown_engine_is_said_with_what_is_near() -> None:
    with pytest.raises(UsageError, match="did you mean optimize"):
        engines.open("optimise")
    with pytest.raises(UsageError, match=r"use one of .*optimize"):
        engines.open("zzz")


def test_the_fast_engine_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert engines.open("fast", runtime="onnx")


@pytest.mark.parametrize("name", [name for name in engines.ENGINES if name not in engines.BY_NAME])
def test_without_torch_one_line_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.startswith("danqing.atelier") or m.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelMissing, match=r'pip install "danqing\[torch\]"') as caught:
        engines.open(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["no_such_module_here:Engine", f"{__name__}:Nothing"])
def test_an_engine_that_cannot_be_loaded_is_said(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.ENGINES, "odd", target)
    with pytest.raises(RunFailed, match="odd"):
        engines.open("odd")


def test_others_add_engines_by_entry_point_but_do_not_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        metadata.EntryPoint(name="foreign", value=f"{__name__}:Plain", group=engines.GROUP),
        metadata.EntryPoint(name="optimize", value=f"{__name__}:Plain", group=engines.GROUP),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == engines.GROUP else [])
    assert engines.names() == (*engines.ENGINES, "foreign")
    assert isinstance(engines.open("foreign"), Plain)
    assert engines.ENGINES["optimize"].startswith("danqing.atelier")


@pytest.mark.parametrize("target", [*engines.ENGINES.values(), *engines.VERBS.values()])
def test_every_entry_of_the_tables_resolves(target: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip(target.partition(":")[0])
    assert callable(engines._resolved("x", target))
