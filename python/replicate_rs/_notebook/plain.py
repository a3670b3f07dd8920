"""What IPython shows of records as text, which a notebook saves beside the HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base.record import shortened
from .._base.typing import is_object
from .values import HIDDEN, hide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def job(record: Any) -> str:
    """Return the `repr` of a prediction or a training without what may be a secret."""
    data: dict[str, Any] = dict(record._data)
    if is_object(data.get("input")):
        data["input"] = hide("", data["input"])
    if data.get("webhook"):
        data["webhook"] = HIDDEN
    urls: Any = data.get("urls")
    if is_object(urls) and urls.get("stream"):
        # Whoever has it can read the output.
        data["urls"] = {**urls, "stream": HIDDEN}
    fields = ", ".join(f"{name}={shortened(value)}" for name, value in data.items())
    return f"{type(record).__name__}({fields})"


def page(results: Sequence[Any], next_url: str | None, previous: str | None) -> str:
    """Return the `repr` of a page, whose predictions have no secrets."""
    shown = ", ".join(map(_item, results))
    return f"Page(results=[{shown}], next={next_url!r}, previous={previous!r})"


def _item(value: Any) -> str:
    # Predictions and trainings know whether they are done.
    return job(value) if hasattr(value, "_data") and hasattr(value, "is_done") else repr(value)
