"""The loop: a run that is stopped or killed goes on as if nothing had happened; what is broken is passed over."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")

from danqing.atelier.train import checkpoints  # noqa: E402
from danqing.atelier.train.loop import Loop, Plan, Player, Report  # noqa: E402
from danqing.errors import RunFailed  # noqa: E402
from danqing.files import sha256  # noqa: E402


class Line:
    """A small network learns a function from batches that are functions of the step."""

    def __init__(self, *, bad_step: int = -1) -> None:
        torch.manual_seed(1)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
        self.bad_step = bad_step

    def loss(self, step: int, *, rank: int, world: int) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))[rank::world]
        error = (self.model(x).float()[:, 0] - x.square().sum(1)).square().mean()
        if step == self.bad_step:
            error = error * torch.nan
        return error, {"error": error}


class Rivals:
    """Two players: one follows a curve, the other follows the first, and both are told what was two steps before."""

    def __init__(self) -> None:
        torch.manual_seed(2)
        self.model = torch.nn.ModuleDict(
            {
                "first": torch.nn.Linear(4, 1),
                "second": torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1)),
            }
        )
        self.memory: list[torch.Tensor] = []

    @property
    def players(self) -> tuple[Player, Player]:
        return Player(name="first", loss=self.lead), Player(name="second", loss=self.follow, pace=0.5)

    def lead(self, step: int, *, rank: int, world: int) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        self.x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))[rank::world]
        mine, theirs = self.model["first"](self.x), self.model["second"](self.x)
        assert not any(value.requires_grad for value in self.model["second"].parameters())
        error = (mine - self.x.square().sum(1, keepdim=True)).square().mean() - 0.1 * (mine - theirs).square().mean()
        self.made = mine.detach().mean()
        return error, {"lead": error}

    def follow(self, step: int, *, rank: int, world: int) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        self.memory = [*self.memory, self.made][-3:]
        error = (self.model["second"](self.x) - self.memory[0]).square().mean()
        return error, {"follow": error}

    def state(self) -> dict[str, torch.Tensor]:
        return {"memory": torch.stack(self.memory)} if self.memory else {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.memory = list(state["memory"]) if state else []


PLAN = Plan(seed=4, steps=40, learning_rate=3e-2, warmup=5, ema=0.9, save_every=10)


def trained(folder: Path, *, stop_at: int | None = None, rivals: bool = False) -> Loop:
    folder.mkdir(exist_ok=True)
    loop = Loop(Rivals() if rivals else Line(), PLAN, folder)
    loop.resume()
    loop.run(lambda report: report.step != stop_at)
    return loop


def same(one: Loop, other: Loop) -> bool:
    first, second = one.state(), other.state()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_and_the_average_follows(tmp_path: Path) -> None:
    seen: list[Report] = []
    loop = Loop(Line(), PLAN, tmp_path)
    assert loop.run(seen.append)
    errors = [report.terms["error"] for report in seen]
    assert sum(errors[-10:]) < 0.8 * sum(errors[:10])
    assert [report.step for report in seen] == list(range(1, 41))
    assert seen[-1].remaining == 0
    assert any(not torch.equal(loop.average[name], value) for name, value in loop.learning.items())
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 41))


@pytest.mark.parametrize("at", [1, 13, 20, 39])
@pytest.mark.parametrize("rivals", [False, True])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path, at: int, rivals: bool) -> None:
    trained(tmp_path / "parts", stop_at=at, rivals=rivals)
    assert same(trained(tmp_path / "parts", rivals=rivals), trained(tmp_path / "whole", rivals=rivals))


def test_every_player_learns_by_its_own_optimiser(tmp_path: Path) -> None:
    loop = Loop(Rivals(), replace(PLAN, warmup=1, schedule="linear", betas=(0.5, 0.999), clip=None), tmp_path)
    assert loop.learning_rate() == PLAN.learning_rate
    told = loop.take_step()
    assert set(told) == {"lead", "loss", "gradient", "follow", "loss_second", "gradient_second"}
    assert [sorted({name.split(".")[0] for name in turn.learning}) for turn in loop.turns] == [["first"], ["second"]]
    assert [turn.optimizer.param_groups[0]["lr"] for turn in loop.turns] == [0.03, 0.015]
    assert all(value.requires_grad for value in loop.learning.values())
    loop.step = 30
    assert loop.learning_rate() == pytest.approx(0.5 * PLAN.learning_rate)
    assert "method.memory" in loop.state()


def test_the_numbers_getting_out_of_hand_are_told_and_nothing_is_lost(tmp_path: Path) -> None:
    loop = Loop(Line(bad_step=25), PLAN, tmp_path)
    with pytest.raises(RunFailed, match="step 26"):
        loop.run()
    found = checkpoints.latest(tmp_path)
    assert found is not None
    assert found.step == 20


@pytest.mark.parametrize("damage", ["cut", "flipped", "no facts", "empty", "no tensors"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    trained(tmp_path)
    newest = tmp_path / "step-00000040"
    file = newest / "state.safetensors"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        file.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    elif damage == "no facts":
        (newest / "state.json").unlink()
    elif damage == "empty":
        (newest / "state.json").write_text("")
    else:
        file.unlink()
    with caplog.at_level(logging.WARNING):
        found = checkpoints.latest(tmp_path)
    assert found is not None
    assert found.step == 30
    assert "step-00000040" in caplog.text
    assert same(trained(tmp_path), trained(tmp_path.with_name("whole")))


def test_the_last_three_and_every_ten_thousandth_stay(tmp_path: Path) -> None:
    for step in (5, 10_000, 10_010, 10_020, 10_030):
        checkpoints.save(tmp_path, step, {"x": torch.zeros(1)}, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00010000", "step-00010010", "step-00010020", "step-00010030",
    ]  # fmt: skip


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = shutil.disk_usage(tmp_path)
    free = iter([usage.free, 10, usage.free, usage.free])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(free)))
    with caplog.at_level(logging.WARNING):
        trained(tmp_path)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000010", "step-00000030", "step-00000040"]
    assert "free" in caplog.text


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", refuse)
    with caplog.at_level(logging.WARNING):
        trained(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]
    assert caplog.text.count("the training goes on") == 4


def test_a_full_disk_costs_no_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a device of its own is ever full: a file-like one that takes half of what it is given stands in for it."""
    opened, calls = Path.open, iter(range(1000))

    class Full:
        def __init__(self, path: Path) -> None:
            self.path = path

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def writelines(self, lines: list[str]) -> None:
            with opened(self.path, "a") as stream:
                stream.write("".join(lines)[:7])
            raise OSError(28, "No space left on device")

    def open_(path: Path, *args: object, **kwargs: object) -> object:
        full = path.name == "log.jsonl" and next(calls) in (4, 5, 6, 20)
        return Full(path) if full else opened(path, *args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(Path, "open", open_)
        trained(tmp_path)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 41))
    assert caplog.text.count("the log waits") == 2


