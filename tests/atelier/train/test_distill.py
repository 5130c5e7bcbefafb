"""Distillation in the small: lessons are pure functions, a killed run ends like an uninterrupted one, and scaling the
channels changes nothing but their scale."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: distillation cannot be tested")

from PIL import Image  # noqa: E402

from danqing.atelier import encoders  # noqa: E402
from danqing.atelier.train import distill, lessons  # noqa: E402
from danqing.atelier.train.teachers import LESSONS, TAUGHT, layer_of, thin  # noqa: E402
from danqing.card import Card  # noqa: E402
from tests.atelier.conftest import pattern, seeded  # noqa: E402

RECIPE = Path(__file__).parents[3] / "recipes" / "compact.toml"
PLAN = lessons.Plan(
    seed=5, steps=6, batch=2, crops=8, crop=48, learning_rate=1e-3, weight_decay=0.05, covariance_weight=0.25,
    ema=0.9, paintings_share=0.5, holdout="holdout.toml", refine_steps=3, refine_paintings=2,
    refine_learning_rate=1e-4,
)  # fmt: skip


class FakeTeachers(torch.nn.Module):
    """A drawn VGG of small widths in place of the true ones."""

    def __init__(self) -> None:
        super().__init__()
        self.net = seeded(encoders.VGG((6, 7, 8, 9, 10)), seed=11)
        self.widths = {lesson: self.net.convolution(layer_of(lesson)).out_channels for lesson in LESSONS}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.net(x, TAUGHT)
        return {lesson: features[layer_of(lesson)] for lesson in LESSONS}


@pytest.fixture
def pictures() -> lessons.Pictures:
    def pixels(seed: int) -> np.ndarray:
        return (pattern(64, 80, seed=seed).pixels * 255).astype(np.uint8)

    return lessons.Pictures([pixels(1), pixels(2)], [pixels(3)])


def test_the_recipe_that_ships_is_a_plan_with_a_holdout() -> None:
    plan = lessons.Plan.read(RECIPE)
    rule = tomllib.loads((RECIPE.parent / plan.holdout).read_text(encoding="utf-8"))
    assert plan.steps > 0
    assert len(rule["paintings"]) == 20


def test_held_out_pictures_are_never_learnt_from(tmp_path: Path) -> None:
    for folder, names in {"photos": "abcdefghijklmnopqrstuvwxyz", "paintings": ["山水", "other"]}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            Image.new("RGB", (8, 8)).save(tmp_path / folder / f"{name}.jpg")
    rule = tmp_path / "holdout.toml"
    rule.write_text('photos_modulus = 2\npaintings = ["山水.jpg"]\n', encoding="utf-8")
    learnt, held = (lessons.Pictures.read(tmp_path, rule, held_out=held) for held in (False, True))
    assert len(learnt.photos) + len(held.photos) == 26
    assert 0 < len(held.photos) < 26
    assert (len(learnt.paintings), len(held.paintings)) == (1, 1)


def test_crops_are_a_function_of_seed_and_number(pictures: lessons.Pictures) -> None:
    first, again, other = (lessons.crop_at(pictures, PLAN, n) for n in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 48, 48)
    assert 0 <= first.min() < first.max() <= 1
    assert np.abs(first - other).max() > 0.05


def test_every_pass_shows_every_crop_once_in_another_order(pictures: lessons.Pictures) -> None:
    taught = lessons.Lessons.prepare(pictures, FakeTeachers(), PLAN)
    passes = [torch.cat([taught.batch(PLAN, 4 * n + i)[0] for i in range(4)]) for n in range(2)]
    sums = [sorted(p.sum((1, 2, 3)).tolist()) for p in passes]
    assert sums[0] == pytest.approx(sums[1])
    assert not torch.equal(passes[0], passes[1])


def test_thinning_keeps_places_together() -> None:
    features = {"relu1_1": torch.arange(48 * 48.0).reshape(1, 1, 48, 48), "relu4_1": torch.ones(1, 1, 6, 6)}
    thinned = thin(features)
    assert thinned["relu1_1"][0, 0, 1, 0] == features["relu1_1"][0, 0, 11, 3]
    assert thinned["relu4_1"].shape == (1, 1, 6, 6)


def test_a_killed_run_ends_like_an_uninterrupted_one(pictures: lessons.Pictures, tmp_path: Path) -> None:
    teachers = FakeTeachers()
    taught = lessons.Lessons.prepare(pictures, teachers, PLAN)

    def go_on(run: distill.Run, until: int) -> distill.Run:
        while run.step < until:
            run.train_on(*taught.batch(PLAN, run.step))
        return run

    whole = go_on(distill.Run(PLAN, teachers, tmp_path), 6)
    killed = go_on(distill.Run(PLAN, teachers, tmp_path), 3)
    killed.save()
    resumed = distill.Run(PLAN, teachers, tmp_path)
    resumed.load()
    assert resumed.step == 3
    go_on(resumed, 6)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert all(torch.equal(value, resumed.average[name]) for name, value in whole.average.items())


def test_it_learns(pictures: lessons.Pictures, tmp_path: Path) -> None:
    teachers = FakeTeachers()
    taught = lessons.Lessons.prepare(pictures, teachers, PLAN)
    run = distill.Run(PLAN, teachers, tmp_path)
    run.schedule = lambda: 1e-3  # type: ignore[method-assign]
    errors = [float(torch.stack(list(run.train_on(*taught.batch(PLAN, 0)).values())).mean()) for _ in range(40)]
    assert errors[-1] < 0.7 * errors[0]


def test_what_ships_computes_the_same_up_to_scale(pictures: lessons.Pictures, tmp_path: Path) -> None:
    run = distill.Run(PLAN, FakeTeachers(), tmp_path)
    x = torch.rand(2, 3, 64, 64)
    before = run.averaged().student(x, TAUGHT)
    after = distill.ship(run, x)(x, TAUGHT)
    for layer in TAUGHT:
        assert after[layer].square().mean().item() == pytest.approx(1, rel=1e-3)
        alive = before[layer].mean((0, 2, 3)) > 1e-4
        ratios = (after[layer] / before[layer].clamp(min=1e-9))[:, alive]
        for channel, own in zip(ratios.unbind(1), before[layer][:, alive].unbind(1), strict=True):
            seen = channel[own > 1e-3]
            assert seen.max() - seen.min() < 2e-2 * seen.mean()


def test_what_is_published_has_papers_that_fit(pictures: lessons.Pictures, tmp_path: Path) -> None:
    run = distill.Run(PLAN, FakeTeachers(), tmp_path)
    big = lessons.Pictures(
        [(pattern(300, 300, seed=s).pixels * 255).astype(np.uint8) for s in (1, 2)],
        [(pattern(300, 300, seed=3).pixels * 255).astype(np.uint8)],
    )
    distill.publish(run, big, {"features": dict.fromkeys(LESSONS, 0.5)}, tmp_path)
    card = Card.load(tmp_path / "compact.toml")
    assert card.layers[-1] == "relu5_1"
    assert sum((tmp_path / name).stat().st_size for name in (card.file, card.onnx or "")) < 5_000_000


def test_in_the_end_it_learns_from_its_own_paintings_and_resumes_there(
    pictures: lessons.Pictures, tmp_path: Path
) -> None:
    run = distill.Run(PLAN, FakeTeachers(), tmp_path)
    crops = distill.refined(run, pictures)
    assert crops.shape == (2 * 3 * PLAN.refine_paintings, 3, 48, 48)
    assert not torch.equal(crops[6], crops[7]), "three moments of a painting are three pictures"
    again = distill.refined(distill.Run(PLAN, FakeTeachers(), tmp_path), pictures)
    assert torch.equal(crops, again)


def test_the_learning_rate_falls_and_once_more_while_refining(tmp_path: Path) -> None:
    run = distill.Run(PLAN, FakeTeachers(), tmp_path)
    rates = []
    for run.step in range(PLAN.steps + PLAN.refine_steps):
        rates.append(run.schedule())
    warm = [min(1, (step + 1) / 100) for step in (*range(PLAN.steps), *range(PLAN.refine_steps))]
    full = np.array(rates) / warm
    assert full[0] == pytest.approx(PLAN.learning_rate)
    assert full[PLAN.steps] == pytest.approx(PLAN.refine_learning_rate)
    assert (np.diff(full[: PLAN.steps]) < 0).all()
    assert (np.diff(full[PLAN.steps :]) < 0).all()
