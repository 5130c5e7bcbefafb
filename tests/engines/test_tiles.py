"""A picture in tiles is the picture in one piece, and takes no more of the disk than was said."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from danqing import catalog, paint, scratch
from danqing.commission import prepare
from danqing.engines import fast, onnx, tiles
from danqing.errors import DoesNotFit, Interrupted, RunFailed
from tests import pastiches

F32 = NDArray[np.float32]
RNG = np.random.default_rng(11)
SIZES = [(300, 410), (517, 263), (40, 700), (640, 43)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, F32]]:
    """The graph of a drawn network, and the vector of a style."""
    folder = tmp_path_factory.mktemp("network")
    card = pastiches.published(folder)
    vectors = pastiches.vector(pastiches.drawn()[0], RNG)[None]
    return (folder / card.file).read_bytes(), {"vectors": vectors, "weights": np.ones((1, 1), dtype=np.float32)}


def photo(height: int, width: int) -> F32:
    """Something with large areas, edges and grain, and as different from place to place as photos are."""
    y, x = np.mgrid[:height, :width] / 97.0
    waves = np.stack([np.sin(x + y**2 / 9), np.cos(3 * x * y / 7), np.sign(np.sin(5 * x - y))], axis=-1)
    return np.clip(0.5 + 0.3 * waves + 0.05 * RNG.normal(size=waves.shape), 0, 1).astype(np.float32)


def in_tiles(network: tuple[bytes, dict[str, F32]], pixels: F32, *, side: int = tiles.LEAST) -> F32:
    return tiles.paint(
        network[0], lambda part: onnx.Session(part, name="part"), pixels, network[1], multiple_of=8, side=side
    )


def at_once(network: tuple[bytes, dict[str, F32]], pixels: F32) -> F32:
    card = pastiches.Card(
        name="n", kind="pastiche", file="n.onnx", sha256="0" * 64, license="-", origin="-", multiple_of=8, min_size=32
    )
    vectors, weights = network[1]["vectors"], network[1]["weights"][0]
    return fast.run(onnx.Session(network[0], name="n"), card, pixels, vectors, weights)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_tiles_are_the_whole(network: tuple[bytes, dict[str, F32]], size: tuple[int, int]) -> None:
    pixels = photo(*size)
    found, expected = in_tiles(network, pixels), at_once(network, pixels)
    assert found.shape == expected.shape
    assert expected.std() > 0.02
    assert np.abs(found - expected).max() <= 1 / 255


def test_without_surroundings_they_are_not(
    network: tuple[bytes, dict[str, F32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above holds could fail."""
    pixels = photo(300, 410)
    expected = at_once(network, pixels)
    monkeypatch.setattr(tiles, "STAGES", [dataclasses.replace(stage, surroundings=0) for stage in tiles.STAGES])
    assert np.abs(in_tiles(network, pixels) - expected).max() > 2 / 255


def test_no_more_of_the_disk_than_was_said(
    network: tuple[bytes, dict[str, F32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[int, int] = {}
    most = 0
    make = scratch.array

    class Held(np.ndarray[Any, Any]):
        def __del__(self) -> None:
            held.pop(id(self), None)

    def counted(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        nonlocal most
        made = make(shape, dtype).view(Held)
        held[id(made)] = made.nbytes
        most = max(most, sum(held.values()))
        return made

    monkeypatch.setattr(scratch, "array", counted)
    in_tiles(network, photo(517, 640))
    said = tiles.scratch_bytes((640, 517))
    assert 0.9 * said <= most <= said


def test_statistics_in_pieces_are_those_of_the_whole() -> None:
    values = (RNG.normal(size=(5, 40, 60)) * [[[1]], [[2]], [[3]], [[1e-2]], [[0]]] + 30).astype(np.float32)
    pieces = tiles.Statistics()
    for part in (values[:, :7], values[:, 7:31, :13], values[:, 7:31, 13:], values[:, 31:]):
        pieces.add(part)
    flat = values.reshape(5, -1).astype(np.float64)
    found = pieces.values("x")
    np.testing.assert_allclose(found["exact.x.mean"][0, :, 0, 0], flat.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found["exact.x.covariance"], np.cov(flat, bias=True), rtol=1e-4, atol=1e-7)


# ── as a user has it ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo; the drawn network is bundled."""
    pastiches.bundle(tmp_path / "models")
    monkeypatch.setattr(catalog, "MODELS", tmp_path / "models")
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "home"))
    Image.fromarray((photo(400, 520) * 255).astype(np.uint8)).save(tmp_path / "照片.png")
    return tmp_path


LITTLE = fast.BASE_BYTES + 300 * 300 * fast.BYTES_PER_PIXEL


@pytest.mark.parametrize("knobs", [{}, {"strength": 0.5}, {"keep_color": "luminance"}], ids=str)
def test_little_memory_paints_the_same(folder: Path, knobs: dict[str, Any]) -> None:
    steps = []
    small = prepare(folder / "照片.png", "reeds", max_memory=LITTLE, **knobs)
    painted = small.paint(lambda step: steps.append((step.number, step.total)))
    large = paint(folder / "照片.png", "reeds", **knobs)
    assert np.abs(painted.picture.pixels - large.picture.pixels).max() <= 1.5 / 255
    assert any(str(scratch.folder()) in note for note in small.notes)
    assert small.estimate.memory <= LITTLE
    assert len(steps) > 20
    assert steps[-1][0] == steps[-1][1] == len(steps)


def test_regions_too(folder: Path) -> None:
    mask = np.zeros((400, 520), dtype=np.float32)
    mask[:, 200:] = 1
    steps: list[int] = []
    knobs: dict[str, Any] = {"style": ["reeds", "smoke"], "masks": [mask, None]}
    painted = prepare(folder / "照片.png", max_memory=LITTLE, **knobs).paint(lambda step: steps.append(step.number))
    large = prepare(folder / "照片.png", **knobs).paint()
    assert np.abs(painted.picture.pixels - large.picture.pixels).max() <= 1.5 / 255
    assert steps == list(range(1, len(steps) + 1))


def test_stopping_between_tiles(folder: Path) -> None:
    with pytest.raises(Interrupted, match="tiles"):
        prepare(folder / "照片.png", "reeds", max_memory=LITTLE).paint(lambda step: step.number < 5)


def test_less_than_a_tile_does_not_fit(folder: Path) -> None:
    with pytest.raises(DoesNotFit):
        prepare(folder / "照片.png", "reeds", max_memory=fast.BASE_BYTES, size=520)


def test_a_disk_without_room_is_said_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "free", lambda: 1000)
    with pytest.raises(DoesNotFit, match="TMPDIR"):
        prepare(folder / "照片.png", "reeds", max_memory=LITTLE)


def test_a_disk_that_fills_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch, full: Callable[[], None]) -> None:
    commission = prepare(folder / "照片.png", "reeds", max_memory=LITTLE)
    full()
    with pytest.raises(RunFailed, match="TMPDIR"):
        commission.paint()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Fills the disk for scratch files, as far as these can tell."""

    def fill() -> None:
        def refuse(*_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(scratch.os, "posix_fallocate", refuse)

    return fill
