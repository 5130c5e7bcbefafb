"""Films by the fast engine: what is measured of some frames is taken for those between, and nothing else changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: no network can be drawn")

from danqing.video import film as module
from danqing.video import segments
from danqing.video.clip import Cut
from danqing.video.film import Film, prepare
from danqing.video.pixels import from_numbers
from tests.video.films import film, panned, seen
from tests.video.test_film import stopping_after

SIZE = (96, 64)


@pytest.fixture(autouse=True)
def ready(bundled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY", 0)  # short as they are, the network is made ready for their styles


def ordered(source: Path, target: Path, style: Any = "reeds", **settings: Any) -> Film:
    return prepare(source, style, target=target, runtime="onnx", **{"steady": 0.0, "codec": "ffv1", **settings})


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - wanted).mean())


@pytest.mark.parametrize("settings", [{}, {"strength": 0.6}, {"wrap": True}])
def test_frames_look_as_if_each_were_painted_alone_and_after_a_cut_they_are(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    shots = panned(14, SIZE, step=1), panned(9, SIZE, step=1, seed=9)
    source = film(tmp_path / "a.mp4", [*shots[0], *shots[1]])
    order = ordered(source, tmp_path / "b.mkv", **settings)
    assert order.measures and order.paint().complete
    painted = [pixels for _, pixels in seen(tmp_path / "b.mkv")]
    frames = list(order.clip.read(order.cut))
    alone = [from_numbers(order.at(frame).paint().picture.pixels, deep=False) for frame in frames]
    off = [apart(one, other) for one, other in zip(painted, alone, strict=True)]
    measured = [0, 10, 13, 14, 20, 22]
    assert max(off[number] for number in measured) < 0.05
    assert 0.05 < max(off) < 3
    assert apart(alone[13], alone[14]) > 20


def test_styles_that_change_are_mixed_for_each_frame(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(22, SIZE, step=1))
    order = ordered(source, tmp_path / "b.mkv", later=[(Fraction(1, 5), "smoke")])
    assert order.measures and order.paint().complete
    painted = [pixels for _, pixels in seen(tmp_path / "b.mkv")]
    alone = [from_numbers(order.at(frame).paint().picture.pixels, deep=False) for frame in order.clip.read(order.cut)]
    assert max(apart(one, other) for one, other in zip(painted, alone, strict=True)) < 6 < apart(alone[0], alone[21])


@pytest.mark.parametrize("steady", [0.0, 0.8])
@pytest.mark.parametrize("cut", [Cut(), Cut(fps=Fraction(40))], ids=["as it is", "some frames twice"])
def test_a_film_that_was_stopped_is_gone_on_with_to_the_same_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steady: float, cut: Cut
) -> None:
    monkeypatch.setattr(segments, "FRAMES", 10)
    source = film(tmp_path / "a.mp4", [*panned(16, SIZE, step=1), *panned(12, SIZE, step=3, seed=4)])
    ordered(source, tmp_path / "whole.mkv", steady=steady, cut=cut).paint()
    assert not ordered(source, tmp_path / "b.mkv", steady=steady, cut=cut).paint(stopping_after(23)).complete
    done = ordered(source, tmp_path / "b.mkv", steady=steady, cut=cut, resume=True).paint(resume=True)
    assert done.complete and done.painted < done.frames
    whole, resumed = ([pixels for _, pixels in seen(tmp_path / f"{name}.mkv")] for name in ("whole", "b"))
    np.testing.assert_array_equal(np.stack(whole), np.stack(resumed))


def test_with_little_memory_each_frame_is_measured(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", panned(3, SIZE))
    order = ordered(source, tmp_path / "b.mkv", max_memory="214MB")
    assert not order.measures and order.paint().frames == 3
