"""Torch7 files: what a writer of ours writes is read, and nothing else is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danqing import limits
from danqing.errors import DoesNotFit, ModelDamaged, ModelMissing
from danqing.weights import t7
from tests.weights.t7_writer import Writer

CONVOLUTION = {
    "nInputPlane": 3,
    "weight": np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3),
    "bias": np.array([1.5, -2.0], np.float64),
    "train": False,
    "_type": "torch.FloatTensor",
}


def network() -> Any:
    layer = t7.Module("nn.SpatialConvolution", dict(CONVOLUTION))
    return t7.Module("nn.Sequential", {"modules": {1: layer, 2: t7.Module("nn.ReLU", {"inplace": True})}})


def test_a_network_is_read() -> None:
    found = t7.read(Writer().bytes(network()))
    assert found.kind == "nn.Sequential"
    assert [module.kind for module in found.modules] == ["nn.SpatialConvolution", "nn.ReLU"]
    fields = found.modules[0].fields
    for name, value in CONVOLUTION.items():
        np.testing.assert_array_equal(fields[name], value)
    assert fields["weight"].dtype == np.float32


def test_what_is_referred_to_twice_is_one_object() -> None:
    shared = t7.Module("nn.Identity")
    found = t7.read(Writer().bytes({"one": shared, "two": shared, 3: None, "half": 0.5}))
    assert found["one"] is found["two"]
    assert (found[3], found["half"]) == (None, 0.5)


def test_views_into_one_storage_are_read() -> None:
    whole = np.arange(12, dtype=np.float32)
    found = t7.read(Writer().tensor(sizes=(2, 3), strides=(1, 4), offset=2, storage=whole))
    np.testing.assert_array_equal(found, [[1, 5, 9], [2, 6, 10]])


def test_many_views_into_one_storage_are_more_than_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.zeros(90_000, np.float32)
    monkeypatch.setattr(limits, "max_file_bytes", lambda: 10 * whole.nbytes)

    def views(count: int) -> bytes:
        writer, view = Writer(), {"sizes": (300, 300), "strides": (1, 300), "offset": 1, "storage": whole}
        entries = b"".join(writer.bytes(number) + writer.tensor(**view) for number in range(count))
        return struct.pack("<iii", t7.TABLE, 0, count) + entries

    assert len(t7.read(views(10))) == 10
    with pytest.raises(DoesNotFit, match="net"):
        t7.read(views(11), name="net.t7")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (struct.pack("<i", 8) + bytes(40), "Lua functions"),
        (struct.pack("<i", 7) + bytes(40), "Lua functions"),
        (Writer().bytes(t7.Module("os.Execute")), "os.Execute"),
        (Writer().bytes({1: {1: 1}})[:-3], "cut short"),
        (Writer().bytes(5) + b"\0", "too many at its end"),
        (struct.pack("<iii", 3, 1, 1 << 30), "announces"),
        (struct.pack("<iii", 3, 1, -5), "announces"),
        (struct.pack("<ii", 2, 1 << 30), "announces"),
        (Writer().tensor(sizes=(1 << 39,), strides=(1,), offset=1, storage=np.zeros(3, np.float32)), "does not fit"),
        (Writer().tensor(sizes=(9, 9), strides=(0, 0), offset=1, storage=np.zeros(3, np.float32)), "does not fit"),
        (Writer().tensor(sizes=(3,), strides=(1,), offset=2, storage=np.zeros(3, np.float32)), "does not fit"),
        (Writer().tensor(sizes=(3,), strides=(1,), offset=0, storage=np.zeros(3, np.float32)), "does not fit"),
        (Writer().storage_size(1 << 40), "cut short"),
        (Writer().storage_size(-1), "cut short"),
        (Writer().bytes(np.array([1, np.nan], np.float32)), "not numbers"),
        (b"PK\x03\x04 a zip", "zip archive"),
        (b"4\n1\n3\nV 1\n13\nnn.Sequential\n", "no Torch7 file but a text"),
        (b"\x03", "no Torch7 file"),
    ],
)
def test_what_is_damaged_or_dangerous_is_one_line(data: bytes, says: str) -> None:
    with pytest.raises(ModelDamaged, match=says) as caught:
        t7.read(data, name="net.t7")
    assert "\n" not in str(caught.value)
    assert "net.t7" in str(caught.value)


def test_depth_is_bounded() -> None:
    deep = b"".join(struct.pack("<iiii", 3, number, 1, 1) + struct.pack("<d", 1) for number in range(100_000))
    with pytest.raises(ModelDamaged, match="nested too deeply"):
        t7.read(deep)


def test_a_missing_or_empty_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="check the path"):
        t7.read(tmp_path / "none.t7")
    (tmp_path / "empty.t7").touch()
    with pytest.raises(ModelDamaged, match="is empty"):
        t7.read(tmp_path / "empty.t7")


WHOLE = Writer().bytes(network())


@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
def test_a_flipped_byte_is_read_or_refused(place: int, value: int) -> None:
    try:
        t7.read(WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :])
    except ModelDamaged as error:
        assert "\n" not in str(error)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_ends_early_is_refused(length: int) -> None:
    with pytest.raises(ModelDamaged):
        t7.read(WHOLE[:length])
