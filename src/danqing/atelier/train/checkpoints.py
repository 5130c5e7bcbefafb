"""Checkpoints: the state of a training on disk, whole or not at all.

Tensors and a few facts go in; a folder `step-00001234` with `state.safetensors` and `state.json` comes out, which holds
the hash of the other. The latest is found by looking, not by a pointer: one that is damaged is passed over. Nothing is
pickled. This module knows no network.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from danqing.errors import DanqingError
from danqing.files import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, atomic_folder, sha256, shown

log = logging.getLogger(__name__)

KEPT = 3
"""How many of the last checkpoints stay."""

EVERY = 10_000
"""Checkpoints of these steps stay for good."""

_NAME = re.compile(r"step-(\d{8,})")
_TENSORS, _FACTS = "state.safetensors", "state.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What was saved: the step, its tensors by name, and facts that are no tensors."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write a checkpoint, durably, and then remove those that are no longer needed.

    Raises:
        RunFailed: the disk is full or refuses; what was there before is untouched.
    """
    target = folder / f"step-{step:08}"
    if target.exists():  # damaged, else the run would have gone on from it
        shutil.rmtree(target)
    with atomic_folder(target) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary / _TENSORS)
        about = {"step": step, "sha256": {_TENSORS: sha256(temporary / _TENSORS)}, "facts": dict(facts)}
        (temporary / _FACTS).write_text(json.dumps(about, indent=1), encoding="utf-8")
    _prune(folder)
    return target


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where there is none."""
    for path in reversed(_all(folder)):
        try:
            about = json.loads((path / _FACTS).read_text(encoding="utf-8"))
            if about["sha256"][_TENSORS] != sha256(path / _TENSORS):
                raise ValueError("its hash is another")
            return Checkpoint(step=int(about["step"]), tensors=load_file(path / _TENSORS), facts=about["facts"])
        except (OSError, ValueError, KeyError, TypeError, DanqingError) as error:
            log.warning("passing over the damaged checkpoint %s: %s", shown(path), error)
    return None


def size(folder: Path) -> int:
    """Bytes of the newest checkpoint, whole or not; 0 where there is none."""
    found = _all(folder)
    return sum(file.stat().st_size for file in found[-1].iterdir()) if found else 0


def _all(folder: Path) -> list[Path]:
    """All checkpoints of a folder, oldest first."""
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=_step) if folder.is_dir() else []


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _prune(folder: Path) -> None:
    for path in _all(folder)[:-KEPT]:
        if _step(path) % EVERY:
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}"):  # of processes that were killed while saving
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
