"""Collections: what is in a folder, at which depth, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from danqing.collection import alike, paired, survey
from danqing.errors import BadInput
from danqing.picture import Picture
from danqing.picture.load import nature
from tests.kinds import folder_of, phantoms


def test_channels_and_depth_are_those_of_the_files(tmp_path: Path) -> None:
    colour = survey(folder_of(tmp_path / "照片", 3), least=64)
    assert (len(colour.files), colour.channels, colour.depth, colour.left_out) == (3, 3, 8, 0)
    grey = survey(phantoms(tmp_path / "体", range(3), contrast=0), least=64)
    assert (grey.channels, grey.depth) == (1, 16)
    assert [path.name for path in colour.spread(2).files] == ["图0.png", "图1.png"]


@pytest.mark.parametrize(
    ("mode", "channels", "depth"),
    [("1", 1, 8), ("L", 1, 8), ("LA", 1, 8), ("P", 3, 8), ("RGBA", 3, 8), ("I;16", 1, 16)],
)
def test_the_nature_of_every_mode(tmp_path: Path, mode: str, channels: int, depth: int) -> None:
    Image.new(mode, (70, 66)).save(tmp_path / "图.png")
    assert nature(tmp_path / "图.png") == ((70, 66), channels, depth)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_of_16_bits_are_told_from_those_of_8(tmp_path: Path, ending: str) -> None:
    pixels = np.random.default_rng(0).random((65, 70, 3), dtype=np.float32)
    Picture(pixels=pixels).save(tmp_path / f"深.{ending}", depth=16)
    assert nature(tmp_path / f"深.{ending}") == ((70, 65), 3, 16)


def test_what_cannot_be_learnt_from_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no folder"):
        survey(tmp_path / "无", least=64)
    folder_of(tmp_path / "small", 3, size=(60, 90))
    (tmp_path / "small" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(BadInput, match=r"0 pictures .* \(3 are smaller than 64 px, 1 cannot be read\)"):
        survey(tmp_path / "small", least=64)
    mixed = phantoms(tmp_path / "mixed", range(3), contrast=0)
    Image.new("L", (90, 90)).save(mixed / "八位.png")
    with pytest.raises(BadInput, match=r"8 and of 16 bits.*八位\.png"):
        survey(mixed, least=64)
    with pytest.raises(BadInput, match="have 16 bits"):
        (mixed / "八位.png").unlink()
        alike(survey(mixed, least=64), survey(folder_of(tmp_path / "照片", 2), least=64))


def test_pictures_of_one_name_belong_together(tmp_path: Path) -> None:
    one, other = folder_of(tmp_path / "a", 3), folder_of(tmp_path / "b", 3, seed=5)
    (other / "图2.png").rename(other / "图2.webp")
    _, second = paired(survey(one, least=64), survey(other, least=64))
    assert [path.name for path in second.files] == ["图0.png", "图1.png", "图2.webp"]
    (one / "图1.png").unlink()
    with pytest.raises(BadInput, match=r"1 pictures have no partner.*图1"):
        paired(survey(one, least=64), survey(other, least=64))
