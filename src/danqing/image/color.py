"""Colour statistics of one picture given to another.

Pixels (H, W, 3), float32 sRGB in 0..1, go in and come out. `keep_color` gives a painting the colours of its photo, in
one of four ways; `transfer` gives a photo the colours of a painting, which is the baseline that any painting must beat
(docs: how a painting is judged). All statistics are those of the encoded values, as screens show them; the last step
is always to clip to 0..1, which is the only reason why a result's statistics can differ from what is promised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from danqing.image.fit import resize
from danqing.picture.profile import decode, encode

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
"""Y of YIQ and Y'CbCr (ITU-R BT.601)."""

# RGB -> LMS, and the decorrelated axes of log LMS: Reinhard et al. 2001, equations 4 and 6.
_RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_LMS_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])
_DARKEST = 1e-3  # linear; below it a logarithm says more about noise than about colour

_VARIANCE = 4e-6  # a deviation of half a step of 8 bits: along such an axis a picture does not vary, it is rounded


def keep_color(painting: F32, content: F32, how: str) -> F32:
    """The painting with the colours of the photo.

    Args:
        painting, content: (H, W, 3) in 0..1; their sizes may differ.
        how: `luminance`, `moments`, `coral` or `histogram`: see the function of that name.

    Returns:
        (H, W, 3) of the painting's size, in 0..1.

    Raises:
        ValueError: another way than these.
    """
    if how not in KEEP_COLOR:
        raise ValueError(f"colours are kept by {', '.join(KEEP_COLOR)}, not by {how!r}")
    return KEEP_COLOR[how](painting, content)


def luminance(painting: F32, content: F32) -> F32:
    """Light and dark of the painting, hue of the photo, pixel by pixel.

    out = content + (Y(painting) - Y(content)), Y = 0.299 R + 0.587 G + 0.114 B. Source: Gatys et al. 2016, "Preserving
    color in neural artistic style transfer", section 5. Departure: where the sum leaves 0..1 its distance from grey is
    shortened rather than each colour clipped, so that Y(out) = Y(painting) everywhere.
    """
    height, width = painting.shape[:2]
    if content.shape[:2] != (height, width):
        content = np.clip(resize(content, (width, height)), 0, 1)
    luma = LUMA.astype(np.float32)
    grey = np.clip(painting @ luma, 0, 1)[..., None]
    chroma = content - (content @ luma)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(chroma > 0, (1 - grey) / chroma, np.where(chroma < 0, -grey / chroma, np.inf))
    shortened = np.minimum(1, room.min(axis=-1, keepdims=True))
    return _clipped(grey + shortened * chroma)


def moments(painting: F32, content: F32) -> F32:
    """Mean and deviation of each channel of the photo, in a space whose channels are decorrelated.

    x -> (x - mean(painting)) * std(content) / std(painting) + mean(content) per channel of l-alpha-beta, the rotated
    logarithms of cone responses. Source: Reinhard et al. 2001, "Color transfer between images". Departures: RGB is
    sRGB made linear, and values below 0.001 are raised to it before the logarithm.
    """
    source, target = _to_lab(painting), _to_lab(content)
    scale = target.std(axis=(0, 1)) / np.maximum(source.std(axis=(0, 1)), 1e-6)
    return _from_lab((source - source.mean(axis=(0, 1))) * scale + target.mean(axis=(0, 1)))


def coral(painting: F32, content: F32) -> F32:
    """Mean and full covariance of the photo: whitened, then coloured.

    x -> (x - mean(painting)) C_p^(-1/2) C_c^(1/2) + mean(content), symmetric roots. Source: Sun et al. 2016, "Return of
    frustratingly easy domain adaptation". Along axes where the painting does not vary nothing is invented.
    """
    (mean_p, cov_p), (mean_c, cov_c) = _statistics(painting), _statistics(content)
    return _affine(painting, mean_p, _power(cov_p, -0.5) @ _power(cov_c, 0.5), mean_c)


