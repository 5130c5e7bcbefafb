"""Timeline: how much of each style a film is painted in at which time.

Styles with the seconds from which they hold go in; their shares at any second come out, crossing smoothly from one to
the next. This module knows no painter and no film.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from danqing.style import Style

CROSSING = 2.0
"""s that one style takes to become the next, where that one holds so long."""

Shares = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """How much of each style there is, and when.

    Attributes:
        changes: from so many s of the film on, the share of every style; the first stands from the beginning.
    """

    changes: tuple[tuple[Fraction, Shares], ...]

    @classmethod
    def of(cls, times: Sequence[Fraction], weights: Sequence[float]) -> Timeline:
        """From when on each style holds, and its weight beside those that begin when it does."""
        changes = []
        for start in sorted(set(times)):
            own = [weight if time == start else 0.0 for time, weight in zip(times, weights, strict=True)]
            changes.append((start, tuple(one / sum(own) for one in own)))
        return cls(changes=tuple(changes))

    def shares(self, at: Fraction) -> Shares:
        """The share of each style at so many s; they sum to 1."""
        here = max((n for n, (start, _) in enumerate(self.changes) if start <= at), default=0)
        start, now = self.changes[here]
        if here == 0:
            return now
        following = self.changes[here + 1][0] if here + 1 < len(self.changes) else None
        crossing = CROSSING if following is None else min(CROSSING, float(following - start))
        far = min(1.0, float(at - start) / crossing)
        far = far * far * (3 - 2 * far)
        return tuple(a + far * (b - a) for a, b in zip(self.changes[here - 1][1], now, strict=True))


@lru_cache(8)
def shared(styles: tuple[Style, ...], shares: Shares) -> tuple[Style, ...]:
    """Those of the styles that have a share, with it as their weight; the same tuple for the same shares."""
    return tuple(dataclasses.replace(s, weight=share) for s, share in zip(styles, shares, strict=True) if share > 0)
