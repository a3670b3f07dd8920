"""The local Replicate."""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping, Sequence
from typing import Literal, Self

from .addresses import Addresses, create_addresses, listen, parse_public_url
from .api.files import sign_download
from .api.operations import operations
from .app import create_apps, create_cassette_apps
from .cassettes.options import Folder, Recording, Replaying, parse_options
from .cassettes.player import Player
from .models.capture import restore_output
from .models.model import Definition
from .models.registry import Registry
from .request_log import LoggedRequest
from .runs.webhooks import Delivery
from .server_thread import ServerThread
from .settings import Advice, Settings
from .state import State
from .traffic.faults import Fault
from .traffic.patterns import Pattern


class LocalReplicate(Registry):
    """A Replicate server on your machine.

    Start it with `start` or as a context manager. After `stop` it can be started again, with the
    same models and without its earlier data. It may be used from any thread.

    Args:
        token: The API token or tokens that it accepts; None: any request is accepted. With `record`
            or `replay`, any is.
        host: The address to listen on.
        port: The port of the API and the web page; 0: a free one.
        output_port: The port of output files and streams; 0: a free one.
        username: The account that the tokens belong to.
        settings: Limits and behaviour, which may be changed while the server runs.
        public_url: The API's address for clients, if they reach it through something else, such as
            a gateway or a published port. Without it, URLs in a response begin with the address of
            its request.
        public_output_url: The address of output files and streams for clients. Without it, the host
            of `public_url` and `output_port`.
        record: A folder. The server passes requests on to `upstream`, and records them there.
        upstream: The API's URL, for `record`; None: Replicate's.
        redact: Names of headers, JSON fields, form fields and query parameters whose values are not
            recorded. API tokens and webhook secrets never are.
        replay: A folder with recordings, from which the server answers requests.
        at_once: Whether replayed streams leave out the pauses between their events.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is not valid, or has no effect with the others.

    """

    def __init__(
        self,
        *,
        token: str | Sequence[str] | None = "r8_local",  # noqa: S107 - not a secret
        host: str = "127.0.0.1",
        port: int = 0,
        output_port: int = 0,
        username: str = "local",
        settings: Settings | None = None,
        public_url: str | None = None,
        public_output_url: str | None = None,
        record: Folder | None = None,
        upstream: str | None = None,
        redact: Sequence[str] = (),
        replay: Folder | None = None,
        at_once: bool = False,
    ) -> None:
        super().__init__()
        self._cassette: Recording | Replaying | None = parse_options(
            record, replay, upstream, redact, at_once=at_once
        )
        # The player of the last start.
        self._player: Player | None = None
        if record is not None:
            # The upstream decides.
            token = None
        self._tokens: list[str] = (
            [] if token is None else [token] if isinstance(token, str) else list(token)
        )
        self.host = host
        self.port: int = port
        self.output_port: int = output_port
        self.username = username
        self.public_url: str | None = parse_public_url("public_url", public_url)
        self.public_output_url: str | None = parse_public_url(
            "public_output_url", public_output_url
        )
        self.faults: list[Fault] = []
        self._thread: ServerThread | None = None
        # The state of the last start, which stays readable after `stop`.
        self._last_state: State | None = None
        self.settings = settings or Settings()

    @property
    def settings(self) -> Settings:
        """Limits and behaviour.

        They may be changed or replaced while the server runs.
        """
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if not isinstance(settings, Settings):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise TypeError(f"settings must be a Settings, not {type(settings).__name__}")
        self._settings: Settings = settings
        if self._thread is not None:
            self._thread.state.settings = settings

    @property
    def tokens(self) -> list[str]:
        """The API tokens that it accepts; if empty, any request is accepted.

        They may be changed or replaced while the server runs.
        """
        return self._tokens

    @tokens.setter
    def tokens(self, tokens: Sequence[str]) -> None:
        self._tokens = [tokens] if isinstance(tokens, str) else list(tokens)
        if self._thread is not None:
            self._thread.state.tokens = self._tokens

    def _on_register(self, definition: Definition) -> None:
        if self._cassette is not None:
            self._definitions.remove(definition)
            raise ValueError(
                f"{definition.name} would never run: a server with record= or replay= has no models"
            )
        if self._thread is not None:
            state = self._thread.state
            self._thread.call(lambda: state.register(definition))

    def copy(self) -> LocalReplicate:
        """Return a server with the same models, tokens and settings, on free ports."""
        other = LocalReplicate(
            token=self._tokens or None,
            host=self.host,
            username=self.username,
            settings=copy.deepcopy(self._settings),
        )
        other._cassette = self._cassette
        other._definitions = list(self._definitions)
        other._trainings = dict(self._trainings)
        other._collections = dict(self._collections)
        return other

    # Addresses

    @property
    def token(self) -> str | None:
        """The first token that it accepts; None: any request is accepted."""
        return self.tokens[0] if self.tokens else None

    @property
    def origin(self) -> str:
        """The origin of the API and the web page."""
        return self._addresses.own.api

    @property
    def base_url(self) -> str:
        """The API's URL, for a client's `base_url`."""
        return f"{self.origin}/v1"

    @property
    def output_origin(self) -> str:
        """The origin of output files and streams."""
        return self._addresses.own.output

    @property
    def _addresses(self) -> Addresses:
        return create_addresses(
            self.host, (self.port, self.output_port), self.public_url, self.public_output_url
        )

    # Records

    @property
    def requests(self) -> list[LoggedRequest]:
        """The last 10,000 requests to both origins, except those of the web page, in order."""
        return list(self._state.requests)

    @property
    def deliveries(self) -> list[Delivery]:
        """The last 10,000 webhooks, in the order in which they were first sent."""
        return list(self._state.webhooks.deliveries)

    @property
    def running(self) -> int:
        """The number of predictions and trainings that have not ended."""
        return sum(not each.is_done for each in list(self._state.predictions.values()))

    @property
    def webhook_secret(self) -> str:
        """The secret that webhooks are signed with."""
        return self._state.webhooks.secret

    @property
    def unrecorded(self) -> list[str]:
        """Messages about the requests that were not found in the cassette, in order."""
        return [] if self._player is None else list(self._player.missing)

    # Control

    def fault(
        self,
        pattern: str,
        *,
        times: int | None = 1,
        status: int | None = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        bad_json: bool = False,
        delay: float = 0.0,
        reset: bool | Literal["after"] = False,
        truncate: int | None = None,
        drop_stream: int | None = None,
        retry_after: float | None = None,
        advice: tuple[Advice, ...] | None = None,
        optional: bool = False,
    ) -> Fault:
        """Add a fault to requests that match a pattern.

        To each request, the first fault applies that matches it and is not used up.

        Args:
            pattern: A method and a path with `*` as a wildcard, such as ``GET /predictions/*`` or
                ``* /pbxt/*``.
            times: The number of requests that it applies to; None: all.
            status: The status code of a response that replaces the server's own.
            body: The body of a response that replaces the server's own.
            headers: Headers of a response that replaces the server's own.
            bad_json: Whether to respond with an incomplete JSON document.
            delay: Seconds of real time to wait first.
            reset: Whether to reset the connection; ``"after"``: after the request was carried out,
                instead of the response.
            truncate: The number of bytes of the response's body after which to close the
                connection.
            drop_stream: The number of events of a stream after which to close the connection.
            retry_after: Seconds until a retry, for a 429 response or one with `status`.
            advice: Where that response states `retry_after`; None: as in the settings.
            optional: Whether a test may pass in which the fault has not struck.

        Returns:
            The fault, with the counts `met` and `hits`.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: No request can match the pattern, or the fault has no effect.

        """
        parsed = Pattern.parse(pattern)
        matching = parsed.choose(operations())
        if drop_stream is not None and not any(each.is_stream for each in matching):
            raise ValueError(
                "drop_stream is for streams ('GET /v1/streams/*', 'GET /v1/files/local-*'), not"
                f" {pattern!r}"
            )
        if advice is not None and retry_after is None:
            raise ValueError(
                "advice says how retry_after is given: add retry_after, or leave out advice"
            )
        content = body.encode() if isinstance(body, str) else body
        if bad_json:
            if body is not None:
                raise ValueError("bad_json is a body: leave out body, or bad_json")
            content, status = b'{"id": "', status or 200
        fault = Fault(
            pattern=parsed,
            left=times,
            status=status,
            body=content,
            headers=headers,
            delay=delay,
            reset=reset,
            truncate=truncate,
            drop_stream=drop_stream,
            retry_after=retry_after,
            advice=self.settings.advice if advice is None else advice,
            optional=optional,
        )
        self.faults.append(fault)
        return fault

    @property
    def unused_faults(self) -> list[Fault]:
        """The faults that have not struck and are not optional."""
        return [each for each in self.faults if not each.hits and not each.optional]

    def advance(self, *, hours: float = 0.0, minutes: float = 0.0, seconds: float = 0.0) -> None:
        """Move the server's clock forward, and do what becomes due before returning.

        The clock governs the expiry of files and data, deadlines, cold starts, retries of webhooks
        and rate limits. Timestamps in webhooks are real time, because receivers compare them with
        their own clock.

        Args:
            hours: Hours to move it by.
            minutes: Minutes, added to these.
            seconds: Seconds, added to these.

        """
        thread = self._running_thread
        thread.call(lambda: thread.state.clock.advance(3600 * hours + 60 * minutes + seconds))

    def rotate_webhook_secret(self) -> str:
        """Create and return a webhook secret; for a day, the old one signs webhooks too."""
        thread = self._running_thread
        thread.call(thread.state.webhooks.rotate_secret)
        return self.webhook_secret

    def signed_download(self, id: str, *, seconds: float = 3600.0) -> dict[str, str]:
        """Return the query parameters for the download of an uploaded file.

        Args:
            id: The file's id.
            seconds: For how long they are valid.

        Returns:
            A dict with `owner`, `expiry` and `signature`.

        """
        state = self._state
        expiry = str(int(state.clock.time() + seconds))
        return {
            "owner": self.username,
            "expiry": expiry,
            "signature": sign_download(state.files_signing_secret, self.username, id, expiry),
        }

    # Start and stop

    def start(self, sockets: Sequence[socket.socket] | None = None) -> Self:
        """Start serving, and return when the server accepts requests.

        Args:
            sockets: Two listening sockets, for the API and for output files; None: new ones.

        Raises:
            OSError: A port is taken.
            CassetteError: The cassette cannot be read or written.
            RuntimeError: The server runs already.
            ValueError: `sockets` are not two.

        """
        if self._thread is not None:
            raise RuntimeError("this server runs already")
        listeners = list(sockets) if sockets is not None else self.listen()
        ports = self.port, self.output_port
        try:
            if len(listeners) != 2:
                raise ValueError(
                    "sockets must be two listening sockets, for the API and for output files, not"
                    f" {len(listeners)}"
                )
            self.port, self.output_port = (int(each.getsockname()[1]) for each in listeners)
            self._thread = self._start_thread(listeners)
        except BaseException:
            self.port, self.output_port = ports
            for each in listeners:
                each.close()
            raise
        self._last_state = self._thread.state
        return self

    def _start_thread(self, listeners: list[socket.socket]) -> ServerThread:
        state = self._create_state()
        try:
            if self._cassette is None:
                apps = create_apps(state)
            else:
                handler = self._cassette.open(state)
                self._player = handler if isinstance(handler, Player) else None
                apps = create_cassette_apps(state, handler)
        except BaseException:
            state.close()
            raise
        return ServerThread(state, self.faults, listeners, apps)

    def _create_state(self) -> State:
        state = State(self.settings, self.username, self.tokens, addresses=self._addresses)
        for definition in self._definitions:
            state.register(definition)
        state.trainings, state.collections = self._trainings, self._collections
        return state

    def listen(self) -> list[socket.socket]:
        """Return listening sockets for the two ports. Raises `OSError` if a port is taken."""
        return listen(self.host, {"port": self.port, "output_port": self.output_port})

    def stop(self) -> None:
        """Cancel all predictions, and stop serving."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
            restore_output()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _running_thread(self) -> ServerThread:
        if self._thread is None:
            raise RuntimeError("the server does not run: use `with server:`, or start()")
        return self._thread

    @property
    def _state(self) -> State:
        if self._last_state is None:
            raise RuntimeError("the server was never started: use `with server:`, or start()")
        return self._last_state
