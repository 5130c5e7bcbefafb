"""Card: a model's papers. What it is, where it comes from, what it may be used for, and how it wants to be fed.

A weight file without its preprocessing is the commonest silent failure of this field: right weights, wrong mean. So
weights travel with a card, a TOML file beside them, and nothing is loaded that the card does not describe. This module
reads and checks cards; it opens no weights (`catalog`) and knows no network.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from danqing.errors import ModelDamaged, ModelMissing
from danqing.files import shown
from danqing.messages import text

MAX_BYTES = 1_000_000
"""The longest card that is read."""

FileName = Annotated[str, Field(pattern=r"^[^/\\:\x00-\x1f]*[^/\\:\x00-\x1f.]$", max_length=255)]
"""A name without folders, and neither `.` nor `..`."""

Hash = Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Address = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?/[!-~]+$", max_length=2000)]


class LearntStyle(BaseModel):
    """A style that a network paints in, and whose work it was learnt from.

    Attributes:
        name: what the command line calls it.
        title, title_zh, artist, date: of the work.
        source, url: who keeps the work or its reproduction, and where it can be seen.
        classic: the model of older tools (fast-neural-style) that it comes nearest to, if any.
        sha256: of the picture that was learnt from.
        box: the part of it, left, top, right and bottom in 0..1; None = all of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=100)]
    title: str = ""
    title_zh: str = ""
    artist: str = ""
    date: str = ""
    source: str = ""
    url: str = ""
    classic: str = ""
    sha256: Hash | None = None
    box: tuple[Share, Share, Share, Share] | None = None

    def part(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The part of a picture (H, W, ...) that was learnt from."""
        left, top, right, bottom = self.box or (0, 0, 1, 1)
        height, width = pixels.shape[:2]
        return pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


class Card(BaseModel):
    """A model's papers.

    Attributes:
        name: what the catalog calls it.
        kind: what it is for: an encoder sees, a pastiche network paints in what it has learnt, a network of another
            tool in the one style that it has.
        file: the weights' file name beside the card.
        sha256: of that file; of one that is downloaded, at least the 8 digits that its publisher vouches for.
        onnx, onnx_sha256: the same network as a graph for runtimes without torch, where there is one.
        vectors, vectors_sha256: the style vectors of a pastiche network, float16 (3, P) under the name of each style,
            for the fine, the middling and the broad brush.
        predictor, predictor_sha256: the graph that predicts its style vectors.
        styles: what it paints in, in the order in which they are listed.
        urls: where the weights are to be had, in the order to try; none for those that come with danqing.
        bytes: size of a file that is downloaded.
        license: SPDX identifier, or `unknown`.
        origin: who made it, from what, how it can be made again.
        teacher: whose knowledge it was distilled from.
        data: what it has seen.
        quality: measured figures with the command that measures them.
        parity: greatest difference from what torch computes, or what it was made from, by what was compared.
        channels: the order in which the first layer sees colours.
        value_range: of the input, before the mean is taken away.
        mean, std: taken away from and divided out of each channel, in the order of `channels` and the units of
            `value_range`.
        layout: the order of a picture's axes.
        picture, painting: what the graph calls its input and its output.
        output_range: of the output, once `output_mean` is added to each channel, in the order of `channels`.
        fixed_size: (width, height) in px where the graph takes one size only.
        padding: of each convolution.
        multiple_of, min_size: what sizes it takes, px.
        layers: the features it gives, by name.
        note: how the preprocessing was found out where the weights came without papers, one line for the user.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=100)]
    kind: Literal["encoder", "pastiche", "network"]
    file: FileName
    sha256: Hash
    onnx: FileName | None = None
    onnx_sha256: Hash | None = None
    vectors: FileName | None = None
    vectors_sha256: Hash | None = None
    predictor: FileName | None = None
    predictor_sha256: Hash | None = None
    styles: tuple[LearntStyle, ...] = ()
    urls: tuple[Address, ...] = ()
    bytes: int | None = Field(default=None, gt=0)
    license: Annotated[str, Field(min_length=1)]
    origin: Annotated[str, Field(min_length=1)]
    teacher: str = ""
    data: str = ""
    quality: dict[str, float | str] = Field(default_factory=dict)
    parity: dict[str, float] = Field(default_factory=dict)
    channels: Literal["RGB", "BGR"] = "RGB"
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    picture: Annotated[str, Field(min_length=1, max_length=200)] = "picture"
    painting: Annotated[str, Field(min_length=1, max_length=200)] = "painting"
    output_range: tuple[float, float] = (0.0, 1.0)
    output_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    fixed_size: tuple[Annotated[int, Field(ge=1, le=65536)], Annotated[int, Field(ge=1, le=65536)]] | None = None
    padding: Literal["zeros", "reflect"] = "zeros"
    multiple_of: int = Field(default=1, ge=1)
    min_size: int = Field(default=1, ge=1)
    layers: tuple[str, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.value_range[0] >= self.value_range[1]:
            raise ValueError("value_range must rise")
        if self.output_range[0] >= self.output_range[1]:
            raise ValueError("output_range must rise")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        if len(self.sha256) < 64 and not self.urls:
            raise ValueError("sha256 may be shortened only where the weights are downloaded")
        if bool(self.urls) != bool(self.bytes):
            raise ValueError("urls and bytes belong together")
        if bool(self.onnx) != bool(self.onnx_sha256):
            raise ValueError("onnx and onnx_sha256 belong together")
        if bool(self.vectors) != bool(self.vectors_sha256):
            raise ValueError("vectors and vectors_sha256 belong together")
        if bool(self.predictor) != bool(self.predictor_sha256):
            raise ValueError("predictor and predictor_sha256 belong together")
        if len({style.name for style in self.styles}) < len(self.styles):
            raise ValueError("two styles of one name")
        return self

    def files(self) -> dict[str, str]:
        """What belongs to the model beside its card: {file name: sha256}."""
        pairs = (
            (self.file, self.sha256),
            (self.onnx, self.onnx_sha256),
            (self.vectors, self.vectors_sha256),
            (self.predictor, self.predictor_sha256),
        )
        return {name: digest for name, digest in pairs if name and digest}

    def to_toml(self) -> str:
        """The card as it stands beside the model."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_defaults=True))

    @staticmethod
    def load(path: Path) -> Card:
        """A card from its TOML file.

        Raises:
            ModelMissing: no such file, or it cannot be read.
            ModelDamaged: not a card; everything that is wrong with it is listed.
        """
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ModelMissing(text("catalog.card_unreadable", name=shown(path), reason=reason)) from error
        try:
            if len(data) > MAX_BYTES:
                raise ValueError(f"> {MAX_BYTES} bytes")
            return _read(data)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or '-'}: {e['msg']}" for e in found[:8])
            raise ModelDamaged(text("catalog.card_damaged", name=shown(path), problems=shown(problems))) from error
        except (ValueError, RecursionError) as error:
            reason = shown(str(error)[:200])
            raise ModelDamaged(text("catalog.card_damaged", name=shown(path), problems=reason)) from error

    def transform(self) -> tuple[tuple[tuple[float, float, float], ...], tuple[float, float, float]]:
        """The preprocessing as one affine map: the first layer sees `matrix @ rgb + bias`, rgb in 0..1."""
        low, high = self.value_range
        columns = [self.channels.index(channel) for channel in "RGB"]  # where each row's colour stands
        rows = []
        for place, spread in enumerate(self.std):
            scale = (high - low) / spread
            rows.append(tuple(scale if columns[colour] == place else 0.0 for colour in range(3)))
        bias = tuple((low - mean) / spread for mean, spread in zip(self.mean, self.std, strict=True))
        return tuple((r[0], r[1], r[2]) for r in rows), (bias[0], bias[1], bias[2])


@lru_cache(64)
def _read(data: bytes) -> Card:
    """A card from its TOML; the same cards are read for every painting, and parsed for the first."""
    return Card.model_validate(tomllib.loads(data.decode("utf-8")))


@dataclass(frozen=True, eq=False)
class Network:
    """A network that is here: its papers, and its graph.

    Attributes:
        card: its `file` need not lie anywhere.
        graph: the ONNX model.
        notes: what had to be found out about it, a line each, in the user's language.
        source_sha256: of the file that it came in.
    """

    card: Card
    graph: bytes = field(repr=False)
    notes: tuple[str, ...] = ()
    source_sha256: str | None = None
