"""`danqing studio` as it is typed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra studio is not installed")

from danqing.cli import studio
from danqing.cli.main import main
from danqing.cli.studio import free_port
from danqing.errors import RunFailed
from danqing.studio.settings import PORT

Said = pytest.CaptureFixture[str]


def test_it_opens_says_where_and_closes_in_good_order(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "danqing", "studio", "--no-browser", "--port", "0", "--folder", "画室"]
    environment = os.environ | {"DANQING_LANG": "en", "PYTHONUTF8": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}healthz") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    assert (tmp_path / "画室").is_dir()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_others_must_know_what_to_call_it(host: str, capsys: Said) -> None:
    assert main(["studio", "--host", host]) == 2
    assert "--name" in capsys.readouterr().err


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name == "uvicorn" else ModuleSpec(name, None)

    monkeypatch.setattr(studio, "find_spec", found)
    assert main(["studio"]) == 5
    assert "danqing[studio]" in capsys.readouterr().err


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunFailed, match=str(port)):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        usual.bind(("127.0.0.1", PORT))
        usual.listen()
        assert free_port("127.0.0.1", None) != PORT
