"""A journal in a file, by SQLite: the default, on one machine."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ..exceptions import JournalError
from .leases import own_workers
from .rows import CONFLICT, DONE, NEW, Claim
from .store import SCHEMA_VERSION, Store, operation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Self

    from .keys import Input
    from .rows import Outcome

T = TypeVar("T")

# "rrs1": tells this file from other databases.
APPLICATION_ID = 0x72727331
# Seconds that a write waits for one of another process.
BUSY_TIMEOUT = 30.0
# Seconds between two tries of a statement for which SQLite does not wait.
LOCK_INTERVAL = 0.01
# Kibibytes of pages that a connection keeps in memory.
CACHE_SIZE = 16_384
# Pages of the write-ahead log from which on they are copied to the database: keys are spread over
# all pages, so a page that is copied less often has more changes.
MAX_LOG = 4000

SCHEMA = """
CREATE TABLE target (name TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, pid INTEGER NOT NULL,
    seen_at REAL NOT NULL
);
CREATE TABLE inputs (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    position INTEGER NOT NULL,
    digest BLOB,
    input TEXT NOT NULL,
    status TEXT NOT NULL,
    worker INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    sent_at REAL,
    sent_input TEXT,
    prediction TEXT,
    earlier_predictions TEXT,
    ended_at REAL,
    predict_time REAL,
    output TEXT,
    error TEXT,
    files TEXT
);
"""

_INSERT = (
    "INSERT INTO inputs (number, key, position, digest, input, status, worker, sent_at, attempts)"
    " VALUES (?, ?, ?, ?, ?, 'sending', ?, ?, 1)"
)

_FINISH = (
    "UPDATE inputs SET status = ?, ended_at = ?, predict_time = ?, output = ?, error = ?,"
    " files = ?, worker = NULL, sent_input = NULL WHERE number = ?"
)
_CREATE_AND_FINISH = _FINISH.replace("SET status", "SET prediction = ?, status")


class SqliteStore(Store):
    """A connection to a journal's file, or without a path to one that only it sees."""

    is_remote: ClassVar[bool] = False

    def __init__(self, path: str | None, connection: sqlite3.Connection) -> None:
        super().__init__(path or "the temporary journal")
        self._has_path = path is not None
        self._connection = connection

    @classmethod
    def open(cls, path: str | None, target: str) -> Self:
        """Open a journal to write to; create it if there is none.

        Args:
            path: Without one, the journal is a temporary file that only this connection sees.
            target: What runs the inputs.

        Raises:
            JournalError: It cannot be opened, or is the journal of another target.

        """
        with _translated(path):
            connection = sqlite3.connect(path or "", timeout=BUSY_TIMEOUT, isolation_level=None)
            store = cls(path, connection)
            try:
                store._set_up(target)
            except BaseException:
                connection.close()
                raise
        return store

    @classmethod
    def open_to_read(cls, path: str) -> Self:
        """Open a journal that exists, to read it.

        Raises:
            JournalError: It does not exist, or cannot be read.

        """
        if not Path(path).is_file():
            raise JournalError(f"{path}: there is no journal")
        with _translated(path):
            # Without the right to write, SQLite cannot read what was written last.
            mode = "rw" if os.access(path, os.W_OK) else "ro"
            uri = f"{Path(path).absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            store = cls(path, connection)
            try:
                store._check_format(is_new_allowed=False)
            except BaseException:
                connection.close()
                raise
        return store

    def _set_up(self, target: str) -> None:
        run = self._run
        if self._has_path:
            # Raises for what is not a database, before anything is written.
            self._check_format(is_new_allowed=True)
            self._run_when_unlocked("PRAGMA journal_mode = WAL")
            run(f"PRAGMA wal_autocheckpoint = {MAX_LOG}")
        else:
            run("PRAGMA journal_mode = MEMORY")
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA cache_size = -{CACHE_SIZE}")
        with self._transaction():
            if self._check_format(is_new_allowed=True):
                for statement in SCHEMA.split(";"):
                    run(statement)
                run(f"PRAGMA application_id = {APPLICATION_ID}")
                run(f"PRAGMA user_version = {SCHEMA_VERSION}")
                run("INSERT INTO target VALUES (?, ?)", (target, time()))
            self._register(target)

    def _check_format(self, *, is_new_allowed: bool) -> bool:
        """Return whether the database is empty; raise if it is no journal that can be read."""
        # Reads of one transaction: another connection may be creating the journal.
        with nullcontext() if self._connection.in_transaction else self._transaction("DEFERRED"):
            (application,) = self._run("PRAGMA application_id").fetchone()
            (version,) = self._run("PRAGMA user_version").fetchone()
            (tables,) = self._run("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and is_new_allowed:
            return True
        if not tables:
            raise JournalError(f"{self.name}: there is no journal: the file is empty")
        if application != APPLICATION_ID:
            raise JournalError(f"{self.name} is not a journal: it is another SQLite database")
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"{self.name} was written by a newer version of this library (schema {version},"
                f" this one reads {SCHEMA_VERSION}): upgrade replicate-rs"
            )
        return False

    def _insert_worker(self, host: str, pid: int, now: float) -> int:
        cursor = self._run(
            "INSERT INTO workers (host, pid, seen_at) VALUES (?, ?, ?)", (host, pid, now)
        )
        return cursor.lastrowid or 0

    @operation
    def claim(
        self,
        inputs: Sequence[Input],
        *,
        retry_before: float | None = None,
        expect_new: bool = False,
    ) -> list[Claim]:
        """Claim inputs for this worker, and return what is known of each, in order."""
        # Without a look at what is known, which is faster if nothing is.
        if expect_new and (claims := self._add(inputs)) is not None:
            return claims
        claims = self._compare(inputs, retry_before)
        if all(claim.kind in (DONE, CONFLICT) for claim in claims):
            return claims
        # An input without a prediction must be on the disk before a prediction is created.
        with self._durably(), self._transaction():
            claims = self._compare(inputs, retry_before)
            self._take(claims)
            number = self._last_number()
            new: list[tuple[int, Input]] = []
            for index, claim in enumerate(claims):
                if claim.kind == NEW:
                    number += 1
                    new.append((number, inputs[index]))
                    claims[index] = Claim(NEW, None, number)
            self._insert(new)
        return claims

    def _compare(self, inputs: Sequence[Input], retry_before: float | None) -> list[Claim]:
        rows = self._select([each.key for each in inputs])
        return [
            Claim(NEW, None)
            if (row := rows.get(item.key)) is None
            else self._judge(item, row, retry_before)
            for item in inputs
        ]

    def _add(self, inputs: Sequence[Input]) -> list[Claim] | None:
        """Claim inputs, all of them new; return None, and claim none, if one is not."""
        try:
            with self._durably(), self._transaction():
                first = self._last_number() + 1
                self._insert([*enumerate(inputs, first)])
        except sqlite3.IntegrityError:
            return None
        return [Claim(NEW, None, number) for number in range(first, first + len(inputs))]

    def _insert(self, inputs: Sequence[tuple[int, Input]]) -> None:
        worker, now = self.worker, time()
        self._run_many(
            _INSERT,
            [
                (number, each.key, each.index, each.digest, each.json, worker, now)
                for number, each in inputs
            ],
        )

    def _last_number(self) -> int:
        (last,) = self._run("SELECT max(number) FROM inputs").fetchone()
        return last or 0

    @operation
    def write(
        self,
        created: Sequence[tuple[str, int]] = (),
        outcomes: Sequence[Outcome] = (),
        files: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Write what happened since the last time, in one transaction."""
        # Most predictions end within the request that creates them: one change of the row suffices.
        ids = {number: id for id, number in created}
        ended = [(ids.pop(each.number, None), *each[1:], each.number) for each in outcomes]
        known = [each[1:] for each in ended if each[0] is None]
        both = [each for each in ended if each[0] is not None] if known else ended
        running = [(id, number) for number, id in ids.items()]
        with self._transaction():
            for statement, rows in (
                ("UPDATE inputs SET status = 'running', prediction = ? WHERE number = ?", running),
                (_CREATE_AND_FINISH, both),
                (_FINISH, known),
                ("UPDATE inputs SET files = ? WHERE number = ?", files),
            ):
                if rows:
                    self._run_many(statement, rows)

    def close(self) -> None:
        """Close the connection."""
        own_workers.discard(self.worker)
        self._perform(self._connection.close)

    def _perform(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except sqlite3.Error as error:
            raise _to_journal_error(self.name, error) from error

    def _run(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _run_when_unlocked(self, statement: str) -> None:
        """Run a statement for which SQLite itself does not wait for others' locks."""
        ends = monotonic() + BUSY_TIMEOUT
        while True:
            try:
                self._run(statement)
            except sqlite3.OperationalError as error:
                # The low byte is the kind of error.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > ends:
                    raise
                sleep(LOCK_INTERVAL)
            else:
                return

    def _run_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._connection.executemany(statement, rows)

    def _now(self) -> float:
        return time()

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Generator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            # SQLite has ended the transaction already after some errors.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _durably(self) -> Generator[None]:
        if not self._has_path:
            yield
            return
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous = NORMAL")


@contextmanager
def _translated(path: str | None) -> Generator[None]:
    """Raise `JournalError` for errors of SQLite."""
    try:
        yield
    except sqlite3.Error as error:
        raise _to_journal_error(path or "the temporary journal", error) from error


def _to_journal_error(name: str, error: sqlite3.Error) -> JournalError:
    text = str(error)
    reasons = {
        "locked": (
            f"it is locked by another program for more than {BUSY_TIMEOUT:.0f} s: end that"
            " program, and start again"
        ),
        "full": "the disk is full: nothing is lost; make space, and start again",
        "readonly": "it, or its folder, may not be written: SQLite writes beside the journal, too",
        "unable to open": "it cannot be opened: its folder must exist and be writable",
        "not a database": "it is not a journal: it is no SQLite database",
        "malformed": (
            "it is damaged: copy what can be read with `sqlite3 JOURNAL .recover`, and go on with"
            " the copy"
        ),
        "disk I/O": "the disk cannot be read or written",
    }
    reason = next((reason for sign, reason in reasons.items() if sign in text), None)
    return JournalError(f"{name}: {text if reason is None else f'{reason} ({text})'}")
