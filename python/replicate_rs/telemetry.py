"""Spans and metrics of this library's calls, by OpenTelemetry.

    import replicate_rs.telemetry

    replicate_rs.telemetry.instrument()

Needs ``pip install "replicate-rs[otel]"``, and an SDK that exports what is recorded. The command
``opentelemetry-instrument`` finds this module by itself. Inputs, outputs and secrets are not
recorded; inputs and outputs are if that is asked for.
"""

from __future__ import annotations

from os import environ

from ._base.checks import flag
from ._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

__all__ = ["ReplicateInstrumentor", "instrument", "uninstrument"]

# The variable of the conventions, and those of its values that ask for content.
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENT = frozenset(("true", "1", "span_only", "span_and_event"))

# A `Patches`, while calls are recorded.
_patches: Any = None


def instrument(
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    capture_content: bool | None = None,
    propagate: bool = False,
) -> None:
    """Record the calls of all clients from now on. If they are recorded already, nothing changes.

    Args:
        tracer_provider: Where spans go, a `TracerProvider`. Default: the program's.
        meter_provider: Where metrics go, a `MeterProvider`. Default: the program's.
        capture_content: Whether spans have inputs, outputs, the texts of errors, and the addresses
            of files, all of which may be private. Default: what the variable
            ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says, else False.
        propagate: Whether requests to the API have the headers of the current trace
            (``traceparent``), for gateways that continue it. They are sent nowhere else.

    Raises:
        ImportError: OpenTelemetry is not installed.

    """
    global _patches
    if _patches is not None:
        return
    flag("propagate", propagate)
    if capture_content is None:
        capture_content = environ.get(CONTENT_VARIABLE, "").strip().lower() in _CONTENT
    try:
        from ._telemetry.patches import Patches
        from ._telemetry.recorder import Recorder
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ModuleNotFoundError(
            'telemetry needs OpenTelemetry: pip install "replicate-rs[otel]"', name=error.name
        ) from None
    recorder = Recorder(
        tracer_provider,
        meter_provider,
        capture_content=flag("capture_content", capture_content),
        propagate=propagate,
    )
    _patches = Patches(recorder)
    _patches.apply()


def uninstrument() -> None:
    """Record no calls from now on. Spans of calls that are under way end with these."""
    global _patches
    patches, _patches = _patches, None
    if patches is not None:
        patches.remove()


class ReplicateInstrumentor:
    """What ``opentelemetry-instrument`` finds and calls, with the methods of an instrumentor.

    It needs no package of OpenTelemetry but the API.
    """

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether calls are recorded."""
        return _patches is not None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that have to be installed: none, since this package is."""
        return ()

    def instrument(self, **options: Any) -> None:
        """Record the calls of all clients.

        Args:
            options: Those of `instrument`. Others, for instrumentors in general, are ignored.

        """
        known = ("tracer_provider", "meter_provider", "capture_content", "propagate")
        instrument(**{name: options[name] for name in known if name in options})

    def uninstrument(self, **_options: Any) -> None:
        """Record no calls from now on."""
        uninstrument()


defer_annotations(globals())
