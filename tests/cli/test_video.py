"""`danqing video` and `danqing score --video` as they are typed."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra video is not installed")
pytest.importorskip("cv2", reason="the extra video is not installed")

from PIL import Image

import danqing
from danqing.cli.main import main
from danqing.cli.video import _later, _rate, _seconds, line_of
from danqing.errors import UsageError
from danqing.video.run import Progress
from tests.video.films import film, panned, seen

Said = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("gallery")
PAINTER = ["--engine", "optimize", "--steps", "1"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "桂林.mp4", panned(10), sound="aac")


def test_a_film_beside_the_film(clip: Path, capsys: Said) -> None:
    assert main(["video", str(clip), "-s", "great-wave", *PAINTER]) == 0
    said = capsys.readouterr()
    target = clip.with_name("桂林.great-wave.mp4")
    assert said.out == f"{target}\n" and len(seen(target)) == 10
    assert "64 x 48" in said.err and "frames/s" in said.err
    assert main(["video", str(clip), "-s", "great-wave", *PAINTER]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["video", str(clip), "-s", "great-wave", *PAINTER, "--overwrite", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_many_films_into_a_folder_and_one_of_them_is_none(clip: Path, tmp_path: Path, capsys: Said) -> None:
    other = film(tmp_path / "b.webm", panned(4), codec="libvpx-vp9", format="yuv420p")
    (tmp_path / "bad.mp4").write_bytes(b"hello")
    films = [str(clip), str(tmp_path / "bad.mp4"), str(other)]
    assert main(["video", *films, "-o", str(tmp_path / "画"), "-s", "starry-night", *PAINTER, "--json"]) == 3
    said = capsys.readouterr()
    told = json.loads(said.out)["films"]
    assert [Path(one["path"]).name for one in told] == ["桂林.starry-night.mp4", "b.starry-night.webm"]
    assert [one["frames"] for one in told] == [10, 4] and all(one["complete"] for one in told)
    assert "bad.mp4" in said.err and "1 of 3" in said.err and "Traceback" not in said.err
    assert {path.name for path in (tmp_path / "画").iterdir()} == {Path(one["path"]).name for one in told}


def test_a_preview_comes_first(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.mp4"
    assert main(["video", str(clip), "-s", "great-wave", "-o", str(target), "--preview", "-q", *PAINTER]) == 0
    with Image.open(tmp_path / "b.preview.jpg") as sheet:
        assert sheet.size == (2 * 64 + 8, 3 * 48)
    assert target.exists()


def test_a_part_in_a_folder_of_pictures(clip: Path, tmp_path: Path) -> None:
    part = ["--start", "0.08", "--end", "0:00.24", "--every", "2", "--size", "32"]
    assert main(["video", str(clip), "-s", "great-wave", "-o", str(tmp_path / "帧"), *part, "-q", *PAINTER]) == 0
    assert sorted(path.name for path in (tmp_path / "帧").iterdir()) == ["000001.png", "000002.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--start", "soon"], 2, "--start"),
        (["--end", "1:99:x"], 2, "--end"),
        (["--start", "3", "--end", "2"], 2, "--end"),
        (["--fps", "0"], 2, "--fps"),
        (["--fps", "1/0"], 2, "--fps"),
        (["--every", "0"], 2, "--every"),
        (["--steady", "2"], 2, "--steady"),
        (["--codec", "divx"], 2, "divx"),
        (["--style-at", "soon:great-wave"], 2, "--style-at"),
        (["--style-at", "3:no-such-style"], 2, "no-such-style"),
        (["--protect", "no-such-film.mp4"], 4, "no-such-film"),
        (["--start", "60"], 4, "--start"),
        (["--strength", "7"], 2, "strength"),
        (["--style", "no-such-style"], 2, "no-such-style"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    clip: Path, tmp_path: Path, capsys: Said, arguments: list[str], code: int, word: str
) -> None:
    before = set(tmp_path.iterdir())
    assert main(["video", str(clip), "-s", "great-wave", *PAINTER, *arguments]) == code
    said = capsys.readouterr().err
    assert word in said and len(said.strip().splitlines()) == 1
    assert set(tmp_path.iterdir()) == before


def test_where_many_films_cannot_go(clip: Path, tmp_path: Path, capsys: Said) -> None:
    twin = tmp_path / "x"
    twin.mkdir()
    film(twin / clip.name, panned(2))
    both = [str(clip), str(twin / clip.name)]
    assert main(["video", *both, "-o", str(tmp_path / "a.mp4"), "-s", "great-wave"]) == 2
    assert main(["video", *both, "-o", str(tmp_path / "画"), "-s", "great-wave"]) == 2
    (tmp_path / "file").touch()
    assert main(["video", *both, "-o", str(tmp_path / "file"), "-s", "great-wave"]) == 1
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 3 and "--debug" not in said
    assert main(["video", *both, "-o", str(tmp_path / "没有" / "画"), "-s", "great-wave"]) == 2
    assert (tmp_path / "没有" / "画").is_dir()


def test_without_the_extra_it_says_what_to_install(clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setattr(danqing, "video", danqing.video)  # another one is imported in its place
    for name in [name for name in sys.modules if name.startswith("danqing.video")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    for arguments in (["video", str(clip), "-s", "great-wave"], ["score", "--video", str(clip), str(clip)]):
        assert main(arguments) == 5
        assert "danqing[video]" in capsys.readouterr().err
    assert main(["video", "--help"]) == 0


def test_times_and_rates() -> None:
    assert _seconds("start", "12.5") == Fraction(25, 2) and _seconds("start", "1:02.5") == Fraction("62.5")
    assert _seconds("end", "1:02:03") == 3723 and _seconds("end", None) is None
    assert _rate("30000/1001") == Fraction(30000, 1001) and _rate("29.97") == Fraction("29.97")
    with pytest.raises(UsageError):
        _rate("fast")


def test_styles_that_take_over_are_named(clip: Path, tmp_path: Path) -> None:
    assert _later("20:ink-cliffs") == (20, "ink-cliffs") and _later("1:02.5:a:0.4") == (Fraction("62.5"), "a:0.4")
    film(tmp_path / "另.mp4", panned(30))
    styles = ["-s", f"{tmp_path / '另.mp4'}@0.5,1", "--style-at", "0:04:great-wave"]
    assert main(["video", str(clip), *styles, "-q", *PAINTER]) == 0
    assert clip.with_name("桂林.另+great-wave.mp4").exists()


def test_progress_tells_what_it_knows() -> None:
    known = line_of(Progress(frames=12, total=250, per_second=4.31, remaining=55.2))
    assert all(word in known for word in ("12", "250", "4.3 frames/s", "55 s"))
    assert "frame 12, 4.3" in line_of(Progress(frames=12, total=None, per_second=4.31, remaining=None))


def test_score_tells_how_still_films_are(clip: Path, tmp_path: Path, capsys: Said) -> None:
    paintings = []
    for name in ("a", "b"):
        paintings.append(str(tmp_path / f"{name}.mp4"))
        style = ["-s", "great-wave", "--strength", "0.1", "-o", paintings[-1], "-q", *PAINTER]
        assert main(["video", str(clip), *style]) == 0
    capsys.readouterr()
    assert main(["score", "--video", str(clip), *paintings]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == [*paintings, str(clip)] and float(rows[0][1]) > 0
    assert main(["score", "--video", str(clip), paintings[0], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["paintings"][paintings[0]]["frames"] == 10 and told["film"] > 0
    assert main(["score", str(clip)]) == 2
    assert main(["score", "--video", str(clip), paintings[0], "--baseline", "colour"]) == 2
