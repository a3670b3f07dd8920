"""The journal's database: which inputs were taken, what was sent for each, and what became of it.

One connection of SQLite's, used on one thread. Several processes may have the same database open:
each input belongs to one worker at a time, whose lease it renews by a heartbeat.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from json import dumps, loads
from pathlib import Path
from socket import gethostname
from time import time
from typing import TYPE_CHECKING, NamedTuple

from ..exceptions import JournalError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from typing import Self

    from .keys import Input

# The version of the schema, in `PRAGMA user_version`; docs/batch.md describes it.
SCHEMA_VERSION = 1
# "rrs1": tells this file from other databases.
APPLICATION_ID = 0x72727331
# Seconds after its last heartbeat for which a worker keeps its inputs, and between two heartbeats.
LEASE = 30.0
HEARTBEAT = 5.0
# Seconds that a write waits for one of another process.
BUSY_TIMEOUT = 30.0
# Kibibytes of pages that a connection keeps in memory.
CACHE_SIZE = 16_384
# Pages of the write-ahead log from which on they are copied to the database: keys are spread over
# all pages, so a page that is copied less often has more changes.
MAX_LOG = 4000

WAITING, SENDING, RUNNING = "waiting", "sending", "running"
OPEN = (WAITING, SENDING, RUNNING)

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
CREATE INDEX open_inputs ON inputs (status) WHERE status IN ('waiting', 'sending', 'running');
"""

_COLUMNS = (
    "number, key, position, digest, input, status, worker, attempts, sent_at, sent_input,"
    " prediction, earlier_predictions, ended_at, predict_time, output, error, files"
)


class Row(NamedTuple):
    """An input in the journal; a column each."""

    number: int
    key: str
    position: int
    digest: bytes | None
    input: str
    status: str
    worker: int | None
    attempts: int
    sent_at: float | None
    sent_input: str | None
    prediction: str | None
    earlier_predictions: str | None
    ended_at: float | None
    predict_time: float | None
    output: str | None
    error: str | None
    files: str | None

    @property
    def is_done(self) -> bool:
        """Whether its prediction has ended, or could not be created."""
        return self.status not in OPEN


class Outcome(NamedTuple):
    """What became of an input."""

    number: int
    status: str
    ended_at: float
    predict_time: float | None
    output: str | None
    error: str | None
    files: str | None


# What is known of an input that a worker claims: it is new; nothing was sent for it so far; it
# failed, and is sent again; a prediction may have been created for it; one was created; it is done;
# another worker has it; its key belongs to another input.
NEW, FIRST, AGAIN, UNCERTAIN, CREATED, DONE, HELD, CONFLICT = range(8)


class Claim(NamedTuple):
    """An input that a worker wants, and what is known of it."""

    kind: int
    row: Row | None
    """Its row before this claim; None if it is new."""
    number: int = 0


_INSERT = (
    "INSERT INTO inputs (number, key, position, digest, input, status, worker, sent_at, attempts)"
    " VALUES (?, ?, ?, ?, ?, 'sending', ?, ?, 1)"
)
_SEND = (
    "UPDATE inputs SET status = 'sending', worker = ?, sent_at = ?, attempts = attempts + 1"
    " WHERE number = ?"
)
_SEND_AGAIN = (
    "UPDATE inputs SET status = 'sending', worker = ?, sent_at = ?, attempts = attempts + 1,"
    " earlier_predictions = ?, prediction = NULL, ended_at = NULL, predict_time = NULL,"
    " output = NULL, error = NULL, files = NULL WHERE number = ?"
)
_FINISH = (
    "UPDATE inputs SET status = ?, ended_at = ?, predict_time = ?, output = ?, error = ?,"
    " files = ?, worker = NULL, sent_input = NULL WHERE number = ?"
)
_CREATE_AND_FINISH = _FINISH.replace("SET status", "SET prediction = ?, status")

# The ids of this process's workers: a worker with this process's number and another id is that of
# an earlier process of the same number, as containers have.
_own_workers: set[int] = set()


