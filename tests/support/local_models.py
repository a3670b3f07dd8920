"""A local server with models of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from replicate_rs.local import Input, LocalReplicate, sleep

PNG = bytes.fromhex("89504e470d0a1a0a")


def shout(text: str) -> str:
    """Return the text in upper case."""
    return text.upper()


def echo(**inputs: Any) -> Any:
    return inputs.get("value")


def split(text: str) -> list[str]:
    return text.split()


def words(text: str) -> Iterator[str]:
    yield from text.split()


def story(text: str) -> Iterator[str]:
    for word in text.split():
        print(word)
        yield word


def paint(size: Annotated[int, Input(ge=1, le=4)] = 1) -> bytes:
    return PNG * size


def frames() -> Iterator[bytes]:
    yield from (PNG, PNG)


def size(file: bytes) -> int:
    return len(file)


def suffix(file: Path) -> str:
    return file.suffix


def draw(
    prompt: str,
    format: Annotated[str, Input(choices=["jpg", "png"])] = "png",
    num_inference_steps: Annotated[int, Input(le=4)] = 4,
) -> str:
    return f"{prompt}.{format}"


def fail() -> str:
    raise RuntimeError("OOM")


def slow(seconds: float = 30.0) -> Iterator[str]:
    yield "first"
    sleep(seconds)


def cold() -> str:
    return "warm"


def tunable(text: str, replicate_weights: bytes | None = None) -> str:
    return text


def tune(steps: int = 1, seconds: float = 0.0) -> bytes:
    sleep(seconds)
    return b"weights" * steps


def create_server() -> LocalReplicate:
    server = LocalReplicate()
    server.model(
        "acme/shout", readme="# Shout\n", examples=[{"input": {"text": "hi"}, "output": "HI"}]
    )(shout)
    server.model("acme/echo", visibility="private")(echo)
    server.model("acme/story", stream=True)(story)
    server.model("acme/cold", cold_start=3600.0)(cold)
    for each in (split, words, paint, frames, size, suffix, draw, fail, slow, tunable):
        server.model(f"acme/{each.__name__}")(each)
    server.model("acme/tuned")(tunable)
    server.training("acme/tunable")(tune)
    server.collection("loud", ["acme/shout"], description="Models that raise their voice")
    return server
