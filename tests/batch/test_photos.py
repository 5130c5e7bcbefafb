"""Which photos are meant by what is named, and where their paintings go."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path, PurePosixPath

import pytest

from danqing.batch import photos
from danqing.batch.photos import Photo, find, masks, targets
from danqing.errors import BadInput, UsageError


def places(found: list[Photo]) -> list[str]:
    return [str(photo.place) for photo in found]


def test_a_folder_is_its_photos_and_with_recursive_its_tree(tree: Path) -> None:
    (tree / "读我.txt").write_text("no photo")
    (tree / ".暗.png").write_bytes(b"")
    (tree / ".藏").mkdir()
    (tree / ".藏" / "x.png").write_bytes(b"")
    assert places(find([str(tree)])) == ["b.png", "c d.png", "一.png", "二.png"]
    every = find([str(tree)], recursive=True)
    assert places(every) == ["b.png", "c d.png", "一.png", "二.png", "山/一.png", "山/水/三.png"]
    assert all(photo.path.is_absolute() and photo.path.exists() for photo in every)


def test_the_tree_is_what_lies_below_the_folder_that_all_have_in_common(tree: Path) -> None:
    some = [str(tree / "山" / "一.png"), str(tree / "山" / "水")]
    assert places(find(some)) == ["一.png", "水/三.png"]
    assert places(find([*some, str(tree / "一.png")])) == ["山/一.png", "山/水/三.png", "一.png"]
    assert places(find([str(tree / "山" / "一.png")])) == ["一.png"]


def test_a_photo_that_is_named_twice_is_painted_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    assert places(find(["照片", "照片/b.png", f"{tree}/山/../b.png"])) == ["b.png", "c d.png", "一.png", "二.png"]


def test_patterns_are_the_photos_they_fit(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    (tree / "x.txt").touch()
    assert places(find(["照片/**/*"])) == ["b.png", "c d.png", "一.png", "二.png", "山/一.png", "山/水/三.png"]
    assert places(find(["照片/山/*.png"])) == ["一.png"]
    odd = tree / "[1].png"
    odd.touch()
    assert places(find([str(odd)])) == ["[1].png"]  # what is there is no pattern


def test_a_list_on_stdin_may_name_anything_also_what_has_gone(tree: Path) -> None:
    lines = f"{tree}/b.png\n\n{tree}/没有.png\r\n{tree}/山\n"
    assert places(find(["-"], stdin=io.BytesIO(lines.encode()))) == ["b.png", "没有.png", "山/一.png"]
    ended = f"{tree}/c d.png\0{tree}/b.png\0"
    assert places(find(["-"], stdin=io.BytesIO(ended.encode()))) == ["c d.png", "b.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there are names any bytes")
def test_names_that_are_no_text_are_found(tree: Path) -> None:
    name = os.fsencode(tree) + b"/\xff\xfe.png"
    Path(os.fsdecode(name)).write_bytes(b"")
    assert len(find([str(tree)])) == 5
    assert find(["-"], stdin=io.BytesIO(name))[0].path.exists()


def test_what_was_painted_into_the_photos_is_not_painted_again(tree: Path) -> None:
    out, other = tree / "画", tree / "山" / "别的"
    for folder in (out / "山", other / photos.KEPT):
        folder.mkdir(parents=True)
    for file in (out / "一.png", out / "山" / "一.png", other / "一.png"):
        file.touch()
    assert len(find([str(tree)], recursive=True, apart=[out])) == 6
    assert len(find([f"{tree}/**/*.png"], apart=[out, other])) == 6
    lines = "\n".join(map(str, tree.rglob("*.png"))).encode()
    assert len(find(["-"], apart=[out, other], stdin=io.BytesIO(lines))) == 6
    assert places(find([str(other)])) == ["一.png"]  # named itself


def test_photos_below_the_folder_of_the_paintings_are_painted(tree: Path) -> None:
    assert places(find([str(tree / "山")], recursive=True, apart=[tree])) == ["一.png", "水/三.png"]


@pytest.mark.parametrize("named", ["照片", "照片/*.png", "照片/b.png"])
def test_paintings_do_not_go_where_the_photos_are(named: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    with pytest.raises(UsageError, match="another folder"):
        find([named], apart=[tree])


def test_what_is_not_there_is_said(tree: Path) -> None:
    with pytest.raises(BadInput, match="没有"):
        find([str(tree / "没有")])
    for odd in ("山" * 300, "*" * 300, "a\0b"):
        with pytest.raises(BadInput):
            find([odd])
    (tree / "空" / "深").mkdir(parents=True)
    with pytest.raises(BadInput, match="--recursive"):
        find([str(tree / "空")])
    with pytest.raises(BadInput, match="no photos"):
        find([str(tree / "空"), str(tree / "*.jpg")], recursive=True)


@pytest.mark.parametrize(
    ("names", "format", "expected"),
    [
        (["a.jpg", "b.PNG"], None, ["a.jpg", "b.PNG"]),
        (["a.jpg", "a.png"], None, ["a.jpg", "a.png"]),
        (["a.jpg", "b.png"], "webp", ["a.webp", "b.webp"]),
        (["a.png", "a.jpg"], "jpeg", ["a.png.jpg", "a.jpg"]),
        (["a.png", "a.webp"], "jpeg", ["a.png.jpg", "a.webp.jpg"]),
        (["x/a.png", "y/a.webp"], "jpeg", ["x/a.jpg", "y/a.jpg"]),
        (["a.heic", "a.jpg"], None, ["a.heic.jpg", "a.jpg"]),
        (["a.JPG", "a.jpg"], None, ["a.JPG", "a-2.jpg"]),
        (["É.jpg", "E\u0301.jpg"], None, ["É.jpg", "E\u0301-2.jpg"]),
        (["a.png", "a.webp", "a.png.jpg"], "jpeg", ["a.png-2.jpg", "a.webp.jpg", "a.png.jpg"]),
        (["山.xyz", "山"], None, ["山.xyz.png", "山.png"]),
    ],
)
def test_no_two_paintings_have_one_name(names: list[str], format: str | None, expected: list[str]) -> None:
    given = [Photo(path=Path("/") / name, place=PurePosixPath(name)) for name in names]
    assert list(map(str, targets(given, format=format))) == expected


def test_masks_have_the_names_of_the_photos(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "遮罩"
    for name in ("b.jpg", "b.png", "山/一.webp", "二.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    found = find([str(tree)], recursive=True)
    named = {str(photo.place): mask for photo, mask in zip(found, masks(found, folder), strict=True)}
    assert named["b.png"] == folder / "b.png" and named["山/一.png"] == folder / "山" / "一.webp"
    assert named["二.png"] == folder / "二.png" and named["一.png"] is None
    with pytest.raises(BadInput, match="没有"):
        masks(found, tmp_path / "没有")