KILLS = int(os.environ.get("DANQING_KILLS", "10"))
"""How often the training is killed; scripts/kills makes it a hundred."""

CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.atelier.train.test_loop import trained
loop = trained(Path(sys.argv[1]), rivals=True)
"""


def test_killed_at_any_moment_it_ends_the_same(tmp_path: Path) -> None:
    """SIGKILL `KILLS` times at growing delays after the first checkpoint appears, some of them inside a save."""
    torch.set_num_threads(1)
    whole = trained(tmp_path / "whole", rivals=True)
    folder = tmp_path / "killed"
    root = Path(__file__).parents[3]
    for attempt in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], cwd=root, env=os.environ.copy())
        before = {p.name for p in folder.glob("*")} if folder.exists() else set()
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            now = {p.name for p in folder.glob("*")} if folder.exists() else set()
            if any("step-" in name or ".danqing-" in name for name in now - before):
                time.sleep(0.002 * (attempt % 10))
                break
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert same(trained(folder, rivals=True), whole)
    assert sha256(folder / "step-00000040" / "state.safetensors") == sha256(
        tmp_path / "whole" / "step-00000040" / "state.safetensors"
    )


DISTRIBUTED = """
import sys
from pathlib import Path
import torch, torch.distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=int(sys.argv[3]), world_size=2)
from danqing.atelier.train.loop import parted
from tests.atelier.train.test_loop import short
short(Path(sys.argv[1]))
parted()
"""


def short(folder: Path) -> Loop:
    """Three steps in float32, where it does not matter how a batch is cut."""
    folder.mkdir(exist_ok=True)
    loop = Loop(Line(), replace(PLAN, steps=3), folder)
    loop.precision = torch.float32
    loop.run()
    return loop


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DISTRIBUTED, str(tmp_path / "two"), str(tmp_path / "meeting"), str(rank)], cwd=root
        )
        for rank in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    found = checkpoints.latest(tmp_path / "two")
    assert found is not None
    for name, value in short(tmp_path / "one").learning.items():
        torch.testing.assert_close(found.tensors[f"model.{name}"], value.detach(), atol=1e-6, rtol=1e-5)
