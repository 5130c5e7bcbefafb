"""The whole way with the real engine and the bundled encoder: command line, recipe, redo, score. Small, few steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import danqing
from danqing import catalog
from danqing.cli.main import main
from danqing.errors import ModelError, UsageError
from danqing.picture import Picture
from tests.fake_engine import picture

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _bundled() -> None:
    try:
        catalog.find("compact")
    except ModelError:
        pytest.skip("the bundled encoder is not in this checkout")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return picture(tmp_path / "桂林.png", (64, 48), seed=1)


@pytest.fixture
def style(tmp_path: Path) -> Path:
    return picture(tmp_path / "水墨.png", (64, 64), seed=2)


def test_paint_redo_and_score(photo: Path, style: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = photo.with_name("画.png")
    assert main(["paint", str(photo), "--style", str(style), "--steps", "3", "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"] == [64, 48] and told["steps"] == 3 and told["model"] == "compact"
    assert all(math.isfinite(value) for value in told["losses"].values())
    assert np.abs(Picture.load(out).pixels - Picture.load(photo).pixels).max() > 0.01
    redone = danqing.redo(out)
    assert redone.identical, redone.psnr
    scores = danqing.score(photo, str(style), out), danqing.score(photo, str(style), photo)
    assert scores[0].style < scores[1].style and scores[1].content < 1e-4


def test_a_stopped_painting_is_kept(photo: Path, style: Path) -> None:
    pastiche = danqing.paint(photo, style, steps=9, on_step=lambda step: step.number < 2)
    assert not pastiche.complete and len(pastiche.losses) == 2 and pastiche.picture.size == (64, 48)


def test_a_start_picture_and_a_layer_that_is_not_there(photo: Path, style: Path) -> None:
    same = danqing.paint(photo, style, steps=1, start=style, strength=0.5)
    assert same.recipe.start == "picture"
    with pytest.raises(UsageError, match="relu9_9"):
        danqing.paint(photo, style, steps=1, style_layers={"relu9_9": 1.0})


@pytest.mark.parametrize("shape", [(1, 1), (300, 1), (3, 40)])
def test_odd_sizes_are_painted_and_judged(shape: tuple[int, int], tmp_path: Path, style: Path) -> None:
    photo = picture(tmp_path / "odd.png", shape)
    pastiche = danqing.paint(photo, style, steps=2)
    assert pastiche.picture.size == shape
    assert math.isfinite(danqing.score(photo, str(style), pastiche.picture).art)
