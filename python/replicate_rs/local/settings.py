"""Settings of a server, which may be changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Advice = Literal["seconds", "date", "body", "text"]
Shape = Literal["documented", "edge", "web"]


@dataclass(kw_only=True, slots=True)
class RateLimits:
    """Requests per minute. A client may use up a limit in one burst.

    Args:
        create: Limit for creating predictions.
        get: Limit for reading a single prediction.
        other: Limit for all other requests.

    """

    create: float = 600
    get: float = 60_000
    other: float = 3_000


@dataclass(kw_only=True, slots=True)
class Settings:
    """Limits, and choices where Replicate's own API has been observed to vary.

    Args:
        shape: The form of prediction objects: ``documented``, or one of two that were recorded from
            the service: ``edge`` (unset keys are missing) and ``web`` (unset keys are null).
        held: The response to a create with ``Prefer: wait`` whose output is ready in time:
            ``processing`` with the output, as recorded; ``succeeded``; or ``empty``, which is
            ``processing`` without the output.
        files: Output files as ``url``, or as ``data`` URIs. The official clients make a
            ``FileOutput`` of ``https:`` and ``data:`` only, and leave an ``http:`` URL of this
            machine a string.
        created: The status code of a create.
        idle: Seconds without an event after which a stream ends with a ``408`` comment.
        max_upload: Maximum size of an uploaded file, in bytes.
        max_body: Maximum size of any other request body, in bytes.
        rate_limits: Requests per minute; None: unlimited.
        advice: Where a 429 response states when to retry.
        webhook_copies: How often each webhook is delivered.
        retention: Seconds from the end of a prediction until its data is removed.
        concurrency: How many models run at once. Further predictions stay ``starting``.
        unknown_inputs: What to do with inputs that a model does not have: ``drop`` them with a line
            in the logs, as the service does, or ``refuse`` the prediction with a 422.

    """

    shape: Shape = "documented"
    held: Literal["processing", "succeeded", "empty"] = "processing"
    files: Literal["url", "data"] = "url"
    created: Literal[201, 202] = 201
    idle: float = 30.0
    max_upload: int = 100_000_000
    max_body: int = 32_000_000
    rate_limits: RateLimits | None = None
    advice: tuple[Advice, ...] = field(default=("seconds", "body", "text"))
    webhook_copies: int = 1
    retention: float = 3600.0
    concurrency: int = 512
    unknown_inputs: Literal["drop", "refuse"] = "drop"
