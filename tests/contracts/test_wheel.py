"""The wheel: what is inside, that it runs on its own, and that it brings no torch along."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.contracts.source import PACKAGE, ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked into a folder that holds nothing else, as pip does it."""
    folder = tmp_path_factory.mktemp("安装")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    run([*pip, str(wheel)], cwd=folder)
    return folder


def test_everything_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    source = {
        f"danqing/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    studies = {f"danqing/samples/{path.name}" for path in (ROOT / "samples").iterdir() if path.is_file()}
    assert source | studies <= inside
    assert {name.partition("/")[0] for name in inside} == {"danqing", f"{wheel.name.partition('-py3')[0]}.dist-info"}
    assert "danqing/samples/samples.toml" in inside
    assert any(name.startswith("danqing/models/") and name.endswith(".safetensors") for name in inside)
    assert any(name.startswith("danqing/models/") and name.endswith(".onnx") for name in inside)
    assert any(name.endswith("licenses/NOTICE") for name in inside)


def test_the_base_install_needs_no_torch(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        papers = email.message_from_bytes(archive.read(name))
    base = [need for need in papers.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert not [need for need in base if need.startswith(("torch", "onnx>", "onnxscript", "scipy", "pillow-heif"))]
    assert papers["License-Expression"] == "Apache-2.0"
    assert papers["Requires-Python"] == ">=3.11"


def test_it_runs_from_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    where = danqing(installed, tmp_path, "-c", "import danqing; print(danqing.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    (script,) = (path for path in (installed / "bin").iterdir() if path.stem == "danqing")
    assert danqing(installed, tmp_path, str(script), "--version").strip().endswith("0.1.0")


def test_it_paints_with_its_own_weights_and_studies(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    ramp = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "照片.png")
    options = ["--style", "great-wave", "--steps", "2", "--output", str(tmp_path / "画.png")]
    danqing(installed, tmp_path, "-m", "danqing", "paint", str(tmp_path / "照片.png"), *options)
    with Image.open(tmp_path / "画.png") as painting:
        assert painting.size == (64, 48)


def test_without_torch_it_paints_in_the_gallery_and_like_any_picture(installed: Path, tmp_path: Path) -> None:
    Image.effect_noise((60, 50), 90).convert("RGB").save(tmp_path / "我的画.png")
    for style in ("great-wave", "我的画.png"):
        done = without_torch(installed, tmp_path, "--style", style, "--overwrite", "-o", "画.png")
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / "画.png") as painting:
            assert painting.size == (32, 32)


def test_without_torch_it_says_what_the_other_engine_needs(installed: Path, tmp_path: Path) -> None:
    done = without_torch(installed, tmp_path, "--style", "great-wave", "--engine", "optimize")
    assert done.returncode == 5, done.stderr
    assert "danqing[torch]" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["照片.png"]


def without_torch(installed: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`danqing paint` of a photo, in an interpreter that has no torch."""
    Image.new("RGB", (32, 32), "teal").save(folder / "照片.png")
    without = (
        "import sys; sys.modules['torch'] = None; sys.argv[0] = 'danqing'; "
        "from danqing.cli.main import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", without, "paint", str(folder / "照片.png"), *options],
        cwd=folder,
        env=surroundings(installed),
        capture_output=True,
        text=True,
        check=False,
    )


def surroundings(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONUTF8": "1"}


def danqing(installed: Path, folder: Path, *arguments: str) -> str:
    """What a Python prints that finds the installed danqing first."""
    return run([sys.executable, *arguments], cwd=folder, env=surroundings(installed))


def run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
