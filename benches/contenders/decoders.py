"""Decoding the bytes of server-sent events."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from contenders import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(slots=True)
class Event:
    """What a program needs of an event to show a model's output."""

    event: str
    data: str


class HandWrittenDecoder:
    r"""What a programmer would write for Replicate's streams.

    Lines end in ``\n``, and ids are ignored.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: Any) -> list[Event]:
        """Return the events that are now complete."""
        return [event for block in self.blocks(chunk) if (event := _to_event(block)) is not None]

    def blocks(self, chunk: Any) -> list[str]:
        """Return the blocks of lines that a blank line has ended."""
        rest = self._rest
        # The last byte received before may be the first half of a blank line.
        unseen = max(len(rest) - 1, 0)
        rest += chunk
        end = rest.rfind(b"\n\n", unseen)
        if end < 0:
            return []
        blocks = rest[:end].decode().split("\n\n")
        del rest[: end + 2]
        return blocks


def _to_event(block: str) -> Event | None:
    event, data = "message", []
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
    # A block without data is a comment.
    return Event(event, "\n".join(data)) if data else None


def _ours(pieces: Iterable[bytes]) -> Iterable[Any]:
    from replicate_rs.stream import EventDecoder

    return chain.from_iterable(map(EventDecoder().feed, pieces))


def _1_0_7(pieces: Iterable[bytes]) -> Iterator[Any]:
    import httpx
    from replicate.stream import EventSource

    decoder = EventSource.Decoder()
    for line in httpx.Response(200, content=pieces).iter_lines():
        event = decoder.decode(line)
        if event is not None:
            yield event


def _httpx_sse(pieces: Iterable[bytes]) -> Iterator[Any]:
    import httpx
    from httpx_sse import EventSource

    return EventSource(
        httpx.Response(200, headers={"content-type": "text/event-stream"}, content=pieces)
    ).iter_sse()


def _openai(pieces: Iterable[bytes]) -> Iterator[Any]:
    from openai._streaming import SSEDecoder

    return SSEDecoder().iter_bytes(iter(pieces))


def _hand_written(pieces: Iterable[bytes]) -> Iterable[Any]:
    return chain.from_iterable(map(HandWrittenDecoder().feed, pieces))


DECODERS: dict[str, Callable[[Iterable[bytes]], Iterable[Any]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx-sse": _httpx_sse,
    "openai": _openai,
    "by hand": _hand_written,
}
