"""The training loop: one for every method.

A Method (what is trained, and how far it is from what is asked for) and a Plan go in; weights come out, and on the way
checkpoints from which a run goes on as if nothing had happened: everything that is random is a function of
(seed, step), so weights, moments, averages and the step are the whole state. The loop knows no network and no picture.

Run by `torchrun`, every process takes its share of each batch and their gradients are averaged.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from danqing import machine
from danqing.atelier.train import checkpoints
from danqing.errors import ModelMissing, RunFailed
from danqing.files import shown
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
        learning_rate: of AdamW at its highest: it rises over `warmup` steps, then falls to 0 by half a cosine.
        weight_decay: of AdamW.
        clip: longest gradient.
        ema: decay of the averaged weights, which are what is judged and shipped.
        save_every, sample_every: steps between checkpoints and between sample sheets.
    """

    seed: int = 0
    steps: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.0
    clip: float = 1.0
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

    def __init__(self, method: Method, plan: Plan, folder: Path, *, device: str = "cpu") -> None:
        self.method, self.plan, self.folder = method, plan, folder
        self.device = torch.device(device)
        self.model = method.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learning = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        self.average = {name: value.detach().clone() for name, value in self.learning.items()}
        self.optimizer = torch.optim.AdamW(
            self.learning.values(), lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay
        )
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
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as journal:
            while self.step < self.plan.steps:
                terms = self.take_step()
                seconds = time.monotonic() - began
                rate = (self.step - first) / max(seconds, 1e-9)
                report = Report(step=self.step, steps=self.plan.steps, seconds=seconds, per_second=rate, terms=terms)
                if self.rank == 0:
                    journal.write(json.dumps({"step": self.step, **{n: round(v, 6) for n, v in terms.items()}}) + "\n")
                stop = on_report is not None and on_report(report) is False
                if self.step % self.plan.save_every == 0 or self.step == self.plan.steps or stop:
                    journal.flush()
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
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            loss, terms = self.method.loss(self.step, rank=self.rank, world=self.world)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.world > 1:
            self._average_gradients()
        norm = nn.utils.clip_grad_norm_(self.learning.values(), self.plan.clip)
        told = {name: float(value.detach()) for name, value in terms.items()}
        told |= {"loss": float(loss.detach()), "gradient": float(norm)}
        if not all(math.isfinite(value) for value in told.values()):
            raise RunFailed(text("train.not_finite", step=self.step + 1, folder=shown(self.folder)))
        self.optimizer.param_groups[0]["lr"] = self.learning_rate()
        self.optimizer.step()
        decay = min(self.plan.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.learning.items():
                self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return told

    def learning_rate(self) -> float:
        """That of the next step."""
        plan = self.plan
        rise = min(1.0, (self.step + 1) / max(1, plan.warmup))
        return plan.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * self.step / plan.steps))

    def _average_gradients(self) -> None:
        for value in self.learning.values():
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
        for name, value in self.learning.items():
            tensors |= {f"adam.{part}.{name}": kept for part, kept in self.optimizer.state[value].items()}
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
        self.step = found.step
        return True

    def averaged(self) -> dict[str, Tensor]:
        """The state of the model with its averaged parameters."""
        state: dict[str, Tensor] = self.model.state_dict()
        return state | self.average
