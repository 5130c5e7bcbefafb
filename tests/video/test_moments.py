"""Moments of another film as styles: the very frames, and whatever else is meant left alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from danqing.errors import BadInput
from danqing.inputs import ReadStyle
from danqing.picture import Picture
from danqing.video import moments
from tests.video.films import film, panned


def test_the_frames_of_those_seconds_in_equal_shares(tmp_path: Path) -> None:
    frames = panned(75)
    path = film(tmp_path / "另一部.mp4", frames, options={"crf": "4", "g": "10"})
    found = moments.styles(f"{path}@0.2,2.5:0.6")
    assert len(found) == 2
    for one, number, name in zip(found, (5, 63), ("@0.2", "@2.5"), strict=True):
        assert isinstance(one, ReadStyle) and isinstance(one.style.source, Picture)
        assert np.abs(one.style.source.pixels * 255 - frames[number]).mean() < 4
        assert one.style.weight == one.reference.weight == pytest.approx(0.3)
        assert one.style.name == f"另一部{name}" and one.reference.name == f"另一部.mp4{name}" and one.reference.sha256


def test_what_else_is_meant_is_left_alone(tmp_path: Path) -> None:
    there = film(tmp_path / "a@3.mp4", panned(2))
    for written in ("great-wave", "great-wave@7:0.5", "no.mp4@3", str(there), f"{there}:0.5", f"{there}@soon"):
        assert moments.styles(written) == [written]
    assert moments.split(f"{there}@1.5,0") == (there, [Fraction(3, 2), Fraction(0)], 1.0)


def test_a_film_that_is_over_by_then(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", panned(5))
    with pytest.raises(BadInput, match=r"a\.mp4 is over before 7 s"):
        moments.styles(f"{path}@7")
