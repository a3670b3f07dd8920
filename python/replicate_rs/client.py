"""The clients: `Replicate`, whose calls block, and `AsyncReplicate`, whose calls are awaited."""

from __future__ import annotations

from ._base.checks import function
from ._base.cleanup import EXIT_REQUEST_TIMEOUT, cancel_registered, count_registered, drain
from ._base.credentials import strip_frames
from ._base.operation import ResourceMethod, async_operation, operation, run_blocking
from ._base.resource import M
from ._base.session import Async, Sync
from ._base.streaming import async_streaming, streaming
from ._base.transport import Blocking, Suspending
from ._base.typing import TYPE_CHECKING, ParamSpec, TypeVar, defer_annotations, overload
from ._client.attributes import Configurable
from ._client.options import MAX_RESPONSE_BYTES, MAX_RETRIES, normalize, resolve_aliases
from ._predictions.polling import wait_for
from .prediction import Prediction, Predictions
from .run import run_model
from .stream import relay_model, stream_model, stream_text

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Mapping,
    )
    from os import PathLike
    from typing import Any, ClassVar, Final, Literal, Self, Unpack

    from ._base.checks import Limit, Seconds
    from ._base.resource import Options
    from ._base.streaming import Streamed
    from ._base.types import FileEncodingStrategy, Headers, Query
    from ._batch.map import Results
    from ._batch.progress import MapProgress
    from ._batch.results import Result
    from ._batch.types import OnError, OnExit
    from ._client.search import SearchResult
    from ._client.stats import Stats
    from ._client.types import Certificate, Fetch, OnProgress, Token
    from ._core import AbortSignal, Core, Response, ServerSentEvent
    from ._predictions.params import PredictionOptions
    from .account import Accounts
    from .collection import Collections
    from .deployment import Deployment, Deployments
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
    """What both clients have in common."""

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
        """Create a client. It reads the environment and connects when a request is made.

        Each option is an attribute too; an assignment takes effect with the next request.

        Args:
            api_token: The API token: text, a `SecretStr`, or a function that returns it, called
                before each request (on an `AsyncReplicate` it may be async). Default: the token in
                the scope of a running cog model, else `REPLICATE_API_TOKEN`.
            auth: Alias of `api_token`, from the Node client.
            bearer_token: Alias of `api_token`, from 2.0.
            base_url: The API's URL, with or without ``/v1``. Default: `REPLICATE_BASE_URL`, else
                ``https://api.replicate.com/v1``.
            timeout: Seconds for each part of each request (to connect, to send, until the response
                begins, between two chunks of it), or a `Timeout`, or one of httpx. A whole call,
                such as a run, is limited by the call's own `timeout`.
            max_retries: Attempts after the first, for requests that may be repeated. Those that the
                API's rate limit asks for (429) do not count: they go on until the call's `timeout`,
                or for ten minutes without one. With 0, nothing is repeated.
            max_connections: The number of requests at a time; others wait. Default: no limit.
            max_response_bytes: Bytes of the largest response, decompressed, and of the largest
                event of a stream. Files are not limited.
            headers: Headers of every request to the API: a mapping, or pairs, of which several may
                have the same name. They are not sent to other hosts.
            default_headers: Alias of `headers`, from 2.0.
            user_agent: Replaces this library's ``User-Agent``.
            poll_interval: Seconds between polls. Default: `REPLICATE_POLL_INTERVAL`, else adaptive:
                from 0.25 to 2 seconds for a few predictions, slower for many, to stay below the
                API's rate limits.
            file_encoding_strategy: How to send files: ``default`` uploads them, or sends them
                inline if the server fails to take the upload; ``upload`` (or ``url``) always
                uploads; ``data-uri`` (or ``base64``) always sends them inline.
            use_file_output: Whether files of an output are `FileOutput` objects or URLs as text.
            block_private_addresses: Whether to refuse files and streams from private networks and
                this machine, except from the API's own origin. With a proxy, the proxy resolves
                host names, and has to refuse these itself.
            proxy: The URL of the proxy for all requests: ``http://``, ``https://``, ``socks5://``
                or ``socks5h://``, optionally with ``user:password@``. Default: `HTTPS_PROXY`,
                `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; the last may list ``host``, ``.domain``,
                ``host:port``, addresses, networks, or ``*``.
            verify: Whether to verify the certificates of servers; False is for tests. A path has
                the meaning of `ssl_cert_file`.
            ssl_cert_file: A PEM file of the authorities to trust. Default: those in
                `SSL_CERT_FILE` and the folders of `SSL_CERT_DIR`, else the system's.
            cert: The client's certificate: a PEM file that contains the key too, or a pair of
                files, certificate and key.
            fetch: A function ``fetch(request, send)`` around every request. It returns a
                `Response`: its own, or that of ``send(request)``, which raises for a status of 400
                or more. On an `AsyncReplicate` it is async, and awaits `send`.

        Raises:
            TypeError: An option has the wrong type.
            ValueError: An option has an invalid value.

        """
        try:
            self._set_up(
                normalize(
                    self.mode,
                    resolve_aliases(
                        {
                            "auth": auth,
                            "bearer_token": bearer_token,
                            "api_token": api_token,
                            "base_url": base_url,
                            "timeout": timeout,
                            "max_retries": max_retries,
                            "max_connections": max_connections,
                            "max_response_bytes": max_response_bytes,
                            "headers": headers,
                            "default_headers": default_headers,
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
                        }
                    ),
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
            # Error reports show local variables, and these may be secrets.
            api_token = auth = bearer_token = headers = default_headers = proxy = base_url = None
            raise strip_frames(error) from error.__cause__

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "mode" in vars(cls):
            # Documentation tools show the methods under the name of the class that has them.
            for name, method in vars(BaseClient).items():
                if isinstance(method, ResourceMethod):
                    setattr(cls, name, method.of(cls))

    @property
    def accounts(self) -> Accounts[M]:
        """The account that the token belongs to."""
        from .account import Accounts

        namespace: Accounts[M] = self._namespace("accounts", Accounts)
        return namespace

    @property
    def account(self) -> Accounts[M]:
        """Alias of `accounts`, from 2.0."""
        from .account import Accounts

        namespace: Accounts[M] = self._namespace("account", Accounts)
        return namespace

    @property
    def collections(self) -> Collections[M]:
        """Collections of models."""
        from .collection import Collections

        namespace: Collections[M] = self._namespace("collections", Collections)
        return namespace

    @property
    def deployments(self) -> Deployments[M]:
        """Deployments: models with instances of their own."""
        from .deployment import Deployments

        namespace: Deployments[M] = self._namespace("deployments", Deployments)
        return namespace

    @property
    def files(self) -> Files[M]:
        """Uploaded files."""
        from .file import Files

        namespace: Files[M] = self._namespace("files", Files)
        return namespace

    @property
    def hardware(self) -> Hardwares[M]:
        """The hardware that models can run on."""
        from .hardware import Hardwares

        namespace: Hardwares[M] = self._namespace("hardware", Hardwares)
        return namespace

    @property
    def models(self) -> Models[M]:
        """Models, their versions, readmes and examples."""
        from .model import Models

        namespace: Models[M] = self._namespace("models", Models)
        return namespace

    @property
    def predictions(self) -> Predictions[M]:
        """Predictions: runs of models."""
        namespace: Predictions[M] = self._namespace("predictions", Predictions)
        return namespace

    @property
    def trainings(self) -> Trainings[M]:
        """Trainings: runs that create new versions of models."""
        from .training import Trainings

        namespace: Trainings[M] = self._namespace("trainings", Trainings)
        return namespace

    @property
    def webhooks(self) -> Webhooks[M]:
        """The account's webhook secret."""
        from .webhook import Webhooks

        namespace: Webhooks[M] = self._namespace("webhooks", Webhooks)
        return namespace

    def _in(self, mode: type[Sync | Async]) -> Self:
        twin = type(self).__new__(type(self))
        twin._initial_options, twin._namespaces = self._initial_options, self._namespaces
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
        progress: bool | OnProgress | None = None,
        cancel_on_exit: bool = False,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Prediction[M]:
        """Poll a prediction until it ends.

        Args:
            prediction: The prediction; it is not changed.
            interval: Seconds between polls. Default: the client's `poll_interval`.
            progress: Called with the prediction after each poll; True for a progress bar.
            cancel_on_exit: Whether to cancel the prediction if this call ends before it.
            signal: Aborts the call.
            timeout: Seconds for the whole call.

        Returns:
            The prediction in its final state.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if the prediction was canceled.
            PredictionTimeout: `timeout` passed first.
            AbortError: The signal was aborted.

        """
        final: Prediction[Any] = await wait_for(
            self,
            prediction,
            interval=interval,
            progress=progress,
            cancel_on_exit=cancel_on_exit,
            signal=signal,
            timeout=timeout,
        )
        # A prediction that had ended already is returned as it is, and may be another client's.
        if final._session is self._session:
            return final
        return Prediction._of(final._data, self._session)

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
        """Run a model and iterate over its events as they happen, up to and including ``done``.

        A broken connection is reconnected, and resumes where it was. If the server cannot resume
        it, the remaining events are made from the prediction itself.

        Args:
            ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version
                object.
            input: The model's inputs; files in them are uploaded.
            cancel_on_exit: Whether to cancel the prediction if the loop over its events ends first.
            use_file_output: Whether files of file streams are `FileOutput` objects or URLs as text.
                Default: the client's option.
            options: The options of every prediction, listed below; `timeout` limits the whole
                stream.

        Returns:
            An iterator over events; on an `AsyncReplicate` an async one.

        Raises:
            ModelError: The model failed; `PredictionCanceled` if the prediction was canceled.
            StreamError: The model cannot stream; `StreamInterrupted` if the stream broke off and
                cannot be resumed.
            PredictionTimeout: `timeout` passed first.
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

    def map(
        self,
        ref: Ref | Deployment[Any] | None = None,
        inputs: Iterable[Any] | AsyncIterable[Any] | None = None,
        *,
        deployment: Ref | tuple[str, str] | None = None,
        journal: str | PathLike[str] | None = None,
        save_to: str | PathLike[str] | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        ordered: bool = False,
        on_error: OnError = "return",
        on_exit: OnExit | None = None,
        retries: int = 0,
        retry_if: Callable[[Result], bool] | None = None,
        retry_failed: bool = False,
        max_failures: float | None = None,
        progress: bool | Callable[[MapProgress], object] | None = None,
        use_file_output: bool | None = None,
        **options: Unpack[PredictionOptions],
    ) -> Results[M]:
        """Run a model on any number of inputs, and iterate over the results as they end.

            results = client.map("acme/painter", inputs, journal="runs.db", save_to="images")
            for result in results:
                print(result.key, result.status, result.files)

        Nothing is sent before the first result is asked for. Inputs are taken as they are needed,
        and no more while results wait to be taken. With a journal, a run that was stopped, killed
        even, goes on where it was when it is called again, and no input is paid for twice.

        Args:
            ref: ``owner/name``, ``owner/name:version``, a version's id, a model, version or
                deployment object.
            inputs: Dicts of the model's inputs, or pairs of a key and such a dict; any iterable, or
                an async one. Files in them are uploaded. Equal inputs without keys are one, which
                is run once.
            deployment: A deployment in place of `ref`.
            journal: The path of a file that keeps what was sent and what became of it, or the
                address of a database (``postgresql://…``) that several machines share; created if
                there is none.
            save_to: A folder for the files of the outputs, or a URL of `fsspec`; they are named by
                their keys.
            concurrency: Runs in flight, at most; 64 by default. There are fewer at first, and when
                the server fails.
            rate: Predictions created a minute, at most. Default: as many as the API accepts.
            ordered: Whether results come in the order of the inputs.
            on_error: ``return``: what fails is a result. ``raise``: it ends the run with its error.
            on_exit: What happens to predictions that run when the caller leaves: ``leave`` (the
                default with a journal) or ``cancel`` (the default without).
            retries: How often an input is run again whose prediction failed.
            retry_if: Called with a failed result; whether it is run again.
            retry_failed: Whether inputs that failed in former calls, by the journal, are run again.
            max_failures: A number of inputs, or a share of those that ended (below 1.0), with more
                failures than which the run ends.
            progress: True for a progress bar, or a function that is called with a `MapProgress` a
                few times a second, on another thread.
            use_file_output: Whether files of outputs are `FileOutput` objects or URLs as text.
                Default: the client's option.
            options: The options of `predictions.create`, for each prediction; but `timeout`,
                seconds or a `timedelta`, is for all of it.

        Returns:
            The results, to iterate over with ``for`` or ``async for``, or to await as a list.

        Raises:
            JournalError: The journal cannot be used; raised by the iteration, as all below.
            TooManyFailures: `max_failures` was exceeded.
            FileError: Files cannot be saved.
            PredictionTimeout: `timeout` passed first.
            APIStatusError: The model does not exist, or the token is wrong.

        """
        from ._batch.map import map_inputs

        results: Results[M] = map_inputs(
            self,
            ref,
            inputs,
            deployment=deployment,
            journal=journal,
            save_to=save_to,
            concurrency=concurrency,
            rate=rate,
            ordered=ordered,
            on_error=on_error,
            on_exit=on_exit,
            retries=retries,
            retry_if=retry_if,
            retry_failed=retry_failed,
            max_failures=max_failures,
            timeout=options.pop("timeout", None),
            progress=progress,
            use_file_output=use_file_output,
            options=options,
        )
        return results

    @operation
    def search(
        self, query: str, *, limit: int | None = None, **options: Unpack[Options]
    ) -> Awaitable[SearchResult[M]]:
        """Search models, collections and documentation.

        See https://replicate.com/docs/reference/http#search.

        Args:
            query: The text to search for.
            limit: The number of models, 1 to 50. Default: the API's, 20.
            options: The options of every operation, listed below.

        Returns:
            The models, collections and pages found.

        Raises:
            ValueError: `query` is empty, or `limit` is out of range.

        """
        from ._client.search import search

        return search(self, query, limit=limit, **options)

    async_search: Final = async_operation(search)

    @operation
    async def request(
        self,
        route: str,
        *,
        method: str = "GET",
        params: Query | None = None,
        headers: Headers | None = None,
        data: object = None,
        signal: AbortSignal | None = None,
        timeout: Limit | None = None,
    ) -> Response:
        """Send a request to any endpoint, with the client's token, retries and errors.

        Args:
            route: A path under the client's base URL, such as ``/models``, or a complete URL.
                Another origin does not get the token.
            method: The HTTP method. `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE` and `QUERY` are
                retried after a temporary failure, other methods only if the server did not accept
                the request.
            params: The query; None is left out, lists are joined by commas.
            headers: Headers of this request, a mapping or pairs; they replace the client's of the
                same name.
            data: The body: bytes and text as they are; a dict with files among its values, or a
                list of names and values, as a form (``multipart/form-data``); anything else as
                JSON, by the rules of a model's input.
            signal: Stops the request.
            timeout: Seconds for the whole request, retries included, or a `timedelta`.

        Returns:
            The complete response: `status`, `headers`, `body`, `text`, `json()`.

        Raises:
            APIStatusError: The response has a status of 400 or more.
            TypeError: JSON has no form for a value in `data`.
            ValueError: JSON cannot carry a value in `data`, or the method is `CONNECT` or `TRACE`.

        """
        from ._client.request import send_request

        return await send_request(self, route, method, params, headers, data, signal, timeout)

    async_request: Final = async_operation(request)

    def stats(self) -> Stats:
        """Return counters of this client and of those that share its connections, in this process.

        `streams` and `predictions` count those of this client alone.
        """
        from ._client.stats import Stats

        core, *former = self._config.get_cores()
        return Stats(*core.stats(), sum(map(count_registered, (core, *former))))

    def close(self, timeout: float | None = None) -> int:
        """Close the client: refuse further calls, and cancel the predictions of calls in progress.

        Calls with ``cancel_on_exit=False`` leave their predictions running. Runs in progress raise
        `ClientClosedError`, and streams end as their predictions do. Calls without a prediction,
        such as downloads, run to their end.

        Args:
            timeout: Seconds to wait for the cancel requests. Default: 5 on a `Replicate`; 0 on an
                `AsyncReplicate`, which has `aclose` to wait.

        Returns:
            The number of cancel requests without a response in time. They continue until the
            program ends.

        """
        if timeout is None:
            timeout = EXIT_REQUEST_TIMEOUT if self._mode is Sync else 0.0
        return sum(
            run_blocking(drain(core, Blocking, timeout)) for core in self._stop() if core.unattended
        )

    async def aclose(self, timeout: float | None = None) -> int:
        """Close the client, as `close` does, without blocking the event loop.

        Args:
            timeout: Seconds to wait for the cancel requests. Default: 5.

        Returns:
            The number of cancel requests without a response in time.

        """
        if timeout is None:
            timeout = EXIT_REQUEST_TIMEOUT
        return sum(
            [await drain(core, Suspending, timeout) for core in self._stop() if core.unattended]
        )

    def _stop(self) -> list[Core]:
        cores = list(self._config.get_cores())
        for core in cores:
            core.close()
            cancel_registered(core)
        return cores

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._config.is_closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        # Error reports show a client whose constructor raised, and which has no session.
        if not hasattr(self, "_session"):
            return f"<{type(self).__name__} without options>"
        return f"{type(self).__name__}(base_url={self.base_url!r})"


class Replicate(BaseClient[Sync]):
    """A client whose calls block; each method has an async one, ``async_…``.

    It may be used from several threads and event loops, and after a fork.
    """

    __slots__ = ()

    mode: ClassVar[type[Sync | Async]] = Sync

    def paginate(
        self, list_method: Callable[..., Page[T]], *, signal: AbortSignal | None = None
    ) -> Generator[Page[T], None, None]:
        """Iterate over the pages of a list method.

            for page in client.paginate(client.predictions.list):
                ...

        To iterate over all items instead: ``client.predictions.list().auto()``.

        Args:
            list_method: A method that returns a page.
            signal: Aborts the requests for pages.

        Raises:
            AbortError: The signal was aborted.

        """
        from .pagination import paginate

        return paginate(list_method, signal=signal)

    def async_paginate(
        self, list_method: Callable[..., Awaitable[Page[T]]], *, signal: AbortSignal | None = None
    ) -> AsyncGenerator[Page[T], None]:
        """Iterate over the pages of an ``async_`` list method; see `paginate`."""
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
        """Return a function that runs a model. Nothing is sent before it is called.

        Args:
            ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version
                object.
            hint: A function with the model's parameters and result, for type checkers and editors.
            streaming: Whether the function returns an iterator over the output as it grows.

        Returns:
            A function whose keyword arguments are the model's inputs.

        Raises:
            ValueError: `ref` is not a valid reference.

        """
        from .use import Function

        if hint is not None:
            function("hint", hint)
        return Function(ref, client=self, streaming=streaming)


class AsyncReplicate(BaseClient[Async]):
    """A client whose calls are awaited.

    It may be used from several threads and event loops, and after a fork.
    """

    __slots__ = ()

    mode: ClassVar[type[Sync | Async]] = Async

    def paginate(
        self, list_method: Callable[..., Awaitable[Page[T]]], *, signal: AbortSignal | None = None
    ) -> AsyncGenerator[Page[T], None]:
        """Iterate over the pages of a list method.

            async for page in client.paginate(client.predictions.list):
                ...

        To iterate over all items instead: ``(await client.predictions.list()).auto()``.

        Args:
            list_method: A method that returns a page when awaited.
            signal: Aborts the requests for pages.

        Raises:
            AbortError: The signal was aborted.

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
        """Return an async function that runs a model; see `Replicate.use`."""
        from .use import AsyncFunction

        if hint is not None:
            function("hint", hint)
        return AsyncFunction(ref, client=self, streaming=streaming)


# The names of the clients in 1.0.7 and 2.0.
Client = Replicate
AsyncClient = AsyncReplicate


defer_annotations(globals())
