"""What a worker answers, whatever becomes of a painting; and that it speaks in lines and never outlives its master."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from danqing.batch import photos, plan, worker
from danqing.errors import BadPicture, Interrupted, RunFailed
from danqing.files import write_failure
from danqing.picture import formats
from tests.fake_engine import FakeStylizer, picture

pytestmark = pytest.mark.usefixtures("log")


def task(tree: Path, **settings: Any) -> dict[str, Any]:
    found = photos.find([str(tree / "b.png")])
    fake = {"engine": "fake", "steps": 3, "styles": ["great-wave"]}
    one = plan.prepare(found, tree.parent / "画", **(fake | settings))
    (made,) = one.tasks.values()
    return dict(made) | {"known": False}


def answered(given: dict[str, Any], *, tries: int = 1, stop: bool = False) -> tuple[dict[str, Any], list[Any]]:
    lines: list[Any] = []
    stopping = threading.Event()
    if stop:
        stopping.set()
    return worker.answer({"task": given, "tries": tries}, tell=lines.append, stop=stopping), lines


def test_a_painting_is_told_step_by_step(tree: Path) -> None:
    given = task(tree)
    told, lines = answered(given)
    assert told["done"]["size"] == [48, 32] and not told["done"]["kept"] and Path(given["target"]).exists()
    assert lines[0].keys() == {"begun"} and [line["step"] for line in lines[1:]] == [1, 2, 3]
    json.dumps([told, lines])


def test_a_painting_that_its_format_cannot_hold_is_not_begun(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(formats.FORMATS, "WEBP", dataclasses.replace(formats.FORMATS["WEBP"], max_edge=40))
    told, lines = answered(task(tree, format="webp"))
    assert "48 x 32" in told["failed"] and not lines


def test_a_folder_that_cannot_be_made_is_one_line(tree: Path) -> None:
    given = task(tree)
    Path(given["target"]).parent.touch()
    told, _ = answered(given)
    assert "cannot be written" in told["failed"]


def test_a_painting_that_is_given_up_leaves_nothing(tree: Path) -> None:
    told, lines = answered(task(tree), stop=True)
    assert told == {"stopped": True} and len(lines) == 2 and not (tree.parent / "画").exists()


def raising(error: Exception) -> Callable[..., Any]:
    def paint(*_: Any, **__: Any) -> Any:
        raise error

    return paint


def full_disk() -> RunFailed:
    cause = OSError(errno.ENOSPC, "full")
    failed = write_failure("画.png", cause)
    failed.__cause__ = cause
    assert isinstance(failed, RunFailed)
    return failed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadPicture("damaged"), "failed"),
        (RunFailed("not finite"), "failed"),
        (MemoryError(), "failed"),
        (ZeroDivisionError("a bug"), "failed"),
        (Interrupted("between tiles"), "stopped"),
        (full_disk(), "full"),
    ],
)
def test_every_end_is_one_line(error: Exception, kind: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeStylizer, "__call__", raising(error))
    told, _ = answered(task(tree))
    assert list(told) == [kind] and "\n" not in str(told[kind])


def test_what_is_there_is_kept_replaced_or_left_alone(tree: Path) -> None:
    target = Path(task(tree)["target"])
    answered(task(tree))
    first = target.stat().st_mtime_ns
    assert answered(task(tree, resume=True))[0]["done"]["kept"] and target.stat().st_mtime_ns == first
    told, _ = answered(task(tree, resume=True, strength=0.5))  # a painting of ours, of other knobs
    assert not told["done"]["kept"] and target.stat().st_mtime_ns != first
    picture(target, seed=5)
    mine = target.read_bytes()
    for given, tries in ((task(tree, resume=True), 1), (task(tree, resume=True), 2)):
        assert "--overwrite" in answered(given, tries=tries)[0]["failed"] and target.read_bytes() == mine
    assert "done" in answered(task(tree, resume=True) | {"known": True})[0] and target.read_bytes() != mine
    again = task(tree, overwrite=True)
    assert not answered(again)[0]["done"]["kept"] and answered(again, tries=2)[0]["done"]["kept"]


def test_a_style_is_read_once_for_all_photos(tree: Path, tmp_path: Path) -> None:
    own = picture(tmp_path / "水墨.png", seed=3)
    given = task(tree, styles=[str(own)])
    answered(given)
    own.unlink()
    Path(given["target"]).unlink()
    assert "done" in answered(given)[0]


def test_it_ends_with_its_input_even_in_the_middle_of_a_painting(tree: Path) -> None:
    given = task(tree)
    environment = os.environ | {"FAKE_SECONDS": "60"}
    command = [sys.executable, "-P", "-m", "danqing.batch.worker"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process: Any = subprocess.Popen(command, env=environment, **streams)  # type: ignore[call-overload]
    assert json.loads(process.stdout.readline()) == {"ready": True}
    process.stdin.write(json.dumps({"task": given, "tries": 1}) + "\n")
    process.stdin.flush()
    assert "begun" in json.loads(process.stdout.readline())
    before = time.monotonic()
    process.stdin.close()
    assert process.wait(timeout=30) == 0 and time.monotonic() - before < 5
    process.stdout.close()
