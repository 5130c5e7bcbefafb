"""`danqing batch` end to end on a small engine: what is said, with what exit code, what is left when it is stopped."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from danqing import catalog, messages
from danqing.cli import batch as batch_module
from danqing.cli import progress
from danqing.cli.main import main
from danqing.cli.paint import KNOBS, paint
from danqing.picture.provenance import read_recipe
from danqing.recipe import Recipe
from tests.batch import painter
from tests.batch.painter import begun
from tests.cli.test_signals import AWAKE
from tests.fake_engine import picture

FAKE = ["-s", "great-wave", "--engine", "fake", "--steps", "2"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@pytest.fixture(autouse=True)
def log(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return painter.install(monkeypatch, tmp_path_factory.mktemp("引擎"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos in two folders."""
    root = tmp_path / "照片"
    for seed, name in enumerate(("一.png", "二.png", "山/三.png", "山/四.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(root / name, seed=seed)
    return root


def paintings(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.png")}


def start(*arguments: object, **settings: str) -> subprocess.Popen[bytes]:
    """`danqing batch` in a process of its own, which listens to signals however the tests were started."""
    program = f"{AWAKE}\nfrom danqing.cli.main import main\nsys.exit(main())"
    command = [sys.executable, "-c", program, "batch", *map(str, arguments), *FAKE]
    environment = {**os.environ, **settings}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, **streams)  # type: ignore[call-overload, no-any-return]


def wait_for(process: subprocess.Popen[bytes], log: Path, count: int) -> None:
    """Until so many photos were begun."""
    deadline = time.monotonic() + 120
    while len(begun(log)) < count:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


def test_a_folder_is_painted_and_its_tree_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "画"
    assert main(["batch", str(folder), "-r", "-o", str(out), "--workers", "2", *FAKE]) == 0
    caught = capsys.readouterr()
    assert caught.out == f"{out}\n" and "painting 4 pictures" in caught.err and "painted 4 of 4" in caught.err
    assert set(paintings(out)) == {"一.png", "二.png", "山/三.png", "山/四.png"}
    recipe = Recipe.from_toml(read_recipe(out / "山" / "三.png") or "")
    assert recipe.steps == 2 and recipe.content is not None and recipe.content.name == "三.png"
    assert str(tmp_path) not in (read_recipe(out / "山" / "三.png") or "")


def test_a_batch_paints_what_paint_paints(folder: Path, tmp_path: Path) -> None:
    out, alone = tmp_path / "画", tmp_path / "alone.png"
    knobs = [*FAKE, "--strength", "0.4", "--keep-color", "luminance"]
    assert main(["batch", str(folder), "-o", str(out), *knobs]) == 0
    assert main(["paint", str(folder / "一.png"), "-o", str(alone), *knobs]) == 0
    assert (out / "一.png").read_bytes() == alone.read_bytes()


def test_the_gallery_paints_the_same_by_any_number_of_workers(folder: Path, tmp_path: Path) -> None:
    style = next((entry.name for entry in catalog.styles() if entry.network), None)
    if style is None:
        pytest.skip("no network comes along")
    knobs = ["-s", style, "--runtime", "onnx"]  # what suits one depends on what this process has painted before
    one, two, alone = tmp_path / "一", tmp_path / "二", tmp_path / "alone.png"
    assert main(["batch", str(folder), "-r", "-o", str(one), *knobs, "--workers", "1"]) == 0
    assert main(["batch", str(folder), "-r", "-o", str(two), *knobs, "--workers", "2"]) == 0
    assert main(["paint", str(folder / "一.png"), "-o", str(alone), *knobs]) == 0
    assert set(paintings(one)) == set(paintings(two)) and len(paintings(two)) == 4
    pairs = [(one / name, two / name) for name in paintings(one)] + [(alone, two / "一.png")]
    for some, other in pairs:  # sums over other numbers of threads are rounded otherwise
        a, b = (np.asarray(Image.open(path), dtype=np.int16) for path in (some, other))
        assert a.shape == b.shape and np.abs(a - b).max() <= 1


def test_a_network_of_another_tool_paints_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: no network can be made")
    from tests import networks

    monkeypatch.chdir(tmp_path)
    Path("着色.onnx").write_bytes(networks.tint())
    assert main(["batch", str(folder), "-r", "-o", "画", "--model", "着色.onnx", "--workers", "2"]) == 0
    assert capsys.readouterr().err.count("RGB in 0..1") == 1  # what was found out about it is said once
    assert main(["paint", str(folder / "一.png"), "-o", "alone.png", "--model", "着色.onnx"]) == 0
    assert Path("alone.png").read_bytes() == paintings(tmp_path / "画")["一.png"]
    assert main(["batch", str(folder), "-o", "另", "--model", "着色.onnx", "-s", "great-wave"]) == 2


def test_a_bad_photo_is_one_line_and_the_others_are_painted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "坏.jpg").write_text("no picture")
    picture(folder / "虫.png")
    out = tmp_path / "画"
    assert main(["batch", str(folder), "-r", "-o", str(out), "--json", *FAKE]) == 3
    caught = capsys.readouterr()
    lines = caught.err.splitlines()
    assert sum("坏.jpg" in line for line in lines) == 1 and sum("虫.png" in line for line in lines) == 1
    assert any("虫.png is skipped" in line and "ZeroDivisionError" in line for line in lines)
    assert "2 of 6 failed" in lines[-1] and "Traceback" not in caught.err
    told = json.loads(caught.out)
    assert (told["total"], told["painted"], told["unchanged"], told["failed"]) == (6, 4, 0, 2)
    assert told["complete"] and told["rate"] > 0
    states = {Path(one["photo"]).name: one["state"] for one in told["pictures"]}
    assert states["坏.jpg"] == states["虫.png"] == "failed" and Counter(states.values())["done"] == 4
    assert len(paintings(out)) == 4


def test_resume_paints_what_is_missing_and_says_what_is_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], log: Path
) -> None:
    arguments = ["batch", str(folder), "-r", "-o", str(tmp_path / "画"), *FAKE]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "--resume" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "画" / "二.png").unlink()
    assert main([*arguments, "--resume", "--json"]) == 0
    caught = capsys.readouterr()
    told = json.loads(caught.out)
    assert (told["painted"], told["unchanged"]) == (1, 3) and "3 of 4 are painted already" in caught.err
    assert Counter(begun(log))["二.png"] == 2 and len(begun(log)) == 5
    assert main([*arguments, "--resume", "-q"]) == 0
    assert capsys.readouterr().err == "" and len(begun(log)) == 5


