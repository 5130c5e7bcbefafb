"""The training of the gallery, from its recipe to the files that ship, with a step or two of each part."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

from danqing.atelier.train import equivalent, gallery  # noqa: E402
from tests import pastiches  # noqa: E402

RECIPE = """
holdout = "holdout.toml"
seed = 1
batch = 1
save_every = 1
learning_rate = 1e-3
[sources]
p = "a test"
[quality]
[stem]
steps = 2
photos = 2
crops = [[0, 64]]
[any]
steps = 1
crops = [[0, 64]]
[gallery]
steps = 1
gallery_share = 1.0
crops = [[0, 64]]
[vectors]
steps = 1
gallery_share = 1.0
crops = [[0, 64]]
[[styles]]
name = "reeds"
file = "a.png"
[[styles]]
name = "fog"
file = "b.png"
left_out = "fog"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> tuple[gallery.Recipe, gallery.Data]:
    """A recipe, and its pictures."""
    rng = np.random.default_rng(0)
    for folder, names in (("photos", "pqr"), ("paintings", "ab")):
        (tmp_path / folder).mkdir()
        for name in names:
            pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((96, 72)).save(tmp_path / folder / f"{name}.png")
    rows = ["file\tkind\ttitle\tartist\tdate\tsource\turl"]
    rows += [f"{name}.png\tpicture\t{name}\tUnknown\t1700\ta test\t" for name in "ab"]
    (tmp_path / "paintings" / "CREDITS.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "holdout.toml").write_text("photos_modulus = 3\npaintings = []\n")
    file = tmp_path / "gallery.toml"
    file.write_text(RECIPE)
    read = gallery.Recipe.read(file)
    return read, gallery.Data.read(tmp_path, read)


@pytest.mark.parametrize(
    ("begins", "parts"),
    [
        ("anew", {"stem", "any", "gallery", "vectors"}),
        ("from an older form", {"stem", "gallery", "vectors"}),
        ("from a network of today's form", {"gallery", "vectors"}),
        ("from a network that stays", {"vectors"}),
    ],
)
def test_the_recipe_ends_with_files_that_ship(
    recipe: tuple[gallery.Recipe, gallery.Data],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begins: str,
    parts: set[str],
) -> None:
    monkeypatch.setattr(gallery, "SHEET_PHOTOS", 1)
    run, older = tmp_path / "run", tmp_path / "older"
    if begins != "anew":
        pastiches.published(older)
    if begins == "from a network that stays":
        recipe = replace(recipe[0], begin_at="vectors"), recipe[1]
    if begins == "from an older form":
        monkeypatch.setattr(gallery.ancestor, "sees", lambda folder: False)
    begin = older if begins != "anew" else None
    trained = gallery.train(*recipe, run, begin=begin)
    assert {path.name for path in run.iterdir()} == parts
    gallery.ship(trained, *recipe, run / "models")
    card = tomllib.loads((run / "models" / "pastiche.toml").read_text())
    assert [style["name"] for style in card["styles"]] == ["reeds"]
    again = gallery.train(*recipe, run, begin=begin)  # goes on from where it stands: the end
    for name, value in trained.teaching.state_dict().items():
        torch.testing.assert_close(again.teaching.state_dict()[name], value, atol=0, rtol=0)


def test_only_the_last_two_parts_can_be_begun_with(tmp_path: Path) -> None:
    (tmp_path / "gallery.toml").write_text('begin_at = "any"\n' + RECIPE)
    with pytest.raises(ValueError, match="begin_at"):
        gallery.Recipe.read(tmp_path / "gallery.toml")


def test_in_the_end_nothing_learns_but_a_shift_of_each_style(
    recipe: tuple[gallery.Recipe, gallery.Data], tmp_path: Path
) -> None:
    """The same for its three brushes."""
    trained = gallery.train(*recipe, tmp_path / "run").teaching
    shifts = dict(trained.named_parameters())["shifts"]
    assert [name for name, one in trained.named_parameters() if one.requires_grad] == ["shifts"]
    assert shifts.shape[:2] == (2, 1) and (shifts.abs().amax((1, 2)) > 0).any()
    rows, before = trained.rows(), trained.table
    assert rows is not None and before is not None
    torch.testing.assert_close(rows, before + shifts.expand(-1, 3, -1), atol=0, rtol=0)


def test_steps_are_counted_by_what_the_network_was_taught() -> None:
    taught = gallery.Recipe.read(Path(__file__).parents[3] / "recipes" / "gallery.toml").lesson("gallery")
    for weight in ("content_weight", "style_weight", "tv_weight", "range_weight"):
        assert getattr(equivalent.LESSON, weight) == getattr(taught, weight), weight
