"""The other verbs: redo, recipe, styles, models, score, doctor, and what they all have in common."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from danqing import catalog, judge, messages
from danqing.cli.main import VERBS, main
from danqing.picture import Picture
from danqing.quality import STYLE_LAYERS
from danqing.recipe import Recipe
from tests.fake_engine import picture

Said = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("gallery")


@pytest.fixture
def painted(tmp_path: Path, capsys: Said) -> Path:
    own = picture(tmp_path / "水墨.png", seed=3)
    photo = picture(tmp_path / "桂林.png")
    out = tmp_path / "画.png"
    assert main(["paint", str(photo), "-s", "great-wave", "-s", f"{own}:0.5", "--steps", "3", "-o", str(out)]) == 0
    capsys.readouterr()
    return out


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_verb_has_help(verb: str, language: str, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    for flag in ("--help", "-h"):
        assert main([verb, flag]) == 0
        said = capsys.readouterr().out
        assert messages.text(f"cli.verb_{verb}")[:20] in " ".join(said.split())
        assert any(c > "\u2e80" for c in said) == (language == "zh")


def test_help_lists_the_verbs_and_version_is_said(capsys: Said) -> None:
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert all(f"  {verb}" in said for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("danqing ")


def test_redo_says_that_it_is_identical(painted: Path, capsys: Said) -> None:
    assert main(["redo", str(painted)]) == 0
    said = capsys.readouterr()
    again = painted.with_name("画.redo.png")
    assert "identical" in said.err and said.out == f"{again}\n"
    np.testing.assert_array_equal(Picture.load(again).pixels, Picture.load(painted).pixels)
    assert main(["redo", str(painted), "--json", "--overwrite"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"] is True and told["psnr"] is None and told["path"] == str(again)


def test_redo_finds_inputs_elsewhere_and_lists_what_is_missing(painted: Path, capsys: Said) -> None:
    away = painted.parent / "别处" / "x"
    away.mkdir(parents=True)
    for name in ("桂林.png", "水墨.png"):
        painted.with_name(name).rename(away / f"x{name}")
    assert main(["redo", str(painted)]) == 4
    said = capsys.readouterr().err
    assert "桂林.png" in said and "水墨.png" in said and "--from" in said
    assert main(["redo", str(painted), "--from", str(away.parent)]) == 0


def test_redo_tells_the_psnr_where_it_differs(painted: Path, capsys: Said) -> None:
    changed = painted.with_name("changed.png")
    pixels = np.clip(Picture.load(painted).pixels + np.float32(0.05), 0, 1)
    from danqing.picture.provenance import read_recipe

    Picture(pixels=pixels).save(changed, recipe=read_recipe(painted))
    assert main(["redo", str(changed)]) == 0
    assert "PSNR" in capsys.readouterr().err


def test_a_recipe_is_shown(painted: Path, capsys: Said) -> None:
    assert main(["recipe", "show", str(painted)]) == 0
    short = Recipe.from_toml(capsys.readouterr().out)
    assert main(["recipe", "show", str(painted), "--all"]) == 0
    long = capsys.readouterr().out
    assert Recipe.from_toml(long) == short and "tv_weight" in long
    assert main(["recipe", "show", str(painted), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == short.fingerprint()


def test_a_saved_recipe_has_paths_only_below_its_folder(painted: Path, tmp_path: Path, capsys: Said) -> None:
    deep = tmp_path / "照片"
    deep.mkdir()
    painted.with_name("桂林.png").rename(deep / "桂林.png")
    here, elsewhere = tmp_path / "a.toml", tmp_path / "other" / "a.toml"
    elsewhere.parent.mkdir()
    for target in (here, elsewhere):
        assert main(["recipe", "save", str(painted), "-o", str(target), "--from", str(deep)]) == 0
    recipe = Recipe.load(here)
    assert recipe.content is not None and recipe.content.path == "照片/桂林.png"
    assert [s.path for s in recipe.styles] == [None, "水墨.png"]
    assert "path" not in elsewhere.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["recipe", "save", str(painted), "-o", str(here)]) == 2
    assert main(["paint", str(elsewhere), "--from", str(tmp_path), "-q"]) == 0
    assert main(["recipe", "show", str(here)]) == 0


def test_styles_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    assert main(["styles", "list"]) == 0
    assert "great-wave    The Title  The Artist  1890" in capsys.readouterr().out
    monkeypatch.setenv("DANQING_LANG", "zh")
    assert main(["styles", "list"]) == 0
    assert "标题" in capsys.readouterr().out
    assert main(["styles", "list", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["great-wave", "starry-night"]


def test_a_sheet_that_cannot_be_written_is_said_before_it_is_painted(painted: Path, capsys: Said) -> None:
    assert main(["styles", "list", "--sheet", str(painted), "-o", "sheet.foo"]) == 2
    assert "sheet.foo" in capsys.readouterr().err


def test_models_are_listed_and_shown(capsys: Said) -> None:
    names = [card.name for card in catalog.cards()]
    assert main(["models", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names
    assert main(["models", "list", "--json"]) == 0
    assert {entry["state"] for entry in json.loads(capsys.readouterr().out)} <= {"bundled", "here", "absent", "damaged"}
    for name in names:
        assert main(["models", "show", name]) == 0
        assert name in capsys.readouterr().out
        assert main(["models", "show", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["sha256"]


def test_models_are_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Said) -> None:
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "家"))
    card = catalog.card("vgg19")
    assert main(["models", "verify", "vgg19"]) == 5
    capsys.readouterr()
    path = catalog.location(card)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<html>404</html>")
    assert main(["models", "verify"]) == 5
    assert "vgg19" in capsys.readouterr().err


def test_every_file_of_a_model_is_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Said) -> None:
    models = tmp_path / "模型"
    shutil.copytree(catalog.MODELS, models)
    monkeypatch.setattr(catalog, "MODELS", models)
    cards = [card for card in catalog.cards() if catalog.bundled(card)]
    assert main(["models", "verify", *(card.name for card in cards)]) == 0
    out = capsys.readouterr().out
    for card in cards:
        for file in card.files():
            assert file in out
            whole = (models / file).read_bytes()
            (models / file).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            assert main(["models", "verify", card.name]) == 5
            assert file in capsys.readouterr().err
            (models / file).write_bytes(whole)


def test_pull_prints_the_path_and_respects_offline(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    asked: list[tuple[str, bool]] = []

    def pull(name: str, *, on_progress: object, offline: bool) -> Path:
        asked.append((name, offline))
        return Path("/somewhere") / name

    monkeypatch.setattr(catalog, "pull", pull)
    assert main(["models", "pull", "vgg19"]) == 0
    assert main(["models", "pull", "vgg19", "--offline"]) == 0
    assert asked == [("vgg19", False), ("vgg19", True)]
    assert capsys.readouterr().out.splitlines()[0] == str(Path("/somewhere/vgg19"))


def features(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Stand-in features: the picture itself, at the right strides, in every layer."""
    whole = pixels.transpose(2, 0, 1)
    return {layer: whole[:, ::2, ::2] for layer in (*STYLE_LAYERS, "relu3_3")}


