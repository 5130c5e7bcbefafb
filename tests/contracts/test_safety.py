"""What danqing never does, whatever file it is given: unpickle, evaluate, start a shell, unpack an archive blindly."""

from __future__ import annotations

import ast

import pytest

from tests.contracts.source import Module, called, imports, modules

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "telnetlib"}
CALLS = {"eval", "exec", "compile"}
FROM_TORCH = {"load", "save", "hub"}


def dangers(tree: ast.AST) -> list[str]:
    found = [f"line {line}: {name}" for line, name in imports(tree) if name.partition(".")[0] in MODULES]
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                found.append(f"line {node.lineno}: {name}")
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr=name)) if name in FROM_TORCH:
                found.append(f"line {node.lineno}: torch.{name}")
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen" as name)):
                found.append(f"line {node.lineno}: os.{name}")
            case ast.Call(func=ast.Attribute(attr="extractall")):
                found.append(f"line {node.lineno}: extractall")
            case ast.Call(func=func, keywords=keywords):
                for keyword in keywords:
                    true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                    if keyword.arg in ("shell", "allow_pickle", "trust_remote_code") and true:
                        found.append(f"line {node.lineno}: {called(func)}({keyword.arg}=True)")
    return found


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name)
def test_no_module_executes_what_it_reads(module: Module) -> None:
    assert not dangers(module.tree)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from pickle import loads",
        "eval(text)",
        "torch.load(path, weights_only=True)",
        "zipfile.ZipFile(path).extractall(folder)",
        "subprocess.run(command, shell=True)",
        "np.load(path, allow_pickle=True)",
        "os.system(command)",
    ],
)
def test_the_test_sees_each_danger(source: str) -> None:
    assert dangers(ast.parse(source))
