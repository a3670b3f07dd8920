"""Details of predictions, requests, webhooks and models for the web page's templates."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import Any

from ..._base.typing import is_array
from ...prediction import parse_progress_from_logs
from ..models.model import Model
from ..request_log import LoggedRequest
from ..runs.prediction import StoredPrediction
from ..runs.webhooks import Delivery
from ..state import State
from .formats import to_line
from .json_text import indent_json
from .values import DisplayValue, display_text, to_display, to_json_text

# Characters of logs, and bytes of a request's body.
MAX_LOGS, MAX_BODY = 200_000, 20_000

# Python code of an example value for each type of input.
_EXAMPLES = {
    "any": "None",
    "array": "[]",
    "boolean": "True",
    "file": 'open("file", "rb")',
    "integer": "1",
    "number": "1.0",
    "object": "{}",
    "string": '"hello"',
}


def display_output(prediction: StoredPrediction, state: State) -> DisplayValue | None:
    """Return the output of a prediction; the items of a text iterator are joined."""
    output, signature = state.output(prediction), prediction.version.definition.signature
    if output is None:
        return None
    if (
        is_array(output)
        and signature.is_iterator
        and not signature.returns_files
        and all(isinstance(each, str) for each in output)
    ):
        return display_text("".join(output))
    return to_display(output, state)


def display_logs(prediction: StoredPrediction) -> DisplayValue:
    """Return the end of the logs, from the beginning of a line if there is one."""
    logs: str = prediction.data["logs"]
    start = max(0, len(logs) - MAX_LOGS)
    if start:
        start = max(start, logs.find("\n", start, -1) + 1)
    return DisplayValue(
        kind="code", text=logs[start:], note=f"{start:,} characters before" if start else ""
    )


def find_progress(prediction: StoredPrediction) -> object:
    """Return the progress of a running prediction, if its logs have one."""
    if prediction.data["status"] != "processing":
        return None
    # The logs are the model's: a number in them may have too many digits for Python.
    with suppress(ValueError, OverflowError):
        return parse_progress_from_logs(display_logs(prediction).text)
    return None


def display_body(request: LoggedRequest) -> DisplayValue | None:
    """Return the body of a request: text, JSON with line breaks, or only its type."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if not request.body:
        return None
    if content_type.startswith("multipart/") or b"\0" in request.body:
        return DisplayValue(kind="link", text=content_type or "binary")
    text = request.body[:MAX_BODY].decode(errors="replace")
    rest = request.size - MAX_BODY
    if rest <= 0:
        text = indent_json(text, MAX_BODY)
    return DisplayValue(kind="code", text=text, note=f"and {rest:,} bytes more" if rest > 0 else "")


def group_answers(delivery: Delivery) -> list[tuple[str, int, bool]]:
    """Return the answers to a webhook as `(answer, repetitions, is_success)`."""
    prefix = f"POST {delivery.url}: "
    return [
        (
            str(answer).removeprefix(prefix),
            sum(1 for _ in same),
            isinstance(answer, int) and 200 <= answer < 300,
        )
        for answer, same in groupby(delivery.answers)
    ]


def list_inputs(model: Model) -> list[tuple[str, str, str]]:
    """Return the inputs of a model's latest version as `(name, type, default)`.

    The default of a required input is empty.
    """
    if not model.versions:
        return []
    schema = model.versions[-1].definition.signature.input
    required = schema.get("required", ())
    return [
        (
            name,
            _type_name(each),
            "" if name in required else to_line(to_json_text(each.get("default"))),
        )
        for name, each in schema["properties"].items()
    ]


def _type_name(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(to_json_text, schema["enum"]))
    if schema.get("format") == "uri":
        return "file"
    if "items" in schema:
        return f"list of {_type_name(schema['items'])}"
    return str(schema.get("type", "any"))


def example_input(model: Model) -> str:
    """Return Python code of an input that has a value for each required field."""
    fields = (
        f'"{name}": {_example_value(type)}'
        for name, type, default in list_inputs(model)
        if not default
    )
    return "{" + ", ".join(fields) + "}"


def _example_value(type: str) -> str:
    if type.startswith("list of "):
        return "[]"
    # Of choices, the first.
    return _EXAMPLES.get(type) or type.partition(" | ")[0]
