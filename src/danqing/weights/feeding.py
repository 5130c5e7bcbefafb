"""Feeding: in what range and order of colours a VGG wants its pictures, told from the weights or from what is stated.

Arrays, a file's own words or its name go in, a `Feed` comes out, or None where nobody can know. The size of weights
does not tell: Oxford's networks see 0..255 and torchvision's about -2..2, but both were trained from scratch, and the
first layers of both have norms near 1 and biases near 0.5. So the published networks are known by the values of their
first kernel, whatever their later layers are, and for all others somebody has to say it. This module opens no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from danqing.errors import ModelDamaged
from danqing.files import shown
from danqing.messages import text

Colour = tuple[float, float, float]

TOLERANCE = 0.01
"""How far a first kernel may be from a published one, of its norm; half precision costs 0.0005 to 0.004."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How pictures are prepared; the fields of a `Card` of the same names.

    Attributes:
        channels: the order in which the first layer sees colours.
        value_range: before the mean is taken away.
        mean, std: taken away and divided out, in the order of `channels` and the units of `value_range`.
    """

    channels: Literal["RGB", "BGR"]
    value_range: tuple[float, float]
    mean: Colour
    std: Colour

    def __str__(self) -> str:
        low, high = self.value_range
        told = f"{self.channels} {low:g}..{high:g} - ({', '.join(f'{v:g}' for v in self.mean)})"
        return told if self.std == (1, 1, 1) else f"{told} / ({', '.join(f'{v:g}' for v in self.std)})"

    def reversed(self) -> Feed:
        """The same with the other order of colours."""
        other: Literal["RGB", "BGR"] = "RGB" if self.channels == "BGR" else "BGR"
        (a, b, c), (d, e, f) = self.mean, self.std
        return Feed(channels=other, value_range=self.value_range, mean=(c, b, a), std=(f, e, d))


TORCHVISION = Feed(channels="RGB", value_range=(0, 1), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CAFFE = Feed(channels="BGR", value_range=(0, 255), mean=(103.939, 116.779, 123.68), std=(1, 1, 1))
STATED = {"torchvision": TORCHVISION, "caffe": CAFFE}
"""Words by which a file's name or its maker may say it."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network that everybody has.

    Attributes:
        name: what a user knows it by.
        feed: how its maker fed it.
        kernel: conv1_1's first, of the first colour of `feed`, rows from the top.
        bias: of the same, where it is known.
    """

    name: str
    feed: Feed
    kernel: tuple[float, ...]
    bias: float | None = None


PUBLISHED = (
    Published(
        name="Caffe VGG-19",
        feed=CAFFE,
        kernel=(0.341195, 0.339992, -0.044844, 0.232159, 0.089782, -0.303314, -0.072609, -0.246675, -0.336833),
        bias=0.730178,
    ),
    Published(
        name="Caffe VGG-16",
        feed=CAFFE,
        kernel=(0.429471, 0.373467, -0.061360, 0.274770, 0.038681, -0.367223, -0.057468, -0.262250, -0.350097),
        bias=0.734298,
    ),
    Published(
        name="torchvision VGG-19",
        feed=TORCHVISION,
        kernel=(-0.053474, -0.049257, -0.067942, 0.015314, 0.045068, 0.002144, 0.036226, 0.019999, 0.019864),
    ),
    Published(
        name="torchvision VGG-16",
        feed=TORCHVISION,
        kernel=(-0.5537, 0.1427, 0.5290, -0.5831, 0.3566, 0.7657, -0.6902, -0.0480, 0.4841),
        bias=0.4034,
    ),
)


def decide(
    path: Path, first: tuple[NDArray[Any], NDArray[Any]], *, words: str = "", mean: Colour | None = None
) -> tuple[Feed, str]:
    """How a true VGG without papers is fed, and the line for the user that says how that was found out.

    Args:
        path: of its file; only the name counts.
        first: weight (64, 3, 3, 3) and bias (64,) of conv1_1.
        words: what the file says of its input.
        mean: R, G, B in 0..255, from a `.mat`.

    Raises:
        ModelDamaged: nobody can know; the line says what the user can do.
    """
    name, card = shown(path.name), shown(path.with_suffix(".toml").name)
    if path.suffix.lower() == ".mat":
        if mean is None:
            raise ModelDamaged(text("weights.no_mean", name=name, card=card))
        feed = Feed(channels="RGB", value_range=(0, 255), mean=mean, std=(1, 1, 1))
        return feed, text("weights.fed_mat", name=name, feed=feed)
    if by_words := stated(words):
        return by_words, text("weights.fed_stated", name=name, feed=by_words)
    if by_values := known(*first):
        return by_values[1], text("weights.fed_known", name=name, network=by_values[0], feed=by_values[1])
    if by_name := named(path.stem):
        return by_name, text("weights.fed_named", name=name, feed=by_name)
    raise ModelDamaged(text("weights.no_feed", name=name, card=card))


def known(weight: NDArray[Any], bias: NDArray[Any]) -> tuple[str, Feed] | None:
    """The published network that a first layer is of, and how it is fed.

    Kernels that were divided by their mean activation together with their biases (Gatys et al.'s normalised VGG) are
    recognised too, and a first layer turned from B, G, R to R, G, B.

    Args:
        weight: of conv1_1, (out, 3, 3, 3).
        bias: of conv1_1, (out,).
    """
    for network in PUBLISHED:
        for channel, feed in ((0, network.feed), (2, network.feed.reversed())):
            if _same(weight[0, channel].ravel().astype(np.float64), float(bias[0]), network):
                return network.name, feed
    return None


def _same(kernel: NDArray[np.float64], bias: float, network: Published) -> bool:
    """Whether a kernel is a network's first one, either as it is or scaled together with its bias."""
    wanted = np.array(network.kernel)
    scale = float(kernel @ wanted / (wanted @ wanted))
    if scale <= 0 or np.linalg.norm(kernel - scale * wanted) > TOLERANCE * np.linalg.norm(kernel):
        return False
    scaled = network.bias is not None and abs(bias / (scale * network.bias) - 1) <= TOLERANCE
    return scaled or (network.bias is None and abs(scale - 1) <= TOLERANCE)


def stated(words: str) -> Feed | None:
    """What a file says of its input, such as `BGR, 0..255, minus (103.939,116.779,123.68)`."""
    plain = words.replace(" ", "")
    order = re.search("RGB|BGR", plain)
    if order is None or "0..255" not in plain:
        return named(plain)
    feed = CAFFE if order[0] == "BGR" else CAFFE.reversed()
    number = r"([0-9]{1,3}(?:\.[0-9]{1,9})?)"
    if mean := re.search(rf"minus\({number},{number},{number}\)", plain):
        told = (float(mean[1]), float(mean[2]), float(mean[3]))
        return Feed(channels=feed.channels, value_range=feed.value_range, mean=told, std=feed.std)
    return feed


def named(name: str) -> Feed | None:
    """What the one word of `STATED` in a name says."""
    found = [feed for word, feed in STATED.items() if word in name.lower()]
    return found[0] if len(found) == 1 else None
