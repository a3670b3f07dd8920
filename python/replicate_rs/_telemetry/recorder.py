"""Records operations and attempts as spans and metrics."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from opentelemetry import context as otel
from opentelemetry.metrics import get_meter
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, StatusCode, get_tracer, set_span_in_context

from .._core import __version__
from .._predictions.job import TERMINAL
from ..prediction import Prediction
from .attributes import (
    GENERATE,
    GENERATING,
    PROVIDER,
    attributes_of_attempt,
    attributes_of_error,
    attributes_of_prediction,
    input_messages,
    output_messages,
    without_secrets,
)

if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from .attributes import Attributes

SCOPE = "replicate_rs"
# Where a context has the operation that is under way.
_OPERATION = otel.create_key("replicate_rs-operation")
# How a prediction has ended, by the last event of its stream, and what a `run` of it would raise.
_STATUSES = {"error": "failed", "canceled": "canceled"}
_ERRORS = {
    "failed": "replicate_rs.exceptions.ModelError",
    "canceled": "replicate_rs.exceptions.PredictionCanceled",
}
_TOKEN_TYPES = ("input", "output")
# The conventions' bounds, in seconds and in tokens.
_DURATIONS = tuple(0.01 * 2**step for step in range(14))
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_TOKENS = tuple(float(4**step) for step in range(14))
# How many predictions are remembered, so that what each tells is counted once.
_MAX_COUNTED = 10_000


class Recorder:
    """Where spans and metrics go, and what they may hold."""

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        *,
        capture_content: bool,
        propagate: bool,
    ) -> None:
        self.capture_content = capture_content
        self.propagate = propagate
        self.tracer = get_tracer(SCOPE, __version__, tracer_provider)
        meter = get_meter(SCOPE, __version__, meter_provider)
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Duration of operations.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self.first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time from the beginning of a stream to its first output.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self.per_chunk = meter.create_histogram(
            "replicate.client.stream.time_per_chunk",
            "s",
            "Time from one output of a stream to the next, on average over the stream.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self.first_token = meter.create_histogram(
            "gen_ai.server.time_to_first_token",
            "s",
            "Time until a model's first token, where it measures that.",
            explicit_bucket_boundaries_advisory=_FIRST_TOKEN,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of inputs and outputs, where a model counts them.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.attempts = meter.create_counter(
            "replicate.client.attempts", "{attempt}", "HTTP requests that were sent or tried."
        )
        self.bytes = meter.create_counter(
            "replicate.client.io", "By", "Bytes of the bodies of requests and responses."
        )
        # The ids of predictions whose tokens were counted, the oldest first.
        self._counted: dict[str, None] = {}

    def is_first(self, prediction: str) -> bool:
        """Return whether a prediction's metrics are seen for the first time, and remember it.

        A program may see one prediction in several operations: it streams it, and then fetches it.
        """
        # Without a lock: `setdefault` is atomic, and of two threads one adds its own object.
        mark: Any = object()
        if self._counted.setdefault(prediction, mark) is not mark:
            return False
        while len(self._counted) > _MAX_COUNTED:
            try:
                del self._counted[next(iter(self._counted))]
            except (KeyError, RuntimeError, StopIteration):
                # Another thread deletes at the same time.
                break
        return True

    def trace_call(self, is_api: bool) -> tuple[Call | None, list[tuple[str, str]] | None]:
        """Return what records the attempts of a call that begins now, and headers for the API."""
        context = otel.get_current()
        if otel.get_value(otel._SUPPRESS_INSTRUMENTATION_KEY, context):
            return None, None
        headers: dict[str, str] = {}
        if self.propagate and is_api:
            inject(headers, context)
        return Call(self, context), [*headers.items()]


class Call:
    """Records the attempts of one call of the core, under the span that was current when it began.

    The core calls it when the response is delivered, or from another thread while the call waits.
    """

    __slots__ = ("_context", "_recorder")

    def __init__(self, recorder: Recorder, context: Context) -> None:
        self._recorder = recorder
        self._context = context

    def attempt(
        self,
        method: str,
        url: str,
        is_api: bool,
        number: int,
        status: int | None,
        failure: str | None,
        ended_at: int,
        duration: int,
        wait: float | None,
        sent: int,
    ) -> None:
        """Record an attempt that has ended.

        Args:
            method: The HTTP method.
            url: The URL, without user, password and query.
            is_api: Whether the URL is the API's.
            number: The number of the attempt, from 1.
            status: The response's status; None if there is none.
            failure: The kind of a failure; None for a response, and for a caller that left.
            ended_at: When it ended, in nanoseconds since 1970.
            duration: How long it took, in nanoseconds.
            wait: Seconds until the next attempt; None if there is none.
            sent: Bytes of the request's body, if it was sent.

        """
        recorder = self._recorder
        attributes = attributes_of_attempt(
            method, url, is_api=is_api, is_whole=recorder.capture_content
        )
        counted: Attributes = {
            key: attributes[key] for key in ("http.request.method", "server.address", "server.port")
        }
        outcome: Attributes = {}
        if status is not None:
            outcome["http.response.status_code"] = status
        if status is None or status >= 400:
            outcome["error.type"] = failure or ("abandoned" if status is None else str(status))
        attributes |= outcome
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        name = str(attributes["http.request.method"])
        if "url.template" in attributes:
            name = f"{name} {attributes['url.template']}"
        span = recorder.tracer.start_span(
            name,
            self._context,
            SpanKind.CLIENT,
            attributes,
            start_time=ended_at - duration,
        )
        if "error.type" in outcome:
            span.set_status(StatusCode.ERROR)
        span.end(ended_at)
        recorder.attempts.add(1, counted | outcome, self._context)
        if sent:
            self._count(sent, "transmit")
        if wait is not None:
            operation = otel.get_value(_OPERATION, self._context)
            if isinstance(operation, Operation):
                operation.note_retry(number, wait, ended_at, outcome)

    def received(self, count: int) -> None:
        """Record that bytes of responses were received."""
        self._count(count, "receive")

    def _count(self, count: int, direction: str) -> None:
        self._recorder.bytes.add(count, {"network.io.direction": direction}, self._context)


class Operation:
    """A span and the metrics of one operation, from now until `end`."""

    outcome: tuple[Prediction[Any] | None, Exception | None] | None = None
    """The prediction of an input of `map`, and why it could not be created or followed."""

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        attributes: Attributes,
        *,
        parent: Context | None = None,
        base_url: tuple[str, int] | None = None,
        input: object = None,
        is_stream: bool = False,
    ) -> None:
        self._recorder = recorder
        self._start = perf_counter()
        self.has_ended = False
        self._first_chunk: float | None = None
        self._last_chunk = 0.0
        self._chunks = 0
        self._is_stream = is_stream
        generates = name in GENERATING
        kind = GENERATE if generates else name
        common: Attributes = {"gen_ai.operation.name": kind, "gen_ai.provider.name": PROVIDER}
        if base_url is not None:
            common |= {"server.address": base_url[0], "server.port": base_url[1]}
        model = attributes.get("gen_ai.request.model")
        if model is not None:
            common["gen_ai.request.model"] = model
        self._counted = common
        attributes = {
            **common,
            # Its name until version 1.36 of the conventions.
            "gen_ai.system": PROVIDER,
            "replicate.operation": name,
            **attributes,
        }
        if is_stream:
            attributes["gen_ai.request.stream"] = True
        if recorder.capture_content and input is not None:
            attributes["gen_ai.input.messages"] = input_messages(input)
        parent = otel.get_current() if parent is None else parent
        self._span = recorder.tracer.start_span(
            kind if model is None else f"{kind} {model}",
            parent,
            SpanKind.CLIENT if generates else SpanKind.INTERNAL,
            attributes,
        )
        context = set_span_in_context(self._span, parent)
        self.context: Context = otel.set_value(_OPERATION, self, context)

    @staticmethod
    def current() -> Operation | None:
        """Return the operation that is under way in this context."""
        operation = otel.get_value(_OPERATION)
        return operation if isinstance(operation, Operation) else None

    def enter(self) -> None:
        """Make the operation's span the current span of this thread or task."""
        otel.attach(self.context)

    def leave(self, previous: Context) -> None:
        """Undo `enter`: make the context current that was so before, unless it is already.

        A generator may be closed in another context, where there is nothing to undo. So
        OpenTelemetry's tokens, which are valid in one context only, are not used.
        """
        if otel.get_current() is self.context or otel.get_value(_OPERATION) is self:
            otel.attach(previous)

    def note_retry(self, number: int, wait: float, time: int, outcome: Attributes) -> None:
        """Add the event of a retry."""
        if self._span.is_recording():
            attributes = {"replicate.retry.attempt": number, "replicate.retry.wait": wait}
            self._span.add_event("replicate.retry", {**attributes, **outcome}, time)

    def note_resumption(self, wait: float, time: int, received: int) -> None:
        """Add the event of a stream's connection that broke, and of the wait for the next one.

        Args:
            wait: Seconds from its end to the next connection.
            time: When it ended, in nanoseconds since 1970.
            received: The number of the stream's events until then.

        """
        if self._span.is_recording():
            attributes: Attributes = {
                "replicate.stream.wait": wait,
                "replicate.stream.received": received,
            }
            self._span.add_event("replicate.stream.resume", attributes, time)

    def note_chunks(self, count: int) -> None:
        """Note that so many parts of a stream's output have arrived together."""
        self._chunks += count
        self._last_chunk = perf_counter() - self._start
        if self._first_chunk is None:
            self._first_chunk = self._last_chunk

    def note_stream(
        self, prediction: object, *, is_complete: bool, reason: str | None = None
    ) -> None:
        """Add what is known of a stream's prediction when the stream has ended or was left.

        Args:
            prediction: As last seen, usually when it was created.
            is_complete: Whether the stream's last event has arrived.
            reason: What that says: ``error``, ``canceled``; None for success.

        """
        if not self._is_stream:
            return
        self._span.set_attribute("replicate.stream.is_complete", is_complete)
        if not isinstance(prediction, Prediction):
            return
        status = None
        if not prediction.is_done:
            if is_complete:
                status = _STATUSES.get(reason or "", "succeeded")
            elif self._chunks:
                status = "processing"
        self.note_result(prediction, status=status)  # pyright: ignore[reportUnknownArgumentType] - of either client

    def note_result(self, result: object, *, status: str | None = None) -> None:
        """Add what a prediction tells.

        Args:
            result: What the operation returned; only predictions tell something.
            status: How the prediction ended, if it was last seen before.

        """
        if not isinstance(result, Prediction):
            return
        attributes = attributes_of_prediction(result)  # pyright: ignore[reportUnknownArgumentType] - of either client
        if status is not None:
            attributes["replicate.prediction.status"] = status
            if status in _ERRORS:
                self._set_failed(_ERRORS[status])
        self._span.set_attributes(attributes)
        self._count_metrics(attributes)
        if result.output is not None:
            self.note_output(result.output, failed=result.status == "failed")

    def note_output(self, output: object, *, failed: bool = False) -> None:
        """Add the output, if that was asked for."""
        if self.captures_content:
            self._span.set_attribute(
                "gen_ai.output.messages", output_messages(output, failed=failed)
            )

    def _count_metrics(self, attributes: Attributes) -> None:
        """Count what a prediction's metrics tell, once for each prediction.

        Whatever operation brought them, the model's run is what they are of.
        """
        counts = {kind: attributes.get(f"gen_ai.usage.{kind}_tokens") for kind in _TOKEN_TYPES}
        first_token = attributes.get("replicate.prediction.time_to_first_token")
        if first_token is None and set(counts.values()) == {None}:
            return
        # Those of a prediction that runs are not the last ones.
        if attributes.get("replicate.prediction.status") not in TERMINAL:
            return
        if not self._recorder.is_first(str(attributes.get("gen_ai.response.id"))):
            return
        model = attributes.get("gen_ai.response.model")
        common: Attributes = {} if model is None else {"gen_ai.request.model": model}
        common |= {**self._counted, "gen_ai.operation.name": GENERATE}
        common.pop("error.type", None)
        for kind, count in counts.items():
            if isinstance(count, int):
                self._recorder.tokens.record(
                    count, {**common, "gen_ai.token.type": kind}, self.context
                )
        if isinstance(first_token, float):
            self._recorder.first_token.record(first_token, common, self.context)

    def fail(self, error: BaseException) -> None:
        """Add an error. Its text is added only if content was asked for: it may hold inputs."""
        attributes = attributes_of_error(error)
        if self._chunks and attributes.get("replicate.prediction.status") == "starting":
            # The stream has told more than the error's prediction, which is as it was created.
            del attributes["replicate.prediction.status"]
        self._span.set_attributes(attributes)
        self._count_metrics(attributes)
        self._set_failed(
            str(attributes["error.type"]),
            without_secrets(str(error)) if self.captures_content else None,
        )

    def _set_failed(self, kind: str, text: str | None = None) -> None:
        self._counted = {**self._counted, "error.type": kind}
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR, text)

    @property
    def captures_content(self) -> bool:
        """Whether inputs and outputs were asked for."""
        return self._recorder.capture_content

    def end(self) -> None:
        """End the span, once."""
        if self.has_ended:
            return
        self.has_ended = True
        if self._is_stream:
            self._span.set_attribute("replicate.stream.chunks", self._chunks)
        if self._first_chunk is not None:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", self._first_chunk)
            self._recorder.first_chunk.record(self._first_chunk, self._counted, self.context)
            if self._chunks > 1:
                interval = (self._last_chunk - self._first_chunk) / (self._chunks - 1)
                self._recorder.per_chunk.record(interval, self._counted, self.context)
        self._recorder.duration.record(perf_counter() - self._start, self._counted, self.context)
        self._span.end()
