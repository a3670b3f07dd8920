"""Predictions: one run of a model."""

from __future__ import annotations

from time import monotonic

from ._core import Expect
from ._operation import M, Resource, awaitable, operation
from ._record import Record
from .pagination import Page, cursor_of

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import EllipsisType
    from typing import Any, Literal, TypeAlias

    from ._core import AbortSignal
    from ._operation import FileEncodingStrategy

    Status: TypeAlias = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
    WebhookEvent: TypeAlias = Literal["start", "output", "logs", "completed"]

# A status that is not among these, even one that the API invents tomorrow, may still change.
TERMINAL = ("succeeded", "failed", "canceled", "aborted")

# Seconds: the longest hold the API documents (https://replicate.com/docs/topics/predictions/create-a-prediction#sync-mode).
LONGEST_HOLD = 60
# Seconds that an answer may take beyond the hold that was asked for.
MARGIN = 30.0


class Progress:
    """How far a model says it is, in its logs."""

    __slots__ = ("current", "percentage", "total")

    def __init__(self, percentage: float, current: int, total: int) -> None:
        self.percentage = percentage
        """From 0 to 1."""
        self.current = current
        self.total = total

    @classmethod
    def parse(cls, logs: str | None) -> Progress | None:
        """Read the last progress bar (as tqdm draws it) of some logs."""
        for line in reversed((logs or "").replace("\r", "\n").split("\n")):
            if (progress := cls._of(line)) is not None:
                return progress
        return None

    @classmethod
    def _of(cls, line: str) -> Progress | None:
        percentage, percent, rest = line.strip().partition("%")
        bar, _, counts = rest.strip().removeprefix("|").partition("|")
        current, slash, tail = counts.strip().partition("/")
        total = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        digits = (percentage, current, total)
        if not percent or not rest.strip().startswith("|") or not bar or not slash or not all(map(_is_number, digits)):
            return None
        return cls(int(percentage) / 100, int(current), int(total))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Progress):
            return NotImplemented
        return (self.percentage, self.current, self.total) == (other.percentage, other.current, other.total)

    def __hash__(self) -> int:
        return hash((self.percentage, self.current, self.total))

    def __repr__(self) -> str:
        return f"Progress(percentage={self.percentage!r}, current={self.current!r}, total={self.total!r})"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class Prediction(Record):
    """One run of a model (https://replicate.com/docs/reference/http#predictions.get)."""

    __slots__ = ()

    id: str
    model: str
    """``owner/name``."""
    version: str | None
    """64 hexadecimal digits; ``hidden`` for official models."""
    status: Status
    input: dict[str, Any] | None
    """As given: defaults are not filled in."""
    output: Any
    """What the model decides; None until there is some. Removed an hour after the end."""
    logs: str | None
    error: str | None
    """Why it failed."""
    metrics: dict[str, Any] | None
    """``predict_time`` and ``total_time`` in seconds; language models add token counts."""
    created_at: str | None
    """ISO 8601, in UTC; also `started_at`, `completed_at`, `deadline`."""
    started_at: str | None
    completed_at: str | None
    deadline: str | None
    """When `cancel_after` takes effect."""
    data_removed: bool | None
    deployment: str | None
    """``owner/name``, if it ran on one."""
    source: Literal["api", "web"] | None
    urls: dict[str, str] | None
    """``get``, ``cancel``, ``web``, and ``stream`` where the model can stream."""
    webhook: str | None
    webhook_events_filter: list[WebhookEvent] | None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.status in TERMINAL or self.completed_at is not None

    @property
    def progress(self) -> Progress | None:
        """How far the model says it is, in its logs."""
        return Progress.parse(self.logs)

    @operation
    async def reload(self, *, signal: AbortSignal | None = None, timeout: float | None = None) -> None:
        """Fetch the present state into this object."""
        pending = self._core.send("GET", ("predictions", self.id), Expect.OBJECT, total=timeout, signal=signal)
        self._update(await self._transport.finish(pending))

    async_reload = awaitable(reload)

    @operation
    async def cancel(self, *, signal: AbortSignal | None = None, timeout: float | None = None) -> None:
        """Stop the model, and take over the answer."""
        pending = self._core.send("POST", ("predictions", self.id, "cancel"), Expect.OBJECT, total=timeout, signal=signal)
        self._update(await self._transport.finish(pending))

    async_cancel = awaitable(cancel)

    @operation
    async def wait(self, *, signal: AbortSignal | None = None, timeout: float | None = None) -> None:
        """Poll until it has ended, every `poll_interval` seconds of the client; does not raise if the model failed.

        Args:
            signal: Stops the waiting, not the prediction.
            timeout: Seconds for all of it.

        Raises:
            PredictionTimeout: `timeout` passed first.

        """
        from .run import follow

        done = await follow(self, self, signal=signal, timeout=timeout)
        self._update(done.dict())

    async_wait = awaitable(wait)


