"""Cards: read from TOML, checked as a whole, every problem told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from danqing.card import Card, LearntStyle
from danqing.errors import ModelDamaged, ModelMissing

GOOD = {
    "name": "小",
    "kind": "encoder",
    "file": "小 (1).safetensors",
    "sha256": "ab" * 32,
    "license": "Apache-2.0",
    "origin": "一个测试",
}
FETCHED = {"urls": ["https://example.org/a.pth"], "bytes": 10}


def load(tmp_path: Path, **fields: Any) -> Card:
    path = tmp_path / "卡片.toml"
    path.write_text(tomli_w.dumps({k: v for k, v in (GOOD | fields).items() if v is not None}), encoding="utf-8")
    return Card.load(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    card = load(tmp_path, quality={"psnr": 30.5, "how": "by hand"}, layers=["relu1_1"], mean=[1, 2, 3])
    assert card == Card(**GOOD, quality={"psnr": 30.5, "how": "by hand"}, layers=("relu1_1",), mean=(1, 2, 3))
    assert load(tmp_path, **FETCHED, sha256="ab" * 4).sha256 == "abababab"
    assert load(tmp_path, onnx="小.onnx", onnx_sha256="cd" * 32).onnx == "小.onnx"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": None}, "name"),
        ({"name": "../a"}, "name"),
        ({"license": ""}, "license"),
        ({"origin": None}, "origin"),
        ({"file": "../a.pth"}, "file"),
        ({"file": ".."}, "file"),
        ({"file": "a\\b"}, "file"),
        ({"file": "C:a"}, "file"),
        ({"onnx": "/etc/passwd", "onnx_sha256": "ab" * 32}, "onnx"),
        ({"onnx": "a.onnx"}, "onnx_sha256"),
        ({"sha256": "xyz"}, "sha256"),
        ({"sha256": "ab" * 4}, "shortened"),
        ({"urls": ["https://example.org/a"]}, "bytes"),
        ({**FETCHED, "urls": ["http://example.org/a"]}, "urls"),
        ({**FETCHED, "urls": ["file:///etc/passwd"]}, "urls"),
        ({**FETCHED, "urls": ["https://user:word@example.org/a"]}, "urls"),
        ({"value_range": [1.0, 0.0]}, "value_range"),
        ({"std": [1.0, 0.0, 1.0]}, "std"),
        ({"mean": [float("nan"), 0.0, 0.0]}, "mean"),
        ({"channels": "RBG"}, "channels"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelDamaged, match=says) as caught:
        load(tmp_path, **fields)
    assert "卡片.toml" in str(caught.value)
    assert str(caught.value).isprintable()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"kind: .*; license: .*; padding: ") as caught:
        load(tmp_path, kind="car", license="", padding="wrap")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("data", [b"", b"= 1", b"\xff\xfe", b"a = 1\n" * 200_000, b"a=" + b"[" * 100_000])
def test_what_is_no_card_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "坏.toml"
    path.write_bytes(data)
    with pytest.raises(ModelDamaged, match=r"坏\.toml") as caught:
        Card.load(path)
    assert str(caught.value).isprintable()


def test_a_missing_card_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        Card.load(tmp_path / "不在.toml")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"channels": "BGR", "value_range": (0.0, 255.0), "mean": (103.939, 116.779, 123.68)},
        {"channels": "BGR", "value_range": (-1.0, 1.0), "std": (0.5, 2.0, 3.0)},
    ],
)
def test_the_transform_is_the_preprocessing(fields: dict[str, Any]) -> None:
    card = Card(**GOOD, **fields)
    rgb = np.random.default_rng(0).random((5, 3))
    matrix, bias = card.transform()
    low, high = card.value_range
    ordered = (rgb if card.channels == "RGB" else rgb[:, ::-1]) * (high - low) + low
    expected = (ordered - np.array(card.mean)) / np.array(card.std)
    np.testing.assert_allclose(rgb @ np.array(matrix).T + np.array(bias), expected, rtol=1e-9, atol=1e-9)


def test_a_style_may_be_learnt_from_a_part_of_a_picture(tmp_path: Path) -> None:
    style = LearntStyle(name="rocks", box=(0.25, 0.5, 0.75, 1.0))
    picture = np.arange(100 * 200).reshape(100, 200, 1)
    np.testing.assert_array_equal(style.part(picture), picture[50:, 50:150])
    np.testing.assert_array_equal(LearntStyle(name="all").part(picture), picture)
    card = Card(
        name="net", kind="pastiche", file="net.onnx", sha256="0" * 64, license="MIT", origin="-", styles=(style,)
    )
    (tmp_path / "net.toml").write_text(card.to_toml(), encoding="utf-8")
    assert Card.load(tmp_path / "net.toml") == card
    with pytest.raises(ValueError, match="box"):
        LearntStyle(name="rocks", box=(0.25, 0.5, 1.75, 1.0))
