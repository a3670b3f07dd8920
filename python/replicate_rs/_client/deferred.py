"""Requests that a client's `fetch` carries out.

They stand in for the core's `Pending` and `ResponseStream`, but begin only when their result is
waited for: the caller's function must run on the caller's thread or event loop.
"""

from __future__ import annotations

from .._base.operation import close_unawaited, run_blocking
from .._base.transport import Blocking, Suspending
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations
from .._core import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any

    from .._base.transport import Transport, Waitable
    from .._core import ResponseStream
    from .._files.reader import FileInfo
    from .http import Request

T = TypeVar("T")
S = TypeVar("S")


class Deferred(Generic[T]):
    """Work that begins when its result is waited for, on a thread, or awaited, on an event loop."""

    def __init__(self, work: Callable[[type[Transport]], Coroutine[Any, Any, T]]) -> None:
        self._work = work

    def begin(self) -> None:
        """Do nothing: the work begins when its result is waited for."""

    def give_up(self) -> None:
        """Do nothing: the work has not begun."""

    def then(self, convert: Callable[[T, Any], S], argument: Any) -> Deferred[S]:
        """Return the result converted by `convert(result, argument)`."""
        return convert_result(self, lambda result: convert(result, argument))

    def wait(self) -> T:
        """Do the work on this thread."""
        return run_blocking(self._run(Blocking))

    def finished(self) -> Coroutine[Any, Any, T]:
        """Return a coroutine that does the work on an event loop."""
        return self._run(Suspending)

    def __await__(self) -> Generator[Any, Any, T]:
        return self.finished().__await__()

    def _run(self, transport: type[Transport]) -> Coroutine[Any, Any, T]:
        return self._work(transport)


def convert_result(pending: Waitable[S], convert: Callable[[S], T]) -> Deferred[T]:
    """Return the result of other work, converted."""

    async def work(transport: type[Transport]) -> T:
        return convert(await transport.finish(pending))

    return Deferred(work)


class FetchedResponse(Deferred[T]):
    """The response to a request that a client's `fetch` carries out.

    Args:
        fetch: The caller's function.
        request: The request.
        send: Sends a request through the core.
        convert: Converts the response.
        undo: Called if the caller does not get the result.

    """

    def __init__(
        self,
        fetch: Any,
        request: Request,
        send: Callable[[Request], Waitable[Response]],
        convert: Callable[[Response], T],
        undo: Callable[[], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._request = request
        self._send = send
        self._convert = convert
        self._undo = undo
        self.is_begun: bool = False
        """Whether the request was passed to the core."""
        self.is_in_core: bool = False
        """Whether the core is sending the request, and counts it."""

    def cancel_created(self) -> None:
        """Cancel what a create request has created, because its caller did not receive it."""
        if self._undo is not None:
            self._undo()

    async def _run(self, transport: type[Transport]) -> T:
        try:
            response = self._fetch(self._request, self._get_send(transport))
            if hasattr(response, "__await__"):
                if transport is Blocking:
                    close_unawaited(response)
                    raise TypeError(
                        "an async fetch= needs an AsyncReplicate; a Replicate's is a plain function"
                    )
                response = await response
            if not isinstance(response, Response):
                raise TypeError(
                    f"fetch= must return a replicate_rs.Response, not {type(response).__name__}"
                )
            return self._convert(response)
        except BaseException:
            self.cancel_created()
            raise

    def _get_send(self, transport: type[Transport]) -> Callable[[Request], Any]:
        """Return the function that a `fetch` passes its request on to."""

        async def send(request: Request) -> Response:
            self.is_begun = self.is_in_core = True
            try:
                return await transport.finish(self._send(request))
            finally:
                self.is_in_core = False

        return send if transport is Suspending else lambda request: run_blocking(send(request))


class FetchedStream:
    """A stream that is opened through a client's `fetch`, when something is read from it.

    Args:
        opening: Opens the stream.
        opened: Every stream that the core has opened: the caller's function may send several
            requests, and all may fail.
        infos: What the caller's own responses say of the file.

    """

    def __init__(
        self,
        opening: FetchedResponse[ResponseStream[Any]],
        opened: list[ResponseStream[Any]],
        infos: list[FileInfo],
    ) -> None:
        self._opening = opening
        self._all = opened
        self._infos = infos
        self._source: ResponseStream[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the response has begun."""
        return self._source is not None and self._source.is_open

    @property
    def ended(self) -> str | None:
        """Why the stream ended; None while it is open."""
        return None if self._source is None else self._source.ended

    @property
    def said(self) -> FileInfo | None:
        """What the host says of a file."""
        if self._infos:
            return self._infos[-1]
        return None if self._source is None else self._source.said

    def opened(self) -> Deferred[None]:
        """Wait until the response begins."""
        return self._read(lambda source: source.opened())

    def next(self) -> Deferred[list[Any]]:
        """Return the items that are ready, at least one."""
        return self._read(lambda source: source.next())

    def whole(self) -> Deferred[list[Any]]:
        """Return all items if they are few."""
        return self._read(lambda source: source.whole())

    def fill(self, target: memoryview, start: int = 0) -> Deferred[int]:
        """Copy the bytes that are ready, and return their number."""
        return self._read(lambda source: source.fill(target, start))

    def close(self) -> None:
        """Close the connection."""
        for source in self._all:
            source.close()

    def _read(self, read: Callable[[ResponseStream[Any]], Waitable[T]]) -> Deferred[T]:
        async def work(transport: type[Transport]) -> T:
            if self._source is None:
                self._source = await transport.finish(self._opening)
            return await transport.finish(read(self._source))

        return Deferred(work)


defer_annotations(globals())
