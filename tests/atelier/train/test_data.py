"""What is trained on: folders as they are found, crops that are functions of their number, workers that stall."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")

from danqing.atelier.train import data
from danqing.errors import BadInput
from tests.fake_engine import picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """COCO's kind of folder: pictures below `train2014`, something else beside them, one of them cut off."""
    folder = tmp_path / "dataset" / "train2014"
    folder.mkdir(parents=True)
    for number in range(5):
        picture(folder / f"图 {number}.png", (60 + number, 50), seed=number)
    (folder / "notes.txt").write_text("no picture")
    (folder / "图 2.png").write_bytes((folder / "图 2.png").read_bytes()[:200])
    return tmp_path / "dataset"


def test_pictures_are_found_however_deep(photos: Path) -> None:
    assert [path.name for path in data.Folder.below(photos).files] == [f"图 {n}.png" for n in range(5)]
    assert [path.name for path in data.Folder.below(photos, subset=2).files] == ["图 0.png", "图 2.png"]


def test_a_broken_picture_is_passed_over_and_counted(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = data.Folder.below(photos)
    with caplog.at_level(logging.WARNING):
        assert folder.picture(2).shape == folder.picture(3).shape == (50, 63, 3)
        folder.picture(2)
    assert [path.name for path in folder.broken] == ["图 2.png"]
    assert caplog.text.count("图 2.png") == 1


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_pictures_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=name):
        data.Folder.below(tmp_path / name)


def test_an_epoch_sees_every_picture_once_in_an_order_of_its_own() -> None:
    first, second = data.order(1, 0, 100), data.order(1, 1, 100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert list(first) != list(second)
    np.testing.assert_array_equal(data.order(1, 0, 100), first)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_crops_have_the_side_asked_for_at_any_scale(scale: float) -> None:
    source = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    assert data.crop(source, 64, np.random.default_rng(5), scale=scale).shape == (64, 64, 3)
    again = [data.crop(source, 64, np.random.default_rng(5), scale=scale) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_batches_come_in_order_whatever_the_workers_do() -> None:
    feeder = data.Feeder(lambda step: step * step, workers=3)
    assert [feeder.batch(step) for step in range(20)] == [step * step for step in range(20)]


def test_a_stalled_worker_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    stalled = threading.Event()

    def draw(step: int) -> int:
        if step == 1 and not stalled.is_set():
            stalled.set()
            threading.Event().wait(30)
        return step

    feeder = data.Feeder(draw, workers=1, patience=0.2)
    with caplog.at_level(logging.WARNING):
        assert [feeder.batch(step) for step in range(4)] == [0, 1, 2, 3]
    assert "step 1" in caplog.text


def test_what_drawing_raises_reaches_who_asks() -> None:
    def draw(step: int) -> int:
        raise BadInput(f"step {step}")

    with pytest.raises(BadInput, match="step 0"):
        data.Feeder(draw).batch(0)


def test_processes_share_a_batch() -> None:
    assert [list(data.places(3, 4, rank=rank, world=2)) for rank in (0, 1)] == [[12, 14], [13, 15]]
