"""Results written to a file, or to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._batch.export import write_csv, write_jsonl, write_parquet
from .._batch.journal import COLUMNS

if TYPE_CHECKING:
    from .._batch.results import Result

# Stands for stdin and stdout.
STREAM = "-"
FORMATS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


def check_format(out: str) -> str:
    """Return the name of a file for results; raise `ValueError` if its end is of no format."""
    ending = _ending(out)
    if out != STREAM and (
        ending not in FORMATS or (ending == ".parquet" and out.lower().endswith(".gz"))
    ):
        raise ValueError(
            f"the format must be told by the name's end: {', '.join(FORMATS)}, or - for JSON Lines"
            f" on stdout, not {out!r}"
        )
    return out


def write_results(results: Iterable[Result], out: str) -> int:
    """Write results to a file, or to stdout each as it comes; return their number."""
    rows = map(_to_row, results)
    if out == STREAM:
        return _print(rows)
    ending = _ending(out)
    if ending == ".parquet":
        return write_parquet(rows, out, COLUMNS)
    if ending in (".csv", ".tsv"):
        return write_csv(rows, out, [*COLUMNS])
    return write_jsonl(rows, out)


def _ending(out: str) -> str:
    return Path(out.lower().removesuffix(".gz")).suffix


def _to_row(result: Result) -> dict[str, Any]:
    row = result.to_dict()
    if not result.attempts:
        # It was not sent, perhaps because no JSON can carry it; its error says why.
        try:
            json.dumps(row["input"], allow_nan=False, ensure_ascii=False).encode()
        except (RecursionError, TypeError, ValueError):
            row["input"] = None
    return row


def _print(rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        # JSON is UTF-8, whatever the terminal's encoding is.
        sys.stdout.buffer.write(text.encode() + b"\n")
        sys.stdout.buffer.flush()
        count += 1
    return count
