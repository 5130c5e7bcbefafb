"""Recipe: every knob of a painting, once.

A knob's type, default, range and unit stand here and its help in `messages/recipe.toml`; the command line, Python,
TOML files, the recipe inside a picture and the docs are made from this. A Recipe holds references to its inputs (names
and hashes), never pixels, and is never half valid: all its problems are reported at once, in one line. This module
opens no picture and knows no engine.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, ClassVar, Literal, Self

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from danqing import limits
from danqing.errors import BadRecipe, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.problems import told

RECIPE_VERSION: Literal[1] = 1

FROM_MEMORY = "(memory)"
"""The name of a source that has no file, and so cannot be found again."""

MAX_LAYERS = 64


def bare_name(path: str | PurePath) -> str:
    """What a file is called in a recipe: its name without folders, printable, at most 255 characters."""
    name = shown(PureWindowsPath(PurePosixPath(path).name).name)
    name = name.replace("\\", "_")  # by which bytes that are no text are shown
    return name[-255:] or FROM_MEMORY


def _no_folders(name: str) -> str:
    if name in ("", ".", "..") or name != bare_name(name):
        raise PydanticCustomError("danqing", "{line}", {"line": text("recipe.bad_name", value=_quoted(name))})
    return name


def _stays_inside(path: str) -> str:
    """Relative and without `..`, as POSIX and as Windows would read it."""
    kinds = PurePosixPath(path), PureWindowsPath(path)
    if not path or "\0" in path or any(p.is_absolute() or p.drive or p.root or ".." in p.parts for p in kinds):
        raise PydanticCustomError("danqing", "{line}", {"line": text("recipe.bad_path", value=_quoted(path))})
    return path


def _quoted(value: str) -> str:
    return json.dumps(shown(value if len(value) <= 60 else value[:57] + "..."), ensure_ascii=False)


class Source(BaseModel):
    """A file that a recipe refers to.

    Attributes:
        name: the file's name without folders, or a style's name in the gallery.
        sha256: of the file's bytes; None for a gallery name or pixels that came from memory.
        path: relative to the recipe's own file; only in recipes that are files themselves, never inside pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, AfterValidator(_no_folders)]
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    path: Annotated[str, AfterValidator(_stays_inside)] | None = None


class StyleSource(Source):
    """A style that a recipe refers to, with its share and its mask."""

    weight: float = Field(default=1.0, gt=0, le=1e6)
    mask: Source | None = None


LayerWeights = Annotated[dict[str, Annotated[float, Field(gt=0, le=1e6)]], Field(max_length=MAX_LAYERS)]
"""{layer: share}; shares are relative to each other."""

_ADVERSARY: dict[str, Any] = {"section": "adversary"}
"""Marks a knob of trainings in which networks play against each other."""

_OPTIMIZE: dict[str, Any] = {"engine": "optimize"}
"""Marks a knob of the optimisation engine; the others hold for every engine."""


