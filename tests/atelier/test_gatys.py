"""The optimisation engine on small pictures with drawn weights: what it promises, not how well it paints."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the optimisation engine cannot be tested")

from danqing.atelier import descent, encoders, gatys, objective  # noqa: E402
from danqing.card import Card  # noqa: E402
from danqing.errors import RunFailed, UsageError  # noqa: E402
from danqing.picture import Picture  # noqa: E402
from danqing.recipe import Recipe  # noqa: E402
from danqing.style import Style  # noqa: E402
from danqing.stylizer import Prior, Step  # noqa: E402
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
    view = objective.StyleView(weight=1.0, sizes=((1.0, style),))
    terms = objective.Objective(ENCODERS[name](), asked, content=content, views=[view])
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
    assert gatys.style_size(pattern(50, 100), (400, 300), (400, 300)) == (100, 50)
    assert gatys.style_size(pattern(400, 800), (200, 100), (400, 200)) == (200, 100)
    assert gatys.style_size(pattern(400, 800), (400, 200), (400, 200), scale=0.5) == (200, 100)


# ── regions, brush, raw weights ─────────────────────────────────────────────────────────────────────────────────────


def halves(height: int, width: int) -> np.ndarray:
    """1 on the left half, 0 on the right."""
    mask = np.zeros((height, width), dtype=np.float32)
    mask[:, : width // 2] = 1
    return mask


def plain(colour: tuple[float, float, float]) -> Picture:
    rng = np.random.default_rng(8)
    pixels = np.float32(colour) + rng.normal(0, 0.05, (64, 64, 3))
    return Picture(pixels=np.clip(pixels, 0, 1).astype(np.float32))


def test_where_no_mask_looks_the_photo_stays(engine: gatys.GatysStylizer) -> None:
    mask = halves(72, 96)
    style = Style(source=PAINTING, name="style", mask=mask)
    done = engine(PHOTO, (style,), recipe(steps=12)).picture.pixels
    np.testing.assert_array_equal(done[:, 50:], PHOTO.pixels[:, 50:])
    assert np.abs(done[:, :46] - PHOTO.pixels[:, :46]).mean() > 0.02


def test_each_style_rules_its_own_region(engine: gatys.GatysStylizer) -> None:
    red, blue, mask = plain((0.8, 0.2, 0.2)), plain((0.2, 0.2, 0.8)), halves(72, 96)
    styles = (Style(source=red, name="red", mask=mask), Style(source=blue, name="blue"))
    asked = recipe(steps=60, content_weight=0.05, start="content", style_layers={"relu1_1": 1.0, "relu2_1": 1.0})
    done = engine(PHOTO, styles, asked).picture.pixels
    left, right = done[:, 8:40].mean((0, 1)), done[:, 56:88].mean((0, 1))
    assert left[0] - left[2] > 0.3
    assert right[2] - right[0] > 0.3


def test_a_mask_of_ones_is_no_mask(engine: gatys.GatysStylizer) -> None:
    ones = np.ones((72, 96), dtype=np.float32)
    masked = engine(PHOTO, (Style(source=PAINTING, name="style", mask=ones),), recipe(steps=6)).picture.pixels
    np.testing.assert_allclose(masked, engine(PHOTO, (as_style(PAINTING),), recipe(steps=6)).picture.pixels, atol=5e-3)


def test_styles_of_the_same_region_mix(small_encoder: encoders.VGG) -> None:
    mask = torch.from_numpy(halves(32, 32))[None, None]
    views = [objective.StyleView(weight=1.0, sizes=((1.0, torch.rand(1, 3, 32, 32)),), mask=m)
             for m in (mask, mask.clone(), 1 - mask)]  # fmt: skip
    assert [len(there) for _, there in objective.placed(views)] == [2, 1]


def test_masks_leave_the_distance_elsewhere_alone(small_encoder: encoders.VGG) -> None:
    """What happens outside a mask does not enter the style's distance but by the encoder's field of view."""
    mask = torch.from_numpy(halves(128, 128))[None, None]
    view = objective.StyleView(weight=1.0, sizes=((1.0, torch.rand(1, 3, 64, 64)),), mask=mask)
    asked = recipe(content_weight=0, style_layers={"relu1_1": 1.0})
    terms = objective.Objective(small_encoder, asked, content=torch.rand(1, 3, 128, 128), views=[view])
    x = torch.rand(1, 3, 128, 128)
    other = x.clone()
    other[..., 70:] = 0
    assert terms.terms(other)["style"].item() == terms.terms(x)["style"].item()


def test_the_brush_is_a_mixture_of_sizes() -> None:
    assert gatys.brushes(0.5) == [(1.0, 1.0)]
    assert gatys.brushes(0) == [(gatys.FINE, 1.0)]
    assert gatys.brushes(1) == [(gatys.BROAD, 1.0)]
    assert gatys.brushes(0.25) == [(1.0, 0.5), (gatys.FINE, 0.5)]


def test_activations_computed_twice_paint_the_same(engine: gatys.GatysStylizer) -> None:
    once, twice = (engine(PHOTO, (as_style(PAINTING),), recipe(checkpoint=c)).picture.pixels for c in (False, True))
    np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize("kind", ["gram", "moments", "wasserstein", "histogram", "squared_gram"])
def test_every_style_loss_falls_and_changes_the_painting(engine: gatys.GatysStylizer, kind: str) -> None:
    asked = recipe(style_loss=kind, steps=40, levels=1, start="content")
    done = engine(PHOTO, (as_style(PAINTING),), asked)
    assert done.losses[-1]["style"] < 0.7 * done.losses[0]["style"]
    ours = engine(PHOTO, (as_style(PAINTING),), asked.turned({"style_loss": "covariance"}))
    assert np.abs(done.picture.pixels - ours.picture.pixels).mean() > 0.01


def test_a_line_search_gets_further_in_as_many_steps(engine: gatys.GatysStylizer) -> None:
    def reached(*, search: bool) -> float:
        done = engine(
            PHOTO, (as_style(PAINTING),), recipe(steps=25, levels=1, start="noise", line_search=search, tv_weight=1)
        )
        return sum(done.losses[-1].values())

    assert reached(search=True) < 1.05 * reached(search=False)


def test_raw_weights_are_for_the_range_they_name() -> None:
    """One network in two ranges: with raw weights both see the same loss, as far as no bias stands in the way."""
    caffe = seeded(encoders.VGG((8, 8, 16, 16, 16), matrix=encoders.CAFFE_MATRIX))
    unit = seeded(encoders.VGG((8, 8, 16, 16, 16), matrix=[[0, 0, 4.43], [0, 4.43, 0], [4.43, 0, 0]]))
    content, style, x = (torch.rand(1, 3, 64, 64) for _ in range(3))
    view = objective.StyleView(weight=1.0, sizes=((1.0, style),))
    asked = recipe(weighting="caffe", style_loss="squared_gram", content_loss="squared_sum", style_weight=500)
    values = [objective.Objective(e, asked, content=content, views=[view]).terms(x) for e in (caffe, unit)]
    for name in ("content", "style"):
        assert values[0][name].item() == pytest.approx(values[1][name].item(), rel=1e-2)


def test_raw_terms_are_the_weighted_formulas(small_encoder: encoders.VGG) -> None:
    from danqing.atelier import losses

    content, style, x = (torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(3))
    view = objective.StyleView(weight=1.0, sizes=((1.0, style),))
    asked = recipe(
        weighting="torchvision", style_loss="squared_gram", content_loss="features", content_layers={"conv2_2": 1.0},
        style_layers={"conv1_1": 0.75, "conv2_1": 0.25}, style_weight=1e6, tv_weight=2.0, tv_loss="absolute_sum",
    )  # fmt: skip
    goal = objective.Objective(small_encoder, asked, content=content, views=[view])
    goal.calibrate(x, torch.Generator())
    scale = 4.43 / (1 / 0.225)
    seen, kept, wanted = (
        {n: f * scale for n, f in small_encoder(p, ["conv1_1", "conv2_1", "conv2_2"]).items()}
        for p in (x, content, style)
    )
    expected = losses.content(seen["conv2_2"], kept["conv2_2"]).item() + 2 * losses.absolute_variation(x).item()
    for layer, share in (("conv1_1", 0.75), ("conv2_1", 0.25)):
        distance = losses.squared_gram(
            *(losses.gram(*losses.mean_and_covariance(f)) for f in (seen[layer], wanted[layer]))
        ).item()
        expected += 1e6 * share * distance
    assert goal.total(goal.terms(x)).item() == pytest.approx(expected, rel=1e-4)


def test_average_pooling_is_what_the_encoder_gets(engine: gatys.GatysStylizer) -> None:
    first, second = (engine(PHOTO, (as_style(PAINTING),), recipe(pooling=p)).picture.pixels for p in ("max", "average"))
    assert np.abs(first - second).max() > 0.01


def test_levels_grow_by_the_ratio() -> None:
    levels = gatys.pyramid((512, 512), Recipe(level_ratio=2**0.5))
    assert [level.size[0] for level in levels] == [128, 181, 256, 362, 512]


def test_the_canvas_gives_back_its_start_and_every_frequency_can_move() -> None:
    x = torch.rand(1, 3, 33, 47)
    for slope in (0.0, 0.45):
        canvas = descent.Canvas(x, slope)
        np.testing.assert_allclose(canvas.picture().detach().numpy(), x.numpy(), atol=1e-6)
    scale = descent.frequencies((64, 64), 0.45)
    assert scale.min() > 0
    assert scale[0, 1] > 3 * scale[32, 32]


class Well:
    """An objective that is 0 in the middle and all but flat a little away from it, so that a step too far is lost."""

    weights, calibration = {"style": 1.0}, {"style": 1.0}

    def terms(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"style": 1 - torch.exp(-((x - 0.5) / 0.1).square().sum())}

    def total(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        return terms["style"]

    def composed(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_step_out_of_the_valley_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends_at() -> float:
        steps = descent.descend(torch.full((1, 3, 1, 1), 0.55), Well(), Recipe(), steps=30)
        return [terms["style"] for _, terms in steps][-1]

    assert ends_at() < 1e-3
    monkeypatch.setattr(descent, "ASTRAY", np.inf)
    assert ends_at() > 0.99, "nothing went astray: this test shows nothing"


def test_scaled_frequencies_leave_less_grain(engine: gatys.GatysStylizer) -> None:
    def grain(slope: float) -> float:
        done = engine(PHOTO, (as_style(PAINTING),), recipe(steps=30, levels=1, start="content", frequency_slope=slope))
        change = done.picture.pixels - PHOTO.pixels
        return float(np.abs(np.diff(change, axis=1)).mean() / np.abs(change).mean())

    assert grain(0.6) < grain(0.0)


def test_a_broad_brush_sees_the_painting_at_half_size_too(small_encoder: encoders.VGG) -> None:
    """Grain that vanishes at half size hardly counts with the broadest brush."""
    content, style = torch.rand(1, 3, 96, 96), torch.rand(1, 3, 64, 64)
    view = objective.StyleView(weight=1.0, sizes=((1.0, style),))
    flat = torch.full((1, 3, 96, 96), 0.5)
    grain = flat + 0.2 * (torch.arange(96) % 2 * 2 - 1.0)  # stripes of one pixel

    def change(brush: float) -> float:
        terms = objective.Objective(small_encoder, recipe(brush=brush, content_weight=0), content=content, views=[view])
        return abs(terms.terms(grain)["style"].item() - terms.terms(flat)["style"].item())

    assert change(1) < 0.3 * change(0.5)


@pytest.mark.parametrize("weighting", ["calibrated", "caffe"])
def test_earlier_frames_hold_a_painting_where_they_are_trusted(engine: gatys.GatysStylizer, weighting: str) -> None:
    asked = recipe(weighting=weighting, steps=24)
    earlier = pattern(72, 96, seed=9)
    trust = np.zeros((72, 96), np.float32)
    trust[:, :48] = 1
    styles = (as_style(PAINTING),)
    free = engine(PHOTO, styles, asked, prior=Prior(picture=earlier, trust=np.zeros_like(trust)))
    held = engine(PHOTO, styles, asked, prior=Prior(picture=earlier, trust=trust))
    levels = gatys.pyramid(PHOTO.size, asked)
    assert len(held.losses) == levels[-1].steps and "temporal" in held.losses[0]  # the finest level alone
    away = [np.abs(done.picture.pixels - earlier.pixels) for done in (free, held)]
    assert away[1][:, :40].mean() < 0.6 * away[0][:, :40].mean()
    assert away[1][:, 56:].mean() > 0.7 * away[0][:, 56:].mean()
