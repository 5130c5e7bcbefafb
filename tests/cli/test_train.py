"""`danqing train` and `danqing evaluate` from the command line: what is said, where it goes, exit codes, signals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be published")

from danqing import catalog
from danqing.cli.main import main
from tests.cli.test_signals import AWAKE, begun
from tests.fake_engine import picture
from tests.kinds import folder_of
from tests.pastiches import bundle

SMALL = ["--steps", "4", "--batch", "2", "--crop", "64", "--save-every", "2", "--sample-every", "4"]


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


def test_a_style_is_trained_painted_with_and_judged(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "painting.png", "--photos", "photos", "--folder", "run", "--json", *SMALL) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["name"], found["complete"], found["step"]) == ("painting", True, 4)
    assert "--style painting" in told.err
    assert run("paint", "photos/0.png", "--style", "painting", "-o", "out.png") == 0
    capsys.readouterr()
    shutil.copytree("run", catalog.home() / "runs" / "painting")
    assert run("evaluate", "painting", "--photos", "photos", "--size", "96", "--equivalent", "1", "--json") == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["photos"] == 3
    assert verdict["content"] >= 0 and verdict["distance"] > 0
    assert 0 < verdict["equivalent"] <= 500
    assert run("evaluate", "painting", "--photos", "photos", "--size", "96") == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("style")
    assert run("styles", "list", "--sheet", "photos/1.png", "-o", "sheet.jpg") == 0
    assert Path("sheet.jpg").stat().st_size > 1000


def test_two_kinds_are_trained_painted_with_and_judged(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of(workplace / "水墨", 3, seed=30)
    folder_of(workplace / "照片", 3)
    words = ["--method", "cyclegan", "--domain-a", "照片", "--domain-b", "水墨", "--preset", "light", "--name", "墨"]
    assert run("train", *words, *SMALL, "--width", "8", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["styles"] == ["墨-a2b", "墨-b2a"]
    assert "--style 墨-a2b | 墨-b2a" in told.err and "G_A" in told.err
    assert run("paint", "photos/0.png", "--model", "墨-b2a", "-o", "out.png") == 0
    capsys.readouterr()
    assert run("evaluate", "墨-a2b", "--photos", "photos", "--collection", "水墨", "--size", "96", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["photos"] == 3 and found["frechet"] > 0
    assert run("evaluate", "墨-a2b", "--photos", "photos", "--collection", "水墨", "--size", "96") == 0
    assert "Fréchet" in capsys.readouterr().out.splitlines()[0]
    assert run("evaluate", "墨-a2b", "--photos", "photos", "--collection", "水墨", "--paintings", ".") == 2


def test_a_work_that_is_not_there_is_said(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "reeds", "--photos", "photos") == 4
    assert "reeds" in capsys.readouterr().err
    assert run("evaluate", "nobody", "--photos", "photos") == 2
    assert run("evaluate", "reeds", "--photos", "nowhere", "--paintings", ".") == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["nowhere.png"], 4),
        (["painting.png", "--photos", "nowhere"], 2),
        (["painting.png", "--steps", "0"], 2),
        (["painting.png", "--preset", "none"], 2),
        (["--resume", "nowhere"], 2),
        (["painting.png", "--device", "tpu"], 2),
        (["--method", "cyclegan", "--domain-a", "photos"], 2),
        (["--method", "cyclegan", "--domain-a", "photos", "--domain-b", "nowhere"], 4),
        (["--method", "cyclegan", "--domain-a", "photos", "--domain-b", "photos", "--crop", "512"], 4),
        (["--method", "pairs", "--pairs", "photos", "photos", "painting.png"], 2),
        (["--method", "gan", "--photos", "photos"], 2),
    ],
)
def test_wrong_words_are_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    assert run("train", *words) == code
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) <= 2, err
    assert "Traceback" not in err


CHILD = f"""{AWAKE}
from pathlib import Path
from danqing import catalog
catalog.MODELS = Path("models")
from danqing.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_after_a_checkpoint(workplace: Path, number: int, code: int) -> None:
    words = ["train", "painting.png", "--folder", "run", *SMALL[2:6], "--steps", "100000", "--save-every", "1"]
    process = subprocess.Popen([sys.executable, "-c", CHILD, *words], stderr=subprocess.PIPE, text=True)
    begun(process, Path("run/step-00000001"))
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "--resume" in err
    assert list(Path("run").glob("step-*"))


def test_several_processes_go_on_with_a_training_and_one_speaks(workplace: Path) -> None:
    assert run("train", "painting.png", "--photos", "photos", "--folder", "run", "-q", *SMALL) == 0
    Path("together.py").write_text(CHILD)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["together.py", "train", "--resume", "run", "--steps", "6"]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("danqing: ")]
    assert len([line for line in lines if "trained painting" in line]) == 1 and len(lines) == 3
    assert done.stdout == "run\n"
    steps = [json.loads(line)["step"] for line in Path("run", "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
