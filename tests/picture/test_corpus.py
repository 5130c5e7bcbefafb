"""Every file of the corpus: the right end, one line, nothing left over, quickly; the next good picture still works."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danqing import messages
from danqing.errors import BadPicture, DanqingError, DoesNotFit
from danqing.picture import Picture

from .corpus import ITEMS, KINDS, MAX_PIXELS, Item, valid


def resident() -> int:
    """Peak memory of this process in bytes, where the system tells."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sentence(key: str, language: str) -> str:
    """The fixed words with which a message of a key begins after its name."""
    room = "limits" if key == "pixels" else "picture"
    return messages.catalogue(room)[key][language].removeprefix("{name}").split("{")[0]


def check_picture(picture: Picture) -> None:
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.ndim == 3
    assert picture.pixels.shape[2] == 3
    assert picture.pixels.flags["C_CONTIGUOUS"]
    assert np.isfinite(picture.pixels).all()
    assert picture.pixels.min() >= 0
    assert picture.pixels.max() <= 1
    if picture.alpha is not None:
        assert picture.alpha.shape == picture.pixels.shape[:2]
        assert 0 <= picture.alpha.min() <= picture.alpha.max() <= 1


def check_line(error: DanqingError, name: str) -> None:
    line = str(error)
    assert line.startswith(name)
    assert line.isprintable()
    assert len(line) < 400 + len(name)


def test_every_number_of_the_plan_is_there() -> None:
    assert {int(item.number[:2]) for item in ITEMS} == set(range(1, 53))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.file_name)
def test_item(
    item: Item, language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    path = tmp_path / item.file_name
    path.write_bytes(item.make())
    before, began = resident(), time.monotonic()
    try:
        picture = Picture.load(path, max_pixels=MAX_PIXELS)
    except DanqingError as error:
        assert isinstance(error, DoesNotFit if item.expect == "big" else BadPicture)
        assert item.expect != "good", error
        check_line(error, str(path))
        assert sentence(item.key, language) in str(error) if item.key else True
    else:
        assert item.expect in ("good", "either")
        check_picture(picture)
    assert time.monotonic() - began < 2
    assert resident() - before < 300_000_000
    assert os.listdir(tmp_path) == [item.file_name]  # noqa: PTH208
    assert capfd.readouterr() == ("", "")
    assert Picture.load(valid("PNG")).size == (96, 64)


@pytest.mark.parametrize("kind", [*KINDS, "BMP"])
@settings(max_examples=29, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_pictures_or_one_line(kind: str, data: st.DataObject) -> None:
    """1 to 64 flipped bytes, a cut, or a splice of two halves; 203 examples over all formats."""
    whole = valid(kind)
    how = data.draw(st.sampled_from(["flip", "cut", "splice"]))
    mutated = bytearray(whole)
    if how == "flip":
        places = st.integers(0, len(whole) - 1)
        for at, mask in data.draw(st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=64)):
            mutated[at] ^= mask
    elif how == "cut":
        del mutated[data.draw(st.integers(0, len(whole))) :]
    else:
        other = valid(data.draw(st.sampled_from([*KINDS, "BMP"])))
        start = data.draw(st.integers(0, len(whole)))
        mutated[start:] = other[data.draw(st.integers(0, len(other))) :]
    try:
        check_picture(Picture.load(bytes(mutated), name="变异.png", max_pixels=MAX_PIXELS))
    except (BadPicture, DoesNotFit) as error:
        check_line(error, "变异.png")
