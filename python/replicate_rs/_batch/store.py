"""What a journal's database has to do: which inputs were taken, what was sent, what became of them.

`SqliteStore` keeps a journal in a file, `PostgresStore` in a server that several machines share.
Several processes may use one at the same time: each input belongs to one worker, whose lease it
renews by a heartbeat.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import nullcontext
from functools import wraps
from json import loads
from time import time
from typing import TYPE_CHECKING, ClassVar, Concatenate, ParamSpec, TypeVar

from ..exceptions import JournalError
from .leases import HEARTBEAT, LEASE, get_host, is_dead, own_workers
from .rows import AGAIN, COLUMNS, CREATED, FIRST, HELD, UNCERTAIN, Claim, Row, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    from .keys import Input
    from .rows import Outcome

    class Cursor(Protocol):
        """What both drivers give for a statement."""

        @property
        def rowcount(self) -> int:
            """The number of rows that were changed."""
            ...

        def fetchone(self) -> Any:
            """Return the next row; None after the last one."""
            ...

        def fetchall(self) -> list[Any]:
            """Return all rows that are left."""
            ...


# Seconds for which a database may be away.
MAX_OUTAGE = 600.0
# The version of the schema; docs/batch.md describes it.
SCHEMA_VERSION = 1

SEND_AGAIN = (
    "UPDATE inputs SET status = 'sending', worker = ?, sent_at = ?, attempts = attempts + 1,"
    " earlier_predictions = ?, prediction = NULL, ended_at = NULL, predict_time = NULL,"
    " output = NULL, error = NULL, files = NULL WHERE number = ?"
)

S = TypeVar("S", bound="Store")
P = ParamSpec("P")
T = TypeVar("T")


def operation(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Have a method of a store run as the store's database needs it: see `Store._perform`."""

    @wraps(method)
    def perform(self: S, /, *args: P.args, **options: P.kwargs) -> T:
        return self._perform(lambda: method(self, *args, **options))

    return perform


