"""A caller's own function around every request: the `fetch` option of a client.

A client with a `fetch` has a `Middleware` in the place of its core. It offers the core's verbs, and
asks the caller's function to carry each request out; that may change the request, log it, answer by
itself, or pass it on to `send`.
"""

from __future__ import annotations

from .._base.cleanup import EXIT_REQUEST_TIMEOUT, ExitRequests
from .._base.credentials import Secret, revealed
from .._base.transport import wait
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations, is_object
from .._core import Expect, Place, Response, write_file
from .._predictions.job import TERMINAL
from ..exceptions import from_response, from_unexpected
from .http import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from os import PathLike
    from typing import Any, Literal

    from .._base.streaming import Form
    from .._core import AbortSignal, Core, Pending, Source
    from .._files.reader import FileInfo
    from ..exceptions import APIResponseValidationError
    from .types import AsyncSend as AsyncSend
    from .types import Fetch as Fetch
    from .types import Send as Send


T = TypeVar("T")


class Middleware:
    """A core whose requests are carried out by a caller's function."""

    def __init__(self, core: Core, fetch: Fetch, *, is_async: bool) -> None:
        self._core = core
        self._fetch: Any = fetch
        self._exit_requests = ExitRequests(is_async=is_async)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def send(
        self,
        method: str,
        target: str | tuple[str, ...],
        expect: Expect[T],
        *,
        query: Sequence[tuple[str, str]] | None = None,
        body: Any = None,
        content_type: str | None = None,
        headers: Any = None,
        creates: str | None = None,
        keeps: bool = False,
        **limits: Any,
    ) -> Fetched[T]:
        """Carry a request out."""
        # Reports of errors show the locals of frames, and headers may be secrets.
        headers = Secret(_joined(headers or ()))
        content = body if isinstance(body, bytes) else None
        request = Request(method, self._core.url(target, query), revealed(headers), content)
        if content_type is not None:
            request.headers.setdefault("Content-Type", content_type)
        upload = None if request.body is not None else body
        request._upload = None if isinstance(body, bytes) else body

        def start(request: Request) -> Pending[Response] | _Then[bytes, Response]:
            kind = _pop(request.headers, "content-type")
            content = upload if request.body is None else request.body
            more: dict[str, Any] = {"body": content, "content_type": kind, **limits}
            more |= {"creates": creates, "keeps": keeps}
            if expect == Expect.BYTES:
                # A file may be larger than any other answer.
                file = self._core.send(
                    request.method,
                    request.url,
                    Expect.BYTES,
                    headers=list(request.headers.items()),
                    **more,
                )
                return _Then(file, lambda body: Response(200, body=body, url=request.url))
            return self._core.send(
                request.method,
                request.url,
                Expect.RESPONSE,
                headers=list(request.headers.items()),
                **more,
            )

        def finish(response: Response) -> T:
            answer: T = _expected(self._core, request, response, expect)
            return answer

        if creates is not None and not keeps:
            return Created(self, creates, self._fetch, request, start, finish)
        return Fetched(self._fetch, request, start, finish)

    def turn(self, id: str, *, list: bool, **limits: Any) -> Pending[None]:  # noqa: ARG002 - a request that the function would not see
        """Wait until a prediction is worth asking for again."""
        return self._core.turn(id, list=False, **limits)

    def events(
        self,
        url: str,
        form: Form,
        place: Place,
        *,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> FetchedSource:
        """Open a stream of events; an answer of the caller's own is read as one."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if place.last_event_id is not None:
            headers["Last-Event-ID"] = place.last_event_id

        def start(request: Request) -> Source[Any]:
            return self._core.events(request.url, form, place, total=total, signal=signal)

        return self._source(Request("GET", self._core.address(url), headers), start, form, place)

    def pieces(
        self,
        url: str,
        *,
        start: int = 0,
        ahead: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> FetchedSource:
        """Open a file; an answer of the caller's own is read as one."""
        headers = {"Range": f"bytes={start}-"} if start else {}

        def begin(request: Request) -> Source[Any]:
            return self._core.pieces(
                request.url, start=start, ahead=ahead, total=total, signal=signal
            )

        return self._source(
            Request("GET", self._core.address(url), headers), begin, "bytes", Place(), start
        )

    def _source(
        self,
        request: Request,
        start: Callable[[Request], Source[Any]],
        form: Form | Literal["bytes"],
        place: Place,
        skip: int = 0,
    ) -> FetchedSource:
        sources: list[Source[Any]] = []
        opened: list[Source[Any]] = []
        answers: list[FileInfo] = []

        def begin(request: Request) -> _Then[None, Response]:
            source = start(request)
            sources.append(source)

            def done(_: None) -> Response:
                opened[:] = [source]
                return Response(200, url=request.url)

            return _Then(source.opened(), done)

        def finish(response: Response) -> Source[Any]:
            if opened:
                return opened[0]
            if form == "bytes":
                if not (skip and response.status == 416):
                    _succeeded(self._core, request, response)
                body, said = _part(response, skip)
                answers.append(said)
            else:
                body = _succeeded(self._core, request, response).body
            sources.append(self._core.recorded(body, form, place))
            return sources[-1]

        return FetchedSource(Fetched(self._fetch, request, begin, finish), sources, answers)

    def download(
        self,
        url: str,
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> Fetched[FileInfo]:
        """Save a file; an answer of the caller's own is written instead."""
        request = Request("GET", self._core.address(url))
        saved: list[FileInfo] = []

        def start(request: Request) -> _Then[FileInfo, Response]:
            def done(said: FileInfo) -> Response:
                saved[:] = [said]
                return Response(200, url=request.url)

            return _Then(
                self._core.download(
                    request.url, path, overwrite=overwrite, total=total, signal=signal
                ),
                done,
            )

        def finish(response: Response) -> FileInfo:
            if saved:
                return saved[0]
            body, headers = _succeeded(self._core, request, response).body, response.headers
            return _said(headers, write_file(path, body, overwrite=overwrite))

        return Fetched(self._fetch, request, start, finish)

    def download_all(
        self, files: Sequence[tuple[str, str | PathLike[str]]], most: int, **options: Any
    ) -> _OneByOne[FileInfo]:
        """Save many files, one after another: how many at a time is for the caller's function to
        say.
        """
        del most
        return _OneByOne([self.download(url, path, **options) for url, path in files])

    def first(self, pendings: Sequence[Fetched[Any]], **_: Any) -> _Ready[int]:  # noqa: ARG002 - they run when they are waited for
        """Give the first: each runs when it is waited for."""
        return _Ready(0)

    def detach(self, method: str, target: str | tuple[str, ...], total: float) -> None:
        """Send a request that nobody waits for, through the caller's function too: on this loop, or
        else on a thread.
        """
        self._exit_requests.spawn(self.send(method, target, Expect.STATUS, total=total, last=True))

    @property
    def unattended(self) -> int:
        """How many requests nobody waits for: those that the core has, and those that the caller's
        function still has.
        """
        return self._exit_requests.outside_core + self._core.unattended


class Fetched(Generic[T]):
    """A request that is carried out when it is waited for, or awaited."""

    def __init__(
        self,
        fetch: Any,
        request: Request,
        start: Callable[[Request], Pending[Response] | _Then[Any, Response]],
        finish: Callable[[Response], T],
    ) -> None:
        self._fetch = fetch
        self._request = request
        self._start = start
        self._finish = finish
        self.is_begun: bool = False
        """Whether the request was handed to the core."""
        self.is_in_core: bool = False
        """Whether the core is at work on it, and counts it."""

    def begin(self) -> None:
        """Do nothing: the caller's function runs where the answer is waited for."""

    def give_up(self) -> None:
        """Do nothing: nothing was begun."""

    def wait(self) -> T:
        """Carry it out on this thread."""

        def send(request: Request) -> Response:
            self.is_begun = self.is_in_core = True
            try:
                return wait(self._start(request))
            finally:
                self.is_in_core = False

        response = self._fetch(self._request, send)
        if hasattr(response, "__await__"):
            close = getattr(response, "close", None)
            if close is not None:
                close()
            raise TypeError(
                "an async fetch= needs an AsyncReplicate; a Replicate's is a plain function"
            )
        return self._finish(_checked(response))

    def __await__(self) -> Generator[Any, Any, T]:
        return self.finished().__await__()

    async def finished(self) -> T:
        """Carry it out on an event loop."""
        response = self._fetch(self._request, self._sent)
        if hasattr(response, "__await__"):
            response = await response
        return self._finish(_checked(response))

    async def _sent(self, request: Request) -> Response:
        self.is_begun = self.is_in_core = True
        try:
            return await self._start(request)
        finally:
            self.is_in_core = False


class Created(Fetched[T]):
    """A create.

    If its caller does not get the answer, for whatever reason, what it made is cancelled.
    """

    def __init__(
        self,
        middleware: Middleware,
        collection: str,
        fetch: Any,
        request: Request,
        start: Callable[[Request], Pending[Response] | _Then[Any, Response]],
        finish: Callable[[Response], T],
    ) -> None:
        # A list that both have: if the function had this object, the two would be a circle, and
        # keep the client's connections.
        responses: list[Response] = []

        def note(response: Response) -> Response:
            responses[:] = [response]
            return response

        def noted(request: Request) -> _Then[Any, Response]:
            return _Then(start(request), note)

        super().__init__(fetch, request, noted, finish)
        self._middleware = middleware
        self._collection = collection
        self._responses = responses

    def wait(self) -> T:
        """Carry it out on this thread."""
        try:
            return super().wait()
        except BaseException:
            self._undo()
            raise

    async def finished(self) -> T:
        """Carry it out on an event loop."""
        try:
            return await super().finished()
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        # As long as the core waits for the answer, it sees to the rest itself.
        if not self._responses or self._responses[0].status >= 400:
            return
        try:
            made: object = self._responses[0].json()
        except ValueError:
            return
        if (
            is_object(made)
            and isinstance(id := made.get("id"), str)
            and made.get("status") not in TERMINAL
        ):
            self._middleware.detach("POST", (self._collection, id, "cancel"), EXIT_REQUEST_TIMEOUT)


class _OneByOne(Generic[T]):
    """Requests that are carried out one after another."""

    def __init__(self, requests: list[Fetched[T]]) -> None:
        self._requests = requests

    def wait(self) -> list[T]:
        return [each.wait() for each in self._requests]

    def __await__(self) -> Generator[Any, Any, list[T]]:
        return self._finished().__await__()

    async def _finished(self) -> list[T]:
        return [await each for each in self._requests]


class _Ready(Generic[T]):
    """An answer that is there."""

    def __init__(self, answer: T) -> None:
        self._answer = answer

    def wait(self) -> T:
        return self._answer

    def __await__(self) -> Generator[None, None, T]:
        yield from ()
        return self._answer


S = TypeVar("S")


class _Then(Generic[S, T]):
    """Some work of the core, and what is made of its answer."""

    def __init__(self, pending: Pending[S] | _Then[Any, S], make: Callable[[S], T]) -> None:
        self._pending = pending
        self._make = make

    def wait(self) -> T:
        return self._make(wait(self._pending))

    def __await__(self) -> Generator[Any, Any, T]:
        return self._made().__await__()

    async def _made(self) -> T:
        return self._make(await self._pending)


class FetchedSource:
    """A stream that is opened when something of it is waited for."""

    def __init__(
        self, opening: Fetched[Source[Any]], sources: list[Source[Any]], answers: list[FileInfo]
    ) -> None:
        self._opening = opening
        # What the caller's own answer says of a file.
        self._answers = answers
        # Every one that was tried: the caller's function may send more than once, and all may fail.
        self._sources = sources
        self._opened: Source[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the answer is there."""
        return self._opened is not None and self._opened.is_open

    @property
    def ended(self) -> str | None:
        """Why there is no more."""
        return None if self._opened is None else self._opened.ended

    @property
    def said(self) -> FileInfo | None:
        """What the host said of a file."""
        if self._answers:
            return self._answers[-1]
        return None if self._opened is None else self._opened.said

    def opened(self) -> _Within[None]:
        """Wait for the answer."""
        return _Within(self, lambda source: source.opened())

    def next(self) -> _Within[list[Any]]:
        """Give what is ready."""
        return _Within(self, lambda source: source.next())

    def whole(self) -> _Within[list[Any]]:
        """Give all, if it is not much."""
        return _Within(self, lambda source: source.whole())

    def fill(self, target: memoryview, start: int = 0) -> _Within[int]:
        """Copy what is ready."""
        return _Within(self, lambda source: source.fill(target, start))

    def close(self) -> None:
        """Close the connection."""
        for source in self._sources:
            source.close()


class _Within(Generic[T]):
    """Something of a stream, which is opened for it."""

    def __init__(self, source: FetchedSource, ask: Callable[[Source[Any]], Pending[T]]) -> None:
        self._source = source
        self._ask = ask

    def wait(self) -> T:
        source = self._source
        if source._opened is None:
            source._opened = source._opening.wait()
        return wait(self._ask(source._opened))

    def __await__(self) -> Generator[Any, Any, T]:
        return self._asked().__await__()

    async def _asked(self) -> T:
        source = self._source
        if source._opened is None:
            source._opened = await source._opening
        return await self._ask(source._opened)


def _checked(response: object) -> Response:
    if not isinstance(response, Response):
        raise TypeError(
            f"fetch= must return a replicate_rs.Response, not {type(response).__name__}"
        )
    return response


def _succeeded(core: Core, request: Request, response: Response) -> Response:
    if response.status >= 400:
        body, headers = core.shown(response)
        raise from_response(response.status, request.method, request.url, headers, body)
    return response


def _expected(core: Core, request: Request, response: Response, expect: Expect[T]) -> T:
    """Return an answer as an endpoint wants it.

    No error shows the token, which a server may echo.
    """
    _succeeded(core, request, response)
    try:
        return expect.of(response)
    except ValueError as error:
        problem = str(error)
    raise _unexpected(core, request, response, problem)


def _unexpected(
    core: Core, request: Request, response: Response, problem: str
) -> APIResponseValidationError:
    # A function of its own: the frames of an error's traceback must not have the body, which may be
    # a webhook's secret.
    body, headers = core.shown(response)
    return from_unexpected(problem, response.status, request.method, request.url, headers, body)


def _part(response: Response, start: int) -> tuple[bytes, FileInfo]:
    """Return what an answer of the caller's own has of a file from `start` on, and what it says of
    the file.
    """
    body, headers = response.body, response.headers
    part, slash, total = headers.get("content-range", "").removeprefix("bytes ").partition("/")
    length = int(total) if slash and total.isascii() and total.isdigit() else None
    if response.status == 416:
        return b"", _said(headers, length)
    if response.status != 206:
        return body[start:], _said(headers, len(body))
    if slash and part.partition("-")[0] != str(start):
        raise ValueError("fetch= answered with another part of the file than was asked for")
    return body, _said(headers, length)


def _said(headers: dict[str, str], length: int | None) -> FileInfo:
    return (
        headers.get("content-type"),
        length,
        headers.get("content-disposition"),
        headers.get("etag") or headers.get("last-modified"),
    )


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Give several values of one name as HTTP joins them (RFC 9110 §5.3)."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _pop(headers: dict[str, str], name: str) -> str | None:
    return next((headers.pop(each) for each in list(headers) if each.lower() == name), None)


defer_annotations(globals())
