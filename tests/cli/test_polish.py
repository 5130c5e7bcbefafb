"""`danqing polish` and the styles of the user's own: made, painted with, moved, refused, removed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: nothing can be polished")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be published")

from danqing import api, catalog, engines, ownstyle, polishing
from danqing.cli.main import main
from danqing.engines import vectors
from tests.fake_engine import picture
from tests.pastiches import bundle, published


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a painting and photographs, and a drawn network as the one that ships."""
    models = tmp_path / "models"
    bundle(models)
    monkeypatch.setattr(catalog, "MODELS", models)
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        picture(tmp_path / "photos" / f"{seed}.png", (120, 90), seed=seed)
    picture(tmp_path / "painting.png", (90, 90), seed=7)
    return tmp_path


def run(*words: str) -> int:
    return main(list(words))


QUICK = ("--photos", "photos", "--seconds", "5")


def test_a_style_is_polished_painted_with_moved_and_removed(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("polish", "painting.png", "--name", "mine", "--json", *QUICK) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["complete"] is True
    assert found["after"] <= found["before"]
    assert "--style mine" in told.err
    assert Path(found["sheet"]).stat().st_size > 1000
    assert Path(found["file"]).stat().st_size < 400_000

    assert run("paint", "photos/0.png", "--style", "mine", "-o", "one.png") == 0
    assert run("styles", "list", "--json") == 0
    entry = next(e for e in json.loads(capsys.readouterr().out.split("\n", 1)[1]) if e["name"] == "mine")
    assert entry["network"] == "pastiche"

    assert run("styles", "export", "mine") == 0
    assert run("styles", "remove", "mine") == 0
    assert run("paint", "photos/0.png", "--style", "mine") == 2
    assert run("styles", "import", "mine.style", "--name", "theirs") == 0
    assert run("paint", "photos/0.png", "--style", "theirs", "-o", "two.png") == 0
    assert Path("one.png").stat().st_size > 0
    one, two = (api.Picture.load(name).pixels for name in ("one.png", "two.png"))
    np.testing.assert_array_equal(one, two)
    assert run("styles", "import", "mine.style", "--name", "theirs") == 2
    assert run("styles", "import", "mine.style", "--name", "../up") == 2


def test_what_is_tuned_is_the_prediction_by_one_shift_for_every_brush(workplace: Path) -> None:
    assert run("polish", "painting.png", "--name", "mine", *QUICK) == 0
    predicted = [vectors.predicted(catalog.card("pastiche"), api.Picture.load("painting.png"), at) for at in (-1, 0, 1)]
    shifts = ownstyle.read(catalog.own_file("mine")).vectors - np.stack(predicted)
    np.testing.assert_allclose(shifts, shifts[:1].repeat(3, 0), atol=1e-5)
    head = vectors.predictor(catalog.card("pastiche")).widths
    np.testing.assert_array_equal(shifts[:, : sum(width + width * (width + 1) // 2 for width in head)], 0)


def test_another_network_predicts_again_and_says_so(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("polish", "painting.png", "--name", "mine", *QUICK) == 0
    published(workplace / "models", seed=9)
    capsys.readouterr()
    assert run("paint", "photos/0.png", "--style", "mine", "-o", "again.png") == 0
    assert "polished for another network" in capsys.readouterr().err
    work = ownstyle.read(catalog.own_file("mine")).picture
    expected = api.paint("photos/0.png", work).picture.pixels
    np.testing.assert_allclose(api.Picture.load("again.png").pixels, expected, atol=1 / 255)


@pytest.mark.parametrize("damage", ["cut", "other", "huge", "papers"])
def test_a_damaged_style_file_is_refused(workplace: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    assert run("polish", "painting.png", "--name", "mine", *QUICK) == 0
    data = catalog.own_file("mine").read_bytes()
    broken = {
        "cut": data[:-100],
        "other": b"\x89PNG" + data,
        "huge": data + bytes(ownstyle.MAX_BYTES),
        "papers": data.replace(b'\\"version\\":1', b'\\"version\\":9').replace(
            b'\\"version\\": 1', b'\\"version\\": 9'
        ),
    }[damage]
    assert broken != data
    Path("broken.style").write_bytes(broken)
    capsys.readouterr()
    assert run("styles", "import", "broken.style", "--name", "broken") == 5
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert "broken" not in {entry.name for entry in catalog.styles()}


def test_what_cannot_be_kept_is_said_before_the_work(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was polished")

    monkeypatch.setattr(engines, "verb", lambda _: never)
    assert run("polish", "painting.png", "-o", "sheet.foo", *QUICK) == 2
    (workplace / "file").touch()
    monkeypatch.setenv("DANQING_HOME", str(workplace / "file"))
    assert run("polish", "painting.png", *QUICK) == 1
    sheet, home = capsys.readouterr().err.strip().splitlines()
    assert "sheet.foo" in sheet and "file/styles cannot be written" in home


def test_a_damaged_style_can_be_removed(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "home" / "styles").mkdir(parents=True)
    (workplace / "home" / "styles" / "mine.style").write_bytes(b"damaged")
    assert run("styles", "list") == 0
    assert run("paint", "photos/0.png", "--style", "mine") == 5
    assert "mine.style" in capsys.readouterr().err
    assert run("styles", "remove", "mine") == 0
    assert run("styles", "remove", "mine") == 2


def test_paintings_are_read_one_at_a_time(workplace: Path, read_one_at_a_time: list[object]) -> None:
    order = polishing.prepare([workplace / "photos" / f"{number}.png" for number in range(3)])
    assert len(read_one_at_a_time) == len(order.works) == 3 and order.style.name == "0"
    single = [polishing.prepare([workplace / "photos" / f"{number}.png"]).predicted for number in range(3)]
    np.testing.assert_allclose(order.predicted, np.mean(single, axis=0), rtol=1e-6)


def test_what_is_most_like_a_picture_comes_first(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("polish", "painting.png", "--name", "mine", *QUICK) == 0
    capsys.readouterr()
    assert run("styles", "like", "painting.png", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["name"] == "mine"
    assert found[0]["distance"] < 0.1 * found[1]["distance"]
    assert run("styles", "like", "painting.png", "--count", "1") == 0
    assert capsys.readouterr().out.startswith("mine")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["polish"], 2),
        (["polish", "nowhere.png"], 4),
        (["polish", "painting.png", "--seconds", "1"], 2),
        (["polish", "painting.png", "--photos", "nowhere"], 2),
        (["polish", "painting.png", "--name", "reeds"], 2),
        (["polish", "painting.png", "--name", "a/b"], 2),
        (["styles", "export", "reeds"], 2),
        (["styles", "remove", "nobody"], 2),
        (["styles", "import", "nowhere.style"], 5),
        (["styles", "like", "nowhere.png"], 4),
    ],
)
def test_wrong_words_are_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    assert run(*words) == code
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) <= 2, err
    assert "Traceback" not in err
