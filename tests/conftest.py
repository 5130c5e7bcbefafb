"""What every test gets: English, a home of its own, and no network but this machine."""

from __future__ import annotations

import os
import socket
import weakref
from pathlib import Path

import pytest

from danqing import catalog, inputs
from danqing.picture import Picture
from tests.fake_engine import Entry, install, picture

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DANQING_SHARED", ROOT.parent / "shared"))
"""The optional folder of real photographs, paintings and teachers beside the checkout."""


@pytest.fixture
def shared() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared here (DANQING_SHARED names another place)")
    return SHARED


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home: no test reads or writes the user's own cache or settings."""
    return tmp_path_factory.mktemp("家")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """The same language, width and home for every test, also in the processes it starts."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("DANQING_LANG", "en")
    for variable in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(home))
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("COLUMNS", "DANQING_HOME", "DANQING_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to other machines fail: a test that needs the network is broken."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert isinstance(address, tuple)
            if address[0] not in ("127.0.0.1", "::1", "localhost"):
                raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Entry]:
    """The fake engine and its two styles instead of our own; work happens in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return install(monkeypatch, tmp_path)


@pytest.fixture
def read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Picture]]:
    """Pictures that are read as inputs while one read before is still held fail the test; all that were read."""
    read = inputs.read
    there: list[weakref.ref[Picture]] = []

    def watched(source: Path) -> inputs.Input:
        assert not [one for one in there if one() is not None]
        found = read(source)
        there.append(weakref.ref(found.picture))
        return found

    monkeypatch.setattr(inputs, "read", watched)
    return there


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 48 x 32 px with a Chinese name."""
    return picture(tmp_path / "桂林.png")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundled models with a drawn network in it; not to be written to."""
    from tests.pastiches import bundle

    folder = tmp_path_factory.mktemp("models")
    bundle(folder)
    return folder


@pytest.fixture
def bundled(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A drawn network and its two styles instead of our own, and a home in `tmp_path`."""
    monkeypatch.setattr(catalog, "MODELS", models)
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "home"))
