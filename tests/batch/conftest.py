"""Folders of photos with odd names, and the fake engine for workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch import painter
from tests.fake_engine import picture


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`--engine fake` in every process; the file that tells what was begun."""
    return painter.install(monkeypatch, tmp_path_factory.mktemp("引擎"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six photos in a tree."""
    root = tmp_path / "照片"
    names = ("一.png", "二.png", "山/一.png", "山/水/三.png", "b.png", "c d.png")
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(root / name, seed=seed)
    return root
