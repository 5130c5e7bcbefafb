"""What may be forgotten: found again, never wrong, never more than the limit, never in the way."""

from __future__ import annotations

import os
from pathlib import Path

from danqing.cache import Shelf


def test_what_is_put_there_is_found_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "new" / "folder", limit=1000)
    assert shelf.get("a") is None
    shelf.put("a", b"one")
    shelf.put("a", b"two")
    assert Shelf(tmp_path / "new" / "folder", limit=1000).get("a") == b"two"


def test_the_oldest_goes_when_there_is_too_much(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, limit=3 * 132)
    for age, key in enumerate("cba"):
        shelf.put(key, bytes(100))
        os.utime(tmp_path / key, (1000 - age, 1000 - age))
    shelf.get("a")  # the oldest, but now used
    shelf.put("d", bytes(100))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]


def test_what_is_damaged_is_forgotten(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, limit=1000)
    shelf.put("a", b"0123456789")
    for damage in (b"", (tmp_path / "a").read_bytes()[:-1], bytes(50)):
        (tmp_path / "a").write_bytes(damage)
        assert shelf.get("a") is None


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    shelf = Shelf(tmp_path / "file" / "inside", limit=1000)
    shelf.put("a", b"one")
    assert shelf.get("a") is None
