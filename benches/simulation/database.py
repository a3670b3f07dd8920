"""A PostgreSQL for a simulation, and what its statistics say."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from machine import cpu_seconds
from support.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Usage(NamedTuple):
    """What the server has done since it was started."""

    cpu: float
    """Seconds, of all its processes."""
    transactions: int
    wal: int
    """Bytes of the write-ahead log."""
    syncs: int
    """Of the write-ahead log to the disk."""

    def since(self, before: Usage) -> Usage:
        """Return what was done after an earlier time."""
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))


class Sizes(NamedTuple):
    """Bytes of a journal's table of inputs."""

    table: int
    """With long values, which are kept beside it."""
    by_number: int
    by_key: int
    others: int
    """Other indexes, and the maps of free space."""
    dead: int
    """Rows that vacuum removes."""

    @property
    def all(self) -> int:
        """Bytes on the disk."""
        return self.table + self.by_number + self.by_key + self.others


class Database:
    """A connection to a PostgreSQL that a simulation has for itself."""

    def __init__(self, server: PostgresServer) -> None:
        self.port: int = server.port
        self._address = server.address
        self._connection = psycopg.connect(server.address, autocommit=True)
        stat = Path(f"/proc/{self._connection.info.backend_pid}/stat").read_text()
        self._process = int(stat.rpartition(")")[2].split()[1])

    def journal(self, schema: str, port: int | None = None) -> str:
        """Return a journal's address, also one at another port."""
        address = self._address.replace(f":{self.port}/", f":{port or self.port}/")
        return f"{address}?schema={schema}"

    def get(self, statement: str, *values: Any) -> Any:
        """Return the first value of a statement's first row."""
        row = self._connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]

    def run(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        self._connection.execute(statement.encode())

    def usage(self) -> Usage:
        """Return what the server has done; connections that are open may be late to tell."""
        self.run("SELECT pg_stat_force_next_flush()")
        return Usage(
            self._cpu(),
            self.get("SELECT sum(xact_commit)::bigint FROM pg_stat_database"),
            int(self.get("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")),
            self.get("SELECT wal_sync FROM pg_stat_wal"),
        )

    def _cpu(self) -> float:
        children = Path(f"/proc/{self._process}/task/{self._process}/children").read_text()
        running = sum(cpu_seconds(int(each)) or 0.0 for each in children.split())
        stat = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()
        # Its own, and that of processes that have ended.
        own = sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")
        return running + own

    def sizes(self, schema: str) -> Sizes:
        """Return the size of a journal's table of inputs."""
        table = f"{schema}.inputs"
        whole = self.get("SELECT pg_total_relation_size(%s)", table)
        main = self.get(
            "SELECT pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)"
            " FROM pg_class WHERE oid = %s::regclass",
            table,
        )
        by_number = self.get("SELECT pg_relation_size(%s)", f"{schema}.inputs_pkey")
        by_key = self.get("SELECT pg_relation_size(%s)", f"{schema}.inputs_key_key")
        dead = self.get(
            "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = %s::regclass", table
        )
        return Sizes(main, by_number, by_key, whole - main - by_number - by_key, dead)


@contextmanager
def running_database() -> Iterator[Database]:
    """Run a PostgreSQL with its own settings, in a temporary folder."""
    with PostgresServer() as server:
        yield Database(server)
