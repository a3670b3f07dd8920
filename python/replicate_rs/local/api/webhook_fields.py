"""The webhook fields in the bodies that create predictions and trainings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..problem import invalid_field
from ..runs.prediction import StoredPrediction

WEBHOOK_FIELDS: dict[str, Any] = {
    "webhook": {"type": "string"},
    "webhook_events_filter": {
        "type": "array",
        "items": {"type": "string", "enum": ["start", "output", "logs", "completed"]},
    },
    # Undocumented; 1.0.7 sends it.
    "webhook_completed": {"type": "string"},
}
_DEFAULT_EVENTS = ["output", "completed"]


def read_webhook_url(body: dict[str, Any]) -> str | None:
    """Return the webhook URL in a body.

    Raises `Problem` 422. The service asks for HTTPS; a receiver on this machine may use HTTP.
    """
    url: str | None = body.get("webhook", body.get("webhook_completed"))
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise invalid_field("format", "webhook", "Does not match format 'uri'")
    return url


def set_webhook(prediction: StoredPrediction, url: str | None, body: dict[str, Any]) -> None:
    """Set the webhook of a prediction or training."""
    prediction.webhook = url
    prediction.webhook_events_filter = body.get("webhook_events_filter") or _DEFAULT_EVENTS
    prediction.data |= {
        name: body[name] for name in ("webhook", "webhook_events_filter") if name in body
    }
