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


def gram(features: torch.Tensor, guide: torch.Tensor | None = None) -> torch.Tensor:
    return losses.gram(*losses.mean_and_covariance(features, guide))


def moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, covariance = losses.mean_and_covariance(features)
    return mean, losses.deviation(covariance)


def test_gram_is_mean_product_of_channels(features: torch.Tensor) -> None:
    f = flat(features)
    np.testing.assert_allclose(gram(features).numpy(), f @ f.T / f.shape[1], rtol=1e-5)


def test_mean_and_covariance(features: torch.Tensor) -> None:
    f = flat(features)
    mean, covariance = losses.mean_and_covariance(features)
    np.testing.assert_allclose(mean.numpy(), f.mean(1), rtol=1e-5)
    np.testing.assert_allclose(covariance.numpy(), np.cov(f, bias=True), rtol=1e-4, atol=1e-6)


def test_statistics_are_float32_whatever_comes_in(features: torch.Tensor) -> None:
    for statistic in (gram(features.bfloat16()), *losses.mean_and_covariance(features.bfloat16())):
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


def test_a_guide_counts_positions_by_its_value(features: torch.Tensor) -> None:
    guide = torch.from_numpy(np.random.default_rng(4).uniform(0, 1, (1, 1, 7, 9)).astype(np.float32))
    f, w = flat(features), guide.double().numpy().ravel()
    mean, covariance = losses.mean_and_covariance(features, guide)
    np.testing.assert_allclose(mean.numpy(), np.average(f, axis=1, weights=w), rtol=1e-5)
    np.testing.assert_allclose(covariance.numpy(), np.cov(f, aweights=w, bias=True), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gram(features, guide).numpy(), (f * w) @ f.T / w.sum(), rtol=1e-5)
    deviation = losses.deviation(losses.mean_and_covariance(features, guide)[1]).numpy()
    np.testing.assert_allclose(deviation**2, np.diag(np.cov(f, aweights=w, bias=True)), rtol=1e-4, atol=1e-6)


def test_a_guide_of_ones_is_no_guide(features: torch.Tensor) -> None:
    ones = torch.ones(1, 1, 40, 40)
    for guided, plain in zip(
        losses.mean_and_covariance(features, ones), losses.mean_and_covariance(features), strict=True
    ):
        np.testing.assert_allclose(guided.numpy(), plain.numpy(), rtol=1e-4, atol=1e-6)


def test_squared_gram_is_four_times_the_papers(features: torch.Tensor) -> None:
    target = features.flip(1).exp()
    f, t = flat(features), flat(target)
    paper = np.sum((f @ f.T - t @ t.T) ** 2) / (4 * f.shape[0] ** 2 * f.shape[1] ** 2)
    ours = losses.squared_gram(gram(features), gram(target)).item()
    assert ours == pytest.approx(4 * paper, rel=1e-4)


def test_squared_sum_is_the_papers_content(features: torch.Tensor) -> None:
    target = features.flip(2)
    expected = 0.5 * np.sum((features.double().numpy() - target.double().numpy()) ** 2)
    assert losses.squared_sum(features, target).item() == pytest.approx(expected, rel=1e-5)


def test_moments(features: torch.Tensor) -> None:
    target = features.flip(1) * 2
    f, t = flat(features), flat(target)
    expected = np.mean((f.mean(1) - t.mean(1)) ** 2 + (f.std(1) - t.std(1)) ** 2)
    ours = losses.moments(*moments(features), moments(target)).item()
    assert ours == pytest.approx(expected, rel=1e-4)


def test_wasserstein_against_the_closed_form(features: torch.Tensor) -> None:
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed: there is no oracle")
    target = features.flip(3).flip(1) ** 1.5
    a, b = (np.cov(flat(v), bias=True) for v in (features, target))
    means = flat(features).mean(1) - flat(target).mean(1)
    root = linalg.sqrtm(b)
    expected = (means @ means + np.trace(a + b - 2 * linalg.sqrtm(root @ a @ root)).real) / 5
    ours = losses.wasserstein(*losses.mean_and_covariance(features), losses.mean_and_covariance(target)).item()
    assert ours == pytest.approx(expected, rel=1e-3)