class Knobs(BaseModel):
    """What recipes of every kind have in common: TOML in and out, knobs turned, all problems told at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = RECIPE_VERSION
    refusal: ClassVar[str] = "recipe.bad_knobs"
    """The sentence that says which knobs cannot be meant."""

    @field_validator("version", mode="before")
    @classmethod
    def _not_from_the_future(cls, value: object) -> object:
        if isinstance(value, int) and value > RECIPE_VERSION:
            line = text("recipe.bad_future", version=value, known=RECIPE_VERSION)
            raise PydanticCustomError("danqing_future", "{line}", {"line": line})
        return value

    def to_toml(self, *, complete: bool = False) -> str:
        """The recipe as TOML: every knob that is not at its default, or all of them.

        Complete ones still paint the same when a later version has other defaults.
        """
        values = self.model_dump(mode="json", exclude_defaults=not complete, exclude_none=True)
        return tomli_w.dumps({"version": RECIPE_VERSION} | values)

    @classmethod
    def from_toml(cls, source: str | bytes, *, name: str | None = None) -> Self:
        """A recipe from TOML text.

        Args:
            source: the text, or its bytes in UTF-8.
            name: what messages call it.

        Raises:
            BadRecipe: not TOML, too long, from a later version, or with unknown or impossible knobs, all of them
                listed.
        """
        called = name or text("recipe.from_memory")
        if len(source) > limits.MAX_RECIPE_BYTES:
            raise BadRecipe(text("recipe.too_long", name=called, limit=limits.MAX_RECIPE_BYTES // 1000))
        try:
            decoded = source.decode("utf-8-sig") if isinstance(source, bytes) else source
            values = tomllib.loads(decoded)
        except UnicodeDecodeError as error:
            raise BadRecipe(text("recipe.not_utf8", name=called)) from error
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            reason = shown(str(error) or type(error).__name__)
            raise BadRecipe(text("recipe.not_toml", name=called, reason=reason)) from error
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadRecipe(text("recipe.bad", name=called, problems=told(error, cls))) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A recipe from a TOML file.

        Raises:
            BadRecipe: as `from_toml`, or the file cannot be read.
        """
        called = shown(path)
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(limits.MAX_RECIPE_BYTES + 1)
        except FileNotFoundError as error:
            raise BadRecipe(text("recipe.missing", name=called)) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise BadRecipe(text("recipe.unreadable", name=called, reason=reason)) from error
        return cls.from_toml(data, name=called)

    def turned(self, knobs: Mapping[str, object]) -> Self:
        """The same recipe with some knobs at other values.

        Raises:
            UsageError: unknown knobs or values out of range, all of them listed.
        """
        values = {name: getattr(self, name) for name in self.model_fields_set} | dict(knobs)
        try:
            return type(self).model_validate(values)
        except ValidationError as error:
            raise UsageError(text(self.refusal, problems=told(error, type(self)))) from error

    def fingerprint(self) -> str:
        """sha256 of everything that decides what comes of it: equal recipes have equal fingerprints.

        Paths do not count, nor what a file is called where its hash says what it is.
        """
        values = _dropped(self.model_dump(mode="json"), "path", names_of_hashed=True)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Recipe(Knobs):
    """Everything that decides what a painting looks like; the same recipe and inputs paint the same picture."""

    content: Source | None = None
    styles: tuple[StyleSource, ...] = Field(default=(), max_length=64)

    engine: str = Field(default="auto", pattern=r"^[\w.-]+$")
    size: int | None = Field(default=None, ge=16, le=65536, json_schema_extra={"unit": "px"})
    width: int | None = Field(default=None, ge=16, le=65536, json_schema_extra={"unit": "px"})
    enlarge: bool = False
    square: bool = False
    wrap: bool = False
    protect: Source | None = None
    strength: float = Field(default=1.0, ge=0, le=1)
    style_scale: float = Field(default=1.0, ge=0.1, le=10)
    brush: float = Field(default=0.5, ge=0, le=1)
    keep_color: Literal["luminance", "moments", "coral", "histogram"] | None = None
    median: Literal[0, 3, 5, 7, 9] = Field(default=0, json_schema_extra={"unit": "px"})
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    quality: int = Field(default=80, ge=1, le=100)
    depth: Literal[8, 16] = Field(default=8, json_schema_extra={"unit": "bit"})

    encoder: str = Field(default="compact", pattern=r"^[\w.-]+$", json_schema_extra=_OPTIMIZE)
    encoder_weights: Source | None = Field(default=None, json_schema_extra=_OPTIMIZE)
    pooling: Literal["max", "average"] = Field(default="max", json_schema_extra=_OPTIMIZE)
    content_layers: LayerWeights = Field(default={"relu3_3": 1.0, "relu4_1": 1.0}, json_schema_extra=_OPTIMIZE)
    style_layers: LayerWeights = Field(
        default={f"relu{block}_1": 1.0 for block in (1, 2, 3, 4, 5)}, json_schema_extra=_OPTIMIZE
    )
    content_loss: Literal["normalized", "features", "squared_sum"] = Field(
        default="normalized", json_schema_extra=_OPTIMIZE
    )
    style_loss: Literal["covariance", "gram", "moments", "wasserstein", "histogram", "squared_gram"] = Field(
        default="covariance", json_schema_extra=_OPTIMIZE
    )
    tv_loss: Literal["squared", "absolute_sum"] = Field(default="squared", json_schema_extra=_OPTIMIZE)
    weighting: Literal["calibrated", "caffe", "torchvision"] = Field(default="calibrated", json_schema_extra=_OPTIMIZE)
    content_weight: float = Field(default=1.0, ge=0, le=1e9, json_schema_extra=_OPTIMIZE)
    style_weight: float = Field(default=3.0, ge=0, le=1e9, json_schema_extra=_OPTIMIZE)
    tv_weight: float = Field(default=0.0, ge=0, le=1e9, json_schema_extra=_OPTIMIZE)
    optimizer: Literal["lbfgs", "adam"] = Field(default="lbfgs", json_schema_extra=_OPTIMIZE)
    line_search: bool = Field(default=False, json_schema_extra=_OPTIMIZE)
    learning_rate: float | None = Field(default=None, gt=0, le=1e3, json_schema_extra=_OPTIMIZE)
    frequency_slope: float = Field(default=0.0, ge=0, le=2, json_schema_extra=_OPTIMIZE)
    averaging: float = Field(default=0.9, ge=0, lt=1, json_schema_extra=_OPTIMIZE)
    steps: int = Field(default=130, ge=1, le=100_000, json_schema_extra=_OPTIMIZE)
    tolerance: float = Field(default=0.0, ge=0, le=1, json_schema_extra=_OPTIMIZE)
    levels: int | None = Field(default=None, ge=1, le=20, json_schema_extra=_OPTIMIZE)
    level_ratio: float = Field(default=2.0, ge=1.1, le=4, json_schema_extra=_OPTIMIZE)
    start: Literal["recolored", "content", "noise", "mixture", "style", "picture"] = Field(
        default="recolored", json_schema_extra=_OPTIMIZE
    )
    start_noise: float = Field(default=0.2, ge=0, le=1, json_schema_extra=_OPTIMIZE)
    start_picture: Source | None = Field(default=None, json_schema_extra=_OPTIMIZE)
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", json_schema_extra=_OPTIMIZE)
    checkpoint: bool = Field(default=False, json_schema_extra=_OPTIMIZE)
    tiles: bool = Field(default=False, json_schema_extra=_OPTIMIZE)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        lines = []
        if self.size is not None and self.width is not None:
            lines.append(text("recipe.bad_size_and_width"))
        content = self.content_weight if self.content_layers else 0
        style = self.style_weight if self.style_layers else 0
        if not (content or style):
            lines.append(text("recipe.bad_no_weight"))
        if (self.start == "picture") != (self.start_picture is not None):
            lines.append(text("recipe.bad_start_picture"))
        if self.square and self.wrap:
            lines.append(text("recipe.bad_square_and_wrap"))
        if lines:
            raise PydanticCustomError("danqing", "{line}", {"line": "; ".join(lines)})
        return self

    def of_optimization(self) -> list[str]:
        """The knobs that are turned and that only the optimisation engine has."""
        own = {name: field for name, field in type(self).model_fields.items() if field.json_schema_extra == _OPTIMIZE}
        return [name for name, field in own.items() if getattr(self, name) != field.get_default()]

    def sources(self) -> Iterator[Source]:
        """Every file that the recipe refers to, gallery names included."""
        for source in (self.content, *self.styles, *(s.mask for s in self.styles), self.protect):
            if source is not None:
                yield source
        yield from (s for s in (self.start_picture, self.encoder_weights) if s is not None)

    def without_paths(self) -> Self:
        """The same recipe as it may stand inside a picture: names and hashes only."""
        return type(self).model_validate(_dropped(self.model_dump(), "path"))


