"""A local server with four small models.

Start it with ``python -m replicate_rs.local examples/models.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from PIL import Image, ImageFilter, ImageMath, ImageOps

from replicate_rs.local import Input, LocalReplicate, progress, sleep

server = LocalReplicate()

STEPS = 8


@server.model("acme/sketch")
def sketch(image: Path, strength: Annotated[float, Input(ge=0.5, le=10)] = 3.0) -> Image.Image:
    """Turn a photograph into a pencil sketch, in slow steps that report progress."""
    grey = ImageOps.grayscale(Image.open(image))
    drawing = grey
    for step in range(1, STEPS + 1):
        blurred = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(strength * step))
        drawing = Image.blend(drawing, _dodge(grey, blurred), step / STEPS)
        progress(step, STEPS)
        sleep(0.05)
    return drawing


def _dodge(front: Image.Image, back: Image.Image) -> Image.Image:
    """Brighten `front` where `back` is bright (the blend mode "color dodge")."""
    bright: Image.Image = ImageMath.lambda_eval(
        lambda args: args["min"](args["front"] * 255 / args["max"](255 - args["back"], 1), 255),
        front=front,
        back=back,
    )
    return bright.convert("L")


@server.model("acme/storyteller", stream=True)
def storyteller(prompt: str, words: int = 24) -> Iterator[str]:
    """Tell a story, word by word."""
    story = (
        f"Once upon a time there was {prompt}. It ran on Replicate, and nobody had to wait for it"
        " twice. " * 4
    )
    for word in story.split()[:words]:
        sleep(0.02)
        yield f"{word} "


@server.model("acme/shout")
def shout(text: str) -> str:
    """Return the text in upper case."""
    return text.upper()


@server.model("acme/tile")
def tile(hue: Annotated[int, Input(ge=0, le=255)]) -> Image.Image:
    """Paint a small tile."""
    sleep(0.05)
    return Image.new("HSV", (32, 32), (hue, 160, 220)).convert("RGB")
