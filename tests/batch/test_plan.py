"""A batch before it is painted: what goes where, what is left out, and what is said before the work."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from danqing import limits, machine
from danqing.batch import photos, plan
from danqing.batch.plan import Plan, prepare
from danqing.errors import BadInput, UsageError
from danqing.files import sha256
from danqing.recipe import Recipe
from danqing.stylizer import Estimate
from danqing.work import Item
from tests.fake_engine import picture

pytestmark = pytest.mark.usefixtures("log")


def planned(tree: Path, *, out: str = "画", **settings: Any) -> Plan:
    found = photos.find([str(tree)], recursive=True)
    fake = {"engine": "fake", "steps": 1, "styles": ["great-wave"]}
    return prepare(found, tree.parent / out, **(fake | settings))


def painted(one: Plan) -> None:
    """Write down everything as painted, as workers would."""
    with one.open() as work:
        for key in one.enlist(work):
            task = one.tasks[key]
            Path(task["target"]).parent.mkdir(parents=True, exist_ok=True)
            Path(task["target"]).touch()
            work.take(key)
            protect = sha256(task["protect"]) if task["protect"] else None
            work.finish(key, {"stamp": plan.stamp(task["mark"], sha256(task["photo"]), protect)})


def todo(one: Plan) -> list[str]:
    with one.open() as work:
        return one.enlist(work)


def test_the_tree_is_kept_and_a_task_says_everything(tree: Path) -> None:
    one = planned(tree, strength=0.5, brush=None, protect=None)
    assert list(one.tasks) == ["b.png", "c d.png", "一.png", "二.png", "山/一.png", "山/水/三.png"]
    task = json.loads(json.dumps(one.tasks["山/一.png"]))
    assert (task["photo"], task["target"]) == (str(tree / "山" / "一.png"), str(tree.parent / "画" / "山" / "一.png"))
    arguments = task["arguments"]
    assert arguments["style"] == ["great-wave"] and arguments["strength"] == 0.5 and "brush" not in arguments


def test_each_style_has_a_folder_of_its_own_unless_they_are_blended(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    own = [str(picture(tmp_path / name, seed=9)) for name in ("水墨.png", "x/水墨.png")]
    styles = ["great-wave:0.5", own[0], own[1]]
    one = planned(tree, styles=styles, style_masks=[None, str(tree / "b.png"), None])
    assert {key.split("/")[0] for key in one.tasks} == {"great-wave", "水墨", "水墨-2"}
    assert one.tasks["水墨/一.png"]["arguments"]["masks"] == [str(tree / "b.png")]
    assert one.tasks["great-wave/山/一.png"]["arguments"]["style"] == ["great-wave:0.5"]
    blended = planned(tree, styles=styles, blend=True)
    assert len(blended.tasks) == 6 and blended.tasks["b.png"]["arguments"]["style"] == styles


def test_paths_hold_wherever_a_worker_stands(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    found = photos.find(["二.png"])
    one = prepare(found, "../画", styles=["b.png:0.3"], start="一.png", protect="c d.png", engine="fake", steps=1)
    arguments = one.tasks["二.png"]["arguments"]
    assert arguments["style"] == [f"{tree / 'b.png'}:0.3"] and arguments["start"] == str(tree / "一.png")
    assert arguments["protect"] == str(tree / "c d.png")
    assert one.tasks["二.png"]["target"] == str(tree.parent / "画" / "二.png")
    other = prepare(found, "../画", styles=["great-wave"], start="noise", engine="fake")
    assert other.tasks["二.png"]["arguments"]["start"] == "noise"  # a word, no path


def test_what_is_wrong_with_all_is_said_once_and_nothing_is_made(tree: Path) -> None:
    with pytest.raises(UsageError, match="great-wave"):
        planned(tree, styles=["great-wav"])
    with pytest.raises(UsageError, match="山山山"):
        planned(tree, styles=["山" * 300])
    with pytest.raises(UsageError, match="16"):
        planned(tree, size=3)
    with pytest.raises(UsageError, match="docx"):
        planned(tree, format="docx")
    with pytest.raises(BadInput, match="遮罩"):
        planned(tree, protect_dir=tree.parent / "遮罩")
    with pytest.raises(UsageError, match="--protect-dir"):
        planned(tree, protect=str(tree / "b.png"), protect_dir=tree)
    with pytest.raises(UsageError, match="optimize"):
        planned(tree, engine="optimise")
    assert not (tree.parent / "画").exists()


def test_paintings_that_are_there_are_not_replaced_unless_asked(tree: Path) -> None:
    (tree.parent / "画").mkdir()
    (tree.parent / "画" / "b.png").touch()
    with pytest.raises(UsageError, match=r"--resume .* --overwrite"):
        planned(tree)
    assert len(planned(tree, resume=True).tasks) == len(planned(tree, overwrite=True).tasks) == 6


def test_a_painting_never_replaces_a_photo(tree: Path) -> None:
    found = photos.find([str(tree / "山"), str(tree / "b.png")], recursive=True)
    with pytest.raises(UsageError, match="one of the photos"):
        prepare(found, tree, styles=["great-wave"], engine="fake", overwrite=True)


def test_resume_leaves_out_what_is_painted_and_has_not_changed(tree: Path, tmp_path: Path) -> None:
    painted(planned(tree))
    assert todo(planned(tree, resume=True)) == []
    picture(tree / "b.png", seed=77)
    (tmp_path / "画" / "山" / "一.png").unlink()
    picture(tree / "新.png", seed=78)
    assert todo(planned(tree, resume=True)) == ["b.png", "新.png", "山/一.png"]


@pytest.mark.parametrize(
    "changed", [{"strength": 0.4}, {"styles": ["starry-night"]}, {"with_recipe": False}, {"keep_gps": True}]
)
def test_resume_paints_again_what_is_asked_for_otherwise(changed: dict[str, Any], tree: Path) -> None:
    painted(planned(tree))
    assert len(todo(planned(tree, resume=True, **changed))) == 6


def test_resume_sees_another_picture_of_the_style_and_another_mask(tree: Path, tmp_path: Path) -> None:
    own, folder = picture(tmp_path / "水墨.png", seed=1), tmp_path / "遮罩"
    folder.mkdir()
    picture(folder / "b.png", seed=2)
    settings: dict[str, Any] = {"styles": [str(own)], "protect_dir": folder, "resume": True}
    first = planned(tree, **settings)
    assert "5 photos have no mask" in first.notes[0]
    painted(first)
    assert todo(planned(tree, **settings)) == []
    picture(folder / "b.png", seed=3)
    assert todo(planned(tree, **settings)) == ["b.png"]
    painted(planned(tree, **settings))
    picture(own, seed=4)
    assert len(todo(planned(tree, **settings))) == 6


def test_overwrite_paints_all_again_and_failures_are_tried_again(tree: Path) -> None:
    painted(planned(tree))
    assert len(todo(planned(tree, overwrite=True))) == 6
    again = planned(tree, resume=True)
    with again.open() as work:
        assert work.take("b.png") is not None
        work.fail("b.png", "no picture")
        found = work.get("b.png")
    assert found is not None and found.state == "failed"
    with again.open() as work:
        assert "b.png" in again.enlist(work)


def test_what_another_run_is_painting_or_has_just_painted_is_not_queued_again(tree: Path) -> None:
    mine, other = planned(tree), planned(tree)
    with mine.open() as work, other.open() as theirs:
        other.enlist(theirs)
        for key in ("b.png", "一.png"):
            theirs.take(key)
        keys = mine.enlist(work)
        assert keys == list(mine.tasks)  # theirs may still fail
        states = {item.key: item.state for item in work.items()}
        assert states["b.png"] == "running" and states["山/一.png"] == "queued"


@pytest.mark.parametrize(("strength", "state"), [(1.0, "done"), (0.4, "queued")])
def test_what_another_run_finishes_while_this_one_looks(
    strength: float, state: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = planned(tree, strength=strength, resume=True)
    with mine.open() as work:
        look = work.items

        def items() -> list[Item]:
            """What there is, and at once another run paints everything."""
            monkeypatch.setattr(work, "items", look)
            found = look()
            painted(planned(tree, strength=1.0, resume=True))
            return found

        monkeypatch.setattr(work, "items", items)
        mine.enlist(work)
        assert {item.state for item in work.items()} == {state}


def test_what_a_killed_run_left_is_queued_and_its_old_temporaries_go(tree: Path) -> None:
    one = planned(tree)
    work = one.open()
    one.enlist(work)
    work.take("b.png")
    work.close()
    left = tree.parent / "画" / ".danqing-1-abc.tmp"
    fresh = left.with_name(".danqing-2-abc.tmp")
    for file in (left, fresh):
        file.touch()
    os.utime(left, (1, 1))
    with planned(tree, resume=True).open() as again:
        assert not left.exists() and fresh.exists()
        assert len(one.enlist(again)) == 6 and again.count() == {"queued": 6}
        assert not any(item.task["known"] for item in again.items())  # nothing says that its file is ours


@pytest.mark.parametrize(("cores", "budget", "workers"), [(8, 100e9, 8), (4, 100e9, 4), (8, 1.1e9, 2), (8, 1e6, 1)])
def test_as_many_workers_as_cores_and_memory_allow(
    cores: int, budget: float, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    stylizer = SimpleNamespace(estimate=lambda size, recipe: Estimate(memory=size[0] * size[1] * 500, seconds=1))
    orders: Any = [SimpleNamespace(recipe=Recipe(engine=name), stylizer=stylizer) for name in ("fast", "optimize")]
    sizes = [(10, 10), (1000, 1000)]  # half a GB
    assert plan._workers(orders[:1], sizes, int(budget)) == workers
    assert plan._workers(orders, sizes, int(budget)) == 1


def test_workers_and_their_threads_share_the_machine(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 9)
    monkeypatch.setattr(limits, "budget", lambda asked: 12_000_000_000)
    four, many = planned(tree, workers=4), planned(tree, workers=99)
    assert (four.workers, four.threads, four.tasks["b.png"]["arguments"]["max_memory"]) == (4, 2, 3_000_000_000)
    assert (many.workers, many.threads) == (6, 1)


def test_the_size_of_a_painting_is_guessed_from_above(tree: Path) -> None:
    (photo,) = photos.find([str(tree / "b.png")])
    assert plan._size(photo, Recipe(size=1000, enlarge=True)) == (1000, 750)
    width, height = plan._size(photo, Recipe())
    assert 48 <= width < 1024 and 32 <= height < 768
    photo.path.unlink()
    assert plan._size(photo, Recipe()) <= (16, 16)
