"""Problems: what is wrong with a recipe, in the user's words.

The errors that pydantic lists go in, a line each comes out: the knob, the offending value, what is allowed. The allowed
values are read off the model, so that they are written once; the help of a knob reads them here too. This module knows
models and knobs, none in particular.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from danqing.files import shown
from danqing.messages import text

MOST = 8
"""So many problems are told; the rest is counted."""

_KINDS = {"int": "whole", "float": "number", "finite": "number", "bool": "truth", "string": "text"}
_KINDS |= {"dict": "table", "model": "table", "tuple": "list", "list": "list"}
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def told(error: ValidationError, model: type[BaseModel]) -> str:
    """All that is wrong, in one line: the first few problems and how many more there are.

    Of a recipe from a later version, that alone.
    """
    found = error.errors(include_url=False)
    future = [e for e in found if e["type"] == "danqing_future"]
    found = future or found
    lines = list(dict.fromkeys(_line(e, model) for e in found[:MOST]))
    if len(found) > MOST:
        lines.append(text("recipe.and_more", count=len(found) - MOST))
    return "; ".join(lines)


def bounds(field: FieldInfo) -> str:
    """The range of a knob with its unit, such as `16..65536 px`; the unit alone where there is no range."""
    limits = {
        name: getattr(part, name) for part in field.metadata for name in _SIGNS if getattr(part, name, None) is not None
    }
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if low is None or high is None:
        return unit_of(field)
    opening = ">" if "gt" in limits else ""
    return f"{opening}{low:.10g}..{high:.10g} {unit_of(field)}".strip()


def unit_of(field: FieldInfo) -> str:
    """A knob's unit, such as `px`, or empty."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def choices(field: FieldInfo) -> tuple[Any, ...]:
    """The values of a knob that has few; empty for the others."""
    annotation = bare(field.annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def bare(annotation: Any) -> Any:
    """A type without its `| None`."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """One of pydantic's errors, taken apart."""

    knob: str
    value: str
    context: Mapping[str, Any]
    field: FieldInfo | None
    model: type[BaseModel]


def _line(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind.startswith("danqing"):
        return str(context["line"])
    place = tuple(p for p in error["loc"] if p != "[key]")
    problem = _Problem(
        knob=".".join(shown(str(p))[:60] for p in place) or "-",
        value=_value(error.get("input")),
        context=context,
        field=model.model_fields.get(str(place[0])) if len(place) == 1 else None,
        model=model,
    )
    if (rule := _RULES.get(kind)) is not None:
        return rule(problem)
    expected = text(f"recipe.kind_{_KINDS.get(kind.split('_')[0], 'other')}")
    return text("recipe.bad_type", knob=problem.knob, value=problem.value, kind=expected)


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(shown(value if len(value) <= 40 else value[:37] + "..."), ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return text("recipe.kind_table" if isinstance(value, dict) else "recipe.kind_list")
    written = shown(str(value))
    return written if len(written) <= 40 else written[:37] + "..."


def _unknown(problem: _Problem) -> str:
    near = difflib.get_close_matches(problem.knob, problem.model.model_fields, n=2)
    if near:
        return text("recipe.bad_unknown_near", knob=problem.knob, near=", ".join(near))
    return text("recipe.bad_unknown", knob=problem.knob)


def _range(problem: _Problem) -> str:
    allowed = bounds(problem.field) if problem.field is not None else ""
    allowed = allowed or " ".join(f"{_SIGNS[k]} {v:.10g}" for k, v in problem.context.items() if k in _SIGNS)
    return text("recipe.bad_range", knob=problem.knob, value=problem.value, range=allowed)


def _choice(problem: _Problem) -> str:
    listed = ", ".join(str(c) for c in choices(problem.field)) if problem.field is not None else ""
    allowed = listed or str(problem.context.get("expected", ""))
    return text("recipe.bad_choice", knob=problem.knob, value=problem.value, allowed=allowed)


_RULES: dict[str, Callable[[_Problem], str]] = {
    "extra_forbidden": _unknown,
    "greater_than": _range,
    "greater_than_equal": _range,
    "less_than": _range,
    "less_than_equal": _range,
    "literal_error": _choice,
    "too_long": lambda p: text("recipe.bad_many", knob=p.knob, limit=p.context.get("max_length", "")),
    "string_pattern_mismatch": lambda p: text("recipe.bad_form", knob=p.knob, value=p.value),
    "missing": lambda p: text("recipe.bad_missing", knob=p.knob),
}