def test_several_styles_and_formats_and_masks(folder: Path, tmp_path: Path) -> None:
    out, masks = tmp_path / "画", tmp_path / "遮罩"
    (masks / "山").mkdir(parents=True)
    for name in ("一.png", "二.png", "山/三.png", "山/四.png"):
        half = np.zeros((32, 48), np.uint8)
        half[:, :24] = 255
        Image.fromarray(half).save(masks / name)
    words = ["-s", "starry-night", "--format", "tif", "--protect-dir", str(masks), "--keep-color", "luminance"]
    assert main(["batch", str(folder), "-r", "-o", str(out), *FAKE, *words]) == 0
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.tif")} == {
        f"{style}/{name[:-4]}.tif" for style in ("great-wave", "starry-night") for name in paintings(folder)
    }
    painted = np.asarray(Image.open(out / "great-wave" / "山" / "三.tif"))
    photo = np.asarray(Image.open(folder / "山" / "三.png"))
    np.testing.assert_array_equal(painted[:, :24], photo[:, :24])
    assert np.abs(painted[:, 24:].astype(int) - photo[:, 24:]).max() > 20


def test_a_list_on_stdin(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f"{folder}/一.png\n{folder}/没有.png\n{folder}/山/三.png\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["batch", "-", "-o", str(tmp_path / "画"), *FAKE]) == 3
    assert set(paintings(tmp_path / "画")) == {"一.png", "山/三.png"}


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no folder for paintings": (["IN"], 2, "--output"),
    "no photos": (["-o", "OUT"], 2, "IN"),
    "nothing there": (["没有", "-o", "OUT"], 4, "没有"),
    "empty": (["EMPTY", "-o", "OUT"], 4, "--recursive"),
    "unknown style": (["IN", "-o", "OUT", "-s", "great-wav"], 2, "great-wave"),
    "out of range": (["IN", "-o", "OUT", "--size", "3"], 2, "16..65536"),
    "no workers": (["IN", "-o", "OUT", "--workers", "0"], 2, "--workers"),
    "onto itself": (["IN", "-o", "IN"], 2, "another folder"),
    "a file": (["IN", "-o", "FILE"], 1, "FILE"),
    "format": (["IN", "-o", "OUT", "--format", "heic"], 2, "heic"),
    "deep JPEGs": (["IN", "-o", "OUT", "--format", "jpg", "--depth", "16"], 2, "16"),
    "a folder of masks": (["IN", "-o", "OUT", "--protect-dir", "没有"], 4, "没有"),
    "stdin": (["-", "-o", "OUT"], 2, "-"),
    "mask first": (["IN", "-o", "OUT", "--mask", "m.png", "-s", "great-wave"], 2, "--mask"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_whatever_is_wrong_is_one_line_before_the_work(
    kind: str, language: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(sys, "stdin", None)
    Path("EMPTY").mkdir()
    Path("FILE").touch()
    arguments, code, says = WRONG[kind]
    words = [{"IN": str(folder)}.get(word, word) for word in arguments]
    style = [] if "-s" in words else ["-s", "great-wave"]
    assert main(["batch", *words, *style, "--engine", "fake"]) == code
    caught = capsys.readouterr()
    assert caught.out == "" and caught.err.count("\n") == 1 and caught.err.startswith("danqing: ")
    assert says in caught.err or language == "zh"
    assert not Path("OUT").exists()


def test_every_option_of_paint_is_one_of_a_batch_too() -> None:
    of_paint = set(paint.__signature__.parameters)  # type: ignore[attr-defined]
    of_batch = set(batch_module.batch.__signature__.parameters)  # type: ignore[attr-defined]
    assert of_paint - of_batch == {"photo", "compare", "save_every", "folders"}
    assert set(KNOBS) <= of_batch


def test_how_far_it_is_is_told_in_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.painting_many(9) as show:
        show(3, 0.5)
        show(0, 0.0)
    assert capsys.readouterr().err.splitlines() == [
        "danqing: 3 of 9, 0.50 pictures/s, 12 s to go",
        "danqing: 0 of 9, 0.00 pictures/s, ? to go",
    ]


def test_how_far_it_is_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.painting_many(9) as show:
        show(3, 0.5)
    assert "3/9" in terminal.getvalue() and "0.50 pictures/s" in terminal.getvalue()


# ── stopped from outside ────────────────────────────────────────────────────────────────────────────────────────────


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_one_signal_keeps_what_is_finished(name: str, code: int, folder: Path, tmp_path: Path, log: Path) -> None:
    """F6."""
    out = tmp_path / "画"
    process = start(folder, "-r", "-o", out, "--workers", "1", FAKE_SECONDS="0.3")
    wait_for(process, log, 2)
    process.send_signal(getattr(signal, name))
    said, err = process.communicate(timeout=90)
    assert process.returncode == code, err.decode()
    assert b"Traceback" not in err and b"--resume" in err and said.decode() == f"{out}\n"
    there = paintings(out)
    assert 1 <= len(there) < 4
    assert not [path for path in out.rglob("*") if path.suffix == ".tmp"]
    assert main(["batch", str(folder), "-r", "-o", str(out), "--resume", *FAKE]) == 0
    assert len(paintings(out)) == 4 and there.items() <= paintings(out).items()


@posix
def test_a_second_ctrl_c_ends_at_once_with_its_workers(folder: Path, tmp_path: Path, log: Path) -> None:
    """F6."""
    process = start(folder, "-o", tmp_path / "画", "--workers", "2", FAKE_SECONDS="60")  # a step
    wait_for(process, log, 2)
    workers = [int(line.split()[1]) for line in log.read_text(encoding="utf-8").splitlines()]
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    before = time.monotonic()
    _, err = process.communicate(timeout=90)
    assert process.returncode == 130 and time.monotonic() - before < 10 and b"Traceback" not in err
    assert gone(workers)


def gone(processes: list[int], *, seconds: float = 20) -> bool:
    """Whether processes end within a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{number}/cmdline").exists() and _runs(number) for number in processes):
            return True
        time.sleep(0.05)
    return False


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@posix
def test_after_kill_9_at_any_moment_resume_finishes(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed four times, every photo is painted, with the bytes of a run that was not, and no worker lives on."""
    folder, out, whole = tmp_path / "照片", tmp_path / "画", tmp_path / "全"
    folder.mkdir()
    for seed in range(9):
        picture(folder / f"图{seed:02}.png", seed=seed)
    rng = random.Random(3)
    for _ in range(4):
        seen = len(begun(log))
        process = start(folder, "-o", out, "--workers", "2", "--resume", FAKE_SECONDS="0.05")
        wait_for(process, log, seen + 1)
        time.sleep(rng.random() * 0.4)
        process.kill()
        process.communicate(timeout=90)
        assert gone([int(line.split()[1]) for line in log.read_text(encoding="utf-8").splitlines()])
    assert main(["batch", str(folder), "-o", str(out), "--resume", *FAKE]) == 0
    times = Counter(begun(log))
    assert len(times) == 9 and sum(times.values()) <= 9 + 4 * 2  # only what was being painted is painted twice
    assert main(["batch", str(folder), "-o", str(whole), *FAKE]) == 0
    assert paintings(out) == paintings(whole) and len(paintings(out)) == 9


@posix
def test_runs_on_one_folder_at_once(folder: Path, tmp_path: Path, log: Path) -> None:
    """F18."""
    out = tmp_path / "画"
    processes = [start(folder, "-r", "-o", out, "--workers", "1", "--resume", "--json") for _ in range(4)]
    told = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    assert Counter(begun(log)) == Counter(Path(name).name for name in paintings(folder))  # each once
    assert set(paintings(out)) == set(paintings(folder))
    assert sum(json.loads(said)["failed"] for said, _ in told) == 0
    assert {path.name for path in (out / ".danqing").iterdir()} == {"work.db", "work.db.lock"}


@posix
def test_a_reader_that_goes_away_is_no_drama(folder: Path, tmp_path: Path) -> None:
    """F7."""
    command = f'"$0" -m danqing batch "{folder}" -o "{tmp_path}/画" --json -q {" ".join(FAKE)} | head -c 10'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, check=False, timeout=120)
    assert done.stderr == b"" and len(done.stdout) == 10
    assert len(paintings(tmp_path / "画")) == 2


def test_failures_name_their_photo_once() -> None:
    given = SimpleNamespace(photo="/x/坏.png")
    assert batch_module.failure(given.photo, "/x/坏.png is empty") == "/x/坏.png is empty"
    assert batch_module.failure(given.photo, "too large").startswith("/x/坏.png is skipped: too large")
