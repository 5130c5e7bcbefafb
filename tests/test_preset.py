"""Presets: every one is a recipe without inputs, and says what the older tool's text says."""

from __future__ import annotations

from importlib.resources import files

import pytest

from danqing import preset
from danqing.errors import UsageError
from danqing.recipe import Recipe


@pytest.mark.parametrize("name", preset.NAMES)
def test_a_preset_is_knobs_without_inputs_and_opens_with_its_source(name: str) -> None:
    found = preset.find(name)
    assert found.name == name
    assert list(found.recipe.sources()) == []
    assert (files("danqing") / "presets" / f"{name}.toml").read_text(encoding="utf-8").startswith("# ")


def test_every_file_has_its_name() -> None:
    names = {path.name.removesuffix(".toml") for path in (files("danqing") / "presets").iterdir()}
    assert names == set(preset.NAMES)


def test_default_is_the_default() -> None:
    assert preset.find("default").recipe == Recipe(engine="optimize")


def test_gatys_writes_a_picture_now_and_then_and_mixes_noise() -> None:
    found = preset.find("gatys")
    assert found.save_every == 100
    assert found.recipe.steps == 1000
    assert found.recipe.start == "mixture"
    assert 4 * found.recipe.style_weight / found.recipe.content_weight == 500  # equation 4 has a quarter in front


def test_the_tutorial_is_a_mean_of_squares_at_the_first_five_convolutions() -> None:
    recipe = preset.find("tutorial").recipe
    widths = {"conv1_1": 64, "conv1_2": 64, "conv2_1": 128, "conv2_2": 128, "conv3_1": 256}
    total = sum(recipe.style_layers.values())
    assert set(recipe.style_layers) == set(widths)
    for layer, width in widths.items():
        # The engine sums ((G - A) / C)^2, where the tutorial takes the mean of (G - A)^2 / C^2 over C x C entries.
        assert recipe.style_weight * recipe.style_layers[layer] / total == pytest.approx(1e6 / width**2, rel=1e-6)


def test_an_unknown_preset_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="gatys"):
        preset.find("gatis")
