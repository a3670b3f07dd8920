"""Spans and metrics that the SDK keeps in memory, and a server whose models can be seen in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from replicate_rs import telemetry
from replicate_rs.local import LocalReplicate


class Recorded:
    """What is recorded of this process's calls."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def instrument(self, **options: Any) -> None:
        telemetry.uninstrument()
        telemetry.instrument(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options
        )

    @property
    def tracer(self) -> Any:
        return self.tracer_provider.get_tracer("test")

    def spans(self, *names: str) -> list[ReadableSpan]:
        """Return the spans that have ended, in the order of their beginnings, or those of names."""
        spans = sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        return [span for span in spans if not names or span.name in names]

    def span(self, name: str) -> ReadableSpan:
        (found,) = self.spans(name)
        return found

    def tree(self, show: Callable[[ReadableSpan], str] = lambda span: span.name) -> list[str]:
        """Return a line for each span, indented below its parent."""
        spans = self.spans()
        known = {span.context.span_id for span in spans}
        lines: list[str] = []

        def add(parent: int | None, indent: str) -> None:
            for span in spans:
                above = span.parent.span_id if span.parent else None
                if (above if above in known else None) == parent:
                    lines.append(indent + show(span))
                    add(span.context.span_id, indent + "  ")

        add(None, "")
        return lines

    def wait(self, count: int) -> None:
        """Wait until this many spans have ended: some are written by another thread."""
        deadline = time.monotonic() + 20
        while len(self.spans()) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.spans()) == count, self.tree()

    def metrics(self) -> dict[str, list[Any]]:
        """Return the points of each metric by its name."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def text(self) -> str:
        """Return all that was recorded as text."""
        spans = "\n".join(span.to_json() for span in self.spans())
        return spans + repr(self.metrics())


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorded = Recorded()
    recorded.instrument()
    yield recorded
    telemetry.uninstrument()


@pytest.fixture(scope="session")
def observed_server() -> Iterator[LocalReplicate]:
    server = LocalReplicate(token="r8_secret")

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    @server.model("acme/words", stream=True)
    def words(text: str) -> Iterator[str]:
        yield from text.split()

    @server.model("acme/endless", stream=True)
    def endless(text: str) -> Iterator[str]:
        while True:
            yield "more "
            time.sleep(0.02)

    @server.model("acme/reverse")
    def reverse(file: bytes) -> bytes:
        return file[::-1]

    @server.model("acme/fail", stream=True)
    def fail(text: str = "") -> Iterator[str]:
        raise RuntimeError(f"cannot do {text}")

    with server:
        yield server
