"""The commands ``run`` and ``retry``."""

from __future__ import annotations

import re
import signal
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from json import loads
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from .._base.typing import is_array, is_object
from .._batch.connect import shown_journal
from .._batch.journal import Journal
from .._batch.table_sources import JsonStream
from .._batch.table_values import to_file
from .._batch.tables import TableInputs, add_shared, read_inputs
from ..client import Replicate
from ..exceptions import JournalError
from .console import (
    ERRORS,
    FAILED,
    INTERRUPTED,
    SUCCEEDED,
    Errors,
    count_of,
    quote,
    say,
    to_line,
)
from .writing import STREAM, write_results

if TYPE_CHECKING:
    from .._batch.map import Results
    from .._batch.results import Result
    from .._batch.rows import Row

# Inputs of a journal that failed, or that were being run again when a retry was interrupted.
RETRIED = (
    "status <> 'succeeded' AND (status NOT IN ('waiting', 'sending', 'running')"
    " OR attempts > CASE WHEN status = 'waiting' THEN 0 ELSE 1 END)"
)
# What the journal has in place of a file: its name, and a digest of its content.
FILE = re.compile(r"[^/]*#[0-9a-f]{32}", re.DOTALL)


def run(options: Namespace) -> int:
    """Run a model on every row of a table."""
    if options.journal is None and options.save_to is None and options.out is None:
        raise ValueError("the results would be lost: name a --journal, --out or --save-to")
    for name in (options.journal, options.out):
        _refuse_same(name, options.inputs)
    constants = _to_constants(options)
    source: Any = options.inputs
    if source == STREAM:
        source = JsonStream(_open_stdin(), "stdin")
    key: str | None = options.key
    table: TableInputs[Any] = read_inputs(
        source,
        key=key,
        columns=_to_dict("--column", options.column),
        files=[name for name in options.file if name not in constants or _is_column(name, options)],
        types=_to_dict("--type", options.type),
    )
    inputs = _with_constants(table, constants)
    if options.inputs != STREAM:
        # Rows are all read before anything is sent: a malformed one ends the run at no cost.
        inputs = Counted(inputs, sum(1 for _ in table))
    target = {"deployment": options.model} if options.deployment else {"ref": options.model}
    return _Run(options, inputs, target, retry_failed=options.retry_failed).run(options.out)


def retry(options: Namespace) -> int:
    """Run a journal's inputs again that failed."""
    with Journal(options.journal) as journal:
        target = journal.summary().target
        count = skipped = 0
        for row in journal._store.iterate(RETRIED):
            if has_files(loads(row.input)):
                skipped += 1
            else:
                count += 1
        if skipped:
            say(
                f"{count_of(skipped, 'input')} had files, whose content the journal does not have:"
                " run them again by `run ... --retry-failed` with their table"
            )
        rows = (
            to_item(row)
            for row in journal._store.iterate(RETRIED)
            if not has_files(loads(row.input))
        )
        kind, _, name = target.rpartition(" ")
        where = {"deployment": name} if kind else {"ref": target}
        code = _Run(options, Counted(rows, count), where, retry_failed=True).run(None)
    return code or (FAILED if skipped else SUCCEEDED)


class Counted:
    """Inputs whose number is known, for the progress bar."""

    def __init__(self, inputs: Iterable[Any], count: int) -> None:
        self._inputs = inputs
        self._count = count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return self._count


