"""Every mode that a decoder can hand over, turned into colours by one written rule each.

A decoded Pillow image, or whole numbers with more than 8 bits, go in; float32 sRGB colours and alpha come out. This
module opens no file. The rules:

    1, L            grey: all three colours alike; 1-bit is black and white
    LA, La, tRNS    the same with alpha; colours that were multiplied by alpha are divided by it again
    P, PA           the palette's colours; a transparent index, or the alpha of each entry, becomes alpha
    RGB, RGBA, RGBX, RGBa   as they are; X is ignored
    CMYK            by its profile; without one, R = (1 - C)(1 - K) and so on, and a note
    YCbCr, HSV      by Pillow's formulas (JFIF; Smith 1978)
    LAB             CIE L*a*b* under D50, by LittleCMS; a profile beside it is ignored
    I;16 and 16-bit RGB, RGBA, LA   at full precision; 65535 is 1; a transparent colour is compared at 16 bits
    I (32 bits)     0..65535 is taken as 16-bit; any other range is stretched so that its lowest value becomes 0 and
                    its highest 1, and a note
    F               NaN becomes 0, -Inf and +Inf the lowest and highest finite value, and a note; then 0..1 is taken
                    as sRGB as it stands, any other range is stretched, and a note; nothing finite is refused
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from danqing import scratch
from danqing.messages import text
from danqing.picture import profile

F32 = NDArray[np.float32]


class NotFinite(ValueError):
    """Not a single finite value."""


class UnknownMode(ValueError):
    """A mode that none of the rules is about."""


@dataclass(kw_only=True)
class Colours:
    """What came out of one file, the right way round or not yet.

    Attributes:
        pixels: float32 (H, W, 3), sRGB in 0..1.
        alpha: float32 (H, W) in 0..1, or None.
        icc: the profile that was converted from, or None for sRGB.
        notes: decisions on the way, a line each.
    """

    pixels: F32
    alpha: F32 | None = None
    icc: bytes | None = None
    notes: list[str] = field(default_factory=list)


def from_image(image: Image.Image, icc: bytes | None) -> Colours:
    """Any decoded Pillow image.

    Args:
        image: of any mode, loaded.
        icc: the profile that came with it.

    Raises:
        NotFinite: a float image without one finite value.
        UnknownMode: a mode that Pillow has and this module does not.
    """
    if image.mode.startswith("I;16"):
        return from_deep(np.asarray(image).astype(np.uint16)[..., None], icc, transparent=_transparent(image))
    if image.mode in ("I", "F"):
        return _from_range(np.asarray(image))
    if image.mode == "LAB":
        return Colours(pixels=_colours(_from_lab(image)))
    image, alpha = _split_alpha(image)
    notes: list[str] = []
    if image.mode == "CMYK" and not icc:
        notes.append(text("picture.note_cmyk"))
    used = None
    if icc:
        try:
            converted = profile.to_srgb_image(image, icc)
            used = icc if converted is not image else None
            image = converted
        except profile.BrokenProfile:
            notes.append(text("picture.note_profile"))
    if image.mode == "CMYK":
        image = image.convert("RGB")
    return Colours(pixels=_colours(image), alpha=alpha, icc=used, notes=notes)


def from_deep(
    values: NDArray[np.uint16],
    icc: bytes | None = None,
    *,
    top: int = 65535,
    transparent: tuple[int, ...] | None = None,
) -> Colours:
    """Whole numbers of up to 16 bits.

    Args:
        values: uint16 (H, W, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        icc: the profile that came with them.
        top: the value that means 1.
        transparent: the one colour that is not there (PNG's tRNS), compared exactly.
    """
    channels = values.shape[2]
    colours = values[..., :1] if channels < 3 else values[..., :3]
    pixels = scratch.pixels((*values.shape[:2], 3))
    np.divide(colours, top, out=pixels, casting="unsafe", dtype=np.float32)
    alpha = None
    if channels in (2, 4):
        alpha = np.divide(values[..., -1], top, dtype=np.float32, casting="unsafe")
    elif transparent is not None:
        alpha = (colours != np.array(transparent, dtype=np.int64)).any(axis=-1).astype(np.float32)
    notes, used = [], None
    if icc:
        try:
            converted = profile.to_srgb_array(pixels, icc)
            used = icc if converted is not pixels else None
            pixels = converted
        except profile.BrokenProfile:
            notes.append(text("picture.note_profile"))
    return Colours(pixels=np.minimum(pixels, 1, out=pixels), alpha=alpha, icc=used, notes=notes)


def _from_range(values: NDArray[Any]) -> Colours:
    """Grey values of any range, by the rules of I and F."""
    notes = []
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.any():
            raise NotFinite
        if not finite.all():
            low, high = float(values[finite].min()), float(values[finite].max())
            values = np.nan_to_num(values, nan=0.0, neginf=low, posinf=high)
            notes.append(text("picture.note_not_finite"))
        low, high, ends = float(values.min()), float(values.max()), (0.0, 1.0)
    else:
        low, high, ends = float(values.min()), float(values.max()), (0.0, 65535.0)
    if low < ends[0] or high > ends[1]:
        notes.append(text("picture.note_stretched", low=f"{low:.6g}", high=f"{high:.6g}"))
        ends = (low, high) if high > low else (low - 1.0, high)
    grey = ((values.astype(np.float64) - ends[0]) / (ends[1] - ends[0])).astype(np.float32)
    return Colours(pixels=np.repeat(grey[..., None], 3, axis=-1), notes=notes)


def _from_lab(image: Image.Image) -> Image.Image:
    source, target = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(
        source, target, "LAB", "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise UnknownMode("LAB")
    return converted


def _split_alpha(image: Image.Image) -> tuple[Image.Image, F32 | None]:
    """An image of at most 8 bits as L, RGB or CMYK, and its alpha."""
    if image.mode in ("RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[image.mode])
    elif image.mode == "PA" or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in ("P", "RGBX", "YCbCr", "HSV"):
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in ("RGBA", "LA"):
        alpha = np.divide(np.asarray(image.getchannel("A")), 255, dtype=np.float32)
        return image.convert("RGB" if image.mode == "RGBA" else "L"), alpha
    if image.mode not in ("L", "RGB", "CMYK"):
        raise UnknownMode(image.mode)
    return image, None


def _colours(image: Image.Image) -> F32:
    width, height = image.size
    pixels = scratch.pixels((height, width, 3))
    for top in range(0, height, 256):  # in bands, so that the copies stay small
        band = np.asarray(image.crop((0, top, width, min(top + 256, height))))
        np.divide(band if band.ndim == 3 else band[..., None], 255, out=pixels[top : top + 256], dtype=np.float32)
    return pixels


def _transparent(image: Image.Image) -> tuple[int, ...] | None:
    value = image.info.get("transparency")
    if isinstance(value, int):
        return (value,)
    return tuple(value) if isinstance(value, tuple) else None
