"""What the pastiche network is taught: which terms count, and which are not even looked at."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from danqing.atelier import encoders  # noqa: E402
from danqing.atelier.nets.johnson import Johnson  # noqa: E402
from danqing.atelier.train import johnson, pastiche  # noqa: E402
from danqing.atelier.train.data import Held  # noqa: E402


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


def test_what_was_seen_on_one_device_serves_on_another() -> None:
    """A model is looked at before it learns elsewhere, and after; `meta` is a device that every machine has."""
    torch.manual_seed(0)
    net, predictor = pastiche.fresh()
    pictures = Held([np.random.default_rng(seed).integers(0, 256, (80, 90, 3), dtype=np.uint8) for seed in range(2)])
    lesson = pastiche.Lesson(seed=0, batch=1, crops=((0, 96),), gallery_share=1.0)
    teaching = pastiche.Teaching(net, predictor, encoders.compact(), lesson, styles=2)
    method = pastiche.Pastiches(teaching, pictures, pictures, gallery=pictures)
    method.fill_table()
    teaching.to("meta")
    assert {rows.device.type for rows in method.table()} == {"meta"}
    look = method.look(("gallery", 1, 2))
    assert look.targets[1]["relu3_1"][1].device.type == "meta"


def test_so_does_what_the_old_tools_ask_for() -> None:
    from danqing.atelier.encoders import VGG, VGG16_DEPTHS

    seer = VGG((4, 6, 8, 8, 8), depths=VGG16_DEPTHS, last="conv4_3")
    model = johnson.Classic(Johnson((4, 8, 12)), seer, johnson.LOSSES["jcjohnson"], torch.rand(1, 3, 48, 64))
    assert "target_relu1_2" not in model.state_dict()
    total, _ = model.to("meta")(torch.rand(2, 3, 64, 64, device="meta"))
    assert total.device.type == "meta"
