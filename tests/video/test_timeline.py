"""Which style there is when: whole before and after, crossing smoothly, always one painting in all."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from danqing.style import Style
from danqing.video.timeline import Timeline, shared


def test_styles_cross_smoothly() -> None:
    timeline = Timeline.of([Fraction(0), Fraction(10), Fraction(20), Fraction(20)], [5.0, 1.0, 3.0, 1.0])
    assert timeline.shares(Fraction(0)) == timeline.shares(Fraction(10)) == (1, 0, 0, 0)
    assert timeline.shares(Fraction(11)) == (0.5, 0.5, 0, 0)
    assert timeline.shares(Fraction(12)) == timeline.shares(Fraction(20)) == (0, 1, 0, 0)
    assert timeline.shares(Fraction(99)) == (0, 0, 0.75, 0.25)
    course = [timeline.shares(Fraction(n, 25)) for n in range(25 * 24)]
    assert all(sum(shares) == pytest.approx(1) for shares in course)
    steps = [abs(a - b) for one, two in itertools.pairwise(course) for a, b in zip(one, two, strict=True)]
    assert 0 < max(steps) < 0.04


def test_the_first_stands_from_the_beginning_and_a_short_one_crosses_in_its_time() -> None:
    timeline = Timeline.of([Fraction(3), Fraction(4), Fraction(5)], [1.0, 1.0, 1.0])
    assert timeline.shares(Fraction(0)) == (1, 0, 0)
    assert timeline.shares(Fraction(9, 2)) == (0.5, 0.5, 0) and timeline.shares(Fraction(5)) == (0, 1, 0)


def test_styles_without_a_share_are_left_out_and_the_same_shares_are_the_same_styles() -> None:
    styles = tuple(Style(source=name, name=name) for name in "abc")
    found = shared(styles, (0.25, 0.0, 0.75))
    assert [(style.name, style.weight) for style in found] == [("a", 0.25), ("c", 0.75)]
    assert shared(styles, (0.25, 0.0, 0.75)) is found