def test_the_gradient_of_wasserstein_is_that_of_its_value(features: torch.Tensor) -> None:
    target = losses.mean_and_covariance(features.flip(3).flip(1) ** 1.5)

    def value(x: torch.Tensor) -> torch.Tensor:
        return losses.wasserstein(*losses.mean_and_covariance(x), target)

    x = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(x), x)
    way = torch.from_numpy(np.random.default_rng(1).normal(size=features.shape).astype(np.float32))
    measured = (value(features + 1e-2 * way) - value(features - 1e-2 * way)) / 2e-2
    assert (gradient * way).sum().item() == pytest.approx(measured.item(), rel=2e-2)


def test_wasserstein_survives_channels_that_never_fire(features: torch.Tensor) -> None:
    dead = features * torch.tensor([1.0, 0, 1, 0, 0])[:, None, None]
    x = dead.clone().requires_grad_()
    loss = losses.wasserstein(*losses.mean_and_covariance(x), losses.mean_and_covariance(dead.flip(1)))
    (gradient,) = torch.autograd.grad(loss, x)
    assert torch.isfinite(gradient).all()


def test_histogram_is_the_distance_to_the_same_rank(features: torch.Tensor) -> None:
    target = features.flip(1) * 2 + 1
    f, t = np.sort(flat(features), axis=1), np.sort(flat(target), axis=1)
    ours = losses.histogram(losses.sorted_channels(features), losses.quantiles(target, count=63))
    assert ours.item() == pytest.approx(0.5 * np.mean((f - t) ** 2), rel=1e-4)


def test_a_histogram_looks_where_its_guide_looks(features: torch.Tensor) -> None:
    guide = torch.zeros(1, 1, 7, 9)
    guide[..., :4] = 1
    expected = np.sort(features[0, :, :, :4].reshape(5, -1).numpy(), axis=1)
    np.testing.assert_array_equal(losses.sorted_channels(features, guide).numpy(), expected)


def test_temporal_counts_each_pixel_by_its_trust() -> None:
    now, earlier = torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)
    trust = torch.rand(1, 1, 4, 5)
    by_hand = sum(
        float(trust[0, 0, y, x] * (now - earlier)[0, c, y, x] ** 2)
        for c in range(3)
        for y in range(4)
        for x in range(5)
    )
    assert float(losses.temporal(now, earlier, trust)) == pytest.approx(by_hand / 60, rel=1e-5)


def test_absolute_variation_counts_every_pair_of_neighbours() -> None:
    picture = torch.zeros(1, 3, 4, 5)
    picture[0, :, 1, 2] = 1
    assert losses.absolute_variation(picture).item() == 3 * 4 * 255


@pytest.mark.parametrize("guided", [False, True])
def test_the_gradient_of_mean_and_covariance(
    features: torch.Tensor, guided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against torch's own differentiation of the formula, in pieces that do not divide the positions."""
    monkeypatch.setattr(losses, "PIECE", 20)
    guide = torch.rand(1, 1, 7, 9) if guided else None
    weight = (guide if guided else torch.ones(1, 1, 7, 9)).reshape(-1, 1) / (guide.sum() if guided else 63)
    of_mean, of_covariance = torch.rand(5), torch.rand(5, 5)

    def formula(x: torch.Tensor) -> torch.Tensor:
        flat = x[0].reshape(5, -1).T
        mean = (flat * weight).sum(0)
        covariance = (flat - mean).T @ ((flat - mean) * weight)
        return (mean * of_mean).sum() + (covariance * of_covariance).sum()

    def ours(x: torch.Tensor) -> torch.Tensor:
        mean, covariance = losses.mean_and_covariance(x, guide)
        return (mean * of_mean).sum() + (covariance * of_covariance).sum()

    x = features.clone().requires_grad_()
    expected, found = (torch.autograd.grad(f(x), x)[0] for f in (formula, ours))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
