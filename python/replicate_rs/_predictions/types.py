"""Types of predictions and trainings: their status, webhook events, and options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from .._base.types import FileEncodingStrategy, Options, Seconds, TypedDict
from .._files.types import OnSent

Status: TypeAlias = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
"""The state of a prediction or a training; the last four are final."""
WebhookEvent: TypeAlias = Literal["start", "output", "logs", "completed"]
"""When the API sends a webhook: at the start, for each output, for each line of the logs, and at
the end."""


class TrainingOptions(Options, total=False):
    """Options of `trainings.create`."""

    webhook: str | None
    """An https URL that the API sends events to."""
    webhook_events_filter: Sequence[WebhookEvent] | None
    """Which events: a list of ``start``, ``output``, ``logs`` and ``completed``."""
    webhook_completed: str | None
    """An https URL for the ``completed`` event only; older than `webhook`."""
    file_encoding_strategy: FileEncodingStrategy | None
    """How files are sent; as the client's option says if not given."""
    upload_progress: bool | OnSent | None
    """Called a few times a second with the bytes sent, and the bytes of all uploads begun; True for
    a progress bar."""


class CreateOptions(TrainingOptions, total=False):
    """Options of `run`."""

    cancel_after: str | Seconds | None
    """Seconds, or a duration as ``1h30m``, after which the API cancels the prediction."""
    stream: bool | None
    """Sent to the API if given; models stream without it."""


class PredictionOptions(CreateOptions, total=False):
    """Options of `predictions.create` and `stream`."""

    wait: bool | Seconds | None
    """Seconds to hold the request open until there is output; True for 60, the maximum."""
    prefer: str | None
    """The `Prefer` header, ``wait`` or ``wait=5``, in place of `wait`."""


class WaitOptions(TypedDict, total=False):
    """How `run` waits."""

    mode: Literal["block", "poll"]
    """Hold the first request open, or poll from the start."""
    interval: Seconds
    """Seconds between polls."""
    timeout: Seconds
    """Seconds to hold the first request open; 3 is the maximum, and the default."""


Wait: TypeAlias = bool | Seconds | WaitOptions
"""How `run` waits: True or seconds to hold the first request open, False to poll, or `WaitOptions`.
"""
