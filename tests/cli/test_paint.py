"""`danqing paint` end to end on a small engine: where things go, what is said, and with what exit code."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from danqing import catalog, messages
from danqing.cli import paint as paint_module
from danqing.cli.main import main
from danqing.cli.paint import KNOBS, OWN, REFERENCES
from danqing.cli.targets import file_name
from danqing.errors import UsageError
from danqing.picture import Picture, formats
from danqing.picture.provenance import read_recipe
from danqing.recipe import Recipe
from tests.fake_engine import FakeStylizer, picture

pytestmark = pytest.mark.usefixtures("gallery")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "照片").mkdir()
    return picture(tmp_path / "照片" / "桂林 山水.png")


def one_line(said: str) -> str:
    """What was said, which must be one line by danqing."""
    lines = said.splitlines()
    assert len(lines) == 1 and lines[0].startswith("danqing: "), said
    return lines[0]


def test_the_painting_lies_beside_the_photo_and_its_path_is_said(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", str(photo), "--style", "great-wave", "--steps", "3"]) == 0
    out = photo.with_name("桂林 山水.great-wave.png")
    assert capsys.readouterr().out == f"{out}\n"
    recipe = Recipe.from_toml(read_recipe(out) or "")
    assert recipe.steps == 3 and recipe.content is not None and recipe.content.name == photo.name
    assert str(photo.parent) not in (read_recipe(out) or "")


def test_nothing_is_overwritten_unless_asked(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = photo.with_name("out.png")
    out.write_bytes(b"mine")
    assert main(["paint", str(photo), "-s", "great-wave", "-o", str(out)]) == 2
    assert "--overwrite" in one_line(capsys.readouterr().err)
    assert out.read_bytes() == b"mine" and not FakeStylizer.calls
    assert main(["paint", str(photo), "-s", "great-wave", "-o", str(out), "--overwrite", "--steps", "1"]) == 0
    assert Image.open(out).size == (48, 32)


def test_several_styles_and_layers_and_knobs_reach_the_engine(photo: Path) -> None:
    own = picture(photo.with_name("水墨.png"), seed=3)
    arguments = ["paint", str(photo), "-s", "great-wave:0.7", "--style", f"{own}:0.3", "--steps", "2"]
    arguments += ["--content-layer", "relu4_1=0.5", "--style-layer", "relu1_1", "--style-layer=relu2_1=2"]
    arguments += ["--style-scale", "0.5", "--keep-color", "coral", "--start", "noise", "--size", "32", "--seed", "7"]
    assert main(arguments) == 0
    recipe = FakeStylizer.calls[-1].recipe
    assert [s.weight for s in recipe.styles] == [0.7, 0.3]
    assert recipe.content_layers == {"relu4_1": 0.5} and recipe.style_layers == {"relu1_1": 1.0, "relu2_1": 2.0}
    assert (recipe.style_scale, recipe.keep_color, recipe.start, recipe.size, recipe.seed) == (
        0.5,
        "coral",
        "noise",
        32,
        7,
    )
    assert photo.with_name("桂林 山水.great-wave+水墨.png").exists()


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_is_an_option_that_turns_it(knob: str, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field = KNOBS[knob]
    sizes = {"size": 32, "width": 24, "depth": 16, "steps": 2, "levels": 2}
    sizes |= {"averaging": 0.5, "level_ratio": 1.5}
    values: dict[str, object] = {**sizes, "encoder": "other", "engine": "other", "learning_rate": 0.5}
    values |= {name: True for name, field in KNOBS.items() if field.annotation is bool}
    value = values.get(knob) or next(iter(reversed(paint_module.choices(field))), None) or 1
    if knob == "engine":
        value = "optimize"
    if knob == "encoder":
        monkeypatch.setattr(catalog, "pull", lambda name, **_: Path(name))
    flag = f"--{knob.replace('_', '-')}"
    arguments = [flag] if value is True else [flag, str(value)]
    assert (
        main(["paint", str(photo), "-s", "great-wave", *([] if knob == "steps" else ["--steps", "1"]), *arguments]) == 0
    )
    assert getattr(FakeStylizer.calls[-1].recipe, knob) == value


def test_every_field_of_the_recipe_has_its_option_or_its_reason() -> None:
    assert set(Recipe.model_fields) == set(KNOBS) | OWN | REFERENCES
    names = set(paint_module.paint.__signature__.parameters)  # type: ignore[attr-defined]
    assert set(KNOBS) <= names
    assert {"start", "encoder_weights", "content_layer", "style_layer"} <= names


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_the_help_of_a_knob_is_its_catalogues_with_range_and_default(
    language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["paint", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for knob in KNOBS:
        assert f"--{knob.replace('_', '-')}" in said
        assert " ".join(messages.text(f"recipe.{knob}").split())[:30] in said
    assert "16..65536 px" in said and messages.text("cli.default", value=80) in said


def test_compare_puts_photo_style_and_painting_side_by_side(photo: Path) -> None:
    assert main(["paint", str(photo), "-s", "great-wave", "--compare", "--steps", "2"]) == 0
    row = Image.open(photo.with_name("桂林 山水.great-wave.compare.png"))
    assert row.size == (48 + 8 + 32 + 8 + 48, 32)
    pixels = np.asarray(row)
    np.testing.assert_array_equal(pixels[:, :48], np.asarray(Image.open(photo)))
    np.testing.assert_array_equal(pixels[:, -48:], np.asarray(Image.open(photo.with_name("桂林 山水.great-wave.png"))))


def test_intermediate_pictures_are_saved_and_a_full_disk_stops_only_them(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photo.parent / "out.00004.png").write_bytes(b"mine")
    out = photo.with_name("out.png")
    assert main(["paint", str(photo), "-s", "great-wave", "-o", str(out), "--save-every", "2", "--steps", "8"]) == 0
    names = sorted(p.name for p in photo.parent.glob("out*"))
    assert names == ["out.00002.png", "out.00004.png", "out.png"]
    assert (photo.parent / "out.00004.png").read_bytes() == b"mine"
    assert capsys.readouterr().err.count("00004") == 1


def test_json_is_one_object_on_stdout(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", str(photo), "-s", "great-wave", "--json", "--steps", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["path"].endswith("great-wave.png") and said["size"] == [48, 32] and said["complete"] is True
    assert said["steps"] == 2 and set(said["losses"]) == {"content", "style"}
    assert said["fingerprint"] == FakeStylizer.calls[-1].recipe.fingerprint()
    assert said["recipe"]["styles"] == [{"name": "great-wave", "weight": 1.0}]


def test_quiet_is_quiet_wherever_it_stands(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, place in enumerate((0, 1, 6)):
        arguments = [
            "paint",
            str(photo),
            "-s",
            "great-wave",
            "--steps",
            "1",
            "-o",
            str(photo.with_name(f"{number}.png")),
        ]
        arguments.insert(place, "-q")
        assert main(arguments) == 0
        assert capsys.readouterr().err == ""


def test_no_recipe_and_no_gps_by_default(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (32, 32), "red").save(photo, exif=exif)
    assert main(["paint", str(photo), "-s", "great-wave", "--steps", "1", "--no-recipe"]) == 0
    assert read_recipe(tmp_path / "a.great-wave.jpg") is None
    assert not Image.open(tmp_path / "a.great-wave.jpg").getexif().get_ifd(0x8825)
    assert main(["paint", str(photo), "-s", "great-wave", "--steps", "1", "--keep-gps", "--overwrite"]) == 0
    assert Image.open(tmp_path / "a.great-wave.jpg").getexif().get_ifd(0x8825)


# ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Pipe(io.BytesIO):
    """A binary stream behind a text stream, as stdin and stdout are."""

    def text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self, encoding="utf-8", write_through=True)


@pytest.mark.parametrize(
    ("options", "kind"), [([], "PNG"), (["--format", "jpeg"], "JPEG"), (["--format", "webp"], "WEBP")]
)
def test_stdin_to_stdout(options: list[str], kind: str, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Pipe()
    monkeypatch.setattr(sys, "stdin", Pipe(photo.read_bytes()).text())
    monkeypatch.setattr(sys, "stdout", out.text())
    assert main(["paint", "-", "-s", "great-wave", "-o", "-", "--steps", "2", *options]) == 0
    painted = Image.open(io.BytesIO(out.getvalue()))
    assert (painted.format, painted.size) == (kind, (48, 32))


@pytest.mark.parametrize(
    ("suffix", "options", "kind"),
    [("jpg", [], "JPEG"), ("webp", [], "WEBP"), ("jpg", ["--depth", "16"], "PNG"), ("jpg", ["--format", "png"], "PNG")],
)
@pytest.mark.parametrize("piped", [True, False])
def test_a_painting_in_a_pipe_is_of_the_photos_format(
    suffix: str, options: list[str], kind: str, piped: bool, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, out = photo.with_suffix(f".{suffix}"), Pipe()
    Image.open(photo).convert("RGB").save(own)
    monkeypatch.setattr(sys, "stdin", Pipe(own.read_bytes()).text())
    monkeypatch.setattr(sys, "stdout", out.text())
    named = "-" if piped else str(own)
    assert main(["paint", named, "-s", "great-wave", "-o", "-", "--steps", "1", *options]) == 0
    assert Image.open(io.BytesIO(out.getvalue())).format == kind


def test_pipes_that_cannot_be_meant(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(photo.read_bytes()).text())
    for arguments in (["-"], ["-", "-o", "-", "--json"], [str(photo), "-o", "-", "--compare"]):
        assert main(["paint", *arguments, "-s", "great-wave"]) == 2
        assert "-o" in one_line(capsys.readouterr().err)
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["paint", "-", "-s", "great-wave", "-o", "-"]) == 2
    one_line(capsys.readouterr().err)


# ── recipes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_recipe_is_repeated_and_its_knobs_can_be_turned(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", str(photo), "-s", "great-wave", "--steps", "3", "--size", "40"]) == 0
    painted = photo.with_name("桂林 山水.great-wave.png")
    toml = photo.with_name("配方.toml")
    assert main(["recipe", "save", str(painted), "-o", str(toml)]) == 0
    assert f'path = "{photo.name}"' in toml.read_text(encoding="utf-8")
    again = photo.with_name("again.png")
    assert main(["paint", str(toml), "-o", str(again)]) == 0
    np.testing.assert_array_equal(Picture.load(again).pixels, Picture.load(painted).pixels)
    assert main(["paint", str(toml), "--steps", "5", "-s", "starry-night"]) == 0
    other = photo.with_name("桂林 山水.starry-night.png")
    assert Recipe.from_toml(read_recipe(other) or "").steps == 5
    capsys.readouterr()


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[list[str], int, str]] = {
    "no photo": (["paint"], 2, "PHOTO"),
    "unknown option": (["paint", "PHOTO", "--stile", "x"], 2, "--style"),
    "unknown command": (["pant"], 2, "paint"),
    "not a number": (["paint", "PHOTO", "-s", "great-wave", "--size", "big"], 2, "--size"),
    "not a choice": (["paint", "PHOTO", "-s", "great-wave", "--keep-color", "blue"], 2, "luminance"),
    "out of range": (["paint", "PHOTO", "-s", "great-wave", "--size", "3"], 2, "16..65536 px"),
    "size and width": (["paint", "PHOTO", "-s", "great-wave", "--size", "32", "--width", "32"], 2, "exclude"),
    "no style": (["paint", "PHOTO"], 2, "--style"),
    "unknown style": (["paint", "PHOTO", "-s", "great-wav"], 2, "great-wave"),
    "unknown preset": (["paint", "PHOTO", "-s", "great-wave", "--preset", "gatis"], 2, "gatys"),
    "preset and recipe": (["paint", "x.toml", "--preset", "gatys"], 2, "gatys"),
    "mask first": (["paint", "PHOTO", "--mask", "PHOTO", "-s", "great-wave"], 2, "--mask"),
    "missing mask": (["paint", "PHOTO", "-s", "great-wave", "--mask", "没有.png"], 4, "没有.png"),
    "no memory": (["paint", "PHOTO", "-s", "great-wave", "--max-memory", "lots"], 2, "lots"),
    "too large": (["paint", "PHOTO", "-s", "great-wave", "--size", "48", "--max-memory", "0.03M"], 6, "--size"),
    "bad layer": (["paint", "PHOTO", "-s", "great-wave", "--style-layer", "relu1_1=x"], 2, "NAME=WEIGHT"),
    "unknown engine": (["paint", "PHOTO", "-s", "great-wave", "--engine", "optimise"], 2, "optimize"),
    "unknown ending": (["paint", "PHOTO", "-s", "great-wave", "-o", "x.docx"], 2, ".docx"),
    "deep JPEG": (["paint", "PHOTO", "-s", "great-wave", "-o", "x.jpg", "--depth", "16"], 2, "16"),
    "no folder": (["paint", "PHOTO", "-s", "great-wave", "-o", "没有/x.png"], 1, "没有"),
    "missing photo": (["paint", "没有.jpg", "-s", "great-wave"], 4, "没有.jpg"),
    "no picture": (["paint", "TEXT", "-s", "great-wave"], 4, "坏.jpg"),
    "style no picture": (["paint", "PHOTO", "-s", "TEXT"], 4, "坏.jpg"),
    "missing recipe": (["paint", "没有.toml"], 4, "没有.toml"),
    "unknown encoder": (["paint", "PHOTO", "-s", "great-wave", "--encoder", "vgg"], 5, "vgg"),
    "model to fetch": (["paint", "PHOTO", "-s", "great-wave", "--encoder", "vgg19", "--offline"], 5, "--offline"),
    "redo without recipe": (["redo", "PHOTO"], 4, "recipe"),
    "recipe of a photo": (["recipe", "show", "PHOTO"], 4, "recipe"),
    "unknown model": (["models", "show", "vgg"], 5, "vgg19"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_whatever_is_wrong_is_one_line_with_its_exit_code(
    kind: str, language: str, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    monkeypatch.chdir(photo.parent)
    bad = photo.with_name("坏.jpg")
    bad.write_text("no picture")
    arguments, code, says = WRONG[kind]
    names = {"PHOTO": str(photo), "TEXT": str(bad)}
    before = sorted(photo.parent.iterdir())
    assert main([names.get(a, a) for a in arguments]) == code
    caught = capsys.readouterr()
    line = one_line(caught.err)
    if language == "en":
        assert says in line
    elif kind not in ("recipe of a photo", "redo without recipe"):
        assert any(c > "\u2e80" for c in line)
    assert caught.out == ""
    assert sorted(photo.parent.iterdir()) == before


def test_a_format_that_cannot_hold_the_painting_is_said_before_the_work(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deep, toml, out = (photo.with_name(name) for name in ("deep.png", "deep.toml", "out.jpg"))
    assert main(["paint", str(photo), "-s", "great-wave", "--steps", "1", "--depth", "16", "-o", str(deep)]) == 0
    assert main(["recipe", "save", str(deep), "-o", str(toml)]) == 0
    monkeypatch.setitem(formats.FORMATS, "WEBP", dataclasses.replace(formats.FORMATS["WEBP"], max_edge=60))
    FakeStylizer.calls.clear()
    capsys.readouterr()
    large = ["paint", str(photo), "-s", "great-wave", "--size", "70", "--enlarge"]
    for arguments, code in (
        (["paint", str(toml), "-o", str(out)], 2),
        (["paint", str(toml), "-o", "-", "--format", "jpg"], 2),
        (["redo", str(deep), "-o", str(out)], 2),
        ([*large, "-o", str(out.with_suffix(".webp"))], 6),
        ([*large, "--format", "webp"], 6),
    ):
        assert main(arguments) == code
        assert ("16" if code == 2 else "70 x 47") in one_line(capsys.readouterr().err)
    assert not FakeStylizer.calls and not out.exists()
    assert main(["redo", str(deep)]) == 0
    assert main(["paint", str(toml), "-o", str(deep.with_suffix(".tif"))]) == 0


def test_a_bug_is_one_line_that_asks_for_debug(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "bug")
    assert main(["-q", "paint", str(photo), "-s", "great-wave"]) == 1
    assert "--debug" in one_line(capsys.readouterr().err)
    with pytest.raises(ZeroDivisionError):
        main(["paint", str(photo), "-s", "great-wave", "--debug"])


def test_when_the_numbers_go_out_of_hand_the_last_good_picture_is_kept(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "nan")
    assert main(["paint", str(photo), "-s", "great-wave"]) == 1
    assert photo.with_name("桂林 山水.great-wave.png").exists()
    assert "out of hand" in capsys.readouterr().err


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stem", "styles", "name"),
    [
        ("a", ["great-wave"], "a.great-wave"),
        ("桂林", ["水墨", "b"], "桂林.水墨+b"),
        ("a", ["x/y\\z:1?"], "a.x_y_z_1_"),
        ("a", [".."], "a.painting"),
        ("a.b", ["c"], "a.b.c"),
    ],
)
def test_names_of_paintings(stem: str, styles: list[str], name: str) -> None:
    assert file_name(stem, styles) == name


def test_long_names_stay_short_enough_for_every_system() -> None:
    for stem in ("x" * 300, "山" * 300):
        name = file_name(stem, ["great-wave"])
        assert len(name.encode()) <= 201 and name.endswith(".great-wave") and name[0] == stem[0]


def test_the_progress_is_told_in_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from danqing.cli import console, progress

    monkeypatch.setattr(progress, "EVERY", 0.0)
    console.take_flags([])
    step = SimpleNamespace(number=3, total=9, remaining=75.0, losses={"content": 0.5}, size=(3, 4))
    with progress.shown() as show:
        show(step)  # type: ignore[arg-type]
    assert capsys.readouterr().err == "danqing: step 3 of 9, 1:15 min to go  content 0.5\n"


@pytest.mark.parametrize(("seconds", "told"), [(0.2, "0 s"), (59.4, "59 s"), (75, "1:15 min"), (3725, "1:02:05 h")])
def test_durations(seconds: float, told: str) -> None:
    from danqing.cli.progress import duration

    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("words", "masks"),
    [
        (["--style", "a", "--mask", "m", "--style", "b"], ["m", None]),
        (["-s", "a", "--style=b", "--mask=m"], [None, "m"]),
        (["-sa", "--size", "64", "--mask", "m", "-s", "--mask"], ["m", None]),
        (["photo.png", "--style", "a", "--", "--mask"], [None]),
    ],
)
def test_a_mask_belongs_to_the_style_before_it(words: list[str], masks: list[str | None]) -> None:
    assert paint_module.masks_of(words) == masks


@pytest.mark.parametrize("words", [["--mask", "m", "--style", "a"], ["-s", "a", "--mask", "m", "--mask", "n"]])
def test_a_mask_without_a_style_of_its_own_is_one_line(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--mask"):
        paint_module.masks_of(words)


def test_masks_and_protection_reach_the_engine(photo: Path, tmp_path: Path) -> None:
    for name, value in {"左": 255, "保护": 0}.items():
        Image.new("L", (48, 32), value).save(tmp_path / f"{name}.png")
    left, kept = str(tmp_path / "左.png"), str(tmp_path / "保护.png")
    words = ["--style", "great-wave", "--style", "starry-night", "--mask", left, "--protect", kept]
    assert main(["paint", str(photo), *words, "--steps", "1"]) == 0
    first, second = (style.mask for style in FakeStylizer.calls[-1].styles)
    assert first.max() == 0  # the mask of the other leaves nothing
    assert second.min() == 1  # and black protects nothing


def test_a_preset_begins_and_options_go_on(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--style", "great-wave", "--preset", "lbfgs-tv", "--encoder", "compact", "--steps", "3"]
    assert main(["paint", str(photo), *words]) == 0
    recipe = FakeStylizer.calls[-1].recipe
    assert (recipe.style_loss, recipe.line_search, recipe.steps) == ("squared_gram", True, 3)


def test_a_preset_may_write_pictures_now_and_then(photo: Path, tmp_path: Path) -> None:
    words = ["--style", "great-wave", "--preset", "gatys", "--encoder", "compact", "--steps", "200"]
    assert main(["paint", str(photo), *words]) == 0
    assert len(list(photo.parent.glob("*100*"))) == 1


def test_time_and_memory_are_told_before(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", str(photo), "--style", "great-wave", "--steps", "1"]) == 0
    assert re.search(r"painting 48 x 32 px, about .* and \d+\.\d GB of memory", capsys.readouterr().err)
