"""`danqing webcam` as it is typed: a film as the camera on a page of its own; what is missing is one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra video is not installed")
pytest.importorskip("cv2", reason="the extra video is not installed")
pytest.importorskip("fastapi", reason="the extra studio is not installed")

from danqing.cli.main import main
from tests.conftest import ROOT
from tests.video.films import film, panned

httpx = pytest.importorskip("httpx", reason="httpx is not installed")

Said = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--camera", "63"], 4, "63"),
        (["--camera", "none.mp4"], 4, "none.mp4"),
        (["-o", "no-such-folder"], 2, "no-such-folder"),
        (["--runtime", "abacus"], 2, "abacus"),
        (["--style", "no-such-style"], 2, "no-such-style"),
    ],
)
@pytest.mark.usefixtures("gallery")
def test_what_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said, arguments: list[str], code: int, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    camera = [] if "--camera" in arguments else ["--camera", str(film(tmp_path / "影.mp4", panned(5)))]
    assert main(["webcam", *camera, "--no-browser", *arguments]) == code
    said = capsys.readouterr().err
    assert word in said and len(said.strip().splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_film_is_painted_live_until_ctrl_c(tmp_path: Path) -> None:
    film(tmp_path / "影.mp4", panned(25))
    command = [sys.executable, "-m", "danqing", "webcam", "--camera", "影.mp4", "-s", "great-wave"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, "--size", "64", "--runtime", "onnx", "--port", "0", "--no-browser"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    try:
        assert address.startswith("http://127.0.0.1:"), process.communicate()
        with httpx.Client(base_url=address, headers={"X-Danqing": "test"}, timeout=30) as client:
            with client.stream("GET", "/live") as pictures:
                block = next(pictures.iter_bytes())
            assert b"image/jpeg" in block
            assert client.get("/state").json()["style"] == "great-wave"
            name = client.post("/do/snapshot").json()["written"]
            assert (tmp_path / name).is_file()
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err, err
