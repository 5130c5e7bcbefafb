"""What the pastiche network is taught: which terms count, and which are not even looked at."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from danqing.atelier import encoders  # noqa: E402
from danqing.atelier.train import pastiche  # noqa: E402


def test_promises_that_count_nothing_are_not_looked_at() -> None:
    judge = encoders.compact()
    torch.manual_seed(0)
    net, predictor = pastiche.fresh()

    def taught(promise_weight: float) -> tuple[float, dict[str, float]]:
        lesson = pastiche.Lesson(seed=0, batch=1, crops=((0, 96),), promise_weight=promise_weight)
        teaching = pastiche.Teaching(net, predictor, judge, lesson)
        generator = torch.Generator().manual_seed(1)
        photos, style = torch.rand(2, 1, 3, 96, 96, generator=generator)
        total, terms = teaching(photos, teaching.look(style))
        return float(total.detach()), {name: float(term.detach()) for name, term in terms.items()}

    with_promises, terms = taught(2.0)
    without, fewer = taught(0.0)
    assert terms.keys() - fewer.keys() == {"promise"} and terms["promise"] > 0
    assert with_promises - without == pytest.approx(2 * terms["promise"], rel=1e-3)
