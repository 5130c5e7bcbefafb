"""The examples of docs/studio.md are those of the page for programs, and they run as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from danqing.studio.app import STATIC
from tests.conftest import ROOT
from tests.studio.conftest import Served, picture

RUN = {"sh": ["bash", "-eu"], "py": [sys.executable], "js": ["node"]}
FENCES = {"sh": "sh", "py": "python", "js": "js"}
MADE = {
    "sh": ("painting.png", "mixed.jpg", "large.png"),
    "py": ("painting.png", "painting.webp"),
    "js": ("painting.png",),
}


@pytest.mark.parametrize("ending", RUN)
def test_the_examples_of_the_docs_are_those_of_the_page(ending: str) -> None:
    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    found = re.findall(rf"```{FENCES[ending]}\n(.*?)```", text, re.DOTALL)
    assert found == [(STATIC / "examples" / f"paint.{ending}.txt").read_text(encoding="utf-8")]


@pytest.mark.parametrize("ending", RUN)
def test_the_examples_run(served: Served, tmp_path: Path, ending: str) -> None:
    for program in (RUN[ending][0], *(["curl"] if ending == "sh" else [])):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    (tmp_path / "photo.jpg").write_bytes(picture(kind="JPEG"))
    (tmp_path / "my-painting.jpg").write_bytes(picture(kind="JPEG", seed=3))
    code = (STATIC / "examples" / f"paint.{ending}.txt").read_text(encoding="utf-8")
    code = code.replace("http://127.0.0.1:8765", served.address).replace("great-wave", "reeds")
    if "style=@my-painting.jpg -F style=reeds" in code:  # the drawn networks of the tests are two: they do not mix
        code = code.replace(" -F style=reeds \\\n    -F weight=0.7 -F weight=0.3", "")
    script = tmp_path / f"example.{'mjs' if ending == 'js' else ending}"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([*RUN[ending], script.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in MADE[ending]:
        with Image.open(tmp_path / name) as painting:
            assert painting.size[0] >= 64
