"""Every loss against its formula, written out in numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: losses cannot be tested")

from danqing.atelier import losses  # noqa: E402


@pytest.fixture
def features() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).gamma(1.0, 1.0, (1, 5, 7, 9)).astype(np.float32))


def flat(features: torch.Tensor) -> np.ndarray:
    return features[0].double().numpy().reshape(features.shape[1], -1)


def test_gram_is_mean_product_of_channels(features: torch.Tensor) -> None:
    f = flat(features)
    np.testing.assert_allclose(losses.gram(features).numpy(), f @ f.T / f.shape[1], rtol=1e-5)


def test_mean_and_covariance(features: torch.Tensor) -> None:
    f = flat(features)
    mean, covariance = losses.mean_and_covariance(features)
    np.testing.assert_allclose(mean.numpy(), f.mean(1), rtol=1e-5)
    np.testing.assert_allclose(covariance.numpy(), np.cov(f, bias=True), rtol=1e-4, atol=1e-6)


def test_statistics_are_float32_whatever_comes_in(features: torch.Tensor) -> None:
    for statistic in (losses.gram(features.bfloat16()), *losses.mean_and_covariance(features.bfloat16())):
        assert statistic.dtype == torch.float32


def test_content_is_half_the_mean_square(features: torch.Tensor) -> None:
    target = features.flip(2)
    expected = 0.5 * np.mean((features.double().numpy() - target.double().numpy()) ** 2)
    assert losses.content(features, target).item() == pytest.approx(expected, rel=1e-5)


def test_normalized_content_ignores_gain_and_offset_but_not_structure(features: torch.Tensor) -> None:
    target = losses.instance_normalized(features)
    assert losses.normalized_content(features * 3 + 2, target).item() < 1e-8
    f, t = flat(features.flip(2)), flat(features)
    f, t = ((v - v.mean(1, keepdims=True)) / np.sqrt(v.var(1, keepdims=True) + 0.01 * v.var(1).mean()) for v in (f, t))
    expected = 0.5 * np.mean((f - t) ** 2)
    assert losses.normalized_content(features.flip(2), target).item() == pytest.approx(expected, rel=1e-3)


def test_ratio() -> None:
    ours, target = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert losses.ratio(ours, target).item() == pytest.approx(5 / 7)
    assert losses.ratio(target, target).item() < 1e-5
    assert losses.ratio(100 * ours, 100 * target).item() == pytest.approx(5 / 7)


def test_total_variation_counts_both_directions() -> None:
    x = torch.zeros(1, 3, 4, 5)
    x[..., 2] = 1  # one column: 2 steps of 1 across in every row, none down
    assert losses.total_variation(x).item() == pytest.approx(2 * 4 / (4 * 4))


def test_the_pull_of_ratio_does_not_fade_near_the_target() -> None:
    target = torch.eye(4)

    def pull(distance: float) -> float:
        x = (target + distance * torch.ones(4, 4)).requires_grad_()
        (gradient,) = torch.autograd.grad(losses.ratio(x, target), x)
        return float(gradient.norm())

    assert pull(1e-3) == pytest.approx(pull(1e-2), rel=0.1)
