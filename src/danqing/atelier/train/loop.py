"""The training loop: one for every method.

A Method (what is trained, and how far it is from what is asked for) and a Plan go in; weights come out, and on the way
checkpoints from which a run goes on as if nothing had happened: everything that is random is a function of
(seed, step), so weights, moments, averages, the step and what the method itself remembers are the whole state. Where
several learn against each other, each has its turn in every step. The loop knows no network and no picture.

Run by `torchrun`, every process takes its share of each batch and their gradients are averaged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from danqing import machine
from danqing.atelier.train import checkpoints
from danqing.errors import ModelMissing, RunFailed
from danqing.files import shown, write_failure
from danqing.messages import text

log = logging.getLogger(__name__)

SPARE = 2
"""So many times the size of a checkpoint must be free before one is written."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast is learnt.

    Attributes:
        seed: decides everything that is random.
        steps: of the whole run.
        learning_rate: of AdamW at its highest: it rises over `warmup` steps, then falls to 0.
        schedule: how it falls: by half a cosine, or in a straight line from the middle of the run on.
        betas: of AdamW, how slowly it forgets gradients and their squares.
        weight_decay: of AdamW.
        clip: longest gradient; None = any.
        ema: decay of the averaged weights, which are what is judged and shipped.
        save_every, sample_every: steps between checkpoints and between sample sheets.
    """

    seed: int = 0
    steps: int
    learning_rate: float
    warmup: int = 100
    schedule: Literal["cosine", "linear"] = "cosine"
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float | None = 1.0
    ema: float = 0.999
    save_every: int = 500
    sample_every: int = 500


def joined(device: str) -> str:
    """The device that is meant; among processes that `torchrun` has started, this one's own."""
    cuda = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if cuda else "cpu"
    if (device == "cuda" and not cuda) or (device == "mps" and not torch.backends.mps.is_available()):
        raise ModelMissing(text("train.device_missing", name=device))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and dist.is_initialized() else device


def parted() -> None:
    """Leave the other processes, if there are any, once all have come so far."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


class Method(Protocol):
    """What is trained: a module whose parameters that require gradients learn, and its objective."""

    model: nn.Module

    def loss(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of a step's batch, of which this process takes the places rank, rank + world, ...; its terms.

        A pure function of the parameters, the seed and the arguments.
        """
        ...


