"""Every sentence that a user sees, in English and Chinese.

The catalogues are TOML files beside this one, a file a room: the key `picture.empty` is the table `[empty]` in
`picture.toml`, with the sentence under `en` and `zh`. Fields in braces are filled by `str.format`. This module knows
no sentence itself and no other module holds one.

The language is what `speaking` says, else `DANQING_LANG` (`en` or `zh`), else what the locale says, else English.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from importlib import resources

LANGUAGES = ("en", "zh")

_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)


@contextlib.contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Inside the block, and in tasks that begin there, sentences are in this language; None changes nothing."""
    token = _spoken.set(language or _spoken.get())
    try:
        yield
    finally:
        _spoken.reset(token)


def language() -> str:
    """The user's language: `en` or `zh`."""
    if (spoken := _spoken.get()) is not None:
        return spoken
    for variable in ("DANQING_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable, ""):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def catalogue(room: str) -> dict[str, dict[str, str]]:
    """One room's sentences: {key: {language: sentence}}.

    Raises:
        FileNotFoundError: there is no such catalogue.
    """
    source = resources.files(__name__).joinpath(f"{room}.toml").read_text(encoding="utf-8")
    return tomllib.loads(source)


def text(key: str, **fields: object) -> str:
    """The sentence of a key such as `picture.empty` in the user's language, its fields filled in.

    Raises:
        KeyError: no such key, or a field of the sentence is missing.
    """
    room, _, name = key.partition(".")
    return catalogue(room)[name][language()].format(**fields)
