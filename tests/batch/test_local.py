"""Worker processes: whatever happens to one, the others go on, and every task comes to its one end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from danqing.batch import local, photos, plan
from danqing.batch.local import Crew
from danqing.batch.plan import Plan
from danqing.errors import RunFailed
from danqing.work import Item, WorkList
from tests.batch.painter import begun
from tests.fake_engine import picture

pytestmark = [
    pytest.mark.usefixtures("log"),
    pytest.mark.skipif(sys.platform == "win32", reason="the faults are POSIX's"),
]


def planned(tree: Path, **settings: Any) -> Plan:
    found = photos.find([str(tree)], recursive=True)
    fake = {"engine": "fake", "steps": 1, "styles": ["great-wave"], "workers": 2}
    return plan.prepare(found, tree.parent / "画", **(fake | settings))


def run(one: Plan, **settings: Any) -> list[Item]:
    """Paint it; what came of each, in order of their ends."""
    ended: list[Item] = []
    with one.open() as work:
        todo = one.enlist(work)
        Crew(work, workers=one.workers, threads=1, **settings).run(todo, ended.append)
        assert {item.key for item in ended} == set(todo) and len(ended) == len(todo)
        assert all(work.get(item.key) == item for item in ended)
    return ended


def test_everything_is_painted_and_the_same_as_by_one_worker(tree: Path, log: Path) -> None:
    ended = run(planned(tree, workers=3))
    assert {item.state for item in ended} == {"done"} and len(begun(log)) == 6
    folder = tree.parent / "画"
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}
    assert len(files) == 6
    run(planned(tree, workers=1, overwrite=True))
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")} == files
    assert not [path for path in folder.rglob("*") if path.suffix == ".tmp"]


def test_poison_fails_alone_and_only_after_a_second_try(tree: Path, log: Path) -> None:
    """F8: SIGKILL, SIGSEGV, os._exit, bugs and want of memory in a pool of four."""
    for name in ("杀.png", "段.png", "退.png", "虫.png", "大.png"):
        picture(tree / name)
    ended = {item.key: item for item in run(planned(tree, workers=4))}
    problems = {key: item.problem or "" for key, item in ended.items() if item.state == "failed"}
    assert set(problems) == {"杀.png", "段.png", "退.png", "虫.png", "大.png"}
    assert "-9" in problems["杀.png"] and "-11" in problems["段.png"] and "code 0" in problems["退.png"]
    assert "ZeroDivisionError" in problems["虫.png"] and "--workers" in problems["大.png"]
    times = Counter(name for name in begun(log) if name != "一.png")  # there are two of that name
    assert {name for name, count in times.items() if count == 2} == {"杀.png", "段.png", "退.png"}
    assert max(times.values()) == 2


def test_a_dead_worker_is_replaced_within_five_seconds(tree: Path, log: Path) -> None:
    for path in tree.rglob("*.png"):
        path.unlink()
    picture(tree / "杀.png")
    run(planned(tree, workers=1))
    first, second = (float(line.split()[0]) for line in log.read_text(encoding="utf-8").splitlines())
    assert second - first < 5


def test_a_hung_worker_is_killed_and_its_place_is_free(tree: Path, log: Path) -> None:
    """F10."""
    picture(tree / "睡.png")
    before = time.monotonic()
    ended = {item.key: item for item in run(planned(tree, workers=1), quiet=1.0)}
    assert time.monotonic() - before < 30
    assert ended["睡.png"].state == "failed" and "--timeout" in (ended["睡.png"].problem or "")
    assert Counter(item.state for item in ended.values()) == {"done": 6, "failed": 1}
    assert Counter(begun(log))["睡.png"] == 2


def test_a_slow_painting_that_gives_signs_of_life_is_not_killed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in tree.rglob("*.png"):
        path.unlink()
    picture(tree / "慢.png")
    monkeypatch.setenv("FAKE_SECONDS", "0.75")  # a step; the whole takes longer than is waited for a sign
    (item,) = run(planned(tree, steps=8), quiet=4.0)
    assert item.state == "done" and item.tries == 1


def test_it_stops_where_it_is_asked_to_and_goes_on_later(
    tree: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    one = planned(tree, steps=2)
    ended: list[Item] = []
    with one.open() as work:
        crew = Crew(work, workers=2, threads=1)
        crew.run(one.enlist(work), ended.append, stopping=lambda: len(ended) >= 2)
        assert 2 <= len(ended) < 6 and {item.state for item in ended} == {"done"}
        assert work.count().get("running") is None and work.count()["queued"] == 6 - len(ended)
        assert {item.tries for item in work.items() if item.state == "queued"} == {0}
    assert len(run(planned(tree, steps=2, resume=True))) == 6 - len(ended)


def test_what_a_killed_run_had_painted_but_not_written_down_is_not_painted_again(tree: Path, log: Path) -> None:
    run(planned(tree))
    one = planned(tree, resume=True)
    with one.open() as work:
        work.put({key: one.tasks[key] | {"known": True} for key in one.tasks}, keep=lambda item: False)
    before = (tree.parent / "画" / "b.png").stat().st_mtime_ns
    ended = run(one)
    assert len(ended) == 6 and all(item.result is not None and item.result["kept"] for item in ended)
    assert len(begun(log)) == 6 and (tree.parent / "画" / "b.png").stat().st_mtime_ns == before


def test_files_of_others_are_not_replaced_but_paintings_are(tree: Path) -> None:
    folder = tree.parent / "画"
    folder.mkdir()
    picture(folder / "b.png", seed=50)
    (folder / "二.png").write_bytes(b"mine")
    run(planned(tree, styles=["starry-night"], resume=True))
    other = folder / "一.png"
    (folder / photos.KEPT / "work.db").unlink()
    old = other.read_bytes()
    ended = {item.key: item for item in run(planned(tree, resume=True))}
    assert ended["b.png"].state == ended["二.png"].state == "failed" and "--overwrite" in (ended["b.png"].problem or "")
    assert (folder / "二.png").read_bytes() == b"mine" and other.read_bytes() != old
    assert {item.state for item in run(planned(tree, resume=True))} == {"failed"}  # also when it is tried again
    assert (folder / "二.png").read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform != "linux", reason="only there are names any bytes")
def test_names_that_are_no_text_are_painted(tree: Path) -> None:
    for name in (b"\xff.png", b"\xfe.png", b"a\x01.png", b"a\x02.png"):
        picture(Path(os.fsdecode(os.fsencode(tree) + b"/" + name)))
    assert [item.state for item in run(planned(tree))] == ["done"] * 10
    assert Path(os.fsdecode(os.fsencode(tree.parent / "画") + b"/\xff.png")).exists()


def test_a_full_disk_stops_everything_and_loses_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FULL", "1")
    one = planned(tree)
    with one.open() as work:
        with pytest.raises(RunFailed, match="disk is full"):
            Crew(work, workers=2, threads=1).run(one.enlist(work), lambda item: None)
        assert work.count() == {"queued": 6}


def test_workers_that_cannot_start_are_said(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_COMMAND", [sys.executable, "-c", "import sys; sys.exit(7)"])
    one = planned(tree)
    with one.open() as work:
        with pytest.raises(RunFailed, match="7"):
            Crew(work, workers=2, threads=1).run(one.enlist(work), lambda item: None)
        assert work.count() == {"queued": 6}


def test_two_runs_share_one_list_and_paint_everything_once(tree: Path, log: Path, tmp_path: Path) -> None:
    one = planned(tree, steps=2)
    found: list[list[Item]] = []
    with one.open() as first, one.open() as second:
        lists: list[WorkList] = [first, second]
        todos = [one.enlist(work) for work in lists]

        def labour(work: WorkList, keys: list[str]) -> None:
            ended: list[Item] = []
            Crew(work, workers=1, threads=1).run(keys, ended.append)
            found.append(ended)

        threads = [threading.Thread(target=labour, args=pair) for pair in zip(lists, todos, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
    assert [sorted(item.key for item in ended) for ended in found] == [sorted(one.tasks)] * 2  # both know of all
    assert Counter(begun(log)) == Counter(Path(key).name for key in one.tasks)
