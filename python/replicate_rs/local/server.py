"""The local Replicate, as its users see it."""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping, Sequence
from typing import Literal, Self

from .addresses import Addresses, addresses, listen, public
from .api.files import sign
from .api.operations import operations
from .models.call import release
from .models.model import Definition
from .models.registry import Registry
from .request_log import LoggedRequest
from .runs.webhooks import Delivery as WebhookDelivery
from .server_thread import Running
from .settings import Advice, Settings
from .state import State
from .traffic.faults import Fault
from .traffic.patterns import Pattern


class LocalReplicate(Registry):
    """A Replicate that runs on your machine.

    Start it with `start` or as a context manager. A server that was stopped can be started again,
    with the same models and nothing else. Everything here may be used from any thread.

    Args:
        token: The API token or tokens it asks for; None: any, or none.
        host: The address to listen on.
        port: The port of the API and the web page; 0: a free one.
        output_port: The port of output files and streams, which are another origin; 0: a free one.
        username: The account that the tokens belong to.
        settings: How it behaves; may be changed while it runs.
        public_url: The API's address for its clients, if they reach it through something else, such
            as a gateway or a published port. Without it, the URLs in answers begin with the address
            by which a client has asked.
        public_output_url: The same for output files; without it, the host of `public_url`, and
            `output_port`.

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
    ) -> None:
        super().__init__()
        self._tokens: list[str] = (
            [] if token is None else [token] if isinstance(token, str) else list(token)
        )
        self.host = host
        self.port: int = port
        self.output_port: int = output_port
        self.username = username
        self.public_url: str | None = public("public_url", public_url)
        self.public_output_url: str | None = public("public_output_url", public_output_url)
        self.faults: list[Fault] = []
        self._running: Running | None = None
        # What a stopped server had seen stays readable.
        self._seen: State | None = None
        self.settings = settings or Settings()

    @property
    def settings(self) -> Settings:
        """How it behaves.

        Its fields may be changed, and all of it be replaced, while the server runs.
        """
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if not isinstance(settings, Settings):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
            raise TypeError(f"settings must be a Settings, not {type(settings).__name__}")
        self._settings: Settings = settings
        if self._running is not None:
            self._running.state.settings = settings

    @property
    def tokens(self) -> list[str]:
        """The API tokens it accepts; if there are none, any.

        May be changed while the server runs.
        """
        return self._tokens

    @tokens.setter
    def tokens(self, tokens: Sequence[str]) -> None:
        self._tokens = [tokens] if isinstance(tokens, str) else list(tokens)
        if self._running is not None:
            self._running.state.tokens = self._tokens

    def _registered(self, definition: Definition) -> None:
        if self._running is not None:
            state = self._running.state
            self._running.call(lambda: state.register(definition))

    def copy(self) -> LocalReplicate:
        """Give another server with the same models, token and settings, on free ports."""
        other = LocalReplicate(
            token=self._tokens or None,
            host=self.host,
            username=self.username,
            settings=copy.deepcopy(self._settings),
        )
        other._definitions = list(self._definitions)
        other._trainers = dict(self._trainers)
        other._collections = dict(self._collections)
        return other

    # Where it is

    @property
    def token(self) -> str | None:
        """A token that it accepts; None: any."""
        return self.tokens[0] if self.tokens else None

    @property
    def origin(self) -> str:
        """Where the web page is."""
        return self._addresses.own.api

    @property
    def base_url(self) -> str:
        """What to pass to a client."""
        return f"{self.origin}/v1"

    @property
    def output_origin(self) -> str:
        """Where output files and streams are."""
        return self._addresses.own.output

    @property
    def _addresses(self) -> Addresses:
        return addresses(
            self.host, (self.port, self.output_port), self.public_url, self.public_output_url
        )

    # What it has seen

    @property
    def requests(self) -> list[LoggedRequest]:
        """The last 10,000 requests, on both origins, in the order of arrival; those for the web
        page do not count.
        """
        return list(self._state.requests)

    @property
    def deliveries(self) -> list[WebhookDelivery]:
        """The last 10,000 webhooks, in the order they were first sent."""
        return list(self._state.webhooks.deliveries)

    @property
    def running(self) -> int:
        """How many predictions and trainings have not ended."""
        return sum(not run.is_done for run in list(self._state.runs.values()))

    @property
    def webhook_secret(self) -> str:
        """What webhooks are signed with."""
        return self._state.webhooks.secret

    # What can be done to it

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
        """Let requests meet a fault. The first fault that fits a request strikes, and the others
        wait for their turn.

        Args:
            pattern: Which requests: a method and a path, with `*` for anything: ``GET
                /predictions/*``, ``* /pbxt/*``.
            times: How often it strikes; None: always.
            status: Answer with this status, and do nothing else.
            body: Answer with this body.
            headers: Answer with these headers too.
            bad_json: Answer with half a JSON document.
            delay: Seconds to wait first, of real time.
            reset: Reset the connection; ``"after"``: when the request was carried out, in the place
                of the answer.
            truncate: Close the connection after this many bytes of the answer's body.
            drop_stream: Close the connection after this many events of a stream.
            retry_after: Answer 429, or `status`, with this many seconds as advice.
            advice: How to give it; None: as the settings say.
            optional: The fixture `replicate_local` does not fail a test in which this has never
                struck.

        Raises:
            TypeError: An argument is of another kind.
            ValueError: No request can meet the fault, or it has no effect.

        """
        chosen = Pattern.parse(pattern)
        found = chosen.choose(operations())
        if drop_stream is not None and not any(each.is_stream for each in found):
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
            pattern=chosen,
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
        """The faults that have not struck, but for the optional ones."""
        return [each for each in self.faults if not each.hits and not each.optional]

    def advance(self, *, hours: float = 0.0, minutes: float = 0.0, seconds: float = 0.0) -> None:
        """Move the server's clock on; what comes due on the way has happened when this returns.

        It tells when files expire, data is removed, deadlines are over, webhooks are sent again and
        limits refill. Webhooks are stamped with real time, since receivers hold that against their
        own clock.
        """
        running = self._started
        running.call(lambda: running.state.clock.advance(3600 * hours + 60 * minutes + seconds))

    def rotate_webhook_secret(self) -> str:
        """Replace the webhook secret, and give the new one; for a day webhooks are signed with
        both.
        """
        running = self._started
        running.call(running.state.webhooks.rotate)
        return self.webhook_secret

    def signed_download(self, id: str, *, seconds: float = 3600.0) -> dict[str, str]:
        """Give the query that a download of an uploaded file needs: `owner`, `expiry` and
        `signature`.
        """
        state = self._state
        expiry = str(int(state.clock.time() + seconds))
        return {
            "owner": self.username,
            "expiry": expiry,
            "signature": sign(state.files_signing_secret, self.username, id, expiry),
        }

    # Its life

    def start(self, sockets: Sequence[socket.socket] | None = None) -> Self:
        """Listen, and return when requests are answered.

        Args:
            sockets: Listening sockets for the API and for output files; None: new ones.

        Raises:
            OSError: The port is taken.

        """
        if self._running is not None:
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
            self._running = Running(self._fresh_state(), self.faults, listeners)
        except BaseException:
            self.port, self.output_port = ports
            for each in listeners:
                each.close()
            raise
        self._seen = self._running.state
        return self

    def _fresh_state(self) -> State:
        state = State(self.settings, self.username, self.tokens, addresses=self._addresses)
        for definition in self._definitions:
            state.register(definition)
        state.trainers, state.collections = self._trainers, self._collections
        return state

    def listen(self) -> list[socket.socket]:
        """Take the two ports. Raises `OSError` if one is taken."""
        return listen(self.host, {"port": self.port, "output_port": self.output_port})

    def stop(self) -> None:
        """Stop listening, and cancel what runs."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()
            release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _started(self) -> Running:
        if self._running is None:
            raise RuntimeError("the server does not run: use `with server:`, or start()")
        return self._running

    @property
    def _state(self) -> State:
        if self._seen is None:
            raise RuntimeError("the server was never started: use `with server:`, or start()")
        return self._seen
