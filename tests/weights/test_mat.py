"""MatConvNet's files: scipy as writer, MatConvNet's own formula as oracle, and one line for whatever goes wrong."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danqing.errors import DoesNotFit, ModelDamaged, ModelMissing
from danqing.weights import mat, safetensors
from tests.weights import matconvnet

Arrays = dict[str, np.ndarray[Any, Any]]

BOTH = pytest.mark.parametrize("old", [True, False], ids=["old layout", "new layout"])
HEAD = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + b"\x00\x01IM"


def network(*layers: str) -> Arrays:
    rng, arrays, channels = np.random.default_rng(0), {}, 3
    for layer in layers or ("conv1_1", "conv1_2", "conv2_1"):
        width = 4 * int(layer[4])
        arrays[f"{layer}.weight"] = rng.normal(size=(width, channels, 3, 3)).astype("f4")
        arrays[f"{layer}.bias"] = rng.normal(size=width).astype("f4")
        channels = width
    return arrays


def same(read: Arrays, expected: Arrays) -> None:
    assert list(read) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array, err_msg=name)


# ── good files ──────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize("compressed", [True, False])
def test_both_layouts(tmp_path: Path, old: bool, compressed: bool) -> None:
    path = matconvnet.write(tmp_path / "网络.mat", network(), old=old, do_compression=compressed)
    read = mat.read(path)
    same(read.arrays, network())
    assert read.mean == pytest.approx(matconvnet.MEAN, abs=1e-4)


@BOTH
def test_the_convolution_is_matconvnets(tmp_path: Path, old: bool) -> None:
    """`vl_nnconv`: y(i, j, k) = b(k) + sum over u, v, c of F(u, v, c, k) x(i + u, j + v, c), i and u being rows."""
    rng = np.random.default_rng(1)
    kernels, biases, x = rng.normal(size=(3, 3, 3, 2)), rng.normal(size=2), rng.normal(size=(7, 5, 3))
    expected = np.empty((5, 3, 2))
    for i, j in np.ndindex(5, 3):
        expected[i, j] = biases + np.einsum("uvc,uvck->k", x[i : i + 3, j : j + 3], kernels)
    arrays = {"conv1_1.weight": kernels.transpose(3, 2, 0, 1), "conv1_1.bias": biases}
    read = mat.read(matconvnet.write(tmp_path / "a.mat", arrays, old=old)).arrays
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))  # (i, j, c, row, column)
    ours = np.einsum("ijcuv,kcuv->ijk", windows, read["conv1_1.weight"]) + read["conv1_1.bias"]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


PRINTED = ((0.39416704, 0.46418372, 0.34119523), (0.37740308, 0.41810837, 0.33999205),
           (-0.04594866, -0.04806903, -0.04484424))  # fmt: skip
"""layers[0].weights[0][0, :, :, 0] of the true imagenet-vgg-verydeep-19.mat, as its users have printed it."""


def test_rows_and_colours_are_those_of_the_true_file(tmp_path: Path, shared: Path) -> None:
    teacher = safetensors.read(shared / "weights" / "vgg19-caffe-conv1_1-conv3_4.safetensors")["features.0.weight"]
    scipy_io = pytest.importorskip("scipy.io")
    kernels = np.zeros((3, 3, 3, 64), "f4")
    kernels[0, :, :, 0] = PRINTED
    layer = matconvnet.conv(kernels, np.zeros(64), "conv1_1")
    scipy_io.savemat(tmp_path / "a.mat", {"layers": matconvnet.cells(layer)})
    read = mat.read(tmp_path / "a.mat").arrays["conv1_1.weight"]
    np.testing.assert_allclose(read[0, ::-1, 0], teacher[0, :, 0], atol=1e-7)  # the teacher sees B, G, R


@BOTH
def test_layers_without_names_are_counted_as_torchvision_counts_them(tmp_path: Path, old: bool) -> None:
    read = mat.read(matconvnet.write(tmp_path / "a.mat", network(), old=old, named=False)).arrays
    assert list(read)[::2] == ["features.0.weight", "features.2.weight", "features.5.weight"]


@pytest.mark.parametrize("mean", [None, (1.0, 2.0, 300.0), (np.nan, 1.0, 2.0)])
def test_a_mean_that_is_none(tmp_path: Path, mean: object) -> None:
    assert mat.read(matconvnet.write(tmp_path / "a.mat", network(), mean=mean)).mean is None


# ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Path]:
    """A file that was read once, and what is kept of it."""
    path = matconvnet.write(tmp_path / "网络.mat", network())
    mat.read(path, cache=tmp_path / "存")
    (entry,) = (tmp_path / "存").iterdir()
    return path, entry


def without_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def test_a_file_is_parsed_once_whatever_its_name(kept: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path, entry = kept
    without_child(monkeypatch)
    read = mat.read(path.rename(path.with_name("另一个.mat")), cache=entry.parent)
    same(read.arrays, network())
    assert read.mean == pytest.approx(matconvnet.MEAN, abs=1e-4)
    with pytest.raises(ModelMissing):
        mat.read(path.with_name("另一个.mat"))


@pytest.mark.parametrize("harm", ["cut", "empty", "altered", "grown", "a folder"])
def test_what_is_kept_and_damaged_is_made_again(kept: tuple[Path, Path], harm: str) -> None:
    path, entry = kept
    whole = entry.read_bytes()
    match harm:
        case "cut":
            entry.write_bytes(whole[:-1000])
        case "empty":
            entry.write_bytes(b"")
        case "altered":
            entry.write_bytes(whole[:-10] + b"\0" + whole[-9:])
        case "grown":
            entry.write_bytes(whole + b"\0")
        case _:
            entry.unlink()
            entry.mkdir()
    same(mat.read(path, cache=entry.parent).arrays, network())
    if harm != "a folder":
        assert entry.read_bytes() == whole


def test_another_file_is_read_anew(kept: tuple[Path, Path]) -> None:
    path, entry = kept
    other = network("conv1_1", "conv1_2")
    same(mat.read(matconvnet.write(path, other), cache=entry.parent).arrays, other)
    assert len(list(entry.parent.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    path = matconvnet.write(tmp_path / "a.mat", network())
    same(mat.read(path, cache=tmp_path / "taken").arrays, network())


# ── bad files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def refused(path: Path, says: str, kind: type[Exception] = ModelDamaged) -> None:
    with pytest.raises(kind, match=says) as caught:
        mat.read(path, cache=path.parent / "存")
    assert str(caught.value).isprintable()
    assert path.name in str(caught.value)
    assert not (path.parent / "存").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<!DOCTYPE html><html>Not Found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (bytes(5000), "is no MATLAB file"),
        (b"\x93NUMPY" + bytes(500), "is no MATLAB file"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n", "7.3"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "7.3"),
        (b"MATLAB 5.0 MAT-file".ljust(126) + b"??" + bytes(100), "is no MATLAB file"),
        (HEAD + bytes(5000), "damaged"),
        (HEAD + b"\x0f\0\0\0\xff\xff\xff\xff" + bytes(100), "cut short"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_such_file_never_reaches_the_child(
    data: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mat, "CHILD", tmp_path / "none.py")
    (tmp_path / "坏.mat").write_bytes(data)
    refused(tmp_path / "坏.mat", says)


@BOTH
def test_files_that_are_cut_short(tmp_path: Path, old: bool) -> None:
    whole = matconvnet.write(tmp_path / "整.mat", network(), old=old).read_bytes()
    for length in (20, 127, 130, 200, 5000, len(whole) // 2, len(whole) - 5):
        (tmp_path / "残.mat").write_bytes(whole[:length])
        refused(tmp_path / "残.mat", "cut short")


def test_files_of_other_content(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    path = tmp_path / "别的.mat"
    scipy_io.savemat(path, {"x": np.eye(3)})
    refused(path, "without a network of MatConvNet")
    for layers in (np.eye(3), "text", matconvnet.cells({"weights": matconvnet.cells(1.0)}, {"type": "relu"})):
        scipy_io.savemat(path, {"layers": layers})
        refused(path, "damaged|without a network")
    twice = matconvnet.conv(np.ones((3, 3, 3, 2)), np.ones(2), "conv1_1")
    scipy_io.savemat(path, {"layers": matconvnet.cells(twice, twice)})
    refused(path, "damaged")
    nan = matconvnet.conv(np.full((3, 3, 3, 2), np.nan), np.ones(2), "conv1_1")
    scipy_io.savemat(path, {"layers": matconvnet.cells(nan)})
    refused(path, "not numbers")


def test_without_scipy_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_child(monkeypatch)
    (tmp_path / "a.mat").write_bytes(HEAD)
    refused(tmp_path / "a.mat", r"pip install \"danqing\[torch\]\"", ModelMissing)


def test_a_file_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy")
    monkeypatch.setattr("danqing.limits.max_file_bytes", lambda: 100)
    (tmp_path / "a.mat").write_bytes(HEAD)
    refused(tmp_path / "a.mat", "a.mat", DoesNotFit)


# ── children that go wrong ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script of the test's own in the child's place; scipy counts as installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(mat, "CHILD", tmp_path / "child.py")
    (tmp_path / "a.mat").write_bytes(HEAD)
    return tmp_path / "child.py"


def test_one_that_hangs_is_killed(child: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat, "SECONDS", 0.5)
    child.write_text("import time\ntime.sleep(60)\n")
    began = time.monotonic()
    refused(child.parent / "a.mat", r"within 0\.5 s")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV if os.name == 'posix' else signal.SIGTERM)\n", "dam"),
        ("import os\nos._exit(1)\n", "damaged"),
        ("print('not an answer at all')\n", "is no safetensors file"),
        ("", "is empty"),
        (
            "import json, struct, sys\nh = json.dumps({'__metadata__': {'sha256': '0' * 64, 'mean': '[]'}}).encode()\n"
            "sys.stdout.buffer.write(struct.pack('<Q', len(h)) + h)\n",
            "damaged",
        ),
    ],
)
def test_one_that_crashes_or_lies(child: Path, code: str, says: str) -> None:
    child.write_text(code)
    refused(child.parent / "a.mat", says)


@pytest.mark.skipif(os.name != "posix", reason="there are no such limits elsewhere")
def test_the_child_cannot_take_all_memory(child: Path) -> None:
    real = Path(mat.__file__).with_name("mat_child.py")
    child.write_text(
        f"import runpy\nm = runpy.run_path({str(real)!r})\nm['restrict'](seconds=10, memory=300_000_000)\n"
        "import os\ntry:\n    bytearray(1_000_000_000)\nexcept MemoryError:\n    os._exit(2)\n"
    )
    refused(child.parent / "a.mat", "without a network")
