"""The two clients."""

from __future__ import annotations

from ._base.checks import function
from ._base.cleanup import EXIT_REQUEST_TIMEOUT, cancel_registered, count_registered, drain
from ._base.credentials import without_frames
from ._base.operation import ResourceMethod, async_operation, operation, run_blocking
from ._base.resource import M
from ._base.session import Async, Sync
from ._base.streaming import async_streaming, streaming
from ._base.transport import Blocking, Suspending
from ._base.typing import TYPE_CHECKING, ParamSpec, TypeVar, defer_annotations, overload
from ._client.configurable import Configurable
from ._client.options import MAX_RESPONSE_BYTES, MAX_RETRIES, Stats, normalized, only
from ._client.request import request as request_any
from ._predictions.polling import wait_for
from .prediction import Prediction, Predictions
from .run import run_model
from .stream import relay_model, stream_model, stream_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping
    from os import PathLike
    from types import TracebackType
    from typing import Any, ClassVar, Final, Literal, Self, Unpack

    from ._base.checks import Limit, Seconds
    from ._base.resource import Options
    from ._base.streaming import Streamed
    from ._base.types import FileEncodingStrategy, Headers
    from ._client.options import Certificate, Token
    from ._client.search import SearchResult
    from ._client.types import Fetch, OnProgress
    from ._core import AbortSignal, Core, ServerSentEvent
    from ._predictions.params import PredictionOptions
    from .account import Accounts
    from .collection import Collections
    from .deployment import Deployments
    from .file import Files
    from .hardware import Hardwares
    from .identifier import Ref
    from .model import Models
    from .pagination import Page
    from .training import Trainings
    from .use import AsyncFunction, AsyncOutputIterator, Function, OutputIterator, Usable
    from .webhook import Webhooks

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class BaseClient(Configurable[M]):
    """What both clients are made of."""

    __slots__ = ()

    def __init__(
        self,
        api_token: Token | None = None,
        *,
        auth: Token | None = None,
        bearer_token: Token | None = None,
        base_url: str | None = None,
        timeout: Limit | None = None,
        max_retries: int = MAX_RETRIES,
        max_connections: int | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        headers: Headers | None = None,
        default_headers: Headers | None = None,
        user_agent: str | None = None,
        poll_interval: Seconds | None = None,
        file_encoding_strategy: FileEncodingStrategy = "default",
        use_file_output: bool = True,
        block_private_addresses: bool = False,
        proxy: str | None = None,
        verify: bool | str | PathLike[str] = True,
        ssl_cert_file: str | PathLike[str] | None = None,
        cert: Certificate | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        """Create a client; nothing is connected, and neither token nor address read from the
        environment, before a request.

        Each option is an attribute, too; one that is assigned counts from the next request on.

        Args:
            api_token: The API token, as text or as a `SecretStr`, or a function that returns it,
                asked at each request (an async one on an `AsyncReplicate` only). Without it: the
                scope of a running cog model, else `REPLICATE_API_TOKEN`.
            auth: The same, under the Node client's name.
            bearer_token: The same, under the 2.0 client's name.
            base_url: The API's address, with or without ``/v1``; without it `REPLICATE_BASE_URL`,
                else Replicate's.
            timeout: Seconds for each part of each request (to connect, to send, until the answer
                begins, between its parts), or a `Timeout`, or one of httpx. It does not limit a
                whole call, such as a run: that is the call's own `timeout`.
            max_retries: Attempts after the first, for requests that may be repeated.
            max_connections: Requests at a time; further ones wait. Without it there is no limit.
            max_response_bytes: The largest answer, decompressed, and the largest event of a stream.
                Files have no limit.
            headers: Sent with every request to the API, and nowhere else: a mapping, or pairs, for
                several of one name.
            default_headers: The same, under the 2.0 client's name.
            user_agent: Replaces this library's.
            poll_interval: Seconds between polls; without it `REPLICATE_POLL_INTERVAL`. Without
                either the client finds its own: often at first, at most every two seconds for a
                few, and for many together below the API's limits.
            file_encoding_strategy: ``default``: upload files, or send them inline if that fails on
                the server's side;
                ``upload`` (``url``); or ``data-uri`` (``base64``): always inline.
            use_file_output: Give files of an output as `FileOutput`, or as text.
            block_private_addresses: Fetch no files or streams from private networks or this
                machine, whatever a model's output says; but from the API's own origin. Behind a
                proxy the proxy looks names up, and has to keep to that itself.
            proxy: The way to all servers: ``http://``, ``https://``, ``socks5://`` or
                ``socks5h://``, with ``user:password@`` if need be. Without it `HTTPS_PROXY`,
                `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment say, in which ``host``,
                ``.domain``, ``host:port``, addresses and networks may be listed, or ``*``.
            verify: False believes every server, which is for tests. A path is the same as
                `ssl_cert_file`.
            ssl_cert_file: A PEM file of the authorities to trust instead of the system's (or those
                of `SSL_CERT_FILE`).
            cert: The client's own certificate: a PEM file with its key in it, or a pair of files.
            fetch: A function ``fetch(request, send)`` around every request, which returns a
                `Response`: its own, or ``send(request)``, which raises for a status of 400 or more.
                An `AsyncReplicate`'s is async, and awaits `send`.

        """
        try:
            self._set_up(
                normalized(
                    self.mode,
                    {
                        "api_token": only(
                            auth=auth, bearer_token=bearer_token, api_token=api_token
                        ),
                        "base_url": base_url,
                        "timeout": timeout,
                        "max_retries": max_retries,
                        "max_connections": max_connections,
                        "max_response_bytes": max_response_bytes,
                        "headers": only(headers=headers, default_headers=default_headers),
                        "user_agent": user_agent,
                        "poll_interval": poll_interval,
                        "file_encoding_strategy": file_encoding_strategy,
                        "use_file_output": use_file_output,
                        "block_private_addresses": block_private_addresses,
                        "proxy": proxy,
                        "verify": verify,
                        "ssl_cert_file": ssl_cert_file,
                        "cert": cert,
                        "fetch": fetch,
                    },
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
            # Reports of errors show the locals of frames, and these hold the token.
            api_token = auth = bearer_token = headers = default_headers = proxy = base_url = None
            raise without_frames(error) from error.__cause__

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "mode" in vars(cls):
            # Each client's methods are shown under its own name.
            for name, method in vars(BaseClient).items():
                if isinstance(method, ResourceMethod):
                    setattr(cls, name, method.of(cls))

    @property
    def accounts(self) -> Accounts[M]:
        """The token's account."""
        from .account import Accounts

        resource: Accounts[M] = self._namespace("accounts", Accounts)
        return resource

    @property
    def account(self) -> Accounts[M]:
        """The same as `accounts`; 2.0 has it."""
        from .account import Accounts

        resource: Accounts[M] = self._namespace("account", Accounts)
        return resource

    @property
    def collections(self) -> Collections[M]:
        """Models that belong together."""
        from .collection import Collections

        resource: Collections[M] = self._namespace("collections", Collections)
        return resource

    @property
    def deployments(self) -> Deployments[M]:
        """Models kept ready."""
        from .deployment import Deployments

        resource: Deployments[M] = self._namespace("deployments", Deployments)
        return resource

    @property
    def files(self) -> Files[M]:
        """Uploaded files."""
        from .file import Files

        resource: Files[M] = self._namespace("files", Files)
        return resource

    @property
    def hardware(self) -> Hardwares[M]:
        """What models can run on."""
        from .hardware import Hardwares

        resource: Hardwares[M] = self._namespace("hardware", Hardwares)
        return resource

    @property
    def models(self) -> Models[M]:
        """Models, their versions, readmes and examples."""
        from .model import Models

        resource: Models[M] = self._namespace("models", Models)
        return resource

    @property
    def predictions(self) -> Predictions[M]:
        """Runs of models."""
        resource: Predictions[M] = self._namespace("predictions", Predictions)
        return resource

    @property
    def trainings(self) -> Trainings[M]:
        """New versions of models in the making."""
        from .training import Trainings

        resource: Trainings[M] = self._namespace("trainings", Trainings)
        return resource

    @property
    def webhooks(self) -> Webhooks[M]:
        """The account's webhook secret."""
        from .webhook import Webhooks

        resource: Webhooks[M] = self._namespace("webhooks", Webhooks)
        return resource

    def _in(self, mode: type[Sync | Async]) -> Self:
        twin = type(self).__new__(type(self))
        twin._made_with, twin._namespaces = self._made_with, self._namespaces
        super(Configurable, twin).__init__(self._session, mode)
        return twin

    run: Final = operation(run_model)
    async_run: Final = async_operation(run)

    @operation
    async def wait(
        self,
        prediction: Prediction[Any],
        *,
        interval: Seconds | None = None,
        progress: OnProgress | None = None,
        cancel_on_exit: bool = False,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Prediction[M]:
        """Poll until a prediction has ended.

        Args:
            prediction: What to wait for; it is not changed.
            interval: Seconds between polls; the client's `poll_interval` if not given; without
                either, the client finds its own.
            progress: Called with the prediction after each poll.
            cancel_on_exit: Cancel the prediction when this call ends before it.
            signal: Stops the call.
            timeout: Seconds for all of it.

        Returns:
            The prediction as it ended.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
            PredictionTimeout: `timeout` passed first.
            AbortError: The signal was aborted.

        """
        done: Prediction[Any] = await wait_for(
            self,
            prediction,
            interval=interval,
            progress=progress,
            cancel_on_exit=cancel_on_exit,
            signal=signal,
            timeout=timeout,
        )
        # One that had ended before may be another client's.
        return done if done._session is self._session else Prediction._of(done._data, self._session)

    async_wait: Final = async_operation(wait)

    @streaming
    def stream(
        self,
        ref: Ref,
        input: Mapping[str, Any] | None = None,
        *,
        cancel_on_exit: bool = True,
        use_file_output: bool | None = None,
        **options: Unpack[PredictionOptions],
    ) -> Streamed[ServerSentEvent[M], Prediction[M]]:
        """Run a model and give its events as they happen, up to and with ``done``.

        A connection that breaks is made again, and goes on where it was; where the server cannot do
        that, the rest comes from the prediction itself.

        Args:
            ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version
                object.
            input: The model's inputs; files in it are uploaded.
            cancel_on_exit: Cancel the prediction when the loop over its events ends before it.
            use_file_output: Give files of file streams as `FileOutput` (the default), or as text.
            options: What every prediction takes; `timeout` is over all of it.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if it was canceled.
            StreamError: The model cannot stream; `StreamInterrupted` if the stream broke off and
                nothing can tell its rest.
            PredictionTimeout: `timeout` seconds passed first.
            AbortError: The signal was aborted.

        """
        events: Streamed[Any] = stream_model(
            self,
            ref,
            input,
            cancel_on_exit=cancel_on_exit,
            use_file_output=use_file_output,
            **options,
        )
        return events

    async_stream: Final = async_streaming(stream)
    text_stream: Final = streaming(stream_text)
    async_text_stream: Final = async_streaming(text_stream)
    relay: Final = operation(relay_model)
    async_relay: Final = async_operation(relay)

    @operation
    async def search(
        self, query: str, *, limit: int | None = None, **options: Unpack[Options]
    ) -> SearchResult[M]:
        """Search models, collections and documentation.

        Args:
            query: What to look for.
            limit: How many models, 1 to 50; the API gives 20 if not told.
            options: What every operation takes.

        """
        from ._client.search import search

        return await search(self, query, limit=limit, **options)

    async_search: Final = async_operation(search)
    request: Final = operation(request_any)
    async_request: Final = async_operation(request)

    def stats(self) -> Stats:
        """Return what this client, and those that share its connections, have done so far in this
        process.

        Streams and predictions are this client's own.
        """
        core, *former = self._settings.cores()
        return Stats(*core.stats(), sum(map(count_registered, (core, *former))))

    def close(self, timeout: float | None = None) -> int:
        """Close the client: refuse further calls, and cancel the predictions that it runs, streams
        or relays.

        Predictions that are to go on when their caller leaves (``cancel_on_exit=False``) go on.
        Calls that hold no prediction, such as a download, go on to their end; runs end in
        `ClientClosedError`, and streams as their predictions do.

        Args:
            timeout: Seconds to wait for the requests that cancel. A `Replicate` waits for 5 if not
                told, and an `AsyncReplicate` not at all: use `aclose`.

        Returns: How many of these requests were not answered in time. They go on, as long as the
            program does.

        """
        if timeout is None:
            timeout = EXIT_REQUEST_TIMEOUT if self._mode is Sync else 0.0
        return sum(
            run_blocking(drain(core, Blocking, timeout)) for core in self._stop() if core.unattended
        )

    async def aclose(self, timeout: float | None = None) -> int:
        """Do what `close` does, from async code: wait for 5 seconds if not told otherwise, without
        blocking the event loop.
        """
        if timeout is None:
            timeout = EXIT_REQUEST_TIMEOUT
        return sum(
            [await drain(core, Suspending, timeout) for core in self._stop() if core.unattended]
        )

    def _stop(self) -> list[Core]:
        cores = list(self._settings.cores())
        for core in cores:
            core.close()
            cancel_registered(core)
        return cores

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._settings.is_closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        # One that could not be made has no session; error reports show it all the same.
        made = hasattr(self, "_session")
        return (
            f"{type(self).__name__}(base_url={self.base_url!r})"
            if made
            else f"<{type(self).__name__} that was not made>"
        )


class Replicate(BaseClient[Sync]):
    """A client whose calls block; each has an ``async_`` twin.

    Safe in threads, in any event loop, and across forks.
    """

    __slots__ = ()

    mode: ClassVar[type[Sync | Async]] = Sync

    def paginate(
        self, list_method: Callable[..., Page[T]], *, signal: AbortSignal | None = None
    ) -> Generator[Page[T], None, None]:
        """Give the pages of a list method: ``for page in
        client.paginate(client.predictions.list)``.

        To go over all items instead: ``client.predictions.list().auto()``.

        Args:
            list_method: A method that returns a page.
            signal: Stops the requests for pages, with an `AbortError`.

        """
        from .pagination import paginate

        return paginate(list_method, signal=signal)

    def async_paginate(
        self, list_method: Callable[..., Awaitable[Page[T]]], *, signal: AbortSignal | None = None
    ) -> AsyncGenerator[Page[T], None]:
        """Give the pages of an ``async_`` list method."""
        from .pagination import async_paginate

        return async_paginate(list_method, signal=signal)

    @overload
    def use(
        self, ref: Usable, *, hint: None = None, streaming: Literal[False] = False
    ) -> Function[..., Any]: ...
    @overload
    def use(
        self, ref: Usable, *, hint: Callable[P, R], streaming: Literal[False] = False
    ) -> Function[P, R]: ...
    @overload
    def use(
        self, ref: Usable, *, hint: None = None, streaming: Literal[True]
    ) -> Function[..., OutputIterator[Any]]: ...
    @overload
    def use(
        self, ref: Usable, *, hint: Callable[P, Iterable[T]], streaming: Literal[True]
    ) -> Function[P, OutputIterator[T]]: ...
    def use(
        self, ref: Usable, *, hint: Callable[..., Any] | None = None, streaming: bool = False
    ) -> Function[..., Any]:
        """Give a model as a function that runs it; nothing is sent before it is called.

        Args:
            ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version
                object.
            hint: A function whose parameters and result are the model's, for type checkers and
                editors.
            streaming: Give the output as an iterator over its parts as they come.

        Raises:
            ValueError: `ref` is not a reference.

        """
        from .use import Function

        if hint is not None:
            function("hint", hint)
        return Function(ref, client=self, streaming=streaming)


class AsyncReplicate(BaseClient[Async]):
    """A client whose calls are awaited.

    Safe in threads, in any number of event loops, and across forks.
    """

    __slots__ = ()

    mode: ClassVar[type[Sync | Async]] = Async

    def paginate(
        self, list_method: Callable[..., Awaitable[Page[T]]], *, signal: AbortSignal | None = None
    ) -> AsyncGenerator[Page[T], None]:
        """Give the pages of a list method: ``async for page in
        client.paginate(client.predictions.list)``.

        To go over all items instead: ``(await client.predictions.list()).auto()``.

        Args:
            list_method: A method that returns a page when it is awaited.
            signal: Stops the requests for pages, with an `AbortError`.

        """
        from .pagination import async_paginate

        return async_paginate(list_method, signal=signal)

    async_paginate = paginate

    @overload
    def use(
        self, ref: Usable, *, hint: None = None, streaming: Literal[False] = False
    ) -> AsyncFunction[..., Any]: ...
    @overload
    def use(
        self, ref: Usable, *, hint: Callable[P, R], streaming: Literal[False] = False
    ) -> AsyncFunction[P, R]: ...
    @overload
    def use(
        self, ref: Usable, *, hint: None = None, streaming: Literal[True]
    ) -> AsyncFunction[..., AsyncOutputIterator[Any]]: ...
    @overload
    def use(
        self, ref: Usable, *, hint: Callable[P, Iterable[T]], streaming: Literal[True]
    ) -> AsyncFunction[P, AsyncOutputIterator[T]]: ...
    def use(
        self, ref: Usable, *, hint: Callable[..., Any] | None = None, streaming: bool = False
    ) -> AsyncFunction[..., Any]:
        """Give a model as a function to be awaited; see `Replicate.use`."""
        from .use import AsyncFunction

        if hint is not None:
            function("hint", hint)
        return AsyncFunction(ref, client=self, streaming=streaming)


# 1.0.7 and 2.0 have the clients under these names too.
Client = Replicate
AsyncClient = AsyncReplicate


defer_annotations(globals())
