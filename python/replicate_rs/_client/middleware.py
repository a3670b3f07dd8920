"""The `fetch` option of a client: a caller's function around every request.

A client with a `fetch` has a `Middleware` in place of its core. It has the core's methods, and
calls the caller's function for each request. The function may change the request, log it, respond
itself, or pass it on to `send`.
"""

from __future__ import annotations

from .._base.cleanup import EXIT_REQUEST_TIMEOUT, ExitRequests
from .._base.credentials import Secret, reveal
from .._base.typing import TYPE_CHECKING, TypeVar, defer_annotations, is_object
from .._core import Expect, Response, StreamPosition, write_file
from .._predictions.job import TERMINAL
from ..exceptions import from_response, from_unexpected
from .deferred import Deferred, FetchedResponse, FetchedStream, convert_result
from .http import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike
    from typing import Any, Literal

    from .._base.streaming import Form
    from .._base.transport import Transport, Waitable
    from .._core import AbortSignal, Core, DownloadCounters, Pending, ResponseStream
    from .._files.reader import FileInfo
    from ..exceptions import APIResponseValidationError
    from .types import Fetch


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
    ) -> FetchedResponse[T]:
        """Send a request.

        A prediction or training that it creates is cancelled if the caller does not get it, unless
        `keeps` is true.
        """
        # Error reports show local variables, and headers may be secrets.
        headers = Secret(_join(headers or ()))
        content = body if isinstance(body, bytes) else None
        request = Request(method, self._core.url(target, query), reveal(headers), content)
        if content_type is not None:
            request.headers.setdefault("Content-Type", content_type)
        upload: Any = None if content is not None else body
        request._upload = upload
        # Lists that the closures share. A reference between them would be a cycle, which would keep
        # the client's connections open.
        sent: list[Pending[Response]] = []
        responses: list[Response] = []

        def send(request: Request) -> Waitable[Response]:
            options: dict[str, Any] = {
                "content_type": _pop(request.headers, "content-type"),
                "body": upload if request.body is None else request.body,
                "headers": list(request.headers.items()),
                "creates": creates,
                "keeps": keeps,
                **limits,
            }
            if expect == Expect.BYTES:
                # Unlike other responses, a file has no size limit.
                file = self._core.send(request.method, request.url, Expect.BYTES, **options)
                return convert_result(file, lambda body: Response(200, body=body, url=request.url))
            response: Pending[Response] = self._core.send(
                request.method, request.url, Expect.RESPONSE, **options
            )
            if creates is None:
                return response
            sent[:] = [response]
            # The caller's function may have sent the request before.
            responses.clear()
            return convert_result(response, note)

        def note(response: Response) -> Response:
            responses[:] = [response]
            return response

        def convert(response: Response) -> T:
            result: T = _to_expected(self._core, request, response, expect)
            return result

        def undo() -> None:
            if creates is not None and not keeps:
                self._cancel_created(creates, sent, responses)

        return FetchedResponse(self._fetch, request, send, convert, undo)

    def _cancel_created(
        self, collection: str, sent: list[Pending[Response]], responses: list[Response]
    ) -> None:
        if not responses:
            # The core has the response, or waits for it.
            if sent:
                sent.pop().cancel_created()
            return
        sent.clear()
        response = responses.pop()
        if response.status >= 400:
            return
        try:
            created: object = response.json()
        except ValueError:
            return
        if (
            is_object(created)
            and isinstance(id := created.get("id"), str)
            and created.get("status") not in TERMINAL
        ):
            self.detach("POST", (collection, id, "cancel"), EXIT_REQUEST_TIMEOUT)

    def turn(self, id: str, *, list: bool, **limits: Any) -> Pending[None]:  # noqa: ARG002 - the caller's function would not see the request for the list
        """Wait until a prediction should be polled again."""
        return self._core.turn(id, list=False, **limits)

    def events(
        self,
        url: str,
        form: Form,
        place: StreamPosition,
        *,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> FetchedStream:
        """Open an event stream; a response of the caller's own is parsed as one."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if place.last_event_id is not None:
            headers["Last-Event-ID"] = place.last_event_id

        def open_stream(request: Request) -> ResponseStream[Any]:
            return self._core.events(request.url, form, place, total=total, signal=signal)

        return self._open(
            Request("GET", self._core.address(url), headers), open_stream, form, place
        )

    def pieces(
        self,
        url: str,
        *,
        start: int = 0,
        ahead: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> FetchedStream:
        """Open a file from byte `start` on; a response of the caller's own is read as one."""
        headers = {"Range": f"bytes={start}-"} if start else {}

        def open_stream(request: Request) -> ResponseStream[Any]:
            return self._core.pieces(
                request.url, start=start, ahead=ahead, total=total, signal=signal
            )

        request = Request("GET", self._core.address(url), headers)
        return self._open(request, open_stream, "bytes", StreamPosition(), start)

    def _open(
        self,
        request: Request,
        open_stream: Callable[[Request], ResponseStream[Any]],
        form: Form | Literal["bytes"],
        place: StreamPosition,
        start: int = 0,
    ) -> FetchedStream:
        sources: list[ResponseStream[Any]] = []
        opened: list[ResponseStream[Any]] = []
        infos: list[FileInfo] = []

        def send(request: Request) -> Deferred[Response]:
            source = open_stream(request)
            sources.append(source)

            def convert(_: None) -> Response:
                opened[:] = [source]
                return Response(200, url=request.url)

            return convert_result(source.opened(), convert)

        def convert(response: Response) -> ResponseStream[Any]:
            if opened:
                return opened[0]
            if form == "bytes":
                if not (start and response.status == 416):
                    _check_status(self._core, request, response)
                body, info = _read_range(response, start)
                infos.append(info)
            else:
                body = _check_status(self._core, request, response).body
            sources.append(self._core.recorded(body, form, place))
            return sources[-1]

        return FetchedStream(FetchedResponse(self._fetch, request, send, convert), sources, infos)

    def download(
        self,
        url: str,
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
        counters: DownloadCounters | None = None,
    ) -> FetchedResponse[FileInfo]:
        """Save a file; the body of a response of the caller's own is saved instead."""
        request = Request("GET", self._core.address(url))
        saved: list[FileInfo] = []

        def send(request: Request) -> Deferred[Response]:
            def convert(info: FileInfo) -> Response:
                saved[:] = [info]
                return Response(200, url=request.url)

            pending = self._core.download(
                request.url,
                path,
                overwrite=overwrite,
                total=total,
                signal=signal,
                counters=counters,
            )
            return convert_result(pending, convert)

        def convert(response: Response) -> FileInfo:
            if saved:
                return saved[0]
            body, headers = _check_status(self._core, request, response).body, response.headers
            return _read_info(headers, write_file(path, body, overwrite=overwrite))

        return FetchedResponse(self._fetch, request, send, convert)

    def download_all(
        self, files: Sequence[tuple[str, str | PathLike[str]]], most: int, **options: Any
    ) -> Deferred[list[FileInfo]]:
        """Save many files, one after another: the caller's function limits how many at a time."""
        del most
        downloads = [self.download(url, path, **options) for url, path in files]

        async def work(transport: type[Transport]) -> list[FileInfo]:
            return [await transport.finish(each) for each in downloads]

        return Deferred(work)

    def first(self, pendings: Sequence[Deferred[Any]], **_: Any) -> Deferred[int]:  # noqa: ARG002 - none has begun
        """Return the index of the first request: each begins when its result is waited for."""

        async def work(_transport: type[Transport]) -> int:
            return 0

        return Deferred(work)

    def detach(self, method: str, target: str | tuple[str, ...], total: float) -> None:
        """Send a request whose result nobody waits for, through the caller's function too."""
        self._exit_requests.spawn(self.send(method, target, Expect.STATUS, total=total, last=True))

    @property
    def unattended(self) -> int:
        """The number of requests whose results nobody waits for, in the core and outside it."""
        return self._exit_requests.outside_core + self._core.unattended


def _check_status(core: Core, request: Request, response: Response) -> Response:
    if response.status >= 400:
        body, headers = core.shown(response)
        raise from_response(response.status, request.method, request.url, headers, body)
    return response


def _to_expected(core: Core, request: Request, response: Response, expect: Expect[T]) -> T:
    """Convert a response to the result of an endpoint.

    No error contains the token, even if the server echoes it.
    """
    _check_status(core, request, response)
    try:
        return expect.of(response)
    except ValueError as error:
        problem = str(error)
    raise _unexpected(core, request, response, problem)


def _unexpected(
    core: Core, request: Request, response: Response, problem: str
) -> APIResponseValidationError:
    # A function of its own, so that no frame of the error's traceback has the body as a local
    # variable: it may be a webhook's secret.
    body, headers = core.shown(response)
    return from_unexpected(problem, response.status, request.method, request.url, headers, body)


def _read_range(response: Response, start: int) -> tuple[bytes, FileInfo]:
    """Return the content from `start` on that a caller's own response has, and the file's info."""
    body, headers = response.body, response.headers
    bounds, slash, total = headers.get("content-range", "").removeprefix("bytes ").partition("/")
    length = int(total) if slash and total.isascii() and total.isdigit() else None
    if response.status == 416:
        return b"", _read_info(headers, length)
    if response.status != 206:
        return body[start:], _read_info(headers, len(body))
    if slash and bounds.partition("-")[0] != str(start):
        raise ValueError("fetch= returned another part of the file than was requested")
    return body, _read_info(headers, length)


def _read_info(headers: dict[str, str], length: int | None) -> FileInfo:
    return (
        headers.get("content-type"),
        length,
        headers.get("content-disposition"),
        headers.get("etag") or headers.get("last-modified"),
    )


def _join(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Join several values of one name by commas, as HTTP does (RFC 9110 §5.3)."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _pop(headers: dict[str, str], name: str) -> str | None:
    return next((headers.pop(each) for each in list(headers) if each.lower() == name), None)


defer_annotations(globals())
