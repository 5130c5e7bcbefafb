"""Stopping from outside: Ctrl-C once and twice, SIGTERM, a reader that goes away. Each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")

AWAKE = """
import signal, sys
for name in ("SIGHUP", "SIGTERM"):  # nohup and a shell's background hand down ignored signals
    signal.signal(getattr(signal, name), signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""

PROGRAM = f"""{AWAKE}
import pathlib, pytest
from tests.fake_engine import install
install(pytest.MonkeyPatch(), pathlib.Path(sys.argv.pop(1)))
from danqing.cli.main import main
sys.exit(main())
"""


def start(folder: Path, *arguments: str, seconds: str = "0.05", **settings: object) -> subprocess.Popen[bytes]:
    mark = str(folder / "painting")
    environment = {
        **os.environ,
        "FAKE_SECONDS": seconds,
        "FAKE_MARK": mark,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    command = [sys.executable, "-c", PROGRAM, str(folder), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | settings
    return subprocess.Popen(command, env=environment, **streams)  # type: ignore[call-overload, no-any-return]


def begun(process: subprocess.Popen[bytes], mark: Path) -> None:
    """Wait until a file is there that the engine leaves when it begins a step."""
    deadline = time.monotonic() + 120
    while not mark.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


def painting(photo: Path, seconds: str = "0.05") -> subprocess.Popen[bytes]:
    """A painting within its third step, with two behind it."""
    arguments = ["paint", str(photo), "-s", "great-wave", "--steps", "2000", "--save-every", "2"]
    process = start(photo.parent, *arguments, seconds=seconds)
    begun(process, photo.with_name("painting.3"))
    return process


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_one_signal_ends_after_the_step_and_keeps_what_is_there(photo: Path, name: str, code: int) -> None:
    process = painting(photo)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=10)
    assert process.returncode == code, err.decode()
    path = photo.with_name("桂林.great-wave.png")
    assert out.decode() == f"{path}\n" and Image.open(path).size == (48, 32)
    assert b"Traceback" not in err and b"stopped" in err
    assert not [p for p in photo.parent.iterdir() if p.suffix == ".tmp"]


def test_a_second_ctrl_c_ends_at_once_even_within_a_long_step(photo: Path) -> None:
    process = painting(photo, seconds="1")
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130 and b"Traceback" not in err
    assert not photo.with_name("桂林.great-wave.png").exists()
    assert not [p for p in photo.parent.iterdir() if p.suffix == ".tmp"]


BUSY = f"""{AWAKE}
import hashlib
from danqing.cli.interrupt import listening
with listening() as interrupt:
    interrupt.begun = True
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1_000_000_000)  # like a long step: Python's own handlers do not run
"""


def test_a_second_ctrl_c_ends_at_once_even_when_python_does_not_run() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert process.wait(timeout=10) == 130
    process.stdout.close()


def test_before_the_first_step_one_ctrl_c_ends(photo: Path) -> None:
    process = start(photo.parent, "paint", str(photo), "-s", "great-wave", seconds="9")
    begun(process, photo.with_name("painting.1"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130 and b"Traceback" not in err
    assert not photo.with_name("桂林.great-wave.png").exists()


@pytest.mark.parametrize("arguments", [["styles", "list", "--json"], ["doctor"], ["paint", "--help"]])
def test_a_reader_that_goes_away_is_no_drama(tmp_path: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(tmp_path, *arguments, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and err == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_picture_into_a_pipe_that_is_cut_short(photo: Path, unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    big = photo.with_name("big.png")  # noise, so that it is more than a pipe holds
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)).save(big)
    process = start(
        photo.parent, "paint", str(big), "-s", "great-wave", "--strength", "0.2", "--steps", "1", "-o", "-", "-q"
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(10).startswith(b"\x89PNG")
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=10) == 1
    process.stderr.close()


@pytest.mark.parametrize(("cut", "size"), [("cat", None), ("head -c 10", 10)])
def test_from_pipe_to_pipe_in_a_shell(photo: Path, cut: str, size: int | None) -> None:
    folder, own = photo.parent, photo.with_name("桂 林.jpg")
    Image.open(photo).save(own)
    line = f'cat "{own}" | "$0" "$1" "{folder}" paint - --style great-wave --steps 1 -q -o - | {cut} > "{folder}/b.jpg"'
    (folder / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = ["sh", "-c", line, sys.executable, str(folder / "program.py")]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0 and done.stderr == b""
    data = (folder / "b.jpg").read_bytes()
    assert data.startswith(b"\xff\xd8\xff") and size in (None, len(data))
    if size is None:
        assert Image.open(folder / "b.jpg").size == (48, 32)


def test_closed_streams_are_no_drama(photo: Path) -> None:
    command = f'exec "$0" -m danqing paint - -s great-wave -o - <&- 2>"{photo.parent}/err"'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-c", command, sys.executable], env=environment, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 2 and (photo.parent / "err").read_text().count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(photo: Path) -> None:
    arguments = ["paint", str(photo), "-s", "great-wave", "--steps", "1", "-o", "/dev/full", "--format", "png", "-q"]
    process = start(photo.parent, *arguments, seconds="0")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and err.count(b"\n") == 1 and b"/dev/full" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [["styles", "list", "--json"], ["styles", "list"], ["--version"], ["paint", "--help"], ["paint", "PHOTO"]],
)
def test_a_full_disk_behind_stdout_is_one_line(photo: Path, arguments: list[str]) -> None:
    rest = [str(photo), "-s", "great-wave", "--steps", "1", "-q", "-o", "-"] if "PHOTO" in arguments else arguments[1:]
    with Path("/dev/full").open("wb") as full:
        process = start(photo.parent, arguments[0], *rest, seconds="0", stdout=full)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and err.count(b"\n") == 1 and b"stdout was not written" in err


def in_a_shell(photo: Path, arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A painting of one step by a shell, which can close streams; the arguments follow those of the painting."""
    (photo.parent / "program.py").write_text(PROGRAM)
    line = f'cd "$1" && exec "$0" program.py "$1" paint "$2" -s great-wave --steps 1 {arguments}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = ["sh", "-c", line, sys.executable, str(photo.parent), str(photo)]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "--json 2>&-", "--json >&-"])
def test_a_painting_whose_streams_are_closed(photo: Path, closed: str) -> None:
    if "full" in closed and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = in_a_shell(photo, f"-o b.png {closed}")
    assert done.returncode == 0 and b"Traceback" not in done.stderr and b"--debug" not in done.stderr
    assert Image.open(photo.with_name("b.png")).size == (48, 32)
    assert not done.stdout or done.stdout[:1] == b"{" or done.stdout == b"b.png\n"


def test_what_is_said_stays_out_of_a_picture_in_a_pipe(photo: Path) -> None:
    done = in_a_shell(photo, "-o - 2>&-")
    assert done.returncode == 0
    assert done.stdout.startswith(b"\x89PNG") and done.stdout.endswith(b"IEND\xaeB`\x82")


def test_a_pipe_is_written_to_by_its_path(photo: Path) -> None:
    done = in_a_shell(photo, "-o /dev/stdout --format png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\x89PNG") and done.stdout.endswith(b"IEND\xaeB`\x82/dev/stdout\n")


def test_help_loads_nothing_heavy() -> None:
    """How long it takes is told by benchmarks/startup.py."""
    heavy = ("torch", "onnxruntime", "numpy", "pydantic", "rich")
    program = (
        "import sys\n"
        "from danqing.cli.main import main\n"
        "main(['--help'])\n"
        f"print(*[m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout and run.stderr.split() == []
