"""Journals of both kinds, and their tables as other programs see them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from replicate_rs._batch.connect import open_store
from replicate_rs._batch.keys import Input, read_input, target_digest
from replicate_rs._batch.rows import Outcome


def execute(journal: Any, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
    """Run a statement with ``?`` for values, and return the rows that it gives."""
    if "://" not in str(journal):
        with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
            return connection.execute(statement, values).fetchall()
    import psycopg

    (schema,) = parse_qs(urlsplit(journal).query)["schema"]
    with psycopg.connect(journal.partition("?")[0]) as database:
        database.execute(f"SET search_path TO {schema}".encode())
        cursor = database.execute(statement.replace("?", "%s").encode(), values)
        return cursor.fetchall() if cursor.description is not None else []


def rows(journal: Any, columns: str) -> list[Any]:
    """Return columns of the inputs, in the order in which they were claimed."""
    return execute(journal, f"SELECT {columns} FROM inputs ORDER BY number")


def change(journal: Any, statement: str, *values: object) -> None:
    """Run a statement."""
    execute(journal, statement, values)


def forget(journal: Any, key: str | None = None) -> None:
    """Make the journal that of a process that was killed before it knew the predictions' ids."""
    change(
        journal,
        "UPDATE inputs SET status = 'sending', prediction = NULL, ended_at = NULL, output = NULL,"
        " predict_time = NULL, error = NULL, worker = 900" + (" WHERE key = ?" if key else ""),
        *([key] if key else []),
    )


def write_done(journal: Any, model: str, inputs: list[dict[str, str]]) -> None:
    """Create a journal in which inputs are done; the output of each is its text in capitals."""
    store = open_store(journal if "://" in str(journal) else str(journal), model)
    target = target_digest(model)
    items = [read_input(each, index, target) for index, each in enumerate(inputs)]
    claims = store.claim([each for each in items if isinstance(each, Input)])
    store.write(
        [(f"{claim.number:026}", claim.number) for claim in claims],
        [
            Outcome(
                claim.number,
                "succeeded",
                time.time(),
                0.1,
                json.dumps(each["text"].upper()),
                *[None] * 2,
            )
            for claim, each in zip(claims, inputs, strict=True)
        ],
    )
    store.release([])
    store.close()
