"""Inputs: what a recipe refers to is found again by its hash, whatever it is called now."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from danqing import catalog, inputs
from danqing.recipe import Source, StyleSource
from tests.fake_engine import picture


@pytest.mark.parametrize("suffix", catalog.WEIGHTS)
def test_every_kind_of_weights_is_found_by_its_hash(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"改名{suffix.upper()}"
    path.write_bytes(b"weights")
    wanted = Source(name=f"权重{suffix}", sha256=hashlib.sha256(b"weights").hexdigest())
    assert inputs.find([wanted], beside=tmp_path) == {wanted: path}


def test_references_to_the_same_bytes_are_all_found(tmp_path: Path) -> None:
    path = picture(tmp_path / "改名.png")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    photo, weak, strong = (
        Source(name="a.png", sha256=digest),
        *(StyleSource(name="a.png", sha256=digest, weight=weight) for weight in (0.5, 2)),
    )
    assert inputs.find([photo, weak, strong], beside=tmp_path) == dict.fromkeys((photo, weak, strong), path)


def test_a_style_that_was_read_before_is_taken_as_it_is(tmp_path: Path) -> None:
    path = picture(tmp_path / "水墨.png")
    (style,), (reference,) = inputs.read_styles(f"{path}:0.3")
    path.unlink()
    styles, references = inputs.read_styles([inputs.ReadStyle(style=style, reference=reference)])
    assert styles == (style,) and references == (reference,) and reference.weight == 0.3
