"""Safetensors: the library as oracle for good files, one line for every bad one."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from danqing.errors import DanqingError, ModelDamaged, ModelMissing
from danqing.weights import safetensors as ours

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "权重": np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4),
    "f64": np.array([[1e300, -0.5]]),
    "f16": np.array([1, -2, 6e4], np.float16),
    "i64": np.array([-(2**62), 3]),
    "i32": np.array([-5], np.int32),
    "i16": np.array([-7], np.int16),
    "i8": np.array([-8], np.int8),
    "u8": np.array([255], np.uint8),
    "u16": np.array([65535], np.uint16),
    "u32": np.array([2**32 - 1], np.uint32),
    "u64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([True, False]),
    "scalar": np.array(7, np.float32),
    "empty": np.zeros((0, 3), np.float32),
}
GOOD = safetensors.numpy.save(ARRAYS, metadata={"input": "BGR, 0..255"})


def built(header: bytes | dict[str, Any], body: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def entry(shape: list[Any], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


ZIP = b"PK\x03\x04" + bytes(200)
ONE = {"a": entry([1], 0, 4)}
BAD = {
    "empty": b"",
    "three bytes": b"abc",
    "claims 2^60": struct.pack("<Q", 1 << 60) + b"{}",
    "long header": struct.pack("<Q", 101_000_000) + b"{" + bytes(2000),
    "no JSON": built(b"{not json}"),
    "a list": built(b"[]"),
    "not UTF-8": built(b'{"\xff\xfe": 1}'),
    "truncated": GOOD[: len(GOOD) // 2],
    "one byte short": GOOD[:-1],
    "surplus": GOOD + b"\0",
    "overlap": built({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
    "hole": built({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)),
    "unknown type": built({"a": entry([4], 0, 4, "F8_E4M3")}, bytes(4)),
    "type is no text": built({"a": {"dtype": 4, "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "shape against size": built({"a": entry([3], 0, 4)}, bytes(4)),
    "negative offset": built({"a": entry([1], -4, 0)}, bytes(4)),
    "reversed offsets": built({"a": entry([1], 4, 0)}, bytes(4)),
    "negative side": built({"a": entry([-1, -1], 0, 4)}, bytes(4)),
    "overflow": built({"a": entry([2**62, 2**62], 0, 4)}, bytes(4)),
    "beyond 64 bits": built({"a": entry([2**70], 0, 4)}, bytes(4)),
    "true as a side": built({"a": entry([True], 0, 4)}, bytes(4)),
    "fraction as a side": built({"a": entry([1.0], 0, 4)}, bytes(4)),
    "many dimensions": built({"a": entry([1] * 40, 0, 4)}, bytes(4)),
    "missing field": built({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "extra field": built({"a": {**entry([1], 0, 4), "x": 1}}, bytes(4)),
    "deep JSON": built(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "metadata of numbers": built({"__metadata__": {"a": 1}}),
    "bad truth": built({"a": entry([1], 0, 1, "BOOL")}, b"\x07"),
    "doubled name": built(b'{"a":%s,"a":%s}' % ((json.dumps(ONE["a"]).encode(),) * 2), bytes(4)),
    "NaN": built(ONE, floats(float("nan"))),
    "infinity": built(ONE, floats(float("-inf"))),
    "NaN in bfloat16": built({"a": entry([1], 0, 2, "BF16")}, struct.pack("<H", 0x7FC0)),
    "renamed pickle": b"\x80\x02}q\x00." + bytes(100),
    "renamed zip": ZIP,
    "web page": b"<!DOCTYPE html><html><body>404</body></html>" * 50,
    "LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "text": b"hello, this is no model at all\n" * 4,
}


def test_good_files_are_as_the_library_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "模型.safetensors"
    path.write_bytes(GOOD)
    expected = safetensors.numpy.load(GOOD)
    for source in (path, str(path), GOOD):
        read = ours.read(source)
        assert read.keys() == expected.keys() == ARRAYS.keys()
        for name, array in expected.items():
            assert read[name].dtype == array.dtype
            assert read[name].shape == array.shape
            np.testing.assert_array_equal(read[name], array)
    assert ours.metadata(path) == {"input": "BGR, 0..255"}


def test_bfloat16_becomes_float32() -> None:
    torch = pytest.importorskip("torch", reason="the oracle is torch")
    import safetensors.torch

    values = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    read = ours.read(safetensors.torch.save({"a": values}))["a"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.float().numpy())


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_get_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "坏.safetensors"
    path.write_bytes(BAD[kind])
    for source, name in ((path, path.name), (BAD[kind], "the weights")):
        with pytest.raises(ModelDamaged) as caught:
            ours.read(source)
        line = str(caught.value)
        assert line.startswith(name)
        assert "\n" not in line
        assert len(line) < 400


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("renamed zip", "zip archive"),
        ("renamed pickle", "pickle"),
        ("web page", "web page"),
        ("LFS pointer", "Git LFS"),
        ("text", "a text"),
        ("doubled name", "names a twice"),
        ("NaN", "not numbers"),
        ("unknown type", "F8_E4M3"),
        ("one byte short", f"{len(GOOD)} bytes are announced, {len(GOOD) - 1} are there"),
    ],
)
def test_the_line_says_what_is_wrong(kind: str, says: str) -> None:
    with pytest.raises(ModelDamaged, match=says):
        ours.read(BAD[kind])


def test_a_name_out_of_a_file_cannot_break_the_line() -> None:
    with pytest.raises(ModelDamaged) as caught:
        ours.read(built({"a\n\x1b[31m" + "x" * 5000: entry([9], 0, 4)}, bytes(4)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        ours.read(tmp_path / "不在.safetensors")
    with pytest.raises(ModelMissing):
        ours.read(tmp_path)


@settings(max_examples=100, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=16),
    cut=st.integers(0, len(GOOD)),
)
def test_whatever_is_altered_it_is_read_or_refused(flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD)
    for at, value in flips:
        data[at] = value
    try:
        for array in ours.read(bytes(data[:cut])).values():
            assert array.dtype.kind != "f" or np.isfinite(array).all()
    except DanqingError as error:
        assert "\n" not in str(error)
