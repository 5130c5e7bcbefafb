"""Every command has its help in both languages and its place in the docs, every page is found, every link leads on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.source import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*\ssrc=\"([^\"]+)\"")
COMMAND = re.compile(r"^(?:\$ )?danqing((?: [a-z]+)+)", re.MULTILINE)


def commands(language: str) -> list[dict[str, Any]]:
    """What scripts/docs sees, in a language."""
    script = [sys.executable, str(ROOT / "scripts" / "cli_page.py"), "--json"]
    environment = {**os.environ, "DANQING_LANG": language, "PYTHONUTF8": "1"}
    done = subprocess.run(script, capture_output=True, encoding="utf-8", env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def english() -> list[dict[str, Any]]:
    return commands("en")


def test_every_command_and_option_has_help_in_both_languages(english: list[dict[str, Any]]) -> None:
    assert len(english) > 5
    for en, zh in zip(english, commands("zh"), strict=True):
        assert en["path"] == zh["path"]
        assert re.search(r"[A-Za-z]", en["help"]), en["path"]
        assert re.search(r"[\u4e00-\u9fff]", zh["help"]), zh["path"]
        for (names, said), (same, 说) in zip(en["takes"], zh["takes"], strict=True):
            assert names == same
            assert re.search(r"[A-Za-z]", re.sub(r"\[.*?\]", "", said)), f"{en['path']} {names}"
            assert re.search(r"[\u4e00-\u9fff]", 说), f"{zh['path']} {names}"


def test_the_generated_page_is_up_to_date() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "cli_page.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in (a or b for a, b in LINK.findall(prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), f"{target} is not there"
        if anchor and goal.suffix == ".md":
            assert anchor in anchors(goal), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_that_a_page_shows_exists(page: Path, english: list[dict[str, Any]]) -> None:
    if page.name in ("CHANGELOG.md", "experiments.md"):
        return
    known = {command["path"] for command in english}
    options = {command["path"]: " ".join(names for names, _ in command["takes"]) for command in english}
    for fence in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in fence.splitlines():
            if found := COMMAND.match(line):
                path = f"danqing {found[1].split()[0]}"
                assert path in known, line
                group = f"{path} {found[1].split()[1]}" if len(found[1].split()) > 1 else path
                path = group if group in known else path
                for option in re.findall(r"\s(--[a-z][\w-]+)", line.partition("#")[0]):
                    assert option in options[path] + options["danqing"] + " --help", line


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if page != "README.md" and f"]({page})" not in index] == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permission")
@pytest.mark.parametrize(
    "script", [*(f"scripts/{name}" for name in ("demo", "test", "check", "docs", "kills")), ".ci/run"]
)
def test_every_script_can_be_typed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
