"""An engine for workers: the fake one, and photos whose names say what happens to the process that paints them.

`install` makes it known to every process as `--engine fake`, by an entry point. Every painting that is begun is a line
of the file that FAKE_LOG names.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from danqing.files import write_failure
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Pastiche
from tests.fake_engine import FakeStylizer

ROOT = Path(__file__).resolve().parents[2]


class Painter(FakeStylizer):
    """Paints, unless the name of the photo says otherwise."""

    def __call__(self, content: Picture, styles: tuple[Style, ...], recipe: Recipe, **others: Any) -> Pastiche:
        name = recipe.content.name if recipe.content is not None else ""
        if "FAKE_LOG" in os.environ:
            with Path(os.environ["FAKE_LOG"]).open("a", encoding="utf-8") as log:
                log.write(f"{time.time()} {os.getpid()} {name}\n")
        if name.startswith("杀"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("段"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("退"):
            os._exit(0)
        if name.startswith("睡"):
            time.sleep(3600)
        if name.startswith("虫"):
            raise ZeroDivisionError("a bug")
        if name.startswith("大"):
            raise MemoryError
        if "FAKE_FULL" in os.environ:
            full = OSError(errno.ENOSPC, "no space")
            raise write_failure("x.png", full) from full
        return super().__call__(content, styles, recipe, **others)


def install(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make `--engine fake` known in this process and those that it starts; the log of what was begun."""
    papers = folder / "fake_engine-1.0.dist-info"
    papers.mkdir(parents=True)
    (papers / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-engine\nVersion: 1.0\n")
    (papers / "entry_points.txt").write_text("[danqing.engines]\nfake = tests.batch.painter:Painter\n")
    log = folder / "log"
    log.touch()
    patch.setenv("FAKE_LOG", str(log))
    patch.syspath_prepend(str(folder))
    import sys

    patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    return log


def begun(log: Path) -> list[str]:
    """The names of the photos that were begun, in order."""
    return [line.split(" ", 2)[2] for line in log.read_text(encoding="utf-8").splitlines()]