# Where 1.0.7 has it; inside the class, the name would hide the type.
Prediction.Progress = Progress  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]


class Predictions(Resource[M]):
    """`client.predictions`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        version: str | None = None,
        input: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        deployment: str | None = None,
        wait: bool | float | None = None,
        prefer: str | None = None,
        cancel_after: str | float | None = None,
        webhook: str | None = None,
        webhook_events_filter: Sequence[WebhookEvent] | None = None,
        webhook_completed: str | None = None,
        stream: bool | None = None,
        file_encoding_strategy: FileEncodingStrategy | None = None,
        signal: AbortSignal | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Start a model and return at once, or hold the request open for its output.

        See https://replicate.com/docs/reference/http#predictions.create.

        Args:
            version: A version's id, or ``owner/name:version``. Give this, `model` or `deployment`.
            input: The model's inputs; files in it are uploaded.
            model: ``owner/name``.
            deployment: ``owner/name``.
            wait: Seconds to hold the request open until there is output (True: 60, the most).
            prefer: The same as a header value, ``wait`` or ``wait=5``.
            cancel_after: Seconds, or a duration as ``1h30m``, after which the API cancels the prediction.
            webhook: An https URL to be told of changes.
            webhook_events_filter: Which changes.
            webhook_completed: The same for the end only; older than `webhook`.
            stream: Older than streams that every prediction has; sent if given.
            file_encoding_strategy: How files are sent; the client's if not given.
            signal: Stops the request, not the prediction.
            timeout: Seconds for all of it.

        """
        target = _target(version, model, deployment)
        if wait and prefer:
            raise TypeError("give wait= or prefer=, not both")
        body: dict[str, Any] = {} if version is None else {"version": version}
        from .file_input import encoded, seconds_until

        deadline = None if timeout is None else monotonic() + timeout
        body["input"] = await encoded(self, {} if input is None else input, file_encoding_strategy, signal, deadline)
        body |= webhooks(webhook, webhook_events_filter, webhook_completed)
        if stream is not None:
            body["stream"] = stream
        prefer = prefer or hold(wait)
        headers: list[tuple[str, str]] = []
        if prefer:
            headers.append(("Prefer", prefer))
        if cancel_after is not None:
            headers.append(("Cancel-After", str(cancel_after)))
        pending = self._core.send(
            "POST",
            target,
            Expect.OBJECT,
            body=_json(body),
            content_type="application/json",
            headers=headers,
            read=LONGEST_HOLD + MARGIN if prefer else None,
            total=seconds_until(deadline),
            signal=signal,
        )
        return Prediction._of(await self._transport.finish(pending), self._session)

    async_create = awaitable(create)

    @operation
    async def get(self, prediction_id: str, *, signal: AbortSignal | None = None, timeout: float | None = None) -> Prediction:
        """Fetch a prediction's present state.

        Args:
            prediction_id: Its id.
            signal: Stops the request.
            timeout: Seconds for all of it.

        """
        pending = self._core.send("GET", ("predictions", prediction_id), Expect.OBJECT, total=timeout, signal=signal)
        return Prediction._of(await self._transport.finish(pending), self._session)

    async_get = awaitable(get)

    @operation
    async def cancel(self, prediction_id: str, *, signal: AbortSignal | None = None, timeout: float | None = None) -> Prediction:
        """Stop a running model.

        Args:
            prediction_id: Its id.
            signal: Stops the request.
            timeout: Seconds for all of it.

        """
        pending = self._core.send("POST", ("predictions", prediction_id, "cancel"), Expect.OBJECT, total=timeout, signal=signal)
        return Prediction._of(await self._transport.finish(pending), self._session)

    async_cancel = awaitable(cancel)

    @operation
    async def list(
        self,
        cursor: str | EllipsisType = ...,
        *,
        created_after: str | None = None,
        created_before: str | None = None,
        source: Literal["web"] | None = None,
        signal: AbortSignal | None = None,
        timeout: float | None = None,
    ) -> Page[Prediction]:
        """Fetch a page of your predictions, newest first, 100 to a page.

        Args:
            cursor: The `next` or `previous` of another page.
            created_after: ISO 8601.
            created_before: ISO 8601.
            source: Only those made on the website, in the last 14 days.
            signal: Stops the request.
            timeout: Seconds for all of it.

        """
        filters = {"created_after": created_after, "created_before": created_before, "source": source}
        query = [(name, value) for name, value in filters.items() if value is not None]
        target = cursor_of(cursor) or ("predictions",)
        page = await self._transport.finish(
            self._core.send("GET", target, Expect.OBJECT, query=query, total=timeout, signal=signal)
        )
        results = [Prediction._of(each, self._session) for each in page.get("results") or ()]
        return Page(results, page.get("next"), page.get("previous"))

    async_list = awaitable(list)