class TrainRecipe(Knobs):
    """Everything that decides what a training makes; the same recipe and pictures make the same network."""

    refusal: ClassVar[str] = "train.bad_knobs"

    name: str = Field(default="", pattern=r"^[\w.-]*$", max_length=60)
    styles: tuple[Source, ...] = Field(default=(), max_length=256)

    method: Literal["pastiche", "johnson", "cyclegan", "pairs", "gan"] = "pastiche"
    from_scratch: bool = False
    steps: int | None = Field(default=None, ge=1, le=100_000_000)
    epochs: float | None = Field(default=None, gt=0, le=100_000)
    hours: float | None = Field(default=None, gt=0, le=10_000)
    subset: int | None = Field(default=None, ge=1)
    batch: int = Field(default=4, ge=1, le=1024)
    crop: int = Field(default=256, ge=64, le=2048, multiple_of=8, json_schema_extra={"unit": "px"})
    style_size: int = Field(default=512, ge=64, le=4096, json_schema_extra={"unit": "px"})
    content_weight: float = Field(default=1.0, ge=0, le=1e12)
    style_weight: float = Field(default=3.0, ge=0, le=1e12)
    tv_weight: float = Field(default=0.0, ge=0, le=1e12)
    temporal_weight: float = Field(default=0.0, ge=0, le=1e12)
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    save_every: int = Field(default=200, ge=1)
    sample_every: int = Field(default=200, ge=1)

    losses: Literal["danqing", "pytorch-examples", "jcjohnson"] = "danqing"

    width: int = Field(default=64, ge=8, le=256, json_schema_extra=_ADVERSARY)
    blocks: int | None = Field(default=None, ge=1, le=32, json_schema_extra=_ADVERSARY)
    layers: int = Field(default=3, ge=1, le=5, json_schema_extra=_ADVERSARY)
    upsampling: Literal["transposed", "nearest"] = Field(default="transposed", json_schema_extra=_ADVERSARY)
    skips: bool = Field(default=False, json_schema_extra=_ADVERSARY)
    game: Literal["lsgan", "hinge"] = Field(default="lsgan", json_schema_extra=_ADVERSARY)
    adversary_weight: float = Field(default=1.0, ge=0, le=1e6, json_schema_extra=_ADVERSARY)
    cycle_weight: float = Field(default=10.0, ge=0, le=1e6, json_schema_extra=_ADVERSARY)
    identity_weight: float = Field(default=0.5, ge=0, le=1e6, json_schema_extra=_ADVERSARY)
    l1_weight: float = Field(default=100.0, ge=0, le=1e6, json_schema_extra=_ADVERSARY)
    pool: int = Field(default=50, ge=0, le=10_000, json_schema_extra=_ADVERSARY)
    augment: bool = Field(default=False, json_schema_extra=_ADVERSARY)
    penalty_weight: float = Field(default=1.0, ge=0, le=1e6, json_schema_extra=_ADVERSARY)
    penalty_every: int = Field(default=16, ge=1, le=10_000, json_schema_extra=_ADVERSARY)
    ema: float | None = Field(default=None, ge=0, lt=1, json_schema_extra=_ADVERSARY)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        lines = []
        if sum(budget is not None for budget in (self.steps, self.epochs, self.hours)) > 1:
            lines.append(text("recipe.bad_budgets"))
        if not (self.content_weight or self.style_weight):
            lines.append(text("recipe.bad_no_weight"))
        if self.method == "johnson" and len(self.styles) > 1:
            lines.append(text("recipe.bad_one_style"))
        if self.method != "pastiche" and self.temporal_weight:
            lines.append(text("recipe.bad_temporal", method=self.method))
        if self.method != "johnson" and self.losses != "danqing":
            lines.append(text("recipe.bad_losses", losses=self.losses))
        if lines:
            raise PydanticCustomError("danqing", "{line}", {"line": "; ".join(lines)})
        return self


def _dropped(values: Any, key: str, *, names_of_hashed: bool = False) -> Any:
    """Nested values without one key, and without the names of sources that have a hash."""
    if isinstance(values, list | tuple):
        return [_dropped(v, key, names_of_hashed=names_of_hashed) for v in values]
    if not isinstance(values, dict):
        return values
    hashed = names_of_hashed and values.get("sha256") is not None
    return {
        k: _dropped(v, key, names_of_hashed=names_of_hashed)
        for k, v in values.items()
        if k != key and not (hashed and k == "name")
    }
