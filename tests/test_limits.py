"""Limits: what fits follows from the memory there is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from danqing import limits, machine
from danqing.errors import DoesNotFit, UsageError


@pytest.fixture
def gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_available", lambda: 10**9)


@pytest.mark.usefixtures("gigabyte")
def test_pixels_follow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.max_pixels() == 10**9 * limits.SHARE // limits.LOAD_BYTES
    monkeypatch.setattr(machine, "memory_available", lambda: 0)
    assert limits.max_pixels() == 1


@pytest.mark.usefixtures("gigabyte")
def test_pictures_that_a_training_keeps_follow_memory() -> None:
    assert limits.kept_pictures(10**6, most=4096) == 200
    assert limits.kept_pictures(10**6, most=50) == 50


@pytest.mark.usefixtures("gigabyte")
def test_sizes() -> None:
    most = limits.max_pixels()
    limits.check_size((most // 1000, 1000), name="图")
    with pytest.raises(DoesNotFit, match=rf"图.*{most // 1000 + 1} x 1000"):
        limits.check_size((most // 1000 + 1, 1000), name="图")
    with pytest.raises(DoesNotFit, match=r"0\.01 Mpx"):
        limits.check_size((101, 100), name="图", cap=10_000)
    with pytest.raises(DoesNotFit, match="65536"):
        limits.check_size((limits.MAX_EDGE + 1, 1), name="图")
    limits.check_size((limits.MAX_EDGE, 1), name="图")
    with pytest.raises(DoesNotFit):  # a cap never allows more than memory does
        limits.check_size((most // 1000 + 1, 1000), name="图", cap=10**12)


@pytest.mark.usefixtures("gigabyte")
def test_files() -> None:
    limits.check_file(limits.max_file_bytes(), name="图")
    with pytest.raises(DoesNotFit, match=r"图.*MB"):
        limits.check_file(limits.max_file_bytes() + 1, name="图")


MEASURE = """
import io, resource, sys, numpy as np
from danqing.picture import Picture

def forget():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return peak()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

kind, depth = sys.argv[1], int(sys.argv[2])
for side in (50, 1200):  # the first round brings the libraries in
    noise = np.random.default_rng(0).random((side, side, 4), dtype=np.float32)
    picture = Picture(pixels=noise[..., :3].copy(), alpha=noise[..., 3].copy())
    del noise
    out, start = io.BytesIO(), forget()
    picture.save(out, format=kind, depth=depth)
    wrote = peak() - start
    del picture
    start = forget()
    Picture.load(out.getvalue())
    read = peak() - start
print(wrote / side**2, read / side**2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measured through /proc")
@pytest.mark.parametrize(("kind", "depth"), [("jpeg", 8), ("png", 16), ("tiff", 16), ("webp", 8), ("avif", 8)])
def test_reading_and_writing_stay_within_the_estimates(kind: str, depth: int) -> None:
    """1.4 Mpx of noise with alpha, in a process of its own."""
    run = [sys.executable, "-c", MEASURE, kind, str(depth)]
    wrote, read = map(float, subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())
    assert wrote <= limits.SAVE_BYTES
    assert read <= limits.LOAD_BYTES


@pytest.mark.parametrize(
    ("asked", "bytes_"),
    [("4G", 4e9), ("1.5gb", 1.5e9), ("800M", 8e8), (" 2 g ", 2e9), (12345, 12345), ("7k", 7000), ("2MiB", 2 << 20)],
)
def test_a_budget_is_what_is_asked_for(asked: object, bytes_: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_available", lambda: 10**10)
    assert limits.budget(asked) == bytes_  # type: ignore[arg-type]


def test_a_budget_is_never_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_available", lambda: 1000)
    assert limits.budget("4G") == limits.budget() == 1000


@pytest.mark.parametrize("asked", ["lots", "", "-4G", "4X", "0", "1e9", "4", 0])
def test_a_budget_that_is_none_is_refused(asked: object) -> None:
    with pytest.raises(UsageError):
        limits.budget(asked)  # type: ignore[arg-type]
