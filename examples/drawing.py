"""A local server with models that draw pictures, for the notebooks; it needs no other package.

Start it with ``python -m replicate_rs.local examples/drawing.py``.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Annotated, Literal

from replicate_rs.local import Input, LocalReplicate, progress, sleep

server = LocalReplicate()
# The pictures, until this program ends.
folder = TemporaryDirectory(prefix="pictures-")

SIGNATURE = b"\x89PNG\r\n\x1a\n"
STEPS = 8
COLORS = 12
# The colors of three points between which a picture's colors change.
PALETTES = ((0.0, 0.33, 0.67), (0.0, 0.1, 0.2), (0.3, 0.2, 0.2), (0.8, 0.9, 0.3))


@server.model("acme/painter")
def painter(
    prompt: Annotated[str, Input(description="What the picture is called: it decides the colors")],
    style: Annotated[
        Literal["rings", "waves", "plasma"], Input(description="The pattern that is drawn")
    ] = "rings",
    size: Annotated[int, Input(ge=16, le=256, description="Width and height in pixels")] = 96,
    count: Annotated[int, Input(ge=1, le=8, description="The number of pictures")] = 1,
    seed: Annotated[int, Input(ge=0, description="Other pictures of the same prompt")] = 0,
) -> list[Path]:
    """Draw abstract pictures that depend on a prompt."""
    if "dragon" in prompt:
        raise ValueError("there are no dragons")
    pictures: list[Path] = []
    for number in range(count):
        digest = sha256(f"{prompt}/{seed + number}".encode()).digest()
        pictures.append(save(draw(style, digest, size), f"picture-{number + 1}.png"))
        progress(number + 1, count)
    return pictures


@server.model("acme/mirror")
def mirror(image: bytes) -> Path:
    """Turn a picture of acme/painter around."""
    width, rows = from_png(image)
    flipped = [b"".join(row[at : at + 3] for at in range(len(row) - 3, -1, -3)) for row in rows]
    return save(encode(width, flipped))


@server.model("acme/developer")
def developer(
    seconds: Annotated[float, Input(ge=0, le=60, description="How long it takes")] = 1.0,
) -> Path:
    """Draw a picture slowly, and report the progress."""
    for step in range(1, STEPS + 1):
        sleep(seconds / STEPS)
        progress(step, STEPS)
    return save(draw("plasma", sha256(b"developer").digest(), 96))


@server.model("acme/storyteller", stream=True)
def storyteller(prompt: str, words: int = 24) -> Iterator[str]:
    """Tell a story, word by word."""
    story = f"Once upon a time there was {prompt}. It ran on Replicate, and all was well. " * 4
    for word in story.split()[:words]:
        sleep(0.02)
        yield f"{word} "


def paint(style: str, digest: bytes, x: float, y: float) -> bytes:
    """Return the color of a point, whose coordinates are between -1 and 1."""
    shift, twist, scale = digest[0] / 255, digest[1] / 64, 2 + digest[2] / 64
    if style == "rings":
        dx, dy = x - digest[3] / 255 + 0.5, y - digest[4] / 255 + 0.5
        value = math.sin(scale * 3 * math.hypot(dx, dy) + twist)
    elif style == "waves":
        value = math.sin(
            scale * 2 * (x * math.cos(twist) + y * math.sin(twist)) + 2 * math.sin(y * 3)
        )
    else:
        value = (
            math.sin(scale * x + twist)
            + math.sin(scale * (y * math.sin(twist) + x * math.cos(shift)))
            + math.sin(scale * math.hypot(x, y) * 2)
        ) / 3
    # Few colors, so that the pictures are small files.
    value = round(value * COLORS) / COLORS
    palette = PALETTES[digest[5] % len(PALETTES)]
    return bytes(
        round(127 + 127 * math.cos(2 * math.pi * (value / 2 + shift + phase))) for phase in palette
    )


def draw(style: str, digest: bytes, size: int) -> bytes:
    """Return a square picture as PNG."""
    places = [2 * place / (size - 1) - 1 for place in range(size)]
    return encode(size, [b"".join(paint(style, digest, x, y) for x in places) for y in places])


def encode(width: int, rows: list[bytes]) -> bytes:
    """Return rows of pixels, three bytes each, as PNG."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def save(picture: bytes, name: str = "picture.png") -> Path:
    """Return a file with a picture: its name tells clients what it is."""
    path = Path(mkdtemp(dir=folder.name)) / name
    path.write_bytes(picture)
    return path


def from_png(content: bytes) -> tuple[int, list[bytes]]:
    """Return the width and the rows of a picture that `encode` made."""
    if not content.startswith(SIGNATURE):
        raise ValueError("the image is no PNG")
    (width,) = struct.unpack(">I", content[16:20])
    at = len(SIGNATURE)
    pixels = b""
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if content[at + 4 : at + 8] == b"IDAT":
            pixels += content[at + 8 : at + 8 + length]
        at += 12 + length
    lines, stride = zlib.decompress(pixels), 3 * width + 1
    return width, [lines[start + 1 : start + stride] for start in range(0, len(lines), stride)]
