"""Recipe: every knob of a painting, once.

A knob's type, default, range and unit stand here and its help in `messages/recipe.toml`; the command line, Python,
TOML files, the recipe inside a picture and the docs are made from this. A Recipe holds references to its inputs (names
and hashes), never pixels, and is never half valid: all its problems are reported at once.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

RECIPE_VERSION = 1


class Source(BaseModel):
    """A picture that a recipe refers to.

    Attributes:
        name: the file's name without folders, or a style's name in the gallery.
        sha256: of the file's bytes; None for a gallery name or pixels that came from memory.
        path: relative to the recipe's own file; only in recipes that are files themselves, never inside pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    path: str | None = None


class StyleSource(Source):
    """A style that a recipe refers to, with its share and its mask."""

    weight: float = Field(1.0, gt=0, le=1e6)
    mask: Source | None = None


class Recipe(BaseModel):
    """Everything that decides what a painting looks like; the same recipe and inputs paint the same picture.

    Knobs of the optimisation engine are marked so; the others hold for every engine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = RECIPE_VERSION
    content: Source | None = None
    styles: tuple[StyleSource, ...] = Field((), max_length=64)

    engine: Literal["optimize"] = "optimize"
    size: int | None = Field(None, ge=16, le=65536, json_schema_extra={"unit": "px"})
    width: int | None = Field(None, ge=16, le=65536, json_schema_extra={"unit": "px"})
    enlarge: bool = False
    strength: float = Field(1.0, ge=0, le=1)
    style_scale: float = Field(1.0, ge=0.1, le=10)
    keep_color: Literal["luminance", "moments", "coral", "histogram"] | None = None
    seed: int = Field(0, ge=0, le=2**32 - 1)
    quality: int = Field(80, ge=1, le=100)

    # The optimisation engine.
    encoder: str = Field("compact", pattern=r"^[\w.-]+$")
    content_layers: dict[str, float] = Field(default_factory=lambda: {"relu3_3": 1.0, "relu4_1": 1.0})
    style_layers: dict[str, float] = Field(
        default_factory=lambda: {f"relu{block}_1": 1.0 for block in (1, 2, 3, 4, 5)}
    )
    content_loss: Literal["normalized", "features"] = "normalized"
    style_loss: Literal["covariance", "gram"] = "covariance"
    content_weight: float = Field(1.0, ge=0, le=1e6)
    style_weight: float = Field(3.0, ge=0, le=1e6)
    tv_weight: float = Field(0.0, ge=0, le=1e6)
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    learning_rate: float | None = Field(None, gt=0, le=1e3)
    steps: int = Field(130, ge=1, le=100_000)
    levels: int | None = Field(None, ge=1, le=10)
    start: Literal["recolored", "content", "noise", "mixture", "style", "picture"] = "recolored"
    start_noise: float = Field(0.2, ge=0, le=1)
    start_picture: Source | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def to_toml(self) -> str:
        """The recipe as TOML: every knob that is not at its default."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_defaults=True, exclude_none=True) | {"version": 1})

    @classmethod
    def from_toml(cls, source: str) -> Self:
        """A recipe from TOML text.

        Raises:
            tomllib.TOMLDecodeError: not TOML.
            pydantic.ValidationError: unknown keys or values out of range, all of them listed.
        """
        import tomllib

        return cls.model_validate(tomllib.loads(source))

    def fingerprint(self) -> str:
        """sha256 of everything that decides the painting: equal recipes have equal fingerprints; paths do not count."""
        values = self.model_dump(mode="json")
        for source in [values["content"], values["start_picture"], *values["styles"]]:
            if source:
                source.pop("path")
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
