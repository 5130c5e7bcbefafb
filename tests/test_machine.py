"""What the machine says of itself, checked against made-up systems and against Python's own answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from danqing import machine
from danqing.messages import catalogue

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine: nothing in /proc, no control groups, no tools."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(machine.shutil, "which", lambda program: None)
    return tmp_path


def put(root: Path, path: str, content: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


def test_memory_is_the_machines_when_no_group_limits_it(system: Path) -> None:
    put(system, "proc/meminfo", MEMINFO)
    assert machine.memory_total() == 16_000_000 * 1024
    assert machine.memory_available() == 8_000_000 * 1024


def test_the_tightest_control_group_counts_and_cached_files_are_free(system: Path) -> None:
    put(system, "proc/meminfo", MEMINFO)
    put(system, "proc/self/cgroup", "0::/outer/inner\n")
    put(system, "cgroup/outer/memory.max", "2000000000\n")
    put(system, "cgroup/outer/memory.current", "1500000000\n")
    put(system, "cgroup/outer/memory.stat", "anon 5\ninactive_file 300000000\n")
    put(system, "cgroup/outer/inner/memory.max", "max\n")
    put(system, "cgroup/outer/inner/memory.current", "1\n")
    assert machine.memory_total() == 2_000_000_000
    assert machine.memory_available() == 800_000_000


def test_the_older_control_groups_count_too(system: Path) -> None:
    put(system, "proc/meminfo", MEMINFO)
    put(system, "cgroup/memory/memory.limit_in_bytes", "1000000000\n")
    put(system, "cgroup/memory/memory.usage_in_bytes", "1200000000\n")
    assert machine.memory_total() == 1_000_000_000
    assert machine.memory_available() == 0


def test_a_share_of_a_core_is_a_core(system: Path) -> None:
    put(system, "proc/self/cgroup", "0::/a\n")
    put(system, "cgroup/a/cpu.max", "50000 100000\n")
    assert machine.cores() == 1
    put(system, "cgroup/a/cpu.max", "max 100000\n")
    assert machine.cores() == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["fpu avx2 avx512_bf16"] * 2, True),
        (["fpu amx_bf16 amx_tile"] * 2, True),
        (["fpu avx2 avx512f amx_int8"] * 2, False),
        (["fpu avx512_bf16", "fpu"], False),
        ([], False),
    ],
)
def test_bfloat16_counts_when_every_core_has_it(system: Path, flags: list[str], expected: bool) -> None:
    put(system, "proc/cpuinfo", "".join(f"processor\t: {n}\nflags\t\t: {f}\n\n" for n, f in enumerate(flags)))
    assert machine.has_bf16() is expected


def test_nvidias_folder_answers_where_its_tool_is_missing(system: Path) -> None:
    assert machine.gpus() == () or sys.platform == "darwin"
    put(system, "proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA H200\nIRQ: 3\n")
    if sys.platform != "darwin":
        assert machine.gpus() == ("NVIDIA H200",)


def test_without_proc_there_is_still_an_answer(system: Path) -> None:
    assert machine.memory_total() >= machine.memory_available() > 0
    assert machine.cores() >= 1
    assert machine.processor()


def test_this_machine() -> None:
    told = machine.describe()
    assert 0 < machine.memory_available() <= machine.memory_total()
    assert set(told) == set(catalogue("machine"))


def test_it_needs_no_torch() -> None:
    code = "import sys; from danqing import machine; machine.describe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(("asked", "most"), [("1", 1), ("0", 1), ("many", None), ("100000", None)])
def test_the_environment_makes_the_cores_fewer_and_never_more(
    asked: str, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = machine.cores()
    monkeypatch.setenv(machine.CORES, asked)
    assert machine.cores() == (usual if most is None else most)


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system has no such scheduling")
def test_a_process_that_was_made_urgent_is_made_usual_again() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may be urgent")
    machine.usual_priority()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
