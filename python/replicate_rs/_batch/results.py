"""Results of many runs, one for each input."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING

from .._files.output import wrap_files

if TYPE_CHECKING:
    from typing import Any

    from .._base.session import Session
    from .rows import Row

# Seconds after a prediction's end for which the API keeps its output
# (https://replicate.com/docs/topics/predictions/data-retention).
RETENTION = 3600


class Result:
    """What became of one input."""

    __slots__ = (
        "_input",
        "_output",
        "_session",
        "attempts",
        "ended_at",
        "error",
        "files",
        "from_journal",
        "index",
        "key",
        "predict_time",
        "prediction",
        "status",
    )

    def __init__(
        self,
        *,
        key: str | None,
        index: int,
        input: object,
        status: str,
        output: Any = None,
        error: str | None = None,
        files: list[Path | str] | None = None,
        prediction: str | None = None,
        attempts: int = 1,
        predict_time: float | None = None,
        ended_at: datetime | None = None,
        from_journal: bool = False,
        session: Session | None = None,
    ) -> None:
        self.key: str | None = key
        """The caller's key, or a digest of the model and the input; None for an input that cannot
        be sent.
        """
        self.index: int = index
        """The input's place among all, from 0."""
        self.status: str = status
        """``succeeded``, ``failed``, ``canceled`` or ``aborted``; ``running`` and the like in a
        journal.
        """
        self.error: str | None = error
        """Why it failed, or why its files could not be saved."""
        self.files: list[Path | str] | None = files
        """The files of the output once they are saved: paths, or URLs of the file system that
        ``save_to=`` named. None if nothing was saved.
        """
        self.prediction: str | None = prediction
        """The prediction's id; None if none was created."""
        self.attempts: int = attempts
        """Predictions that were created, or tried."""
        self.predict_time: float | None = predict_time
        """Seconds that the model ran."""
        self.ended_at: datetime | None = ended_at
        """When the prediction ended."""
        self.from_journal: bool = from_journal
        """Whether it was known from the journal, and nothing was run."""
        # Text of the journal until it is read.
        self._input: object = input
        self._output: Any = output
        self._session: Session | None = session

    @classmethod
    def of_row(cls, row: Row, index: int, session: Session | None = None) -> Result:
        """Create the result of an input in a journal."""
        return cls(
            key=row.key,
            index=index,
            input=_Json(row.input),
            status=row.status,
            output=None if row.output is None else _Json(row.output),
            error=row.error,
            files=None if row.files is None else to_paths(loads(row.files)),
            prediction=row.prediction,
            attempts=row.attempts,
            predict_time=row.predict_time,
            ended_at=None if row.ended_at is None else datetime.fromtimestamp(row.ended_at, UTC),
            from_journal=True,
            session=session,
        )

    def at(self, index: int) -> Result:
        """Return the same result for an equal input at another place."""
        twin = copy(self)
        twin.index = index
        return twin

    @property
    def succeeded(self) -> bool:
        """Whether the model succeeded."""
        return self.status == "succeeded"

    @property
    def input(self) -> Any:
        """The input; from a journal, files in it are their names and a digest of their content."""
        if type(self._input) is _Json:
            self._input = loads(self._input)
        return self._input

    @property
    def output(self) -> Any:
        """The output as `run` returns it, files as `FileOutput`; None if there is none."""
        if type(self._output) is _Json:
            self._output = loads(self._output)
        if self._session is not None:
            self._output = wrap_files(self._output, self._session)
            self._session = None
        return self._output

    @property
    def available_until(self) -> datetime | None:
        """Until when the API keeps the files of the output; None if there is no output."""
        if self.ended_at is None or self._output is None:
            return None
        return self.ended_at + timedelta(seconds=RETENTION)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as values that JSON can carry."""
        return {
            "key": self.key,
            "index": self.index,
            "input": _to_plain(self.input),
            "status": self.status,
            "output": _to_plain(self.output),
            "files": None if self.files is None else [str(file) for file in self.files],
            "error": self.error,
            "prediction": self.prediction,
            "attempts": self.attempts,
            "predict_time": self.predict_time,
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
        }

    def _repr_html_(self) -> str:
        from .._notebook.batch import result

        return result(self)

    def __repr__(self) -> str:
        return (
            f"Result(key={self.key!r}, index={self.index}, status={self.status!r},"
            f" prediction={self.prediction!r})"
        )


class _Json(str):
    """JSON that was not read yet."""

    __slots__ = ()


def to_paths(files: list[str]) -> list[Path | str]:
    """Return saved files: paths on this machine, and URLs of other file systems."""
    return [file if "://" in file else Path(file) for file in files]


def _to_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_plain(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType] - JSON
    if isinstance(value, (list, tuple)):
        return [_to_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
