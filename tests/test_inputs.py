"""Inputs: what a recipe refers to is found again by its hash, whatever it is called now."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from danqing import catalog, inputs
from danqing.recipe import Source


@pytest.mark.parametrize("suffix", catalog.WEIGHTS)
def test_every_kind_of_weights_is_found_by_its_hash(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"改名{suffix.upper()}"
    path.write_bytes(b"weights")
    wanted = Source(name=f"权重{suffix}", sha256=hashlib.sha256(b"weights").hexdigest())
    assert inputs.find([wanted], beside=tmp_path) == {wanted: path}
