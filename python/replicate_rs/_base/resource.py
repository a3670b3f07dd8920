"""Resources: what operations are methods of. Each has a client's session and a mode."""

from __future__ import annotations

from .._core import Expect
from .checks import limit, wrong_type
from .cleanup import install_exit_handler
from .encoding import encode_query, merge_headers, to_json
from .session import Async, Sync
from .typing import TYPE_CHECKING, Generic, TypeVar, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, Literal, Protocol, Self, TypeAlias

    from .._core import Core, Pending, Upload
    from .session import Session as Session
    from .transport import Transport
    from .types import Options as Options
    from .types import Query as Query

    class InlinedFiles(Protocol):
        """Files whose content replaces placeholders in a JSON body."""

        def body(self, encoded: bytes, /) -> bytes | Upload:
            """Return the body with the content of the files."""
            ...

    # A URL, or the segments of a path under the client's base URL.
    Target: TypeAlias = str | tuple[str, ...]

# The options of every operation, as `help()` shows them; `types.Options` has their types.
OPTIONS: dict[str, str] = {
    "signal": "Stops the request.",
    "timeout": (
        "Seconds for the whole call, retries included, or a `timedelta`; of a `Timeout`, its"
        " `total` or its longest part."
    ),
    "extra_headers": "Headers of this request; they replace the client's of the same name.",
    "extra_query": "Parameters added to the query.",
    "extra_body": "Fields added to the JSON body.",
}

# Without a mode, `Prediction` is `Prediction[Sync]`, whose methods block.
M = TypeVar("M", bound="Sync | Async", covariant=True, default=Sync)
T = TypeVar("T")


class Resource(Generic[M]):
    """A group of operations in mode `M` over one session."""

    __slots__ = ("_mode", "_session", "_transport")

    _mode: type[Sync | Async]
    _session: Session
    _transport: type[Transport]

    def __init__(self, session: Session, mode: type[Sync | Async]) -> None:
        self._session = session
        self._mode = mode
        self._transport = mode.transport

    @property
    def _core(self) -> Core:
        """The core that sends requests now; assigning an option of the client replaces it."""
        return self._session.config.core

    def _in(self, mode: type[Sync | Async]) -> Self:
        """Return the same resource in another mode."""
        return type(self)(self._session, mode)

    def _send(
        self,
        method: str,
        target: Target,
        expect: Expect[T],
        options: Options,
        *,
        query: Query | None = None,
        body: Mapping[str, object] | None = None,
        text: str | None = None,
        form: tuple[Upload, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        read: float | None = None,
        inlined: InlinedFiles | None = None,
        creates: Literal["predictions", "trainings"] | None = None,
        keeps: bool = False,
    ) -> Pending[T]:
        """Start a request.

        Args:
            method: The HTTP method.
            target: Where it goes.
            expect: What the response must be.
            options: The shared options of the call.
            query: Parameters of the query.
            body: The JSON body.
            text: A body of plain text.
            form: A body that is a form, and its media type.
            headers: Headers beside the client's.
            read: Seconds to wait for data of the response, where the client's are too few.
            inlined: Files whose content replaces placeholders in the JSON body.
            creates: What the request creates; it is canceled if the caller leaves too early.
            keeps: Do not cancel what the request creates.

        Raises:
            TypeError: An option does not exist.

        """
        if not (options or query or headers) and body is None and text is None and form is None:
            # The most frequent requests take the shortest way.
            return self._session.config.core.send(method, target, expect)
        if not options.keys() <= OPTIONS.keys():
            unknown = options.keys() - OPTIONS.keys()
            raise TypeError(f"unexpected keyword argument {unknown.pop()!r}")
        if creates is not None:
            install_exit_handler()
        if (extra_body := options.get("extra_body")) is not None:
            body = {**(body or {}), **extra_body}
        if extra_query := options.get("extra_query"):
            query = {**(query or {}), **extra_query}
        content, content_type = _content(body, text, inlined) if form is None else form
        timeout = options.get("timeout")
        return self._session.config.core.send(
            method,
            target,
            expect,
            query=encode_query(query) if query else None,
            body=content,
            content_type=content_type,
            # Not in a local variable: error reports show these.
            headers=(
                merge_headers(headers, options["extra_headers"])
                if "extra_headers" in options
                else headers
            ),
            read=read,
            total=None if timeout is None else limit("timeout", timeout),
            signal=options.get("signal"),
            creates=creates,
            keeps=keeps,
        )

    def _delete(self, target: Target, options: Options) -> Awaitable[bool]:
        """Send a DELETE request; its result is whether the API accepted it."""
        pending = self._send("DELETE", target, Expect.STATUS, options)
        return self._transport.finish(pending.then(int.__lt__, 300))


def _content(
    body: Mapping[str, object] | None, text: str | None, inlined: InlinedFiles | None
) -> tuple[bytes | Upload | None, str | None]:
    """Return the body of a request and its media type."""
    if body is not None:
        encoded = to_json(body)
        return encoded if inlined is None else inlined.body(encoded), "application/json"
    return (text.encode(), "text/plain") if text else (None, None)


def check_resource(name: str, value: object) -> Resource[Any]:
    """Check an argument that is a client, or another resource."""
    if not isinstance(value, Resource):
        raise wrong_type(name, "a Replicate or an AsyncReplicate", value)
    return value  # pyright: ignore[reportUnknownVariableType] - of either mode


class Namespace(Resource[M]):
    """A group of operations that belongs to a client.

    Unlike those of a record, its methods can be replaced, as tests do.
    """

    __slots__ = ("__dict__", "_namespaces")

    # The namespaces within this one, by name and mode. Each is created once, so that what a test
    # replaces stays replaced.
    _namespaces: dict[tuple[str, type[Sync | Async]], Any]

    def _namespace(self, name: str, kind: Callable[[Session, Any], Any]) -> Any:
        """Return a namespace within this one; create it with `kind` at first."""
        try:
            namespaces = self._namespaces
        except AttributeError:
            namespaces = self._namespaces = {}
        key = (name, self._mode)
        try:
            return namespaces[key]
        except KeyError:
            return namespaces.setdefault(key, kind(self._session, self._mode))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, known: Any) -> Self:
        return self


defer_annotations(globals())
