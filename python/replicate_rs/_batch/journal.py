"""A journal of many runs, to read: what was run, what became of it, and where its files are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .connect import check_journal, open_store_to_read, shown_journal
from .results import Result
from .rows import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

# The fields of `Result.to_dict` as columns of a table; `object` stands for values as JSON.
COLUMNS: dict[str, type] = {
    "key": str,
    "index": int,
    "input": object,
    "status": str,
    "output": object,
    "files": object,
    "error": str,
    "prediction": str,
    "attempts": int,
    "predict_time": float,
    "ended_at": str,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a journal contains, in numbers."""

    target: str
    """What ran the inputs."""
    total: int
    succeeded: int
    failed: int
    """Inputs that failed, could not be sent, or were canceled."""
    open: int
    """Inputs that run, or wait."""
    statuses: dict[str, int]
    """The number of inputs of each status."""
    attempts: int
    """Predictions that were created, or tried."""
    predict_seconds: float
    """Seconds that the model ran, in all runs that ended."""
    workers: int
    """Calls of `map` that work on it now."""
    created_at: datetime
    ended_at: datetime | None
    """When the last run ended."""


class Journal:
    """A journal that `map` wrote, or is writing.

    Args:
        path: The journal's file, or the address of its database.

    Raises:
        JournalError: There is none, or it cannot be read.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        journal = os.fspath(path)
        check_journal(journal)
        self.path: str = shown_journal(journal)
        """The file, or the address without its password."""
        self._store = open_store_to_read(journal)

    def summary(self) -> Summary:
        """Return what it contains, in numbers."""
        counts = {status: row for status, *row in self._store.count()}
        created_at, ended_at = self._store.get_times()
        total = sum(int(count) for count, _, _ in counts.values())
        succeeded = int(counts.get("succeeded", [0])[0])
        unfinished = sum(int(counts[status][0]) for status in OPEN if status in counts)
        return Summary(
            target=self._store.target,
            total=total,
            succeeded=succeeded,
            failed=total - succeeded - unfinished,
            open=unfinished,
            statuses={status: int(row[0]) for status, row in counts.items()},
            attempts=sum(int(attempts) for _, _, attempts in counts.values()),
            predict_seconds=sum(seconds for _, seconds, _ in counts.values()),
            workers=self._store.count_workers(),
            created_at=datetime.fromtimestamp(created_at, UTC),
            ended_at=None if ended_at is None else datetime.fromtimestamp(ended_at, UTC),
        )

    def results(self, *, failed: bool | None = None) -> Iterator[Result]:
        """Iterate over the results, those of inputs that are not done too, as inputs were taken.

        Args:
            failed: True for those that failed, False for those that succeeded.

        """
        for row in self._store.iterate(WHERE[failed]):
            yield Result.of_row(row, row.position)

    def to_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Write the results as JSON Lines; return their number."""
        from .export import write_jsonl

        return write_jsonl((result.to_dict() for result in self.results()), path)

    def to_csv(self, path: str | os.PathLike[str]) -> int:
        """Write the results as CSV; return their number. Inputs, outputs and files are JSON.

        A name that ends with ``.tsv`` has tabs.
        """
        from .export import write_csv

        return write_csv((result.to_dict() for result in self.results()), path, [*COLUMNS])

    def to_parquet(self, path: str | os.PathLike[str]) -> int:
        """Write the results as Parquet; return their number. Inputs, outputs and files are JSON.

        Raises:
            ImportError: `pyarrow` is not installed.

        """
        from .export import write_parquet

        return write_parquet((result.to_dict() for result in self.results()), path, COLUMNS)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        from .._notebook.batch import journal

        return journal(self)

    def __repr__(self) -> str:
        return f"Journal({self.path!r})"


# Conditions on rows: those that failed, that succeeded, and all.
WHERE = {
    True: "status NOT IN ('waiting', 'sending', 'running', 'succeeded')",
    False: "status = 'succeeded'",
    None: "TRUE",
}