class Objective(Protocol):
    """A loss as `Method.loss`."""

    def __call__(self, step: int, *, rank: int, world: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Method.loss`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Player:
    """A part of a model that learns by an objective and an optimiser of its own.

    Attributes:
        name: what the names of its parameters begin with; "" = all.
        loss: its objective, computed after the players before it have learnt.
        pace: its learning rate, as a share of the plan's.
    """

    name: str
    loss: Objective
    pace: float = 1.0


@runtime_checkable
class Contest(Protocol):
    """A method in which several learn in turn, and which remembers something of the steps before."""

    model: nn.Module

    @property
    def players(self) -> Sequence[Player]:
        """In the order of their turns."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What is remembered, by name."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Remember that."""
        ...


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is told after a step."""

    step: int
    steps: int
    seconds: float
    per_second: float
    terms: Mapping[str, float]

    @property
    def remaining(self) -> float:
        """Seconds still to go."""
        return (self.steps - self.step) / self.per_second


OnReport = Callable[[Report], bool | None]
"""Called after every step; returning False ends the run after a checkpoint."""


class Loop:
    """A training on its way.

    Attributes:
        model: what learns.
        average: its averaged parameters by name.
        step: how many steps are taken.
    """

    def __init__(self, method: Method | Contest, plan: Plan, folder: Path, *, device: str = "cpu") -> None:
        self.method, self.plan, self.folder = method, plan, folder
        self.device = torch.device(device)
        self.model = method.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learning = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        self.average = {name: value.detach().clone() for name, value in self.learning.items()}
        players = method.players if isinstance(method, Contest) else [Player(name="", loss=method.loss)]
        self.turns = [_Turn(player, self.learning, plan) for player in players]
        self.step = 0
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        half = self.device.type == "cuda" or (self.device.type == "cpu" and machine.has_bf16())
        self.precision = torch.bfloat16 if half else torch.float32

    def run(self, on_report: OnReport | None = None) -> bool:
        """Train to the end; whether it was reached.

        Raises:
            RunFailed: the objective is no longer finite; the last checkpoint is from before.
        """
        began, first = time.monotonic(), self.step
        journal = _Journal(self.folder / "log.jsonl")
        while self.step < self.plan.steps:
            terms = self.take_step()
            seconds = time.monotonic() - began
            rate = (self.step - first) / max(seconds, 1e-9)
            report = Report(step=self.step, steps=self.plan.steps, seconds=seconds, per_second=rate, terms=terms)
            if self.rank == 0:
                journal.add({"step": self.step, **{name: round(value, 6) for name, value in terms.items()}})
            stop = on_report is not None and on_report(report) is False
            if self.step % self.plan.save_every == 0 or self.step == self.plan.steps or stop:
                self.save()
            if stop:
                return False
        return True

    def take_step(self) -> dict[str, float]:
        """One step; the terms of the objective before it.

        Raises:
            RunFailed: they are not finite.
        """
        torch.manual_seed((self.plan.seed << 32) + self.step)
        told: dict[str, float] = {}
        for place, turn in enumerate(self.turns):
            found = self._learn(turn)
            ending = f"_{turn.player.name}" if place else ""  # the first one's are what a run is known by
            told |= {f"{name}{ending}" if name in ("loss", "gradient") else name: v for name, v in found.items()}
        for value in self.learning.values():
            value.requires_grad_()
        decay = min(self.plan.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.learning.items():
                self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return told

    def _learn(self, turn: _Turn) -> dict[str, float]:
        """A player's turn; the terms of its objective before it."""
        for name, value in self.learning.items():  # nobody else learns, and what is not needed is not computed
            value.requires_grad_(name in turn.learning)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            loss, terms = turn.player.loss(self.step, rank=self.rank, world=self.world)
        turn.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.world > 1:
            self._average_gradients(turn)
        norm = nn.utils.clip_grad_norm_(turn.learning.values(), self.plan.clip or math.inf)
        told = {name: float(value.detach()) for name, value in terms.items()}
        told |= {"loss": float(loss.detach()), "gradient": float(norm)}
        if not all(math.isfinite(value) for value in told.values()):
            raise RunFailed(text("train.not_finite", step=self.step + 1, folder=shown(self.folder)))
        turn.optimizer.param_groups[0]["lr"] = turn.player.pace * self.learning_rate()
        turn.optimizer.step()
        return told

    def learning_rate(self) -> float:
        """That of the next step."""
        plan = self.plan
        rise = min(1.0, (self.step + 1) / max(1, plan.warmup))
        if plan.schedule == "linear":
            return plan.learning_rate * rise * min(1.0, 2 * (1 - self.step / plan.steps))
        return plan.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * self.step / plan.steps))

    def _average_gradients(self, turn: _Turn) -> None:
        for value in turn.learning.values():
            if value.grad is not None:
                dist.all_reduce(value.grad)
                value.grad /= self.world

    # ── keeping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def save(self) -> None:
        """Write a checkpoint; where the disk is full, warn and go on: the next one may fit."""
        if self.rank:
            return
        free, needed = shutil.disk_usage(self.folder).free, SPARE * checkpoints.size(self.folder)
        if free < needed:
            log.warning(text("train.disk_low", folder=shown(self.folder), free=free >> 20, needed=needed >> 20))
            return
        try:
            checkpoints.save(self.folder, self.step, self.state(), {"versions": {"torch": torch.__version__}})
        except RunFailed as error:
            log.warning(text("train.not_saved", step=self.step, reason=str(error)))

    def state(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, by name."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for turn in self.turns:
            for name, value in turn.learning.items():
                tensors |= {f"adam.{part}.{name}": kept for part, kept in turn.optimizer.state[value].items()}
        if isinstance(self.method, Contest):
            tensors |= {f"method.{name}": value for name, value in self.method.state().items()}
        return tensors

    def resume(self) -> bool:
        """Go on from the folder's newest checkpoint; whether there was one."""
        found = checkpoints.latest(self.folder)
        if found is None:
            return False
        tensors = found.tensors

        def named(prefix: str) -> dict[str, Any]:
            return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(named("model."))
        for name, value in self.average.items():
            value.copy_(tensors[f"average.{name}"])
        for turn in self.turns:
            turn.restore(tensors)
        if isinstance(self.method, Contest):
            self.method.restore({name: value.to(self.device) for name, value in named("method.").items()})
        self.step = found.step
        return True

    def averaged(self) -> dict[str, Tensor]:
        """The state of the model with its averaged parameters."""
        state: dict[str, Tensor] = self.model.state_dict()
        return state | self.average


class _Journal:
    """The log of a run, a line a step; what a full disk does not take waits for the next one, and the training goes on.

    Args:
        path: of the file, which is added to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []

    def add(self, values: Mapping[str, float]) -> None:
        """A line, and those that wait: all or none."""
        first = not self._waiting
        self._waiting.append(json.dumps(values) + "\n")
        before = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(self._waiting)
        except OSError as error:
            if first:
                log.warning(text("train.not_noted", reason=str(write_failure(self._path, error))))
            with contextlib.suppress(OSError):
                os.truncate(self._path, before)
        else:
            self._waiting = []


class _Turn:
    """A player with its parameters by name, and its optimiser."""

    def __init__(self, player: Player, learning: Mapping[str, nn.Parameter], plan: Plan) -> None:
        self.player = player
        self.learning = {name: value for name, value in learning.items() if name.startswith(player.name)}
        self.optimizer = torch.optim.AdamW(
            self.learning.values(), lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay
        )

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the optimiser the moments of a checkpoint."""
        for name, value in self.learning.items():
            parts = {part: tensors.get(f"adam.{part}.{name}") for part in ("step", "exp_avg", "exp_avg_sq")}
            if parts["step"] is None:
                continue
            # Moments are copied into the parameter's own memory layout, in which they were computed.
            self.optimizer.state[value] = {
                part: kept.clone() if part == "step" else torch.empty_like(value).copy_(kept)
                for part, kept in parts.items()
                if kept is not None
            }
