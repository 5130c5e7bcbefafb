"""The work list: nothing is lost and nothing done twice, whatever dies in the middle."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from danqing.errors import RunFailed
from danqing.work import TRIES, WorkList

KEYS = [f"画 {number}" for number in range(22)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "清单.db"


@pytest.fixture
def work(path: Path) -> Iterator[WorkList]:
    with WorkList(path) as opened:
        yield opened


def program(body: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs Python with the list of the first argument as `work`."""
    opening = "import os, sys, time\nfrom danqing.work import WorkList\nwork = WorkList(sys.argv[1])\n"
    command = [sys.executable, "-c", opening + body, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    return out


def test_tasks_are_taken_in_their_order_and_each_once(work: WorkList) -> None:
    work.put({key: {"number": at} for at, key in enumerate(KEYS)})
    taken = [item for _ in KEYS if (item := work.take()) is not None]
    assert [item.key for item in taken] == KEYS and work.take() is None
    assert taken[3].task == {"number": 3} and taken[3].state == "running" and taken[3].tries == 1
    assert work.count() == {"running": len(KEYS)}


def test_what_comes_of_a_task_is_remembered(work: WorkList, path: Path) -> None:
    work.put({key: {} for key in ("a", "b", "c", "d")})
    assert work.take("b") is not None and work.take("b") is None and work.take("没有") is None
    assert work.finish("b", {"size": [3, 4]})
    work.take("a")
    assert work.fail("a", "no picture")
    work.take("c")
    work.release("c")
    with WorkList(path) as other:
        states = {item.key: (item.state, item.tries, item.result, item.problem) for item in other.items()}
    assert states == {
        "a": ("failed", 1, None, "no picture"),
        "b": ("done", 1, {"size": [3, 4]}, None),
        "c": ("queued", 0, None, None),
        "d": ("queued", 0, None, None),
    }


def test_a_task_that_fails_may_be_begun_again_so_often(work: WorkList) -> None:
    work.put({"a": {}})
    ends = []
    while work.take("a") is not None:
        ends.append(work.fail("a", "died", again=True))
    assert ends == [False] * (TRIES - 1) + [True]
    found = work.get("a")
    assert found is not None and (found.state, found.tries, found.problem) == ("failed", TRIES, "died")


def test_what_is_there_stays_unless_it_is_asked_for_again(work: WorkList) -> None:
    work.put({"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1}})
    work.take("a")
    work.take("b")
    work.finish("b", {})
    work.put({"a": {"n": 2}, "b": {"n": 2}, "c": {"n": 2}})
    assert {item.task["n"] for item in work.items()} == {1}
    work.put({"a": {"n": 2}, "b": {"n": 2}, "c": {"n": 2}}, keep=lambda item: item.state == "done")
    assert [(item.state, item.task["n"]) for item in work.items()] == [("running", 1), ("done", 1), ("queued", 2)]
    work.put({"b": {"n": 3}}, keep=lambda item: False)
    again = work.get("b")
    assert again is not None and (again.state, again.tries, again.result, again.task) == ("queued", 0, None, {"n": 3})


def test_tasks_are_put_all_or_none(work: WorkList) -> None:
    with pytest.raises(TypeError):
        work.put({"a": {}, "b": {"no JSON": object()}})
    assert work.items() == []


def test_what_is_called_off_is_not_done_by_whoever_is_at_it(work: WorkList) -> None:
    work.put({"a": {}, "b": {}})
    work.take("a")
    assert (work.cancel("a"), work.cancel("b"), work.cancel("c")) == ("running", "queued", None)
    assert not work.finish("a", {}) and work.take() is None
    assert work.count() == {"cancelled": 2}


def test_what_others_have_taken_is_not_mine_to_end(path: Path) -> None:
    with WorkList(path) as mine, WorkList(path) as other:
        mine.put({"a": {}})
        mine.take("a")
        assert not other.finish("a", {}) and other.take() is None and other.recover() == 0
        other.release("a")
        assert mine.finish("a", {"by": "me"})


def test_a_closed_list_gives_back_what_was_not_finished(path: Path) -> None:
    with WorkList(path) as first:
        first.put({"a": {}})
        first.take()
    with WorkList(path) as second:
        assert second.recover() == 1 and second.count() == {"queued": 1}


def test_after_kill_9_nothing_is_lost_and_what_was_running_is_queued_once(path: Path) -> None:
    """F12: twenty queued and two running."""
    body = f"work.put({{key: {{}} for key in {KEYS!r}}})\nwork.take(), work.take()\n"
    body += "print('taken', flush=True)\ntime.sleep(99)"
    for states in ({"queued": 22}, {"queued": 20, "failed": 2}):
        process = program(body, path)
        assert process.stdout is not None and process.stdout.readline() == "taken\n"
        with WorkList(path) as other:
            assert other.recover() == 0 and other.count() == {"queued": 20, "running": 2}  # it lives
        process.kill()
        process.wait()
        process.stdout.close()
        with WorkList(path) as other:
            assert other.recover() == 2 and other.count() == states
            assert other.recover() == 0
            assert [item.tries for item in other.items()][:3] == [len(states), len(states), 0]
    assert not [p for p in path.parent.iterdir() if p.name.endswith(".lock") and p.name != "清单.db.lock"]


WORKING = """
while (item := work.take()) is not None:
    with open(sys.argv[2], "a") as log:
        log.write(item.key + "\\n")
    work.finish(item.key, {})
"""


def test_eight_processes_do_everything_once(path: Path, tmp_path: Path) -> None:
    """F18: several processes take from one list, made by whoever comes first."""
    keys = [f"k{number}" for number in range(200)]
    log = tmp_path / "log"
    body = f"work.put({{key: {{}} for key in {keys!r}}}){WORKING}"
    processes = [program(body, path, log) for _ in range(8)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 8
    for process in processes:
        ended(process)
    assert sorted(log.read_text().splitlines()) == sorted(keys)
    with WorkList(path) as work:
        assert work.count() == {"done": len(keys)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_processes_that_are_killed_at_any_moment_lose_nothing(path: Path, tmp_path: Path) -> None:
    """Whatever is done is done once, and what a killed process was at is done by another."""
    keys = [f"k{number}" for number in range(300)]
    log = tmp_path / "log"
    with WorkList(path) as work:
        work.put({key: {} for key in keys})
        rng = random.Random(7)
        for _ in range(6):
            process = program(WORKING.replace("    work.finish", "    time.sleep(0.002)\n    work.finish"), path, log)
            time.sleep(0.2 + rng.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            ended(process)
            work.recover()
        ended(program(WORKING, path, log))
        found = work.items()
    begun = Counter(log.read_text().splitlines())
    assert {item.state for item in found} <= {"done", "failed"}
    assert all(item.tries == TRIES for item in found if item.state == "failed")
    assert all(begun[item.key] <= item.tries for item in found)  # a second time only after a death
    assert sum(item.tries > 1 for item in found) <= 6


def test_threads_may_share_one_list(work: WorkList) -> None:
    work.put({key: {} for key in KEYS})
    done: list[str] = []

    def labour() -> None:
        while (item := work.take()) is not None:
            done.append(item.key)
            work.finish(item.key, {})

    threads = [threading.Thread(target=labour) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(KEYS)


@pytest.mark.parametrize("content", [b"no database " * 200, b""])
def test_a_file_that_is_no_list_is_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    if content:
        with pytest.raises(RunFailed, match="清单"):
            WorkList(path)
        assert path.read_bytes() == content
    else:
        WorkList(path).close()


def test_a_list_of_a_later_danqing_is_left_alone(path: Path) -> None:
    WorkList(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RunFailed, match="later"):
        WorkList(path)


def test_without_a_folder_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="没有"):
        WorkList(tmp_path / "没有" / "work.db")
