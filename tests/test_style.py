"""How a style is written: names, paths and weights, on POSIX and on Windows."""

from __future__ import annotations

import pytest

from danqing.style import split_weight


@pytest.mark.parametrize(
    ("written", "name", "weight"),
    [
        ("great-wave", "great-wave", 1.0),
        ("great-wave:0.7", "great-wave", 0.7),
        ("great-wave:.5", "great-wave", 0.5),
        ("great-wave:2", "great-wave", 2.0),
        ("my.jpg:0.4", "my.jpg", 0.4),
        ("画/墨.jpg:3.", "画/墨.jpg", 3.0),
        (r"C:\a.jpg", r"C:\a.jpg", 1.0),
        (r"C:\画\a.jpg:0.4", r"C:\画\a.jpg", 0.4),
        ("C:/a.jpg", "C:/a.jpg", 1.0),
        (r"\\server\share\a.jpg:2", r"\\server\share\a.jpg", 2.0),
        ("a:b:1.5", "a:b", 1.5),
        ("a:", "a:", 1.0),
        (":0.5", ":0.5", 1.0),
        ("a:nan", "a:nan", 1.0),
        ("a:-1", "a:-1", 1.0),
        ("a:1e5", "a:1e5", 1.0),
        ("a:0", "a", 0.0),
    ],
)
def test_a_weight_is_the_last_colon_and_a_number(written: str, name: str, weight: float) -> None:
    assert split_weight(written, lambda path: False) == (name, weight)


def test_what_exists_is_a_path_whatever_it_looks_like() -> None:
    assert split_weight("photo:0.5", lambda path: path == "photo:0.5") == ("photo:0.5", 1.0)
    assert split_weight("photo:0.5", lambda path: path == "photo") == ("photo", 0.5)
