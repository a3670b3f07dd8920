"""What a simulation says about more inputs than it had: tables for docs/hundred-million.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INPUTS = 100_000_000
DAY = 86_400
# Seconds that a model takes in the plan, and for which a create request is held open at most.
MODEL_SECONDS, HELD_SECONDS = 10, 3
# Creates a minute: the API's limit, and what a week and a day need.
PLANNED = (600, round(INPUTS / (7 * DAY / 60)), round(INPUTS / (DAY / 60)))
# Bytes of a page of the database, which a checkpoint makes the log have whole.
PAGE = 8192

Row = dict[str, Any]
Result = dict[str, dict[str, Any]]


def tables(result: Result) -> dict[str, list[str]]:
    """Return the lines of each table, by its name."""
    return {
        "plan": plan(result),
        "workers": workers(_rows(result, "workers")),
        **({"rates": rates(_rows(result, "rates"))} if "rates" in result else {}),
        "polls": polls(_rows(result, "polls")),
        "rows": journals(_rows(result, "rows")),
        "size": size(_rows(result, "rows")),
        "machine": machine(result),
    }


def plan(result: Result) -> list[str]:
    """Return what 10⁸ inputs need at some rates."""
    one = _rows(result, "workers")[0]
    trips = {each["rate"]: each["round_trips"] for each in _rows(result, "round_trips")}
    lines = []
    for rate in PLANNED:
        second = rate / 60
        lines.append(
            (
                f"{rate:,}",
                f"{INPUTS / second / DAY:.3g} days",
                f"{second * MODEL_SECONDS:,.0f}",
                f"{second * min(MODEL_SECONDS, HELD_SECONDS):,.0f}",
                f"{second * trips.get(rate, trips[0]):,.0f}",
                f"{second * one['worker_us'] / 1e6:.2g}",
                f"{second * one['database_us'] / 1e6:.2g}",
            )
        )
    heads = (
        "creates a minute",
        "10⁸ inputs take",
        "predictions in flight",
        "connections to the API",
        "round trips/s to the database",
        "cores of workers",
        "cores of the database",
    )
    return _table(heads, lines)


def workers(rows: Iterable[Row]) -> list[str]:
    """Return what an input takes where the machine is the limit."""
    return _table(
        (
            "workers",
            "inputs/s",
            "CPU an input: workers",
            "database",
            "transactions an input",
            "syncs an input",
            "WAL an input",
            "connections to the API",
            "to the database",
        ),
        [
            (
                f"{each['workers']}",
                f"{each['inputs_per_second']:,.0f}",
                f"{each['worker_us']:.0f} µs",
                f"{each['database_us']:.0f} µs",
                f"{each['transactions']:.3f}",
                f"{each['syncs']:.3f}",
                f"{each['wal_bytes']:,.0f} B",
                f"{each['api_connections']}",
                f"{each['database_connections']}",
            )
            for each in rows
        ],
    )


def rates(rows: Iterable[Row]) -> list[str]:
    """Return how exactly workers keep a rate together."""
    return _table(
        ("rate, a minute", "workers", "kept", "highest in 5 s", "transactions an input"),
        [
            (
                f"{each['rate']:,}",
                f"{each['workers']}",
                f"{each['kept']:.1%}",
                f"{each['highest']:.1%}",
                f"{each['transactions']:.2f}",
            )
            for each in rows
        ],
    )


def polls(rows: Iterable[Row]) -> list[str]:
    """Return the requests that wait for predictions."""
    return _table(
        (
            "rate, a minute",
            "workers",
            "inputs",
            "all done after",
            "lists an input",
            "single predictions an input",
            "most of both a minute",
            "refused (429)",
            "connections",
        ),
        [
            (
                f"{each['rate']:,}",
                f"{each['workers']}",
                f"{each['inputs']:,}",
                f"{each['seconds']:.0f} s",
                f"{each['lists'] / each['inputs']:.2f}",
                f"{each['gets'] / each['inputs']:.2f}",
                f"{each['most_polls_per_minute']:,}",
                f"{each['refused']}",
                f"{each['api_connections']}",
            )
            for each in rows
        ],
    )


def journals(rows: Iterable[Row]) -> list[str]:
    """Return what a journal's rows take."""
    rows = [*rows]
    named = (
        ("rows written a second, one process", "rows_per_second", "{:,.0f}"),
        ("CPU of the database a row", "database_us", "{:.0f} µs"),
        ("the same, of the last tenth", "last_database_us", "{:.0f} µs"),
        ("table, a row", "table_bytes", "{:.0f} B"),
        ("index of keys, a row", "key_index_bytes", "{:.0f} B"),
        ("index of numbers, a row", "number_index_bytes", "{:.0f} B"),
        ("index of times and maps, a row", "other_bytes", "{:.0f} B"),
        ("WAL a row", "wal_bytes", "{:,.0f} B"),
        ("WAL a row, right after a checkpoint", "wal_bytes_after_checkpoint", "{:,.0f} B"),
        ("rows that vacuum has to remove, a row", "dead_rows", "{:.2f}"),
        ("runs of autovacuum meanwhile", "autovacuums", "{}"),
        ("a vacuum at the end", "vacuum_seconds", "{:.2f} s"),
        ("from `map` to the first create", "first_create_seconds", "{:.2f} s"),
        ("done inputs that are read again a second", "known_per_second", "{:,.0f}"),
        (
            "the inputs of 100 listed predictions are looked for",
            "find_predictions_seconds",
            "{:.2f} s",
        ),
        ("`Journal.summary()`", "summary_seconds", "{:.2f} s"),
    )
    heads = ["", *(_describe(each) for each in rows)]
    return _table(
        heads, [(label, *(form.format(each[name]) for each in rows)) for label, name, form in named]
    )


