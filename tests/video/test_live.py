"""A film as the camera: painted live, with its keys, snapshots and recordings; what goes wrong is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from danqing.errors import BadInput
from danqing.video.camera import Playing, opened
from danqing.video.live import Live
from danqing.video.pixels import Pixels
from tests.fake_engine import FakeStylizer
from tests.video.films import film, panned, seen

pytestmark = pytest.mark.usefixtures("gallery")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    (tmp_path / "帧").mkdir()
    camera = opened(str(film(tmp_path / "影.mp4", panned(25, (65, 49)))))
    styles = ["great-wave", "starry-night"]
    found = Live(camera, styles, folder=tmp_path / "帧", steady=0.0, engine="optimize", steps=1, strength=0.5)
    yield found
    found.close()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_paintings_come_with_their_rate(live: Live) -> None:
    number, jpeg = live.picture(0)
    later, _ = live.picture(number)
    assert 0 < number < later
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (48, 64, 3)
    told = live.told()
    assert told["style"] == "great-wave" and told["rate"] > 0 and told["size"] == [64, 48] and not told["ended"]


def test_keys_change_style_and_strength(live: Live) -> None:
    live.do("next")
    for _ in range(3):
        live.do("weaker")
    assert live.told()["style"] == "starry-night" and live.told()["strength"] == 0.2
    before = len(FakeStylizer.calls)
    until(lambda: len(FakeStylizer.calls) > before + 1)
    call = FakeStylizer.calls[-1]
    assert [style.name for style in call.styles] == ["starry-night"] and call.recipe.strength == 0.2
    live.do("next")
    assert live.told()["style"] == "great-wave"
    for _ in range(20):
        live.do("stronger")
    assert live.told()["strength"] == 1


def test_snapshots_and_recordings(live: Live, tmp_path: Path) -> None:
    live.picture(0)
    name = live.do("snapshot")
    assert name is not None
    with Image.open(tmp_path / "帧" / name) as image:
        assert image.size == (64, 48)
    assert live.do("record") is None
    number, _ = live.picture(0)
    until(lambda: live.picture(number)[0] > number + 8)
    assert str(live.told()["recording"]).endswith(".mp4")
    recorded = live.do("record")
    assert recorded is not None and live.told()["recording"] is None
    times = [at for at, _ in seen(tmp_path / "帧" / recorded)]
    assert len(times) >= 8 and times == sorted(times) and times[-1] < 30
    assert live.do("record") is None  # and closed by `close`
    until(lambda: live.picture(number)[0] > number + 20)
    live.close()
    assert len(list((tmp_path / "帧").glob("*.mp4"))) == 2 and not list((tmp_path / "帧").glob("*.tmp"))


class Short:
    """A camera that is taken away."""

    def __init__(self) -> None:
        self.left = 3

    def read(self) -> Pixels | None:
        self.left -= 1
        return None if self.left < 0 else np.zeros((48, 64, 3), np.uint8)

    def close(self) -> None: ...


def test_a_camera_that_goes_is_told(tmp_path: Path) -> None:
    found = Live(Short(), "great-wave", folder=tmp_path, steady=0.5, engine="optimize", steps=1)
    until(lambda: found.ended)
    assert "no more" in found.told()["problem"]
    found.close()


def test_a_film_plays_in_its_own_time(tmp_path: Path) -> None:
    playing = Playing(film(tmp_path / "a.mp4", panned(6)), again=False)
    began = time.monotonic()
    frames = 0
    while playing.read() is not None:
        frames += 1
    assert frames == 6 and time.monotonic() - began > 0.19
    playing.close()
    again = Playing(tmp_path / "a.mp4")
    assert all(again.read() is not None for _ in range(9))
    again.close()


def test_no_camera_is_one_line(tmp_path: Path) -> None:
    for written in ("63", str(tmp_path / "none.mp4")):
        with pytest.raises(BadInput) as told:
            opened(written)
        assert "\n" not in str(told.value)
