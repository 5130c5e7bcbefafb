"""Arrays on the disk: they hold what is written, their room is taken at once, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danqing import scratch
from danqing.errors import RunFailed


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch.tempfile, "tempdir", None)
    return tmp_path


def opened() -> int:
    """How many files this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_it_holds_what_is_written(folder: Path) -> None:
    made = scratch.array((3, 50, 70), np.float16)
    assert made.shape == (3, 50, 70)
    assert not made.any()
    made[1, 2] = 7
    assert made.sum() == 7 * 70
    assert list(folder.iterdir()) == []


def test_its_room_is_taken_and_given_back() -> None:
    before = opened()
    made = scratch.array((1000, 1000), np.float32)
    made[:] = 1
    del made
    assert opened() == before


def test_without_the_call_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(scratch.os, "posix_fallocate", raising=False)
    made = scratch.array((5000, 1001), np.float32)
    made[-1] = 3
    assert made.sum() == 3 * 1001


def test_large_pixels_lie_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "LARGE", 1000)
    kinds = []
    make = scratch.array
    monkeypatch.setattr(scratch, "array", lambda shape, dtype: kinds.append(shape) or make(shape, dtype))
    assert scratch.pixels((5, 5, 3)).shape == (5, 5, 3)
    assert scratch.pixels((50, 5, 3)).shape == (50, 5, 3)
    assert kinds == [(50, 5, 3)]


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def refuse(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.os, "posix_fallocate", refuse)
    with pytest.raises(RunFailed, match=r"no room for 4 MB.*TMPDIR"):
        scratch.array((1000, 1000), np.float32)
    assert list(folder.iterdir()) == []
