"""What is seen in tiles is what is seen at once, the gradient too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: encoders cannot be tested")

from danqing.atelier import encoders, tiled  # noqa: E402
from danqing.atelier.gatys import GatysStylizer  # noqa: E402
from danqing.picture import Picture  # noqa: E402
from danqing.recipe import Recipe  # noqa: E402
from danqing.style import Style  # noqa: E402
from tests.atelier.conftest import seeded  # noqa: E402

LAYERS = ("relu1_1", "conv2_1", "relu3_3", "relu4_1", "relu5_1")

Kinds = dict[str, Callable[[], encoders.VGG]]
KINDS: Kinds = {
    "mirrored": lambda: encoders.VGG((4, 6, 8, 8, 8), padding="reflect"),
    "zeros": lambda: encoders.VGG((4, 6, 8, 8, 8)),
    "average": lambda: encoders.VGG((4, 6, 8, 8, 8), pooling="average"),
    "checkpointed": lambda: encoders.VGG((4, 6, 8, 8, 8)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(150, 333), (64, 260), (271, 97)], ids=str)
def test_tiles_are_the_whole(kind: str, size: tuple[int, int]) -> None:
    encoder = seeded(KINDS[kind]())
    encoder.checkpointed = kind == "checkpointed"
    x = torch.rand(1, 3, *size)
    found, slope = looked(encoder, x, side=64, reach=encoder.reach(LAYERS))
    expected, expected_slope = looked(encoder, x)
    assert len(found) == 4 + 2 * 2 * 4
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-4, atol=1e-8)


def test_a_shorter_reach_would_not_do() -> None:
    encoder = seeded(KINDS["zeros"]())
    x = torch.rand(1, 3, 150, 333)
    found, _ = looked(encoder, x, side=64, reach=16)
    assert not torch.allclose(found["0relu5_10"], looked(encoder, x)[0]["0relu5_10"], rtol=1e-3)


def looked(
    encoder: encoders.VGG, x: torch.Tensor, *, side: int = 0, reach: int = 0
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Features, means and covariances of two places, and the gradient of something made of them all."""
    x = x.clone().requires_grad_()
    guide = torch.linspace(-1, 1, x.shape[3]).clamp(min=0).expand(1, 1, *x.shape[2:])  # nothing in the left half
    wish = tiled.Wish(whole=LAYERS[:4], summed=LAYERS[1:], guides=(None, guide))
    whole, sums = (
        tiled.seen_in_tiles(encoder, x, wish, side=side, reach=reach) if side else tiled.seen(encoder, x, wish)
    )
    found = whole | {
        f"{number}{layer}{which}": value
        for number, there in enumerate(sums)
        for layer, pair in there.items()
        for which, value in enumerate(pair)
    }
    generator = torch.Generator().manual_seed(1)
    value = sum((v * torch.rand(v.shape, generator=generator)).square().mean() for v in found.values())
    (slope,) = torch.autograd.grad(value, x)
    return {name: value.detach() for name, value in found.items()}, slope


@pytest.mark.parametrize("knobs", [{}, {"brush": 0.9, "tv_weight": 0.1}, {"style_loss": "histogram"}], ids=str)
def test_a_painting_in_tiles_has_the_same_losses(
    small_encoder: encoders.VGG, knobs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiled, "SIDE", 64)
    seen = []
    look = tiled.seen_in_tiles
    monkeypatch.setattr(tiled, "seen_in_tiles", lambda *given, **how: seen.append(1) or look(*given, **how))
    rng = np.random.default_rng(4)
    photo = Picture(pixels=np.kron(rng.random((12, 18, 3)), np.ones((16, 16, 1))).astype(np.float32))
    style = Style(source=Picture(pixels=rng.random((100, 140, 3), dtype=np.float32)), name="s")
    losses = {}
    for tiles in (False, True):
        recipe = Recipe(steps=4, levels=1, precision="float32", tiles=tiles, **knobs)  # type: ignore[arg-type]
        pastiche = GatysStylizer(small_encoder, pytest.importorskip("tests.fake_engine").CARD)(photo, (style,), recipe)
        losses[tiles] = [sum(terms.values()) for terms in pastiche.losses]
        assert bool(seen) == tiles
    assert losses[True][:2] == pytest.approx(losses[False][:2], rel=1e-4)
