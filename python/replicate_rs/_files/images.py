"""PIL images as PNG: upright, and in a mode that PNG supports."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING
from ..exceptions import file_error

if TYPE_CHECKING:
    from typing import Any


# Modes that PNG can store
# (https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html#png).
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
# Integers of 32 bits, and of 16 bits in another byte order.
INTEGER_MODES = ("I", "I;16B", "I;16L", "I;16N")
CONVERSIONS = {
    "CMYK": "RGB",
    "HSV": "RGB",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "La": "LA",
    "YCbCr": "RGB",
}
# The EXIF tag of the camera's orientation; 1 is upright.
ORIENTATION = 0x0112


def to_png(image: Any) -> bytes:
    """Return an image as PNG, and leave the image unchanged.

    Raises:
        FileError: The image's file is truncated or damaged.
        TypeError: PNG cannot store the image's mode, and no conversion keeps its look.
        ValueError: The image is closed, or has no pixels, or some that PNG cannot store.

    """
    width, height = image.size
    if not width or not height:
        raise ValueError(f"the picture has no pixels ({width} by {height})")
    try:
        # Before EXIF is read: formats that rotate their pixels themselves do it in load().
        image.load()
    except ValueError:
        raise
    except Exception as error:
        raise file_error(
            f"the picture cannot be read: {error}", getattr(error, "errno", None)
        ) from error
    image = _to_png_mode(_to_upright(image))
    try:
        return _save(image)
    except Exception:  # noqa: BLE001 - metadata may not fit the converted pixels; PNG does not need it
        image = image.copy()
        image.info.clear()
        return _save(image)


def _save(image: Any) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _to_upright(image: Any) -> Any:
    """Rotate an image as its EXIF orientation says, which PNG does not keep."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF raises anything; the pixels are good without it
        return image
    if orientation not in range(2, 9):
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _to_png_mode(image: Any) -> Any:
    mode = image.mode
    if mode in PNG_MODES:
        return image
    if mode in INTEGER_MODES:
        wide = image.convert("I")
        low, high = wide.getextrema()
        if low < 0 or high >= 1 << 16:
            raise ValueError(
                f"PNG cannot store integers from {low} to {high}: scale the image to 0…65535 and"
                " convert it"
            )
        return wide.convert("I;16")
    if mode in CONVERSIONS:
        converted = image.convert(CONVERSIONS[mode])
    elif mode == "LAB":
        converted = _from_lab(image)
    else:
        raise TypeError(
            f"PNG cannot store an image of mode {mode}: convert it to RGB or RGBA, or save it to an"
            " io.BytesIO"
        )
    if mode in ("CMYK", "LAB"):
        # The profile describes the old colour space.
        converted.info.pop("icc_profile", None)
    return converted


def _from_lab(image: Any) -> Any:
    from importlib import import_module

    cms: Any = import_module("PIL.ImageCms")
    lab, rgb = cms.createProfile("LAB"), cms.createProfile("sRGB")
    return cms.applyTransform(image, cms.buildTransform(lab, rgb, "LAB", "RGB"))
