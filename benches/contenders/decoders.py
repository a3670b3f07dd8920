"""How each library makes events of bytes, and the decoder that one writes by hand for a client that
has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from contenders.predictions import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(slots=True)
class Event:
    """An event, as far as a program needs it that only shows the output."""

    event: str
    data: str


class ByHand:
    r"""No more than Replicate's streams need: lines end in ``\n``, and nobody asks for ids."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: Any) -> list[Event]:
        """Give the events that are complete."""
        return [event for block in self.blocks(chunk) if (event := _event(block)) is not None]

    def blocks(self, chunk: Any) -> list[str]:
        """Give what stands between blank lines."""
        rest = self._rest
        # A blank line may begin with the last byte there was.
        unseen = max(len(rest) - 1, 0)
        rest += chunk
        end = rest.rfind(b"\n\n", unseen)
        if end < 0:
            return []
        blocks = rest[:end].decode().split("\n\n")
        del rest[: end + 2]
        return blocks


def _event(block: str) -> Event | None:
    kind, data = "message", []
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
    # A comment has no data.
    return Event(kind, "\n".join(data)) if data else None


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


def _by_hand(pieces: Iterable[bytes]) -> Iterable[Any]:
    return chain.from_iterable(map(ByHand().feed, pieces))


DECODERS: dict[str, Callable[[Iterable[bytes]], Iterable[Any]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx-sse": _httpx_sse,
    "openai": _openai,
    "by hand": _by_hand,
}