class Store(ABC):
    """A connection to a journal's database, for one thread at a time.

    Statements are in the SQL that both databases have, with ``?`` for values.
    """

    is_remote: ClassVar[bool]
    """Whether an operation may wait for another machine."""

    def __init__(self, name: str) -> None:
        self.name: str = name
        """What messages call the journal."""
        self.worker: int = 0
        self.renewed_at: float = 0.0
        """When the lease was renewed, in seconds since 1970 by this machine's clock."""
        self.patience: float = MAX_OUTAGE
        """Seconds for which a database that is away is waited for."""
        # Whether this worker's lease had expired once, so that others may have its inputs.
        self._has_expired = False

    # What differs.

    @abstractmethod
    def _perform(self, function: Callable[[], T]) -> T:
        """Call a function that uses the connection.

        Raises:
            JournalError: The database failed.

        """

    @abstractmethod
    def _run(self, statement: str, values: Sequence[object] = ()) -> Cursor:
        """Run a statement."""

    @abstractmethod
    def _run_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement once for each row of values."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[object]:
        """Commit what is run within, all of it or nothing."""

    def _durably(self) -> AbstractContextManager[object]:
        """Have what is committed within survive a loss of power, and not only of the process."""
        return nullcontext()

    @abstractmethod
    def _now(self) -> float:
        """Return the time by which leases are measured, in seconds since 1970."""

    @abstractmethod
    def _insert_worker(self, host: str, pid: int, now: float) -> int:
        """Add a worker; return its id."""

    @abstractmethod
    def claim(
        self,
        inputs: Sequence[Input],
        *,
        retry_before: float | None = None,
        expect_new: bool = False,
    ) -> list[Claim]:
        """Claim inputs for this worker, and return what is known of each, in order.

        What is claimed is safe from a loss of power before this returns.

        Args:
            inputs: Inputs with different keys.
            retry_before: Claim failed inputs again that ended before this time.
            expect_new: Whether probably nothing is known of any of them.

        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    # Workers.

    def _register(self, target: str) -> None:
        """Add this worker to the journal of a target."""
        known = self._get_target()
        if known != target:
            raise JournalError(
                f"{self.name} is the journal of {known}, not of {target}: use a journal for each"
                " model"
            )
        self.worker = self._insert_worker(get_host(), os.getpid(), self._now())
        self.renewed_at = time()
        own_workers.add(self.worker)

    def _get_target(self) -> str:
        (name,) = self._run("SELECT name FROM target").fetchone()
        return str(name)

    @property
    def target(self) -> str:
        """What runs the inputs."""
        return self._perform(self._get_target)

    @operation
    def renew(self) -> bool:
        """Renew this worker's lease; return False if it had expired and others took its inputs."""
        return self._renew()

    def _renew(self) -> bool:
        begun_at, now = time(), self._now()
        cursor = self._run("UPDATE workers SET seen_at = ? WHERE id = ?", (now, self.worker))
        is_known = bool(cursor.rowcount)
        if not is_known:
            # Another process has removed it: some inputs may be that one's now.
            self._has_expired = True
            values = (self.worker, get_host(), os.getpid(), now)
            self._run("INSERT INTO workers (id, host, pid, seen_at) VALUES (?, ?, ?, ?)", values)
        self.renewed_at = begun_at
        return is_known

    @operation
    def renew_for(self, number: int) -> None:
        """Renew the lease before an input is sent.

        Raises:
            JournalError: Another process has taken the input.

        """
        self._renew()
        (worker,) = self._run("SELECT worker FROM inputs WHERE number = ?", (number,)).fetchone()
        if worker != self.worker:
            raise JournalError(
                f"{self.name}: another process has taken inputs of this one, which did not renew"
                f" its lease for {LEASE:.0f} s: start again to go on"
            )

    @property
    def has_lease(self) -> bool:
        """Whether no other process can have taken this worker's inputs yet."""
        return not self._has_expired and time() - self.renewed_at < LEASE - HEARTBEAT

    def _get_age(self, seen_at: float) -> float:
        """Return how long ago a heartbeat was, in seconds."""
        return self._now() - seen_at

    def _find_dead(self, workers: Iterable[int]) -> set[int]:
        """Return those of some workers that have ended without releasing their inputs."""
        dead: set[int] = set()
        for worker in set(workers):
            found = self._run(
                "SELECT host, pid, seen_at FROM workers WHERE id = ?", (worker,)
            ).fetchone()
            if found is None:
                dead.add(worker)
                continue
            host, pid, seen_at = found
            if is_dead(worker, host, pid, self._get_age(seen_at)):
                dead.add(worker)
                self._run("DELETE FROM workers WHERE id = ?", (worker,))
        return dead

    # Inputs.

    @operation
    def is_empty(self) -> bool:
        """Return whether no input was taken yet."""
        return not self._run("SELECT 1 FROM inputs LIMIT 1").fetchone()

    @operation
    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows of some inputs, by their keys."""
        return self._select(keys)

    def _select(self, keys: Sequence[str], ending: str = "") -> dict[str, Row]:
        marks = ",".join("?" * len(keys))
        statement = f"SELECT {COLUMNS} FROM inputs WHERE key IN ({marks}){ending}"  # noqa: S608 - no values in the text
        return {row[1]: Row._make(row) for row in self._run(statement, keys).fetchall()}

    def _judge(self, item: Input, row: Row, retry_before: float | None) -> Claim:
        """Return what is known of an input by its row."""
        kind = judge(item, row, retry_before)
        if kind in (FIRST, AGAIN, UNCERTAIN, CREATED) and not row.is_done:
            worker = row.worker
            # One that is this worker's own was claimed by a transaction whose answer was lost.
            if worker not in (None, self.worker) and not self._find_dead([worker]):
                return Claim(HELD, None)
        return Claim(kind, row, row.number)

    def _take(self, claims: Iterable[Claim]) -> None:
        """Write in the rows of inputs that this worker has them now."""
        now = time()
        for kind, row, number in claims:
            if row is None:
                continue
            if kind == FIRST:
                self._run(
                    "UPDATE inputs SET status = 'sending', worker = ?, sent_at = ?,"
                    " attempts = attempts + 1 WHERE number = ?",
                    (self.worker, now, number),
                )
            elif kind == AGAIN:
                self._run(SEND_AGAIN, (self.worker, now, row.with_earlier(), number))
            elif kind in (UNCERTAIN, CREATED):
                self._run("UPDATE inputs SET worker = ? WHERE number = ?", (self.worker, number))

    @abstractmethod
    def write(
        self,
        created: Sequence[tuple[str, int]] = (),
        outcomes: Sequence[Outcome] = (),
        files: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Write what happened since the last time, in one transaction.

        Args:
            created: Ids of predictions, and the numbers of their inputs.
            outcomes: What became of inputs.
            files: Saved files, as JSON, and the numbers of their inputs.

        """

    @operation
    def set_sent_input(self, number: int, sent_input: str) -> None:
        """Write the input as it is sent, where that is not the caller's: with URLs of files."""
        with self._durably(), self._transaction():
            self._run("UPDATE inputs SET sent_input = ? WHERE number = ?", (sent_input, number))

    @operation
    def send_again(self, number: int) -> None:
        """Write that another prediction is about to be created for an input."""
        with self._durably(), self._transaction():
            statement = f"SELECT {COLUMNS} FROM inputs WHERE number = ?"  # noqa: S608 - no values in the text
            row = Row._make(self._run(statement, (number,)).fetchone())
            self._run(SEND_AGAIN, (self.worker, time(), row.with_earlier(), number))

    @operation
    def release(self, unsent: Sequence[int]) -> None:
        """Give up all inputs of this worker, and its place among the workers.

        Args:
            unsent: The numbers of inputs for which no request was sent.

        """
        with self._transaction():
            if unsent:
                self._run_many(
                    "UPDATE inputs SET status = 'waiting', attempts = attempts - 1"
                    " WHERE number = ? AND worker = ? AND status = 'sending'",
                    [(number, self.worker) for number in unsent],
                )
            # What it had is anyone's now.
            self._run("DELETE FROM workers WHERE id = ?", (self.worker,))

    @operation
    def find_known(self, predictions: Sequence[str], since: float) -> set[str]:
        """Return which of some predictions belong to inputs of this journal.

        Args:
            predictions: Their ids.
            since: Only inputs matter that were sent since, in seconds since 1970.

        """
        if not predictions:
            return set()
        marks = ",".join("?" * len(predictions))
        which = f"sent_at >= ? AND (prediction IN ({marks}) OR earlier_predictions IS NOT NULL)"
        statement = f"SELECT prediction, earlier_predictions FROM inputs WHERE {which}"  # noqa: S608 - no values in the text
        known: set[str] = set()
        for prediction, earlier in self._run(statement, (since, *predictions)).fetchall():
            known.update([prediction], loads(earlier) if earlier is not None else ())
        return known & set(predictions)

    # Reading.

    def iterate(self, where: str = "TRUE") -> Iterator[Row]:
        """Return rows in the order in which they were claimed, a few at a time.

        No transaction is open in between: it would keep SQLite's log from being emptied.
        """
        last = 0
        while rows := self.read_page(last, where):
            yield from rows
            last = rows[-1].number

    @operation
    def read_page(self, last: int, where: str = "TRUE") -> list[Row]:
        """Return the next rows after a number, in the order in which they were claimed."""
        statement = (
            f"SELECT {COLUMNS} FROM inputs WHERE number > ? AND {where} ORDER BY number LIMIT 1000"  # noqa: S608 - a constant
        )
        return [*map(Row._make, self._run(statement, (last,)).fetchall())]

    @operation
    def count(self) -> list[tuple[str, int, float, int]]:
        """Return of each status the inputs, their predict time in seconds, and their attempts."""
        return self._run(
            "SELECT status, count(*), coalesce(sum(predict_time), 0.0), sum(attempts)"
            " FROM inputs GROUP BY status"
        ).fetchall()

    @operation
    def get_times(self) -> tuple[float, float | None]:
        """Return when the journal was created, and when the last input ended."""
        (created_at,) = self._run("SELECT created_at FROM target").fetchone()
        (ended_at,) = self._run("SELECT max(ended_at) FROM inputs").fetchone()
        return created_at, ended_at

    @operation
    def count_workers(self) -> int:
        """Return how many workers are running."""
        ids = [row[0] for row in self._run("SELECT id FROM workers").fetchall()]
        return len(ids) - len(self._find_dead(ids))
