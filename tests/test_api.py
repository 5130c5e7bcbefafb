"""paint, redo and what lies between: inputs of every kind in, a Pastiche with its recipe out."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import danqing
from danqing import commission, machine
from danqing.errors import BadInput, BadPicture, BadRecipe, DoesNotFit, RunFailed, UsageError
from danqing.files import sha256
from danqing.picture import Picture
from danqing.picture.provenance import read_recipe
from danqing.recipe import FROM_MEMORY, Recipe, Source, StyleSource
from danqing.style import Style
from danqing.stylizer import Pastiche
from tests.fake_engine import Entry, FakeStylizer, picture

pytestmark = pytest.mark.usefixtures("gallery")


def pixels_of(path: Path) -> np.ndarray:
    return Picture.load(path).pixels


# ── what goes in ────────────────────────────────────────────────────────────────────────────────────────────────────


def kinds_of(path: Path) -> dict[str, object]:
    image = Image.open(path)
    image.load()
    return {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "stream": io.BytesIO(path.read_bytes()),
        "Pillow": image,
        "array": np.asarray(image),
        "floats": np.asarray(image).astype(np.float32) / 255,
        "Picture": Picture.load(path),
    }


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "stream", "Pillow", "array", "floats", "Picture"])
def test_photos_of_every_kind_paint_the_same(kind: str, photo: Path) -> None:
    expected = danqing.paint(photo, "great-wave", steps=2).picture.pixels
    pastiche = danqing.paint(kinds_of(photo)[kind], "great-wave", steps=2)
    np.testing.assert_allclose(pastiche.picture.pixels, expected, atol=1e-6)
    hashed = kind in ("path", "text", "bytes", "stream")
    named = kind in ("path", "text")
    assert pastiche.recipe.content == Source(
        name="桂林.png" if named else FROM_MEMORY, sha256=sha256(photo) if hashed else None
    )


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "Pillow", "array", "floats", "Picture"])
def test_styles_of_every_kind_paint_the_same(kind: str, photo: Path, tmp_path: Path) -> None:
    style = picture(tmp_path / "水墨.png", seed=9)
    expected = danqing.paint(photo, style, steps=2).picture.pixels
    np.testing.assert_allclose(danqing.paint(photo, kinds_of(style)[kind], steps=2).picture.pixels, expected, atol=1e-6)


def test_a_style_by_name_is_that_of_the_gallery(photo: Path, gallery: list[Entry]) -> None:
    pastiche = danqing.paint(photo, style="great-wave", steps=2)
    (style,) = FakeStylizer.calls[-1].styles
    np.testing.assert_array_equal(style.source.pixels, pixels_of(gallery[0].path))
    assert pastiche.recipe.styles == (StyleSource(name="great-wave"),)


def test_several_styles_with_weights(photo: Path, tmp_path: Path) -> None:
    own = picture(tmp_path / "my.png", seed=5)
    style = Style(source=Picture.load(own), name="mine", weight=3.0)
    named = Style(source="starry-night", name="x")
    pastiche = danqing.paint(photo, ["great-wave:0.7", f"{own}:0.3", own, style, named])
    assert [s.weight for s in FakeStylizer.calls[-1].styles] == [0.7, 0.3, 1.0, 3.0, 1.0]
    assert [s.name for s in pastiche.recipe.styles] == ["great-wave", "my.png", "my.png", "mine", "starry-night"]
    assert [s.weight for s in pastiche.recipe.styles] == [0.7, 0.3, 1.0, 3.0, 1.0]


def test_an_existing_path_wins_over_a_name_and_a_weight(photo: Path, tmp_path: Path) -> None:
    for name in ("great-wave", "photo:0.5"):
        picture(tmp_path / f"{name}.png", seed=3).rename(tmp_path / name)
        pastiche = danqing.paint(photo, name, steps=1)
        assert pastiche.recipe.styles == (StyleSource(name=name, sha256=sha256(tmp_path / name)),)


def test_an_unknown_style_is_said_with_near_names(photo: Path) -> None:
    with pytest.raises(UsageError, match="great-wave"):
        danqing.paint(photo, "great-wav")
    with pytest.raises(UsageError, match="great-wave, starry-night"):
        danqing.paint(photo, "zzz:0.5")


@pytest.mark.parametrize("missing", ["no/such", "nosuch.jpg", r"C:\a.jpg", "nosuch.png:0.5"])
def test_a_style_that_can_only_be_a_path_is_missed_as_a_file(missing: str, photo: Path) -> None:
    with pytest.raises(BadPicture, match="not there"):
        danqing.paint(photo, missing)


@pytest.mark.parametrize("written", ["great-wave:0", "great-wave:9999999"])
def test_weights_that_cannot_be_meant(written: str, photo: Path) -> None:
    with pytest.raises(UsageError, match="weight"):
        danqing.paint(photo, written)


def test_without_a_style_or_a_photo_nothing_is_painted(photo: Path) -> None:
    with pytest.raises(UsageError, match="style"):
        danqing.paint(photo)
    with pytest.raises(UsageError, match="photo"):
        danqing.paint(None, "great-wave")


def test_all_bad_knobs_are_said_before_a_file_is_opened() -> None:
    with pytest.raises(UsageError) as caught:
        danqing.paint("no-such.jpg", "great-wave", steps=0, sedd=1)
    assert "steps" in str(caught.value) and "sedd" in str(caught.value) and "seed" in str(caught.value)


# ── sizes, colours, alpha, what the file carries ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("knobs", "size"),
    [({}, (48, 32)), ({"size": 24}, (24, 16)), ({"width": 24}, (24, 16)), ({"size": 96}, (48, 32)),
     ({"size": 96, "enlarge": True}, (96, 64))],
)  # fmt: skip
def test_the_result_has_the_size_asked_for(knobs: dict[str, object], size: tuple[int, int], photo: Path) -> None:
    assert danqing.paint(photo, "great-wave", steps=1, **knobs).picture.size == size


def test_a_width_replaces_the_size_of_a_recipe(photo: Path) -> None:
    pastiche = danqing.paint(photo, "great-wave", recipe=Recipe(size=48, steps=1), width=16)
    assert (pastiche.recipe.size, pastiche.recipe.width) == (None, 16)


def test_a_size_that_does_not_fit_the_memory_is_refused_with_one_that_does(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory_available", lambda: 10_000_000)
    monkeypatch.setenv("FAKE_BYTES", "56800")
    with pytest.raises(DoesNotFit, match="--size 32"):
        danqing.paint(photo, "great-wave", steps=1, size=40)


def test_without_a_size_the_largest_that_fits_is_taken_and_said(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_available", lambda: 10_000_000)
    monkeypatch.setenv("FAKE_BYTES", "56800")
    ordered = commission.prepare(photo, "great-wave", steps=1)
    assert ordered.content.size == (32, 21) and ordered.recipe.size == 32
    assert any("--size 32" in note for note in ordered.notes)
    monkeypatch.setenv("FAKE_BYTES", "2000000")
    with pytest.raises(DoesNotFit):
        commission.prepare(photo, "great-wave")


def test_a_budget_is_kept_by_computing_activations_twice_before_anything_smaller(photo: Path) -> None:
    ordered = commission.prepare(photo, "great-wave", steps=1, max_memory="0.1M")
    assert ordered.recipe.checkpoint and ordered.content.size == (48, 32)
    assert len(ordered.notes) == 1
    assert not commission.prepare(photo, "great-wave", steps=1, max_memory=200_000).recipe.checkpoint


def test_then_by_tiles(photo: Path) -> None:
    ordered = commission.prepare(photo, "great-wave", steps=1, max_memory="50k")
    assert ordered.recipe.tiles and not ordered.recipe.checkpoint and ordered.content.size == (48, 32)
    assert len(ordered.notes) == 1


def test_alpha_is_painted_on_a_matte_and_comes_back(tmp_path: Path) -> None:
    photo = picture(tmp_path / "透明.png", alpha=True)
    alpha = Picture.load(photo).alpha
    pastiche = danqing.paint(photo, "great-wave", steps=1)
    assert FakeStylizer.calls[-1].content.alpha is None
    np.testing.assert_array_equal(pastiche.picture.alpha, alpha)
    assert danqing.paint(photo, "great-wave", steps=1, size=24).picture.alpha.shape == (16, 24)


def test_exif_is_carried_and_the_place_only_when_asked_for(tmp_path: Path) -> None:
    photo = tmp_path / "照片.jpg"
    exif = Image.Exif()
    exif[0x010E] = "a description"
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (32, 32), "red").save(photo, exif=exif)
    for keep_gps in (False, True):
        out = danqing.paint(photo, "great-wave", steps=1, keep_gps=keep_gps).save(tmp_path / f"{keep_gps}.jpg")
        found = Image.open(out).getexif()
        assert found[0x010E] == "a description"
        assert bool(found.get_ifd(0x8825)) is keep_gps


@pytest.mark.parametrize("how", ["luminance", "moments", "coral", "histogram"])
def test_keep_color_brings_the_photos_colours_back(how: str, photo: Path) -> None:
    mean = pixels_of(photo).mean(axis=(0, 1))
    plain = danqing.paint(photo, "great-wave", steps=4, strength=0.8).picture.pixels.mean(axis=(0, 1))
    kept = danqing.paint(photo, "great-wave", steps=4, strength=0.8, keep_color=how).picture.pixels.mean(axis=(0, 1))
    if how == "luminance":  # only the hue: differences of channels are the photo's
        plain, kept, mean = np.diff(plain), np.diff(kept), np.diff(mean)
    assert np.abs(kept - mean).max() < np.abs(plain - mean).max() / 2


# ── the way it goes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_on_step_sees_every_step_and_stops_it(photo: Path) -> None:
    seen: list[int] = []

    def on_step(step: danqing.Step) -> bool:
        seen.append(step.number)
        return step.number < 3

    pastiche = danqing.paint(photo, "great-wave", steps=9, on_step=on_step)
    assert seen == [1, 2, 3] and not pastiche.complete and len(pastiche.losses) == 3
    assert danqing.paint(photo, "great-wave", steps=2).complete


def test_what_a_failing_engine_kept_is_finished_like_any_painting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "nan")
    photo = picture(tmp_path / "a.png", alpha=True)
    with pytest.raises(RunFailed) as caught:
        danqing.paint(photo, "great-wave")
    kept = caught.value.kept
    assert isinstance(kept, Pastiche) and kept.picture.alpha is not None and kept.recipe.content is not None


@pytest.mark.parametrize("start", ["noise", "content", "style"])
def test_a_start_by_word(start: str, photo: Path) -> None:
    pastiche = danqing.paint(photo, "great-wave", steps=1, start=start)
    assert pastiche.recipe.start == start and FakeStylizer.calls[-1].prior is None


def test_a_start_from_a_picture_is_brought_to_size(photo: Path, tmp_path: Path) -> None:
    start = picture(tmp_path / "开始.png", (20, 30), seed=4, alpha=True)
    pastiche = danqing.paint(photo, "great-wave", steps=1, start=start)
    assert FakeStylizer.calls[-1].prior.picture.size == (48, 32)
    assert pastiche.recipe.start == "picture"
    assert pastiche.recipe.start_picture == Source(name="开始.png", sha256=sha256(start))


def test_encoder_weights_reach_the_engine_and_the_recipe(photo: Path, tmp_path: Path) -> None:
    weights = tmp_path / "权重.safetensors"
    weights.write_bytes(b"weights")
    pastiche = danqing.paint(photo, "great-wave", steps=1, encoder_weights=weights)
    assert FakeStylizer.calls[-1].weights == weights
    assert pastiche.recipe.encoder_weights == Source(name="权重.safetensors", sha256=sha256(weights))


# ── the recipe inside, and painting again ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def painted(photo: Path, tmp_path: Path) -> Path:
    own = picture(tmp_path / "水墨.png", seed=9)
    start = picture(tmp_path / "开始.png", seed=8)
    pastiche = danqing.paint(photo, ["great-wave:0.7", f"{own}:0.3"], steps=3, size=40, seed=5, start=start)
    return pastiche.save(tmp_path / "画.png")


def test_the_recipe_inside_holds_names_and_hashes_but_no_paths(painted: Path, tmp_path: Path, photo: Path) -> None:
    inside = read_recipe(painted)
    assert inside is not None and str(tmp_path) not in inside and "path" not in inside
    recipe = Recipe.from_toml(inside)
    assert recipe.content == Source(name="桂林.png", sha256=sha256(photo))
    assert [s.name for s in recipe.styles] == ["great-wave", "水墨.png"]
    assert danqing.paint(photo, "great-wave", steps=1).save(tmp_path / "b.png", with_recipe=False)
    assert read_recipe(tmp_path / "b.png") is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_redo_paints_the_same(suffix: str, photo: Path, tmp_path: Path) -> None:
    out = danqing.paint(photo, "great-wave", steps=3, quality=60).save(tmp_path / f"画{suffix}")
    redone = danqing.redo(out)
    assert redone.identical and redone.psnr == math.inf
    assert redone.pastiche.recipe.fingerprint() == Recipe.from_toml(read_recipe(out) or "").fingerprint()


def test_redo_finds_inputs_by_hash_beside_the_picture_and_below_folders(painted: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep" / "er"
    deep.mkdir(parents=True)
    (tmp_path / "水墨.png").rename(deep / "other name.png")
    (tmp_path / "桂林.png").rename(tmp_path / "photo.png")
    picture(tmp_path / "桂林.png", seed=77)  # another picture of that name
    with pytest.raises(BadInput, match=r"not found: 水墨\.png"):
        danqing.redo(painted)
    redone = danqing.redo(painted, folders=[tmp_path / "deep"])
    assert redone.identical
    assert redone.pastiche.recipe.styles[1].name == "水墨.png"


def test_redo_lists_all_that_is_missing(painted: Path, tmp_path: Path) -> None:
    for name in ("桂林.png", "水墨.png", "开始.png"):
        (tmp_path / name).unlink()
    with pytest.raises(BadInput) as caught:
        danqing.redo(painted)
    assert all(name in str(caught.value) for name in ("桂林.png", "水墨.png", "开始.png"))
    assert caught.value.exit_code == 4


def test_redo_says_how_near_it_came(painted: Path, tmp_path: Path) -> None:
    recipe = read_recipe(painted)
    other = np.clip(pixels_of(painted) + np.float32(0.1), 0, 1)
    Picture(pixels=other).save(tmp_path / "c.png", recipe=recipe)
    redone = danqing.redo(tmp_path / "c.png")
    assert not redone.identical and redone.psnr is not None and 15 < redone.psnr < 30
    Picture(pixels=other[:20]).save(tmp_path / "d.png", recipe=recipe)
    assert danqing.redo(tmp_path / "d.png").psnr is None


def test_redo_of_a_picture_without_recipe_is_said(photo: Path) -> None:
    with pytest.raises(BadInput, match="holds no recipe"):
        danqing.redo(photo)


def test_a_recipe_inside_a_picture_cannot_name_paths(photo: Path, tmp_path: Path) -> None:
    recipe = Recipe(content=Source(name="桂林.png", path="桂林.png"), styles=(StyleSource(name="great-wave"),), steps=1)
    Picture.load(photo).save(tmp_path / "x.png", recipe=recipe.to_toml())
    assert danqing.redo(tmp_path / "x.png").pastiche.recipe.content.path is None  # type: ignore[union-attr]


# ── recipes in files ────────────────────────────────────────────────────────────────────────────────────────────────


def written(folder: Path, text: str) -> Path:
    path = folder / "配方.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_file_names_its_inputs_relative_to_itself(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "照片"
    folder.mkdir(parents=True)
    picture(folder / "a.png")
    text = 'steps = 2\n[content]\nname = "a.png"\npath = "照片/a.png"\n[[styles]]\nname = "great-wave"\nweight = 0.5\n'
    pastiche = danqing.paint(None, recipe=written(tmp_path / "x", text))
    assert pastiche.recipe.steps == 2
    assert pastiche.recipe.content == Source(name="a.png", sha256=sha256(folder / "a.png"))
    assert pastiche.recipe.styles[0].weight == 0.5
    assert danqing.paint(None, recipe=written(tmp_path / "x", text), steps=1).recipe.steps == 1


def test_a_link_out_of_the_recipes_folder_is_refused(tmp_path: Path, photo: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    try:
        (folder / "a.png").symlink_to(photo)
    except OSError:
        pytest.skip("no links here")
    text = '[content]\nname = "a.png"\npath = "a.png"\n[[styles]]\nname = "great-wave"\n'
    with pytest.raises(BadRecipe, match="link"):
        danqing.paint(None, recipe=written(folder, text))


def test_a_file_that_is_not_the_one_of_the_recipe_is_said(photo: Path, tmp_path: Path) -> None:
    text = f'[content]\nname = "a"\npath = "桂林.png"\nsha256 = "{"0" * 64}"\n[[styles]]\nname = "great-wave"\n'
    with pytest.raises(BadRecipe, match="sha256"):
        danqing.paint(None, recipe=written(tmp_path, text))
