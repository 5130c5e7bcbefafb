"""Card: a model's papers. What it is, where it comes from, what it may be used for, and how it wants to be fed.

A weight file without its preprocessing is the commonest silent failure of this field: right weights, wrong mean. So
weights travel with a card, and nothing is loaded that the card does not describe.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Card(BaseModel):
    """A model's papers.

    Attributes:
        name: what the catalog calls it.
        kind: what it is for.
        file: the weights' file name beside the card.
        sha256: of that file.
        license: SPDX identifier, or `unknown`.
        origin: who made it, from what, how it can be made again.
        teacher: whose knowledge it was distilled from.
        data: what it has seen.
        quality: measured figures with the command that measures them.
        channels: the order in which the first layer sees colours.
        value_range: of the input, before the mean is taken away.
        mean, std: taken away from and divided out of each channel, in the units of `value_range`.
        padding: of each convolution.
        multiple_of, min_size: what sizes it takes, px.
        layers: the features it gives, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["encoder", "pastiche"]
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    license: str
    origin: str
    teacher: str = ""
    data: str = ""
    quality: dict[str, float | str] = Field(default_factory=dict)
    channels: Literal["RGB", "BGR"] = "RGB"
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    padding: Literal["zeros", "reflect"] = "zeros"
    multiple_of: int = 1
    min_size: int = 1
    layers: tuple[str, ...] = ()