def _describe(kind: Row) -> str:
    output = f", outputs of {kind['output_size']} characters" if kind["output_size"] else ""
    return f"{kind['rows']:,} rows{output}{', keys in order' if kind['has_keys'] else ''}"


def size(rows: Iterable[Row]) -> list[str]:
    """Return the size of a journal of 10⁸ rows."""
    rows = [*rows]
    largest = max(rows, key=lambda each: each["rows"])
    in_order = next(each for each in rows if each["has_keys"])
    with_output = next(each for each in rows if each["output_size"])
    plain = next(each for each in rows if each["rows"] == with_output["rows"])
    gigabyte = INPUTS / 1e9
    whole = sum(
        largest[f"{name}_bytes"] for name in ("table", "key_index", "number_index", "other")
    )
    an_output = (with_output["table_bytes"] - plain["table_bytes"]) / with_output["output_size"]
    lines = [
        ("table", f"{largest['table_bytes'] * gigabyte:,.0f} GB"),
        ("index of keys", f"{largest['key_index_bytes'] * gigabyte:,.1f} GB"),
        (
            "other indexes",
            f"{(whole - largest['table_bytes'] - largest['key_index_bytes']) * gigabyte:,.1f} GB",
        ),
        ("all, without outputs", f"{whole * gigabyte:,.0f} GB"),
        ("for each 100 characters of an output, also", f"{an_output * 100 * gigabyte:,.0f} GB"),
        ("WAL, while checkpoints are rare", f"{largest['wal_bytes'] * gigabyte:,.0f} GB"),
        (
            "WAL, if each row finds its page of the index of keys unchanged since a checkpoint",
            f"{(largest['wal_bytes'] + PAGE) * gigabyte:,.0f} GB",
        ),
        (
            "WAL, keys in order",
            f"{in_order['wal_bytes'] * gigabyte:,.0f} to"
            f" {in_order['wal_bytes_after_checkpoint'] * gigabyte:,.0f} GB",
        ),
        (
            "a vacuum of all",
            f"{largest['vacuum_seconds'] / largest['rows'] * INPUTS / 60:,.1f} min",
        ),
        (
            "reading all inputs again that are done",
            f"{INPUTS / largest['known_per_second'] / 3600:,.1f} h",
        ),
        (
            "`Journal.summary()`",
            f"{largest['summary_seconds'] / largest['rows'] * INPUTS / 60:,.1f} min",
        ),
    ]
    return _table(("at 10⁸ rows", ""), lines)


def machine(result: Result) -> list[str]:
    """Return where it was measured."""
    lines = []
    for name, step in result.items():
        about = step["machine"]
        lines.append(
            (
                name,
                step["date"],
                f"{about['processor']}, {about['cores']} cores",
                about["python"],
                f"psycopg {about['versions']['psycopg']}, PostgreSQL {about['postgresql']}",
                f"{about['load_before']}",
            )
        )
    return _table(("step", "date", "processor", "Python", "versions", "load before it"), lines)


def _rows(result: Result, step: str) -> list[Row]:
    rows: list[Row] = result[step]["rows"]
    return rows


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    aligns = ["---", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(each)} |" for each in (heads, aligns, *lines)]