def _target(version: str | None, model: str | None, deployment: str | None) -> tuple[str, ...]:
    if sum(each is not None for each in (version, model, deployment)) != 1:
        raise ValueError("Exactly one of 'model', 'version', or 'deployment' must be specified.")
    if version is not None:
        return ("predictions",)
    kind, name = ("models", model) if model is not None else ("deployments", deployment)
    owner, _, name = (name or "").partition("/")
    if not owner or not name or "/" in name or ":" in name:
        raise ValueError(f"{kind[:-1]} must be 'owner/name', not {model or deployment!r}")
    return kind, owner, name, "predictions"


def _json(value: object) -> bytes:
    from json import dumps

    return dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()


def hold(wait: bool | float | None) -> str | None:
    """Give the `Prefer` header for what was given as `wait=`.

    Raises:
        ValueError: It is below 0.

    """
    if wait is None or wait is False or wait == 0:
        return None
    if wait is True:
        return "wait"
    if not isinstance(wait, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(f"wait must be a bool or a number of seconds, not {type(wait).__name__}")
    if not wait > 0:
        raise ValueError(f"wait must be a number of seconds above 0, not {wait!r}")
    return f"wait={int(min(-(-wait // 1), LONGEST_HOLD))}"


def webhooks(webhook: str | None, events: Sequence[str] | None, completed: str | None = None) -> dict[str, Any]:
    """Give the request's fields about webhooks.

    Raises:
        ValueError: A URL is not one, or an event does not exist.

    """
    fields: dict[str, Any] = {}
    for name, url in (("webhook", webhook), ("webhook_completed", completed)):
        if url is not None:
            scheme, _, rest = url.partition("://")
            odd = any(each.isspace() or not each.isprintable() for each in url)
            if scheme not in ("https", "http") or not rest.partition("/")[0] or odd:
                raise ValueError(f"{name} must be an https URL, not {url!r}")
            fields[name] = url
    if events is not None:
        if isinstance(events, str):
            raise TypeError(f"webhook_events_filter must be a list of event names, not the text {events!r}")
        known = ("start", "output", "logs", "completed")
        if unknown := [event for event in events if event not in known]:
            raise ValueError(f"webhook_events_filter: {unknown[0]!r} is not one of {', '.join(known)}")
        fields["webhook_events_filter"] = [*events]
    return fields


def parse_progress_from_logs(logs: str | Prediction | None) -> Progress | None:
    """Read the last progress bar in a prediction's logs, or None if there is none."""
    return Progress.parse(logs.logs if isinstance(logs, Prediction) else logs)
