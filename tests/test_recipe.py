"""Recipes: TOML in and out, the fingerprint, the help of every knob, and the corpus of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danqing import messages
from danqing.errors import BadRecipe, UsageError
from danqing.problems import bounds, choices
from danqing.recipe import RECIPE_VERSION, Recipe, Source, StyleSource, bare_name

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize("knob", Recipe.model_fields)
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_knob_has_help_in_both_languages(knob: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    help_text = messages.text(f"recipe.{knob}")
    assert len(help_text) > 5
    assert any(c > "\u2e80" for c in help_text) == (language == "zh")


def test_a_recipe_goes_through_toml_unchanged() -> None:
    recipe = Recipe(
        content=Source(name="桂林 山水.jpg", sha256=HASH),
        styles=(StyleSource(name="great-wave", weight=0.7), StyleSource(name="墨.png", sha256=HASH, path="a/墨.png")),
        size=512,
        keep_color="coral",
        content_layers={"relu2_2": 2.0},
        learning_rate=0.5,
    )
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert Recipe.from_toml(recipe.to_toml(complete=True)) == recipe
    assert Recipe.from_toml(recipe.to_toml().encode()).fingerprint() == recipe.fingerprint()


def test_a_short_recipe_holds_what_is_not_default_and_a_complete_one_holds_all() -> None:
    assert Recipe(steps=7).to_toml() == f"version = {RECIPE_VERSION}\nsteps = 7\n"
    complete = Recipe(steps=7).to_toml(complete=True)
    assert all(f"{knob} =" in complete for knob in ("style_weight", "precision", "seed", "optimizer"))


def test_paths_do_not_count_and_can_be_taken_out() -> None:
    with_path = Recipe(content=Source(name="a.jpg", sha256=HASH, path="sub/a.jpg"))
    without = with_path.without_paths()
    assert without.content == Source(name="a.jpg", sha256=HASH)
    assert "path" not in without.to_toml()
    assert with_path.fingerprint() == without.fingerprint()
    renamed = Recipe(content=Source(name="b.jpg", sha256=HASH))
    assert renamed.fingerprint() == without.fingerprint()


@pytest.mark.parametrize(
    "knobs", [{"steps": 131}, {"seed": 1}, {"style_layers": {"relu1_1": 1.0}}, {"styles": (StyleSource(name="a"),)}]
)
def test_everything_that_decides_the_painting_changes_the_fingerprint(knobs: dict[str, object]) -> None:
    assert Recipe().turned(knobs).fingerprint() != Recipe().fingerprint()


def _many_entries() -> bytes:
    return b"[style_layers]\n" + b"".join(b"r%d=1\n" % i for i in range(50_000))


CORPUS: dict[str, tuple[bytes, str]] = {
    "not TOML": (b"\x7bthis is: not toml", "TOML"),
    "unknown key": (b"stepz = 3", "steps"),
    "wrong type": (b"steps = 'many'", "whole number"),
    "NaN weight": (b"style_weight = nan", "style_weight"),
    "infinite weight": (b"style_weight = inf", "style_weight"),
    "weights sum 0": (b"style_weight = 0\ncontent_weight = 0.0", "weight"),
    "a style of weight 0": (b"[[styles]]\nname = 'a'\nweight = 0", "styles.0.weight"),
    "10^6 entries": (b"x = [" + b"1," * 1_000_000 + b"]", "kB"),
    "too many layers": (_many_entries(), "style_layers"),
    "too many unknown keys": (b"".join(b"k%d=1\n" % i for i in range(50_000)), "49992 more"),
    "path ../../": (b"[content]\nname = 'a.jpg'\npath = '../../a.jpg'", ".."),
    "Windows path ..\\": (b"[content]\nname = 'a.jpg'\npath = 'b\\..\\..\\a.jpg'", ".."),
    "absolute path": (b"[content]\nname = 'passwd'\npath = '/etc/passwd'", "/etc/passwd"),
    "absolute Windows path": (b"[content]\nname = 'a'\npath = 'C:\\a'", "relative"),
    "a name with folders": (b"[content]\nname = '../a.jpg'", "plain file name"),
    "non-UTF-8": (b"engine = '\xff\xfe'", "UTF-8"),
    "version from the future": (b"version = 7\nnew_knob = 1", "update danqing"),
    "version of a wrong kind": (b"version = 'x'", "version"),
    "deep": (b"a = " + b"[" * 5000 + b"]" * 5000, "TOML"),
    "a table where a number belongs": (b"[steps]\na = 1", "steps"),
    "size and width": (b"size = 64\nwidth = 64", "exclude"),
}


@pytest.mark.parametrize("kind", CORPUS)
def test_every_bad_recipe_gets_its_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_LANG", "en")
    data, says = CORPUS[kind]
    path = tmp_path / "配方.toml"
    path.write_bytes(data)
    with pytest.raises(BadRecipe) as caught:
        Recipe.load(path)
    line = str(caught.value)
    assert says in line and "配方.toml" in line
    assert "\n" not in line and len(line) < 2000
    assert caught.value.exit_code == 4
    monkeypatch.setenv("DANQING_LANG", "zh")
    with pytest.raises(BadRecipe, match="配方"):
        Recipe.load(path)


def test_all_problems_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_LANG", "en")
    with pytest.raises(BadRecipe) as caught:
        Recipe.from_toml("steps = 0\nsize = 3\nkeep_color = 'blue'\nstrenght = 2")
    line = str(caught.value)
    assert "steps is 0, but must lie in 1..100000" in line
    assert "size is 3, but must lie in 16..65536 px" in line
    assert 'keep_color is "blue", but must be one of luminance, moments, coral, histogram' in line
    assert "there is no knob strenght; did you mean strength" in line


def test_only_the_version_is_told_of_a_recipe_from_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANQING_LANG", "en")
    with pytest.raises(BadRecipe) as caught:
        Recipe.from_toml("version = 2\nsteps = 'new meaning'")
    assert "steps" not in str(caught.value)


def test_a_missing_recipe_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"没有\.toml"):
        Recipe.load(tmp_path / "没有.toml")
    with pytest.raises(BadRecipe):
        Recipe.load(tmp_path)


def test_knobs_out_of_range_are_a_wrong_usage() -> None:
    with pytest.raises(UsageError, match="steps"):
        Recipe().turned({"steps": -1})
    assert Recipe(size=64).turned({"steps": 5}) == Recipe(size=64, steps=5)


def test_ranges_and_choices_are_read_off_the_fields() -> None:
    fields = Recipe.model_fields
    assert bounds(fields["size"]) == "16..65536 px"
    assert bounds(fields["learning_rate"]) == ">0..1000"
    assert bounds(fields["enlarge"]) == ""
    assert choices(fields["keep_color"]) == ("luminance", "moments", "coral", "histogram")
    assert choices(fields["optimizer"]) == ("lbfgs", "adam")
    assert choices(fields["size"]) == ()


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b/桂林.jpg", "桂林.jpg"), ("C:\\照片\\a.jpg", "a.jpg"), ("a\nb.jpg", "a\ufffdb.jpg"), ("", "(memory)")],
)
def test_names_in_recipes_hold_no_folders(path: str, name: str) -> None:
    assert bare_name(path) == name


@given(st.text(max_size=300))
def test_every_file_name_makes_a_valid_source(path: str) -> None:
    name = bare_name(path)
    if name not in (".", ".."):
        assert Source(name=name).name == name


@given(st.binary(max_size=200))
def test_garbage_is_a_recipe_or_a_bad_recipe(data: bytes) -> None:
    try:
        Recipe.from_toml(data)
    except BadRecipe as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["a\udcff.jpg", "山/水\udcfe", "C:\\x\\b.jpg", "\x01\n.png"])
def test_any_name_of_a_file_can_stand_in_a_recipe(name: str) -> None:
    bare = bare_name(name)
    assert Source(name=bare).name == bare and bare.isprintable()
