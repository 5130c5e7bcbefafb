"""Which format a file name asks for, and what a painting of it is called."""

from __future__ import annotations

import pytest

from danqing.picture.formats import ending


@pytest.mark.parametrize(
    ("own", "format", "depth", "expected"),
    [
        (".jpg", None, 8, ".jpg"), (".JPEG", None, 8, ".JPEG"), (".heic", None, 8, ".jpg"), (".xyz", None, 8, ".png"),
        ("", None, 8, ".png"), (".jpg", "webp", 8, ".webp"), (".jpg", None, 16, ".png"), (".tif", None, 16, ".tif"),
    ],
)  # fmt: skip
def test_endings_of_paintings(own: str, format: str | None, depth: int, expected: str) -> None:
    assert ending(own, format=format, depth=depth) == expected