class Store:
    """A connection to a journal's database."""

    def __init__(self, path: str | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self.worker = 0
        self.renewed_at = 0.0
        # Whether this worker's lease had expired once, so that others may have its inputs.
        self._has_expired = False
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
        with _Translation(path):
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
        with _Translation(path):
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
        run = self._connection.execute
        if self.path is not None:
            # Raises for what is not a database, before anything is written.
            self._check_format(is_new_allowed=True)
            run("PRAGMA journal_mode = WAL")
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
            (known,) = run("SELECT name FROM target").fetchone()
            if known != target:
                raise JournalError(
                    f"{self.path} is the journal of {known}, not of {target}: use a journal for"
                    " each model"
                )
            self._register()

    def _check_format(self, *, is_new_allowed: bool) -> bool:
        """Return whether the database is empty; raise if it is no journal that can be read."""
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and is_new_allowed:
            return True
        if application != APPLICATION_ID:
            raise JournalError(f"{self.path} is not a journal: it is another SQLite database")
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"{self.path} was written by a newer version of this library (schema {version},"
                f" this one reads {SCHEMA_VERSION}): upgrade replicate-rs"
            )
        return False

    @property
    def target(self) -> str:
        """What runs the inputs."""
        (name,) = self._connection.execute("SELECT name FROM target").fetchone()
        return str(name)

    # Workers.

    def _register(self) -> None:
        cursor = self._connection.execute(
            "INSERT INTO workers (host, pid, seen_at) VALUES (?, ?, ?)",
            (_get_host(), os.getpid(), time()),
        )
        self.worker = cursor.lastrowid or 0
        self.renewed_at = time()
        _own_workers.add(self.worker)

    def renew(self) -> bool:
        """Renew this worker's lease; return False if it had expired and others took its inputs."""
        with self._guarded():
            cursor = self._connection.execute(
                "UPDATE workers SET seen_at = ? WHERE id = ?", (time(), self.worker)
            )
            if cursor.rowcount:
                self.renewed_at = time()
                return True
            # Another process has removed it: some inputs may be that one's now.
            self._has_expired = True
            self._connection.execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?)",
                (self.worker, _get_host(), os.getpid(), time()),
            )
            self.renewed_at = time()
        return False

    def renew_for(self, number: int) -> None:
        """Renew the lease before an input is sent.

        Raises:
            JournalError: Another process has taken the input.

        """
        with self._guarded():
            self.renew()
            (worker,) = self._connection.execute(
                "SELECT worker FROM inputs WHERE number = ?", (number,)
            ).fetchone()
        if worker != self.worker:
            raise JournalError(
                f"{self.path}: another process has taken inputs of this one, which did not run for"
                f" {LEASE:.0f} s: start again to go on"
            )

    @property
    def has_lease(self) -> bool:
        """Whether no other process can have taken this worker's inputs yet."""
        return not self._has_expired and time() - self.renewed_at < LEASE - HEARTBEAT

    def _dead_workers(self, workers: Iterable[int]) -> set[int]:
        """Return those of some workers that have ended without releasing their inputs."""
        dead: set[int] = set()
        now, host, pid = time(), _get_host(), os.getpid()
        for worker in set(workers):
            found = self._connection.execute(
                "SELECT host, pid, seen_at FROM workers WHERE id = ?", (worker,)
            ).fetchone()
            if found is None or not 0 <= now - found[2] + LEASE < 2 * LEASE:
                dead.add(worker)
                self._connection.execute("DELETE FROM workers WHERE id = ?", (worker,))
            elif (
                found[0] == host
                and worker not in _own_workers
                and (found[1] == pid or not _is_running(found[1]))
            ):
                dead.add(worker)
        return dead

    # Inputs.

    def is_empty(self) -> bool:
        """Return whether no input was taken yet."""
        with self._guarded():
            return not self._connection.execute("SELECT 1 FROM inputs LIMIT 1").fetchone()

    def claim(
        self,
        inputs: Sequence[Input],
        *,
        retry_before: float | None = None,
        expect_new: bool = False,
    ) -> list[Claim]:
        """Claim inputs for this worker, and return what is known of each, in order.

        Args:
            inputs: Inputs with different keys.
            retry_before: Claim failed inputs again that ended before this time.
            expect_new: Add the inputs without a look at what is known, which is faster if nothing
                is known of any of them, and slower otherwise.

        """
        with self._guarded():
            if expect_new and (claims := self._add(inputs)) is not None:
                return claims
            rows = self._select([each.key for each in inputs])
            claims = [self._judge(each, rows.get(each.key), retry_before) for each in inputs]
            if all(claim.kind in (DONE, CONFLICT) for claim in claims):
                return claims
            # An input without a prediction must be on the disk before a prediction is created.
            with self._durably(), self._transaction():
                rows = self._select([each.key for each in inputs])
                claims = [self._judge(each, rows.get(each.key), retry_before) for each in inputs]
                return self._take(inputs, claims)

    def _add(self, inputs: Sequence[Input]) -> list[Claim] | None:
        """Claim inputs, all of them new; return None, and claim none, if one is not."""
        now = time()
        try:
            with self._durably(), self._transaction():
                first = self._last_number() + 1
                self._connection.executemany(
                    _INSERT,
                    [
                        (number, each.key, each.index, each.digest, each.json, self.worker, now)
                        for number, each in enumerate(inputs, first)
                    ],
                )
        except sqlite3.IntegrityError:
            return None
        return [Claim(NEW, None, number) for number in range(first, first + len(inputs))]

    def _last_number(self) -> int:
        (last,) = self._connection.execute("SELECT max(number) FROM inputs").fetchone()
        return last or 0

    def _judge(self, item: Input, row: Row | None, retry_before: float | None) -> Claim:
        if row is None:
            return Claim(NEW, None)
        if row.digest != item.digest:
            return Claim(CONFLICT, row)
        if row.is_done:
            is_retried = (
                retry_before is not None
                and row.status != "succeeded"
                and (row.ended_at or 0.0) < retry_before
            )
            return Claim(AGAIN if is_retried else DONE, row)
        if row.worker is not None and row.worker not in self._dead_workers([row.worker]):
            return Claim(HELD, row)
        kinds = {WAITING: AGAIN if row.attempts else FIRST, SENDING: UNCERTAIN}
        return Claim(kinds.get(row.status, CREATED), row)

    def _take(self, inputs: Sequence[Input], claims: list[Claim]) -> list[Claim]:
        run, now = self._connection.execute, time()
        number = self._last_number()
        new: list[tuple[object, ...]] = []
        taken: list[Claim] = []
        for item, (kind, row, _) in zip(inputs, claims, strict=True):
            if row is None:
                number += 1
                new.append((number, item.key, item.index, item.digest, item.json, self.worker, now))
                taken.append(Claim(kind, None, number))
                continue
            if kind == FIRST:
                run(_SEND, (self.worker, now, row.number))
            elif kind == AGAIN:
                run(_SEND_AGAIN, (self.worker, now, _with_earlier(row), row.number))
            elif kind in (UNCERTAIN, CREATED):
                run("UPDATE inputs SET worker = ? WHERE number = ?", (self.worker, row.number))
            taken.append(Claim(kind, row, row.number))
        self._connection.executemany(_INSERT, new)
        return taken

    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows of some inputs, by their keys."""
        with self._guarded():
            return self._select(keys)

    def _select(self, keys: Sequence[str]) -> dict[str, Row]:
        marks = ",".join("?" * len(keys))
        cursor = self._connection.execute(
            f"SELECT {_COLUMNS} FROM inputs WHERE key IN ({marks})",  # noqa: S608 - no values in the text
            keys,
        )
        return {row[1]: Row._make(row) for row in cursor}

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
        # Most predictions end within the request that creates them: one change of the row suffices.
        ids = {number: id for id, number in created}
        ended = [(ids.pop(each.number, None), *each[1:], each.number) for each in outcomes]
        known = [each[1:] for each in ended if each[0] is None]
        both = [each for each in ended if each[0] is not None] if known else ended
        running = [(id, number) for number, id in ids.items()]
        with self._guarded(), self._transaction():
            run = self._connection.executemany
            run("UPDATE inputs SET status = 'running', prediction = ? WHERE number = ?", running)
            run(_CREATE_AND_FINISH, both)
            run(_FINISH, known)
            run("UPDATE inputs SET files = ? WHERE number = ?", files)

    def set_sent_input(self, number: int, sent_input: str) -> None:
        """Write the input as it is sent, where that is not the caller's: with URLs of files."""
        with self._guarded(), self._durably():
            self._connection.execute(
                "UPDATE inputs SET sent_input = ? WHERE number = ?", (sent_input, number)
            )

    def send_again(self, number: int) -> None:
        """Write that another prediction is about to be created for an input."""
        with self._guarded(), self._durably(), self._transaction():
            cursor = self._connection.execute(
                f"SELECT {_COLUMNS} FROM inputs WHERE number = ?",  # noqa: S608 - no values in the text
                (number,),
            )
            row = Row._make(cursor.fetchone())
            self._connection.execute(_SEND_AGAIN, (self.worker, time(), _with_earlier(row), number))

    def release(self, unsent: Sequence[int]) -> None:
        """Give up all inputs of this worker, and its place among the workers.

        Args:
            unsent: The numbers of inputs for which no request was sent.

        """
        with self._guarded(), self._transaction():
            self._connection.executemany(
                "UPDATE inputs SET status = 'waiting', attempts = attempts - 1"
                " WHERE number = ? AND worker = ? AND status = 'sending'",
                [(number, self.worker) for number in unsent],
            )
            self._connection.execute(
                "UPDATE inputs SET worker = NULL WHERE worker = ?"
                " AND status IN ('waiting', 'sending', 'running')",
                (self.worker,),
            )
            self._connection.execute("DELETE FROM workers WHERE id = ?", (self.worker,))

    def find_known(self, predictions: Iterable[str]) -> set[str]:
        """Return which of some predictions belong to inputs of this journal."""
        ids = [*predictions]
        if not ids:
            return set()
        marks = ",".join("?" * len(ids))
        with self._guarded():
            cursor = self._connection.execute(
                f"SELECT prediction FROM inputs WHERE prediction IN ({marks})",  # noqa: S608 - as above
                ids,
            )
            known = {row[0] for row in cursor}
            cursor = self._connection.execute(
                "SELECT earlier_predictions FROM inputs WHERE earlier_predictions IS NOT NULL"
            )
            earlier = {each for (text,) in cursor for each in loads(text)}
        return known | (earlier & set(ids))

    # Reading.

    def iterate(self, where: str = "TRUE") -> Iterator[Row]:
        """Return rows in the order in which they were claimed, a few at a time.

        No transaction is open in between: it would keep the write-ahead log from being emptied.
        """
        last = 0
        while True:
            with self._guarded():
                rows = self._connection.execute(
                    f"SELECT {_COLUMNS} FROM inputs WHERE number > ? AND {where}"  # noqa: S608 - a constant
                    " ORDER BY number LIMIT 1000",
                    (last,),
                ).fetchall()
            if not rows:
                return
            yield from map(Row._make, rows)
            last = rows[-1][0]

    def count(self) -> list[tuple[str, int, float, int]]:
        """Return of each status the inputs, their predict time in seconds, and their attempts."""
        with self._guarded():
            return self._connection.execute(
                "SELECT status, count(*), total(predict_time), total(attempts) FROM inputs"
                " GROUP BY status"
            ).fetchall()

    def get_times(self) -> tuple[float, float | None]:
        """Return when the journal was created, and when the last input ended."""
        with self._guarded():
            (created_at,) = self._connection.execute("SELECT created_at FROM target").fetchone()
            (ended_at,) = self._connection.execute("SELECT max(ended_at) FROM inputs").fetchone()
        return created_at, ended_at

    def count_workers(self) -> int:
        """Return how many workers are running."""
        with self._guarded():
            ids = [row[0] for row in self._connection.execute("SELECT id FROM workers")]
            return len(ids) - len(self._dead_workers(ids))

    def close(self) -> None:
        """Close the connection."""
        _own_workers.discard(self.worker)
        with self._guarded():
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
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
        """Have what is committed here survive a loss of power, and not only of the process."""
        if self.path is None:
            yield
            return
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _guarded(self) -> _Translation:
        return _Translation(self.path)


class _Translation:
    """Raises `JournalError` for errors of SQLite."""

    __slots__ = ("path",)

    def __init__(self, path: str | None) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _journal_error(self.path, error) from error


def _journal_error(path: str | None, error: sqlite3.Error) -> JournalError:
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
    place = path or "the temporary journal"
    return JournalError(f"{place}: {text if reason is None else f'{reason} ({text})'}")


def _with_earlier(row: Row) -> str | None:
    """Return the column of earlier predictions with the last one added."""
    if row.prediction is None:
        return row.earlier_predictions
    return dumps([*loads(row.earlier_predictions or "[]"), row.prediction])


def _get_host() -> str:
    """Return the name of what process ids belong to: this machine, or a container on it.

    Containers may share a host name, and have the same process ids.
    """
    try:
        return f"{gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        # Not Linux.
        return gethostname()


def _is_running(pid: int) -> bool:
    """Return whether a process of this machine is running; True where that cannot be told."""
    if os.name == "nt":
        # `os.kill` would end the process. Its lease decides.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
