"""A model's events passed on to somebody else: to a browser, or to another service."""

from __future__ import annotations

from .._base.session import Async, Sync
from .._base.streaming import spread, spread_async
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import ServerSentEvent
from ..exceptions import ModelError, ReplicateError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
    from typing import Any

    from ..prediction import Prediction
    from .events import Watch

# What proxies and browsers must know of a stream: nothing of it may be kept, or held back.
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Relay:
    """A model's events as bytes, for ``async for`` and for ``for``: the body of an answer, with its
    `headers`.

    In Starlette and FastAPI: ``StreamingResponse(relay, headers=relay.headers)``. In WSGI: ``return
    relay``. Whoever leaves early closes the stream and cancels the prediction.

    The bytes are whole events in plain form: lines end in LF, text is UTF-8. While the model is
    silent, a comment every 15 seconds keeps the connection alive. The last event is ``done``; if
    the model failed, or its stream broke off and nothing can tell the rest, an ``error`` comes
    before it.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._blocking: Generator[bytes, None, None] | None = None
        self._suspending: AsyncGenerator[bytes, None] | None = None
        self._is_begun = False
        self.headers: dict[str, str] = dict(HEADERS)

    @property
    def prediction(self) -> Prediction[Any]:
        """As far as is known here."""
        return self._watch.prediction

    def __iter__(self) -> Iterator[bytes]:
        self._blocking = spread(self._frames(Sync))
        return self._blocking

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._suspending = spread_async(self._frames(Async))
        return self._suspending

    def close(self) -> None:
        """Leave it; WSGI servers call this at the end."""
        if self._blocking is not None:
            self._blocking.close()
        self._abandon()

    async def aclose(self) -> None:
        """Leave it, from async code."""
        if self._suspending is not None:
            await self._suspending.aclose()
        self._abandon()

    async def _frames(self, mode: type[Sync | Async]) -> AsyncGenerator[list[bytes], None]:
        if self._is_begun:
            raise RuntimeError("a relay can be iterated over once")
        self._is_begun = True
        watch = self._watch
        # A relay may be made in one mode and read in the other.
        watch.in_mode(mode)
        batches = watch.batches()
        try:
            async for batch in batches:
                yield batch
            if watch.place.end is not None and watch.place.end[0] == "error":
                yield _failure(None)
        except ReplicateError as error:
            if watch.place.end is None and getattr(error.prediction, "status", None) != "canceled":
                # What is of no concern to the other end is left out; whoever runs the service is
                # told.
                yield _failure(
                    str(error) if isinstance(error, ModelError) else "the stream broke off"
                )
            if not isinstance(error, ModelError):
                raise
        finally:
            await batches.aclose()

    def _abandon(self) -> None:
        """Cancel what nobody has begun to read."""
        if not self._is_begun:
            self._is_begun = True
            self._watch.abandon()

    def __del__(self) -> None:
        self._abandon()


def _failure(detail: str | None) -> list[bytes]:
    from json import dumps

    error = (
        []
        if detail is None
        else [ServerSentEvent("error", dumps({"detail": detail}, ensure_ascii=False)).encode()]
    )
    return [*error, ServerSentEvent("done", '{"reason": "error"}').encode()]


defer_annotations(globals())
