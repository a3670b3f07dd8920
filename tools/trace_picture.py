"""Write the trace in docs/telemetry.md, as text and as a picture, from a run on the local server.

For ``make trace``: to be run when spans have changed.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import replicate_rs as replicate
from replicate_rs import telemetry
from replicate_rs.local import LocalReplicate

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT, PICTURE = DOCS / "telemetry.md", DOCS / "trace.svg"
TREE = re.compile(r"(?<=<!-- tree -->\n```text\n).*?(?=```\n)", re.DOTALL)
POLL = "GET /v1/predictions/{prediction_id}"
WIDTH, NAMES, ROW, MARGIN = 1080, 560, 26, 12
COLOURS = {"operation": "#3b6fb6", "attempt": "#8fb4df", "error": "#c94a3b", "caller": "#777777"}


def record() -> list[ReadableSpan]:
    """Return the spans of a service's request: a run with an upload and a retry, and a stream."""
    server = LocalReplicate()

    @server.model("acme/describe")
    def describe(image: bytes) -> str:
        return f"{len(image)} bytes"

    @server.model("acme/story", stream=True)
    def story(prompt: str) -> Iterator[str]:
        for word in prompt.split():
            time.sleep(0.1)
            yield f"{word} "

    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.instrument(tracer_provider=provider)
    try:
        with server, provider.get_tracer("service").start_as_current_span("GET /stories"):
            client = replicate.Replicate(server.token, base_url=server.base_url)
            server.fault("POST /models/*", retry_after=1)
            text = client.run("acme/describe", {"image": io.BytesIO(b"an image")})
            for _ in client.text_stream("acme/story", {"prompt": f"a story of {text}"}):
                pass
    finally:
        telemetry.uninstrument()
    # A busy machine polls for the output, another has it in the response to the create.
    spans = [span for span in exporter.get_finished_spans() if span.name != POLL]
    return sorted(spans, key=lambda span: span.start_time or 0)


def rows(
    spans: list[ReadableSpan], parent: int | None = None, depth: int = 0
) -> Iterator[tuple[int, ReadableSpan]]:
    """Yield the spans below one, with how deep they are."""
    for span in spans:
        if (span.parent.span_id if span.parent else None) == parent:
            yield depth, span
            yield from rows(spans, span.context.span_id, depth + 1)


def label(span: ReadableSpan) -> str:
    """Return the name of a span, with the status of its response, and which attempt it is."""
    attributes = span.attributes or {}
    status = attributes.get("http.response.status_code", "")
    resend = attributes.get("http.request.resend_count")
    return f"{span.name} {status}".rstrip() + ("" if resend is None else f" (again: {resend})")


def tree(spans: list[ReadableSpan]) -> str:
    """Return the spans as lines of text, with their events, without times."""
    lines = []
    for depth, span in rows(spans):
        lines.append(f"{'    ' * depth}{label(span)}")
        lines += [f"{'    ' * (depth + 1)}* {event.name}" for event in span.events]
    return "".join(f"{line}\n" for line in lines)


def picture(spans: list[ReadableSpan]) -> str:
    """Return the spans as bars along a line of time, in SVG."""
    found = [*rows(spans)]
    start = min(span.start_time or 0 for span in spans)
    length = max(span.end_time or 0 for span in spans) - start
    scale = (WIDTH - NAMES - 2 * MARGIN) / length
    height = ROW * len(found) + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for index, (depth, span) in enumerate(found):
        top = MARGIN + ROW * index
        left = NAMES + ((span.start_time or 0) - start) * scale
        width = max(((span.end_time or 0) - (span.start_time or 0)) * scale, 2)
        attributes = span.attributes or {}
        kind = "operation" if "replicate.operation" in attributes else "attempt"
        kind = "error" if not span.status.is_ok else kind if span.parent else "caller"
        parts += [
            f'<text x="{MARGIN + 18 * depth}" y="{top + 17}">{escape(label(span))}</text>',
            f'<rect x="{left:.1f}" y="{top + 5}" width="{width:.1f}" height="{ROW - 10}"'
            f' rx="2" fill="{COLOURS[kind]}"/>',
        ]
        for event in span.events:
            at = NAMES + (event.timestamp - start) * scale
            wait = (event.attributes or {}).get("replicate.retry.wait", 0)
            parts.append(
                f'<circle cx="{at:.1f}" cy="{top + ROW / 2}" r="4" fill="{COLOURS["error"]}">'
                f"<title>{event.name}, {wait:.1f} s</title></circle>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Write both."""
    spans = record()
    text, count = TREE.subn(lambda _: tree(spans), DOCUMENT.read_text())
    if count != 1:
        raise SystemExit(f"{DOCUMENT} has no place for the tree")
    DOCUMENT.write_text(text)
    PICTURE.write_text(picture(spans))


if __name__ == "__main__":
    main()
