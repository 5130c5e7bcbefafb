"""Every sentence a user sees stands in the catalogues, in both languages, with the same fields, and is used."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator

import pytest

from danqing import errors
from danqing.messages import LANGUAGES, text
from tests.contracts.source import PACKAGE, Module, called, modules

CATALOGUES = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted((PACKAGE / "messages").glob("*.toml"))
}
ENTRIES = {f"{room}.{name}": entry for room, catalogue in CATALOGUES.items() for name, entry in catalogue.items()}
ERRORS = {name for name, thing in vars(errors).items() if isinstance(thing, type)}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def fields(sentence: str) -> set[str]:
    """The names in braces of a sentence, without attributes, indices and formats."""
    found = {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
    return {re.split(r"[.\[]", name, maxsplit=1)[0] for name in found}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls of `text(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text" and node.args:
            yield node


def pattern(key: ast.JoinedStr) -> re.Pattern[str]:
    """The keys that an f-string can make."""
    parts = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else r"\w+" for v in key.values]
    return re.compile("".join(parts))


@pytest.mark.parametrize("key", sorted(ENTRIES))
def test_every_sentence_stands_in_both_languages(key: str) -> None:
    entry = ENTRIES[key]
    assert set(entry) == set(LANGUAGES)
    assert all(isinstance(sentence, str) and sentence.strip() == sentence != "" for sentence in entry.values())
    assert fields(entry["en"]) == fields(entry["zh"])
    assert not CHINESE.search(entry["en"].replace("丹青", ""))
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{.*?\}|`.*?`|--[\w-]+", "", entry["en"]))
    assert CHINESE.search(entry["zh"]) or len(words) < 2, "not translated"
    assert "\n" not in entry["en"] + entry["zh"], "one line"


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name)
def test_every_key_asked_for_exists_with_its_fields(module: Module) -> None:
    for call in calls(module.tree):
        line = f"{module.path}:{call.lineno}"
        match call.args[0]:
            case ast.Constant(value=str(key)):
                assert key in ENTRIES, f"{line}: no sentence {key}"
                if all(keyword.arg for keyword in call.keywords):
                    given = {keyword.arg for keyword in call.keywords}
                    assert given == fields(ENTRIES[key]["en"]), f"{line}: {key}"
            case ast.JoinedStr() as key:
                assert any(pattern(key).fullmatch(known) for known in ENTRIES), f"{line}: no sentence fits"


PAGE = sorted(path for path in (PACKAGE / "studio").rglob("*") if path.suffix in (".js", ".html"))


def asked_for_by_the_page() -> set[str]:
    """The sentences that the studio's scripts and markup name, whole or by how they begin."""
    source = "".join(path.read_text(encoding="utf-8") for path in PAGE)
    whole = set(re.findall(r"[\"'`]([a-z_]+)[\"'`]", source))
    regions = {f"region_{name}" for name in re.findall(r'data-region="(\w+)"', source)}
    begun = tuple(re.findall(r"`([a-z]+_)\$\{", source))
    return {f"page.{name}" for name in CATALOGUES["page"] if name in whole | regions or name.startswith(begun)}


def test_the_page_asks_for_sentences_that_exist() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in PAGE)
    asked = re.findall(r'\bt\("(\w+)"', source) + re.findall(r'data-(?:t|label|placeholder)="(\w+)"', source)
    asked += [f"region_{name}" for name in re.findall(r'data-region="(\w+)"', source)]
    assert set(asked) <= set(CATALOGUES["page"])
    for key, given in re.findall(r'\bt\("(\w+)", \{([^}]*)\}', source):
        named = set(re.findall(r"(\w+)(?=\s*[:,]|\s*$)", re.sub(r":\s*[^,]+", ":", given)))
        assert fields(CATALOGUES["page"][key]["en"]) <= named, key


def test_every_sentence_is_used() -> None:
    used: set[str] = asked_for_by_the_page()
    for module in modules():
        for node in ast.walk(module.tree):
            match node:
                case ast.Constant(value=str(value)) if value in ENTRIES:
                    used.add(value)
        for call in calls(module.tree):
            if isinstance(call.args[0], ast.JoinedStr):
                used |= {key for key in ENTRIES if pattern(call.args[0]).fullmatch(key)}
    assert set(ENTRIES) - used == set()


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name)
def test_no_error_for_users_holds_its_own_sentence(module: Module) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and called(node.func) in ERRORS:
            for argument in node.args:
                own = isinstance(argument, ast.JoinedStr) or (
                    isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                )
                assert not own, f"{module.path}:{node.lineno}: write it in messages/{module.room}.toml"


SPOKEN = {"help", "short_help", "epilog", "description", "prompt", "title", "header", "metavar_help"}
SPEAKERS = {"print", "echo", "secho", "add_column", "add_task", "rule", "confirm", "prompt", "fail"}
WORDS = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")


def spoken(tree: ast.AST) -> list[str]:
    """Sentences that the source of the command line says without a catalogue."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        candidates = [keyword.value for keyword in node.keywords if keyword.arg in SPOKEN]
        if called(node.func) in SPEAKERS:
            candidates += node.args
        for candidate in candidates:
            for part in ast.walk(candidate):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and WORDS.search(part.value):
                    found.append(f"line {node.lineno}: {part.value!r}")
    return found


@pytest.mark.parametrize("module", [m for m in modules() if m.room == "cli"], ids=lambda m: m.name)
def test_the_command_line_says_nothing_of_its_own(module: Module) -> None:
    assert not spoken(module.tree)


def test_the_test_hears_what_is_said() -> None:
    assert spoken(ast.parse('typer.Option(help="Size of it")'))
    assert spoken(ast.parse('console.print(f"painted in {seconds} seconds flat")'))
    assert not spoken(ast.parse('console.print(text("cli.done", seconds=seconds))'))


@pytest.mark.parametrize(("language", "sentence"), [("en", "the picture"), ("zh", "该图片")])
def test_the_language_is_the_users(monkeypatch: pytest.MonkeyPatch, language: str, sentence: str) -> None:
    monkeypatch.setenv("DANQING_LANG", language)
    assert text("picture.from_memory") == sentence


def test_the_locale_decides_when_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DANQING_LANG", raising=False)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert text("picture.from_memory") == "该图片"
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    assert text("picture.from_memory") == "the picture"
