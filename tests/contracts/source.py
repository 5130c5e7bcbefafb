"""The source of danqing as syntax trees, for the tests that hold the house's rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import danqing

PACKAGE = Path(danqing.__file__).parent
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One file of danqing: its dotted name, its path and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The part after `danqing.`: `cli`, `picture`, `recipe`; empty for the façade."""
        return self.name.partition(".")[2].partition(".")[0]


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package, without importing any."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return tuple(found)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a tree imports, at any depth, also through `import_module`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield node.lineno, module
                for alias in names:
                    yield node.lineno, f"{module}.{alias.name}"
            case ast.ImportFrom(level=level) if level:
                raise AssertionError(f"line {node.lineno}: imports are absolute here")
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if called(func) in LOADERS:
                yield node.lineno, name


LOADERS = {"import_module", "__import__", "find_spec"}


def called(function: ast.expr) -> str:
    """The last name of what is called: `open` of `path.open(...)`."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
