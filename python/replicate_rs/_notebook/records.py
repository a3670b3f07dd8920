"""Predictions, trainings, models and versions, and pages of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base.record import Record, shortened
from .._base.typing import is_array, is_object
from .._files.names import get_file_name
from .._files.urls import is_file_url, without_credentials
from .files import to_html
from .html import cell, cut, details, escape, link, note, table, text_block, title
from .schema import inputs_of_schema
from .values import has_only_files, inputs_table, join_text, to_block, to_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

# The last characters of logs.
MAX_LOGS = 4000
# Characters of a model's description, and of an output in a table.
MAX_DESCRIPTION = 2000
MAX_OUTPUT = 80
# The fields of each record in a table, by the name of its class.
COLUMNS: dict[str, tuple[str, ...]] = {
    "Collection": ("slug", "name", "description"),
    "Deployment": ("owner", "name"),
    "File": ("id", "name", "content_type", "size", "created_at"),
    "Model": ("owner", "name", "description", "run_count"),
    "Prediction": ("id", "model", "status", "created_at", "output"),
    "Training": ("id", "model", "status", "created_at"),
    "Version": ("id", "created_at", "cog_version"),
}
# Files of an output in a table.
MAX_FILES = 4
# Columns of other records.
MAX_COLUMNS = 5


def job(record: Any, files: Sequence[Any]) -> str:
    """Return a prediction or a training, with its files."""
    data: dict[str, Any] = record._data
    lines = [title(_web_link(data, str(data.get("model") or type(record).__name__)), *_facts(data))]
    inputs = data.get("input")
    if is_object(inputs) and inputs:
        lines.append(details("input", inputs_table(inputs)))
    if data.get("error"):
        lines.append(text_block(str(data["error"])))
    if files:
        lines.append(to_html(files))
    if data.get("output") is not None and not (files and has_only_files(data["output"])):
        lines.append(to_block(data["output"]))
    elif data.get("data_removed"):
        lines.append(note("Its input, output and logs were removed."))
    logs = data.get("logs")
    if isinstance(logs, str) and logs.strip():
        lines.append(details("logs", text_block(logs[-MAX_LOGS:])))
    return f"<div>{''.join(lines)}</div>"


def _facts(data: dict[str, Any]) -> list[str]:
    """Return the status of a prediction, how long its model ran, and its id."""
    metrics: Any = data.get("metrics")
    seconds: Any = metrics.get("predict_time") if is_object(metrics) else None
    facts = [escape(str(data.get("status") or "unknown"))]
    if isinstance(seconds, (int, float)):
        facts.append(f"{seconds:.2f} s")
    facts.append(f"<code>{cell(str(data.get('id') or ''))}</code>")
    return facts


def _web_link(data: dict[str, Any], text: str) -> str:
    urls: Any = data.get("urls")
    url: Any = urls.get("web") if is_object(urls) else None
    return link(url, text) if isinstance(url, str) else escape(text)


def model(record: Any, version: Any | None, get_schema: Callable[[Any], dict[str, Any]]) -> str:
    """Return a model, and the inputs of its newest version as a table."""
    data: dict[str, Any] = record._data
    name = f"{data.get('owner')}/{data.get('name')}"
    url, runs = data.get("url"), data.get("run_count")
    facts = [escape(str(data["visibility"]))] if data.get("visibility") else []
    if isinstance(runs, int):
        facts.append(f"{runs:,} run{'' if runs == 1 else 's'}")
    lines = [title(link(url, name) if isinstance(url, str) else escape(name), *facts)]
    if data.get("description"):
        lines.append(text_block(cut(str(data["description"]), MAX_DESCRIPTION)))
    if version is None:
        lines.append(note("The inputs are not known here: models.get(…) returns them."))
    else:
        lines.append(_inputs(version, get_schema))
    return f"<div>{''.join(lines)}</div>"


def version(record: Any, get_schema: Callable[[Any], dict[str, Any]]) -> str:
    """Return a version, and its inputs as a table."""
    data: dict[str, Any] = record._data
    created_at = data.get("created_at")
    facts = [escape(created_at)] if isinstance(created_at, str) else []
    lines = [title(f"<code>{cell(str(data.get('id') or ''))}</code>", *facts)]
    lines.append(_inputs(record, get_schema))
    return f"<div>{''.join(lines)}</div>"


def _inputs(record: Any, get_schema: Callable[[Any], dict[str, Any]]) -> str:
    try:
        return inputs_of_schema(get_schema(record))
    except Exception as error:  # noqa: BLE001 - a display must not raise, whatever a schema is like
        return note(f"The schema of the inputs cannot be read: {type(error).__name__}")


def page(results: Sequence[Any], next_url: str | None) -> str:
    """Return the results of a page as a table."""
    count = f"{len(results)} result{'' if len(results) == 1 else 's'}"
    more = "more on the next page" if next_url is not None else "the last page"
    lines = [title("Page", count, more)]
    if results and isinstance(results[0], Record):
        data: dict[str, Any] = results[0]._data
        columns = COLUMNS.get(type(results[0]).__name__) or (*data,)[:MAX_COLUMNS]  # pyright: ignore[reportUnknownArgumentType] - of whatever mode
        rows = [[_field(each, column) for column in columns] for each in results]
        lines.append(table(rows, [escape(column.replace("_", " ")) for column in columns]))
    elif results:
        lines.append(table([[to_cell(each)] for each in results]))
    return f"<div>{''.join(lines)}</div>"


def _field(record: Any, name: str) -> str:
    data: Any = record._data if isinstance(record, Record) else None
    value: Any = data.get(name) if is_object(data) else None
    if value is None:
        return ""
    if name == "output":
        return _output(value)
    if name.endswith("_at") and isinstance(value, str):
        # Browsers break a date at its hyphens.
        return f'<span style="white-space:nowrap">{cell(value[:19].replace("T", " "))}</span>'
    return to_cell(value)


def _output(value: Any) -> str:
    """Return an output for a cell of a table; files as links with their names."""
    items: list[Any] = value if is_array(value) else [value]
    urls = [each for each in items if isinstance(each, str) and is_file_url(each)]
    if urls and len(urls) == len(items):
        links = [
            to_cell(url)
            if url[:5].lower() == "data:"
            else link(without_credentials(url), get_file_name(url))
            for url in urls[:MAX_FILES]
        ]
        more = ["…"] if len(urls) > MAX_FILES else []
        return ", ".join(links + more)
    if len(items) == 1 and isinstance(items[0], str):
        text = items[0]
    else:
        text = join_text(value) or shortened(value)
    return cell(cut(text, MAX_OUTPUT))