def test_score_judges_and_says_with_what(
    painted: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said, tmp_path: Path
) -> None:
    monkeypatch.setattr(judge, "compact_encoder", lambda: features)
    photo, style = tmp_path / "桂林.png", tmp_path / "水墨.png"
    assert main(["score", str(photo), str(style), str(photo), str(style), "--baseline", "colour"]) == 0
    said = capsys.readouterr()
    rows = {line.split()[0]: line.split()[-3:] for line in said.out.splitlines()[1:]}
    assert float(rows[str(photo)][0]) < 1e-3 and float(rows[str(photo)][1]) > 0.01
    assert float(rows[str(style)][1]) < 0.2 and {"median", "colours"} <= set(rows)
    assert "compact" in said.err
    assert main(["score", str(photo), "great-wave", str(painted), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["features"] == "compact" and set(told["paintings"]) == {str(painted)}
    assert told["median"]["art"] == pytest.approx(told["median"]["content"] + 3 * told["median"]["style"], abs=1e-3)


def test_a_painting_of_another_size_is_judged_at_the_photos(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png", (60, 40))
    judged = judge.Judge(photo, "great-wave", encoder=features)
    half = picture(tmp_path / "b.png", (30, 22))
    assert 0 < judged.score(half).content < 2


def test_doctor_tells_what_is_here(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "numpy" in said and "optimize" in said and "GB" in said
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["machine"]["cores"] >= 1 and told["styles"] == ["great-wave", "starry-night"]
    monkeypatch.setattr("danqing.cli.doctor._packages", lambda: {"torch": None})
    assert main(["doctor"]) == 0
    assert 'pip install "danqing[torch]"' in capsys.readouterr().err