def histogram(painting: F32, content: F32) -> F32:
    """The exact histogram of the photo on each of the photo's own principal axes.

    The painting first takes on the photo's mean and covariance (as `coral`), then on each principal axis of the photo
    its n-th value becomes the photo's n-th value; equal values stay equal, at the mean of what they would become.
    Source: histogram specification (Gonzalez & Woods, section 3.3) in the PCA basis, as in Hertzmann's and many later
    colour matchings.
    """
    (mean_p, cov_p), (mean_c, cov_c) = _statistics(painting), _statistics(content)
    basis = np.linalg.eigh(cov_c)[1]
    moved = (painting.reshape(-1, 3) - mean_p) @ (_power(cov_p, -0.5) @ _power(cov_c, 0.5) @ basis)
    wanted = (content.reshape(-1, 3) - mean_c) @ basis
    matched = np.stack([_specified(moved[:, axis], wanted[:, axis]) for axis in range(3)], axis=-1)
    return _clipped((matched @ basis.T + mean_c).reshape(painting.shape))


def transfer(content: F32, style: F32) -> F32:
    """The photo with the mean and covariance of the style's colours, by one 3x3 matrix: no stroke at all.

    Of the matrices that do so, the one that moves colours least:
    A = C_c^(-1/2) (C_c^(1/2) C_s C_c^(1/2))^(1/2) C_c^(-1/2). Source: Pitie & Kokaram 2007, "The linear
    Monge-Kantorovitch linear colour mapping for example-based colour transfer".
    """
    (mean_c, cov_c), (mean_s, cov_s) = _statistics(content), _statistics(style)
    root, inverse = _power(cov_c, 0.5), _power(cov_c, -0.5)
    return _affine(content, mean_c, inverse @ _power(root @ cov_s @ root, 0.5) @ inverse, mean_s)


KEEP_COLOR: dict[str, Callable[[F32, F32], F32]] = {
    "luminance": luminance,
    "moments": moments,
    "coral": coral,
    "histogram": histogram,
}


def _clipped(values: NDArray[np.floating]) -> F32:
    return np.asarray(np.clip(values, 0, 1), dtype=np.float32)


def _statistics(pixels: F32) -> tuple[F64, F64]:
    """Mean (3,) and covariance (3, 3) over all pixels."""
    flat = pixels.reshape(-1, 3)
    mean = flat.mean(axis=0, dtype=np.float64)
    centred = flat - mean
    return mean, centred.T @ centred / len(flat)


def _power(covariance: F64, exponent: float) -> F64:
    """A power of a symmetric matrix; of axes without variance a negative power is 0."""
    values, vectors = np.linalg.eigh(covariance)
    usable = values > (_VARIANCE if exponent < 0 else 0)
    powers = np.where(usable, np.where(usable, values, 1.0) ** exponent, 0.0)
    return np.asarray((vectors * powers) @ vectors.T)


def _affine(pixels: F32, mean: F64, matrix: F64, target: F64) -> F32:
    offset = (target - mean @ matrix).astype(np.float32)
    return _clipped(pixels @ matrix.astype(np.float32) + offset)


def _to_lab(pixels: F32) -> F64:
    linear = decode(pixels.astype(np.float64))
    return np.asarray(np.log10(np.maximum(linear @ _RGB_TO_LMS.T, _DARKEST)) @ _LMS_TO_LAB.T)


def _from_lab(lab: F64) -> F32:
    linear = 10 ** (lab @ np.linalg.inv(_LMS_TO_LAB).T) @ np.linalg.inv(_RGB_TO_LMS).T
    return _clipped(encode(np.clip(linear, 0, 1)))


def _specified(values: F64, wanted: F64) -> F64:
    """Values with the distribution of others: rank for rank, ties together; sizes may differ."""
    distinct, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    sorted_wanted = np.sort(wanted)
    quantiles = np.interp(ranks, (np.arange(len(wanted)) + 0.5) / len(wanted), sorted_wanted)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(quantiles, starts) / counts
    return np.asarray(means[where].reshape(values.shape) if len(distinct) else values)
