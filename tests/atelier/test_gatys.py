"""The optimisation engine on small pictures with drawn weights: what it promises, not how well it paints."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the optimisation engine cannot be tested")

from danqing.atelier import encoders, gatys, objective  # noqa: E402
from danqing.card import Card  # noqa: E402
from danqing.errors import RunFailed, UsageError  # noqa: E402
from danqing.picture import Picture  # noqa: E402
from danqing.recipe import Recipe  # noqa: E402
from danqing.style import Style  # noqa: E402
from danqing.stylizer import Step  # noqa: E402
from tests.atelier.conftest import pattern, seeded  # noqa: E402

PHOTO, PAINTING, OTHER = pattern(72, 96, seed=1), pattern(80, 64, seed=2), pattern(64, 64, seed=5)


def as_style(picture: Picture, weight: float = 1.0) -> Style:
    return Style(source=picture, name="style", weight=weight)


@pytest.fixture
def engine(small_encoder: encoders.VGG, card: Card) -> gatys.GatysStylizer:
    return gatys.GatysStylizer(small_encoder, card, device="cpu")


def recipe(**knobs: object) -> Recipe:
    return Recipe.model_validate({"steps": 8, "precision": "float32", **knobs})


def test_the_result_has_the_size_of_the_content_and_the_recipe_inside(engine: gatys.GatysStylizer) -> None:
    asked = recipe()
    done = engine(PHOTO, (as_style(PAINTING),), asked)
    assert done.picture.size == PHOTO.size
    assert done.recipe is asked
    assert done.complete
    assert len(done.losses) == 8
    assert set(done.losses[0]) == {"content", "style"}


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (33, 7), (31, 32)])
def test_any_size_is_painted(engine: gatys.GatysStylizer, size: tuple[int, int]) -> None:
    photo = pattern(size[1], size[0])
    assert engine(photo, (as_style(PAINTING),), recipe(steps=2)).picture.size == size


ENCODERS = {
    "compact": lambda: seeded(encoders.compact()),
    "vgg19": lambda: seeded(encoders.VGG(tuple(w // 4 for w in encoders.VGG_WIDTHS), matrix=encoders.CAFFE_MATRIX,
                                         bias=encoders.CAFFE_BIAS)),
    "vgg16": lambda: seeded(encoders.VGG(tuple(w // 4 for w in encoders.VGG_WIDTHS), depths=encoders.VGG16_DEPTHS,
                                         pooling="average")),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("long_side", [48, 96, 192])
def test_at_weight_1_all_terms_pull_alike(name: str, long_side: int) -> None:
    photo, painting = pattern(long_side * 3 // 4, long_side, seed=1), pattern(long_side, long_side, seed=2)
    content, style = (torch.from_numpy(p.pixels.transpose(2, 0, 1).copy())[None] for p in (photo, painting))
    asked = recipe(style_weight=1, content_weight=1, tv_weight=1)
    terms = objective.Objective(ENCODERS[name](), asked, content=content, styles=[(1.0, style)])
    before = terms.pulls(content.lerp(torch.rand(content.shape), objective.PROBE_NOISE))
    terms.calibrate(content, torch.Generator().manual_seed(0))
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(99))
    pulls = terms.pulls(content.lerp(noise, objective.PROBE_NOISE))
    assert set(pulls) == {"content", "style", "tv"}
    assert max(pulls.values()) / min(pulls.values()) < 3
    assert max(before.values()) / min(before.values()) > 3, "the terms were alike before: this test shows nothing"


def test_the_objective_falls_and_the_style_comes_nearer(engine: gatys.GatysStylizer) -> None:
    done = engine(PHOTO, (as_style(PAINTING),), recipe(steps=40, levels=1, start="content"))
    first, last = (sum(done.losses[i].values()) for i in (0, -1))
    assert last < 0.8 * first
    assert done.losses[-1]["style"] < 0.7 * done.losses[0]["style"]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["recolored", "content", "noise", "mixture", "style"])
def test_every_start_and_optimiser_is_the_same_twice(engine: gatys.GatysStylizer, start: str, optimizer: str) -> None:
    asked = recipe(start=start, optimizer=optimizer, seed=3, steps=4)
    first, second = (engine(PHOTO, (as_style(PAINTING),), asked).picture.pixels for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_seed_decides_the_noise(engine: gatys.GatysStylizer) -> None:
    one, two = (engine(PHOTO, (as_style(PAINTING),), recipe(start="noise", seed=s)).picture.pixels for s in (1, 2))
    assert np.abs(one - two).max() > 0.05


def test_strength_0_is_the_photo_and_more_is_further_from_it(engine: gatys.GatysStylizer) -> None:
    def distance(strength: float) -> float:
        done = engine(PHOTO, (as_style(PAINTING),), recipe(strength=strength, steps=20))
        return float(np.abs(done.picture.pixels - PHOTO.pixels).mean())

    assert distance(0) == 0
    assert distance(0.3) < distance(1)


def test_two_styles_mix_by_their_weights(engine: gatys.GatysStylizer) -> None:
    def paint(*styles: Style) -> np.ndarray:
        return engine(PHOTO, styles, recipe(steps=12)).picture.pixels

    alone = paint(as_style(PAINTING))
    mostly = paint(as_style(PAINTING, 9), as_style(OTHER, 1))
    evenly = paint(as_style(PAINTING), as_style(OTHER))
    np.testing.assert_allclose(paint(as_style(PAINTING), as_style(PAINTING)), alone, atol=2e-2)
    assert np.abs(mostly - alone).mean() < np.abs(evenly - alone).mean()


def test_stopping_keeps_what_there_is(engine: gatys.GatysStylizer) -> None:
    seen: list[Step] = []

    def on_step(step: Step) -> bool:
        seen.append(step)
        return step.number < 3

    done = engine(PHOTO, (as_style(PAINTING),), recipe(steps=20), on_step=on_step)
    assert [step.number for step in seen] == [1, 2, 3]
    assert not done.complete
    np.testing.assert_array_equal(done.picture.pixels, seen[-1].preview().pixels)
    assert done.picture.size == PHOTO.size


def test_steps_tell_how_far_it_is(engine: gatys.GatysStylizer) -> None:
    seen: list[Step] = []
    engine(PHOTO, (as_style(PAINTING),), recipe(levels=2), on_step=seen.append)
    assert [step.number for step in seen] == list(range(1, 9))
    assert {step.total for step in seen} == {8}
    assert seen[0].size == (48, 36)
    assert seen[-1].size == PHOTO.size
    assert seen[-1].remaining == 0 < seen[0].remaining


def test_a_level_that_gets_nowhere_is_left_early(engine: gatys.GatysStylizer) -> None:
    def steps(tolerance: float) -> int:
        asked = recipe(steps=60, levels=1, start="content", tolerance=tolerance)
        done = engine(PHOTO, (as_style(PAINTING),), asked)
        assert done.complete
        return len(done.losses)

    assert 20 <= steps(0.2) < steps(0) == 60


def test_nan_is_found_at_once_and_the_last_good_picture_kept(small_encoder: encoders.VGG, card: Card) -> None:
    calls = 0

    class Bursting(encoders.VGG):
        def forward(self, x: torch.Tensor, layers: object) -> dict[str, torch.Tensor]:
            nonlocal calls
            calls += 1
            features = small_encoder(x, layers)
            return {k: v * float("nan") for k, v in features.items()} if calls > 8 else features

    with pytest.raises(RunFailed) as caught:
        gatys.GatysStylizer(Bursting(), card)(PHOTO, (as_style(PAINTING),), recipe(steps=20, levels=1))
    kept = caught.value.kept
    assert kept.picture.size == PHOTO.size
    assert np.isfinite(kept.picture.pixels).all()
    assert not kept.complete
    assert 1 <= len(kept.losses) <= 8


def test_unknown_layers_are_named_with_those_there_are(engine: gatys.GatysStylizer) -> None:
    with pytest.raises(UsageError, match=r"relu9_1.*relu5_1"):
        engine(PHOTO, (as_style(PAINTING),), recipe(style_layers={"relu9_1": 1.0}))


def test_the_papers_own_losses_can_be_asked_for(engine: gatys.GatysStylizer) -> None:
    own = engine(PHOTO, (as_style(PAINTING),), recipe()).picture.pixels
    theirs = engine(PHOTO, (as_style(PAINTING),), recipe(style_loss="gram", content_loss="features")).picture.pixels
    assert np.abs(own - theirs).max() > 0.01


def test_the_pyramid_is_coarse_to_fine_and_takes_all_steps() -> None:
    levels = gatys.pyramid((512, 384), Recipe(steps=130))
    assert [level.size for level in levels] == [(128, 96), (256, 192), (512, 384)]
    assert sum(level.steps for level in levels) == 130
    assert levels[0].steps > levels[-1].steps
    assert len(gatys.pyramid((2048, 40), Recipe())) == 1
    assert sum(level.steps for level in gatys.pyramid((4096, 4096), Recipe(steps=3))) == 3


def test_a_style_is_never_enlarged() -> None:
    assert gatys.style_size(pattern(50, 100), (400, 300), (400, 300), 1.0) == (100, 50)
    assert gatys.style_size(pattern(400, 800), (200, 100), (400, 200), 1.0) == (200, 100)
    assert gatys.style_size(pattern(400, 800), (400, 200), (400, 200), 0.5) == (200, 100)
