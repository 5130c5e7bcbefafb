"""Colour profiles: pixels in any profile go in, sRGB comes out.

Two ways, one result. Pixels of 8 bits go through LittleCMS, which reads every profile. Pixels of 16 bits, which
Pillow's LittleCMS cannot take, are computed here in float32 when the profile is of the common kind, a matrix with
tone curves (sRGB, Display P3, Adobe RGB, ProPhoto, every grey one); for the other kinds they go through LittleCMS
at 8 bits. Relative colorimetric intent with black point compensation; colours outside sRGB are clipped.

A profile that equals sRGB changes nothing, not even by rounding. Source: ICC.1:2022, sections 7.2, 10.6 and 10.18.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

F32 = NDArray[np.float32]

# Linear sRGB to XYZ under D50, as in every sRGB profile (IEC 61966-2-1, Bradford-adapted).
SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


class BrokenProfile(ValueError):
    """A profile that cannot be used; the pixels are then taken as sRGB."""


@dataclass(frozen=True)
class Matrix:
    """A profile of tone curves and a matrix.

    Attributes:
        curves: 1024 values each, encoded 0..1 -> linear 0..1; one for grey, three for RGB.
        matrix: linear RGB -> XYZ under D50; None for grey.
    """

    curves: tuple[NDArray[np.float64], ...]
    matrix: NDArray[np.float64] | None

    @property
    def is_srgb(self) -> bool:
        """Whether it means the same as sRGB, to within half a step of 8 bits."""
        if self.matrix is not None and np.abs(self.matrix - SRGB_TO_XYZ).max() > 2e-3:
            return False
        steps = np.linspace(0, 1, 1024)
        return all(np.abs(encode(curve) - steps).max() < 0.5 / 255 for curve in self.curves)


def decode(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """sRGB's tone curve: encoded 0..1 -> linear 0..1 (IEC 61966-2-1)."""
    low = values <= 0.04045
    return np.where(low, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def encode(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The inverse of `decode`."""
    low = values <= 0.0031308
    return np.where(low, values * 12.92, 1.055 * np.maximum(values, 0.0031308) ** (1 / 2.4) - 0.055)


@cache
def srgb() -> bytes:
    """The sRGB profile that written pictures carry; the same bytes on every day."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # LittleCMS writes the present date there
    return bytes(made)


def to_srgb_image(image: Image.Image, icc: bytes) -> Image.Image:
    """An 8-bit image (L, RGB or CMYK) of a profile, as RGB (or L when sRGB already) in sRGB.

    Raises:
        BrokenProfile: the profile cannot be read, or is not for such an image.
    """
    if icc == srgb() and image.mode in ("L", "RGB"):
        return image
    matrix = read_matrix(icc)
    if matrix is not None and matrix.is_srgb and image.mode in ("L", "RGB"):
        return image
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.ImageCmsProfile(io.BytesIO(srgb())),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise BrokenProfile from error
    if converted is None:
        raise BrokenProfile
    return converted


def to_srgb_array(pixels: F32, icc: bytes) -> F32:
    """float32 (H, W, 3), encoded 0..1 in a profile -> the same in sRGB, at float precision where the profile allows.

    Raises:
        BrokenProfile: the profile cannot be read, or is not for such pixels.
    """
    matrix = None if icc == srgb() else read_matrix(icc)
    if icc == srgb() or (matrix is not None and matrix.is_srgb):
        return pixels
    if matrix is None:
        eight = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
        return np.asarray(np.divide(np.asarray(to_srgb_image(eight, icc)), 255, dtype=np.float32))
    out = np.empty_like(pixels)
    grid = np.linspace(0, 1, 1024)
    for top in range(0, len(pixels), 256):  # in bands, so that the float64 copies stay small
        band = pixels[top : top + 256]
        linear = np.stack([np.interp(band[..., c], grid, matrix.curves[c % len(matrix.curves)]) for c in range(3)], -1)
        if matrix.matrix is not None:
            linear = linear @ (np.linalg.inv(SRGB_TO_XYZ) @ matrix.matrix).T
        out[top : top + 256] = encode(np.clip(linear, 0, 1))
    return out


def read_matrix(icc: bytes) -> Matrix | None:
    """The matrix and curves of a profile, or None when it is of another kind (tables, CMYK) or unreadable."""
    try:
        tags = _tags(icc)
        space = icc[16:20]
        if space == b"GRAY" and b"kTRC" in tags:
            return Matrix((_curve(tags[b"kTRC"]),), None)
        if space != b"RGB " or icc[20:24] != b"XYZ " or b"A2B0" in tags or b"A2B1" in tags:
            return None
        curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        columns = [_s15(tags[name], 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        matrix = np.array(columns).T
        np.linalg.inv(matrix)
    except (struct.error, LookupError, ValueError, np.linalg.LinAlgError):
        return None
    return Matrix(curves, matrix)


def _tags(icc: bytes) -> dict[bytes, memoryview]:
    """The tags by name, none of them copied: a thousand may cover the same bytes."""
    if icc[36:40] != b"acsp":
        raise ValueError("no ICC profile")
    count = struct.unpack_from(">I", icc, 128)[0]
    if count > 1000:
        raise ValueError("too many tags")
    entries = (struct.unpack_from(">4sII", icc, 132 + 12 * n) for n in range(count))
    whole = memoryview(icc)
    return {name: whole[offset : offset + length] for name, offset, length in entries}


def _s15(tag: memoryview, at: int, count: int) -> list[float]:
    return [v / 65536 for v in struct.unpack_from(f">{count}i", tag, at)]


def _curve(tag: memoryview) -> NDArray[np.float64]:
    """A tone curve as 1024 values: `curv` (table or gamma) or `para` (ICC.1 table 68)."""
    x = np.linspace(0, 1, 1024)
    if bytes(tag[:4]) == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        if count == 0:
            return x
        table = np.array(struct.unpack_from(f">{count}H", tag, 12), dtype=np.float64)
        if count == 1:
            return np.asarray(x ** (table[0] / 256))
        return np.interp(x, np.linspace(0, 1, count), table / 65535)
    if bytes(tag[:4]) != b"para":
        raise ValueError("no curve")
    kind = struct.unpack_from(">H", tag, 8)[0]
    g, a, b, c, d, e, f = (_s15(tag, 12, (1, 3, 4, 5, 7)[kind]) + [0.0] * 6)[:7]
    if kind == 0:
        return np.asarray(x**g)
    power = np.maximum(a * x + b, 0) ** g
    if kind in (1, 2):
        return np.where(x >= -b / a if a else True, power + c, c)
    return np.where(x >= d, power + e, c * x + f)
