"""Pictures of PIL as PNG, upright and in a mode that PNG has."""

from __future__ import annotations

from sys import modules

from .._base.typing import TYPE_CHECKING, defer_annotations
from ..exceptions import file_error

if TYPE_CHECKING:
    from typing import Any, TypeGuard

    from .types import Image as Image


# How PNG can store the pixels of an image
# (https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html#png).
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
# Integers of 32 bits, or of 16 bits in another order.
INTEGERS = ("I", "I;16B", "I;16L", "I;16N")
CONVERTED = {
    "CMYK": "RGB",
    "HSV": "RGB",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "La": "LA",
    "YCbCr": "RGB",
}
# The tag of EXIF that says how a camera was held; 1 is upright.
ORIENTATION = 0x0112


def is_image(value: object) -> TypeGuard[Image]:
    """Return whether a value is an image of PIL, which may not have been imported."""
    return isinstance(value, getattr(modules.get("PIL.Image"), "Image", ()))


def to_png(image: Any) -> bytes:
    """Return an image as PNG; the image stays as it is.

    Raises:
        FileError: Its file is truncated or damaged.
        TypeError: PNG cannot store its mode, and no conversion keeps what it shows.
        ValueError: It has no pixels, or some that PNG cannot store, or is closed.

    """
    width, height = image.size
    if not width or not height:
        raise ValueError(f"the picture has no pixels ({width} by {height})")
    try:
        # Before its EXIF is looked at: formats that turn their pixels themselves do it here.
        image.load()
    except ValueError:
        raise
    except Exception as error:
        raise file_error(
            f"the picture cannot be read: {error}", getattr(error, "errno", None)
        ) from error
    picture = _in_png_mode(_upright(image))
    try:
        return _written(picture)
    except Exception:  # noqa: BLE001 - what is said of the pixels may not fit them any more, and they are sound without it
        picture = picture.copy()
        picture.info.clear()
        return _written(picture)


def _written(picture: Any) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _upright(image: Any) -> Any:
    """Return an image with its pixels turned as its EXIF says, which PNG does not keep."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF raises anything, and the pixels are sound without it
        return image
    if orientation not in range(2, 9):
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _in_png_mode(image: Any) -> Any:
    mode = image.mode
    if mode in PNG_MODES:
        return image
    if mode in INTEGERS:
        wide = image.convert("I")
        low, high = wide.getextrema()
        if low < 0 or high >= 1 << 16:
            raise ValueError(
                f"PNG cannot store integers from {low} to {high}: scale the image to 0…65535 and"
                " convert it"
            )
        return wide.convert("I;16")
    if mode in CONVERTED:
        converted = image.convert(CONVERTED[mode])
    elif mode == "LAB":
        converted = _from_lab(image)
    else:
        raise TypeError(
            f"PNG cannot store an image of mode {mode}: convert it to RGB or RGBA, or save it to an"
            " io.BytesIO"
        )
    if mode in ("CMYK", "LAB"):
        # It is about other colours.
        converted.info.pop("icc_profile", None)
    return converted


def _from_lab(image: Any) -> Any:
    from importlib import import_module

    colours: Any = import_module("PIL.ImageCms")
    lab, rgb = colours.createProfile("LAB"), colours.createProfile("sRGB")
    return colours.applyTransform(image, colours.buildTransform(lab, rgb, "LAB", "RGB"))


defer_annotations(globals())
