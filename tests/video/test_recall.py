"""What paintings are held to: older frames where the last one has not seen, with the gradient of the paper's sum."""

from __future__ import annotations

import numpy as np
import pytest

from danqing.video.flow import Motion
from danqing.video.recall import Recall

HEIGHT, WIDTH = 40, 60


def motion(trust: np.ndarray) -> Motion:
    return Motion(flow=np.zeros((HEIGHT, WIDTH, 2), np.float32), sure=trust, trust=trust)


def everywhere(value: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), value, np.float32)


def remembering(*paintings: np.ndarray, strength: float = 1.0) -> Recall:
    """Of paintings, the last one first."""
    recall = Recall(strength)
    for painting in reversed(paintings):
        recall(painting, None)
    return recall


def plain(value: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.float32)


def test_what_the_last_frame_hid_is_taken_from_an_older_one() -> None:
    hidden = everywhere(1.0)
    hidden[:, :30] = 0
    prior = remembering(plain(0.2), plain(0.8), strength=0.5).prior({1: motion(hidden), 2: motion(everywhere(1.0))})
    assert prior is not None and prior.trust is not None
    assert prior.picture.pixels[:, :26] == pytest.approx(0.8, abs=0.01)
    assert prior.picture.pixels[:, 34:] == pytest.approx(0.2, abs=0.01)
    assert prior.trust == pytest.approx(0.5)


def test_one_loss_has_the_gradient_of_the_papers_sum() -> None:
    rng = np.random.default_rng(0)
    paintings = [rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32) / 255 for _ in range(4)]
    trusts = {age: everywhere(value) for age, value in ((1, 0.3), (2, 0.2), (4, 0.9))}
    prior = remembering(*paintings).prior({age: motion(trust) for age, trust in trusts.items()})
    assert prior is not None and prior.trust is not None
    x = rng.random((HEIGHT, WIDTH, 3)).astype(np.float32)
    wanted, before = np.zeros_like(x), 0.0
    for age, trust in trusts.items():  # equation 9: each older frame counts as far as the newer ones do not
        share = max(float(trust.max()) - before, 0.0)
        wanted += 2 * share * (x - paintings[age - 1])
        before = max(before, float(trust.max()))
    np.testing.assert_allclose(2 * prior.trust[..., None] * (x - prior.picture.pixels), wanted, atol=1e-4)


def test_nothing_is_held_after_a_cut_or_where_nothing_is_known() -> None:
    recall = remembering(plain(0.2))
    assert recall.prior({1: motion(everywhere(0.1))}) is None
    assert recall.prior({}) is None and recall.prior({2: motion(everywhere(1.0))}) is None
    assert remembering(plain(0.2), strength=0).prior({1: motion(everywhere(1.0))}) is None


def test_it_goes_on_from_its_state() -> None:
    recall, other = remembering(plain(0.25), plain(0.75)), Recall(1.0)
    other.restore(recall.state())
    motions = {1: motion(everywhere(0.4)), 2: motion(everywhere(0.8))}
    one, two = recall.prior(motions), other.prior(motions)
    assert one is not None and two is not None and other.last is not None
    np.testing.assert_array_equal(one.picture.pixels, two.picture.pixels)
    recall(plain(0.5), None)
    assert len(recall.paintings) == 3
    for number in range(40):
        recall(plain(number / 40), None)
    assert len(recall.paintings) == max(Recall.ages)