class _Run:
    """One call of `map`, which Ctrl-C ends in good order."""

    def __init__(
        self, options: Namespace, inputs: Iterable[Any], target: dict[str, str], **choices: Any
    ) -> None:
        self._options = options
        self._total = len(inputs) if isinstance(inputs, Counted) else None
        self._client = Replicate()
        self._results: Results[Any] = self._client.map(
            target.get("ref"),
            inputs,
            deployment=target.get("deployment"),
            journal=options.journal,
            save_to=options.save_to,
            concurrency=options.concurrency,
            rate=options.rate,
            retries=options.retries,
            max_failures=options.max_failures,
            progress=not options.quiet and sys.stderr.isatty(),
            use_file_output=False,
            **choices,
        )
        self._errors = Errors()
        self._done = self._failed = self._unsaved = 0
        self._is_interrupted = False
        self._error: Exception | None = None

    def run(self, out: str | None) -> int:
        """Run all inputs, write their results, and return the exit code."""
        with ExitStack() as stack:
            for number in (signal.SIGINT, signal.SIGTERM):
                # A program in the background of a script ignores Ctrl-C.
                if (before := signal.getsignal(number)) is not signal.SIG_IGN:
                    stack.callback(signal.signal, number, before)
                    signal.signal(number, self._on_signal)
            try:
                if out is None:
                    for _ in self._follow():
                        pass
                else:
                    write_results(self._follow(), out)
            except _LeftError as left:
                self._error = left.error
            return self._conclude()

    def _follow(self) -> Iterator[Result]:
        """Yield the results, and count them; end early when interrupted."""
        try:
            for result in self._results:
                self._count(result)
                yield result
        except ERRORS as error:
            self._error = error
        if self._options.journal is not None and (self._is_interrupted or self._error):
            # The file of an earlier run may have more: the journal has all.
            raise _LeftError(self._error)

    def _count(self, result: Result) -> None:
        self._done += 1
        if not result.succeeded:
            self._failed += 1
            self._errors.add(result.error or result.status)
        elif result.error is not None:
            self._unsaved += 1
            self._errors.add(result.error)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_interrupted:
            raise KeyboardInterrupt
        self._is_interrupted = True
        self._results._stop()

    def _conclude(self) -> int:
        if self._error is not None or self._is_interrupted:
            self._explain()
            if self._error is not None:
                raise self._error
            return INTERRUPTED
        if not self._options.quiet:
            say(self._describe(), *self._errors.lines())
        return FAILED if self._failed or self._unsaved else SUCCEEDED

    def _describe(self) -> str:
        of = "" if self._total is None else f" of {self._total}"
        text = f"{self._done}{of} inputs are done, {self._failed} of them failed"
        if self._unsaved:
            text += f"; the files of {self._unsaved} were not saved: run this again to save them"
        return text

    def _explain(self) -> None:
        """Say how far the run is, what runs, and how to go on."""
        journal = self._options.journal
        if journal is None:
            say(f"ended early: {self._describe()}. What ran is canceled: there is no --journal")
            return
        try:
            with Journal(journal) as opened:
                statuses = opened.summary().statuses
        except JournalError as error:
            # It may be what ended the run.
            if self._error is None:
                say(to_line(error))
            return
        running = statuses.get("running", 0)
        text = f"{count_of(running, 'prediction')} run{'s' if running == 1 else ''} on at Replicate"
        if unknown := statuses.get("sending"):
            text += f", and {unknown} may do so"
        reads_stdin = getattr(self._options, "inputs", None) == STREAM
        again = " with the same lines on stdin" if reads_stdin else ""
        say(
            f"ended early: {self._describe()}; {text}. To go on{again}:"
            f" {quote([_without_password(word) for word in self._options.words])}"
        )


def _without_password(word: str) -> str:
    """Return a word of the command line without the password of a journal's address."""
    option, equals, value = word.partition("=") if word.startswith("--journal=") else ("", "", word)
    return f"{option}{equals}{shown_journal(value)}"


class _LeftError(Exception):
    """The run ended early, and its journal has the results."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error


def _open_stdin() -> Any:
    # A thread that reads Python's own `sys.stdin` when the program ends would make it crash.
    return open(0, "rb", closefd=False)


def _refuse_same(name: str | None, inputs: str) -> None:
    if name is None or not Path(name).exists() or not Path(inputs).exists():
        return
    if Path(name).samefile(inputs):
        raise ValueError(f"{name} is the table of inputs")


def _to_dict(option: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"{option} {name} is given twice")
        result[name] = value
    return result


def _is_column(name: str, options: Namespace) -> bool:
    return any(name == column for column, _ in options.column)


def _to_constants(options: Namespace) -> dict[str, Any]:
    constants = _to_dict("--input", options.input)
    for name in constants.keys() & {*options.file}:
        try:
            constants[name] = to_file(constants[name], Path())
        except (TypeError, ValueError) as error:
            raise ValueError(f"--input {name} {error}") from error
    return constants


def _with_constants(table: TableInputs[Any], constants: dict[str, Any]) -> Iterable[Any]:
    if not constants:
        return table
    return _WithConstants(table, constants)


class _WithConstants:
    """Inputs of a table with those that all rows share."""

    def __init__(self, table: TableInputs[Any], constants: dict[str, Any]) -> None:
        self._table = table
        self._constants = constants

    def __iter__(self) -> Iterator[Any]:
        for item in self._table:
            yield add_shared(item, self._constants)


def has_files(value: Any) -> bool:
    """Return whether an input of a journal had files."""
    if isinstance(value, str):
        return FILE.fullmatch(value) is not None
    if is_object(value):
        return any(map(has_files, value.values()))
    return is_array(value) and any(map(has_files, value))


def to_item(row: Row) -> Any:
    """Return an input of a journal with its key, unless that is made from the input."""
    value = loads(row.input)
    return value if row.digest is None else (row.key, value)
