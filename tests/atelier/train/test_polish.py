"""Polishing: which shift is kept, and what the seconds are spent on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

pytest.importorskip("torch", reason="torch is not installed: nothing can be polished")

import torch
from torch import Tensor, nn

from danqing.atelier.train.polish import ENOUGH, LOOKS, Choice, Exam, Shifted, afforded


class Marked:
    """An exam whose marks are told beforehand."""

    def __init__(self, *marks: float) -> None:
        self.marks: Iterator[float] = iter(marks)

    def painted(self) -> Tensor:
        return torch.zeros(1)

    def value(self, painted: Tensor) -> float:
        return next(self.marks)


class Learning(nn.Module):
    """A shift that has learnt to 7, and is none at first."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3))


def chosen(*marks: float) -> Choice:
    """After looks at shifts of 1, 2, 3, ... that have these marks, behind that of no shift."""
    teaching = Learning()
    choice = Choice(cast("Shifted", teaching), cast("Exam", Marked(*marks)))
    teaching.shift.data.fill_(7)
    for place in range(1, len(marks)):
        choice.look(torch.full((3,), float(place)))
    assert teaching.shift.tolist() == [7, 7, 7]  # what learns goes on from where it was
    return choice


def test_the_best_shift_is_kept() -> None:
    choice = chosen(1.0, 0.9, 0.7, 0.8)
    assert (choice.before, choice.best) == (1.0, 0.7)
    assert choice.kept.tolist() == [2, 2, 2]


@pytest.mark.parametrize("mark", [1 - ENOUGH / 2, 1.0, 1.3])
def test_what_gains_next_to_nothing_is_not_kept(mark: float) -> None:
    choice = chosen(1.0, mark)
    assert (choice.before, choice.best) == (1.0, 1.0)
    assert choice.kept.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("left", "step", "look"), [(55.0, 0.4, 1.1), (40.0, 1.5, 3.5), (20.0, 0.7, 3.0)])
def test_steps_and_looks_fill_the_time_and_no_more(left: float, step: float, look: float) -> None:
    steps, looks = afforded(left, step=step, look=look)
    spent = steps * step + (looks + 1) * look
    assert left - step < spent <= left
    assert 1 <= looks <= LOOKS
    assert (looks + 1) * look <= left / 2


def test_where_there_is_no_time_it_is_tried_once() -> None:
    assert afforded(1.0, step=2.0, look=5.0) == (1, 1)
    assert afforded(-3.0, step=2.0, look=5.0) == (1, 1)
