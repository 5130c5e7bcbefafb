"""What adversaries play by, each against its formula; the pool against the slow way; changes that gradients pass."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")

from danqing.atelier.train.adversary import (  # noqa: E402
    Pool,
    augmented,
    fooled,
    steepness,
    told_apart,
)


def test_least_squares_and_hinge_are_their_formulas() -> None:
    real, made = torch.tensor([[0.5, 2.0]]), torch.tensor([[-0.5, 0.25]])
    assert float(fooled([made], "lsgan")) == pytest.approx((1.5**2 + 0.75**2) / 2)
    assert float(fooled([made], "hinge")) == pytest.approx(0.125)
    apart = 0.5 * ((0.25 + 1) / 2 + (0.25 + 0.0625) / 2)
    assert float(told_apart([real], [made], "lsgan")) == pytest.approx(apart)
    assert float(told_apart([real, real], [made, made], "lsgan")) == pytest.approx(apart)
    assert float(told_apart([real], [made], "hinge")) == pytest.approx(0.5 * (0.25 + (0.5 + 1.25) / 2))


def test_steepness_is_the_squared_gradient() -> None:
    slope = torch.tensor([1.0, -2.0, 0.5])[None, :, None, None]
    x = torch.rand(4, 3, 5, 6, requires_grad=True)
    found = steepness([(slope * x).sum((1, 2, 3))[:, None]], x)
    assert float(found) == pytest.approx(30 * (1 + 4 + 0.25))


def slowly(size: int, pictures: list[torch.Tensor], rng: np.random.Generator) -> list[torch.Tensor]:
    """The authors' ImagePool, with our randomness."""
    kept: list[torch.Tensor] = []
    found = []
    for picture in pictures:
        if len(kept) < size:
            kept.append(picture)
            found.append(picture)
        elif rng.random() < 0.5:
            place = int(rng.integers(size))
            found.append(kept[place])
            kept[place] = picture
        else:
            found.append(picture)
    return found


def test_the_pool_gives_back_what_was_made_earlier() -> None:
    pictures = [torch.full((1, 2, 2), float(n)) for n in range(40)]
    pool, rng = Pool(5), np.random.default_rng(3)
    found = torch.cat([pool.exchanged(torch.stack(pictures[n : n + 2]), rng) for n in range(0, 40, 2)])
    expected = torch.stack(slowly(5, pictures, np.random.default_rng(3)))
    assert torch.equal(found, expected)
    assert not torch.equal(found, torch.stack(pictures))
    again = Pool(5)
    again.restore(pool.state(), torch.device("cpu"))
    assert all(torch.equal(one, two) for one, two in zip(again.kept, pool.kept, strict=True))
    again.restore({}, torch.device("cpu"))
    assert not again.kept
    picture = torch.rand(1, 3, 2, 2)
    assert Pool(0).exchanged(picture, rng) is picture


def test_changes_depend_on_the_number_alone_and_gradients_pass() -> None:
    x = torch.rand(2, 3, 16, 24, requires_grad=True)
    one, same = augmented(x, [(1, 2), (1, 3)]), augmented(x.flip(0), [(1, 3), (1, 2)]).flip(0)
    assert torch.equal(one, same)
    assert not torch.equal(one[0], augmented(x, [(1, 9), (1, 3)])[0])
    one.sum().backward()
    assert x.grad is not None and (x.grad != 0).float().mean() > 0.3
    holes = [(augmented(torch.ones(1, 1, 16, 16), [(0, n)]) == 0).float().mean() for n in range(40)]
    assert 0.05 < float(torch.stack(holes).mean()) < 0.5
