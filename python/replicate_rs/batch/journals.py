"""The commands ``status``, ``export`` and ``cancel``, about a journal."""

from __future__ import annotations

from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from json import loads

from .._batch.journal import Journal, Summary
from ..client import Replicate
from ..exceptions import APIStatusError, AuthenticationError, PredictionTimeout
from .console import FAILED, SUCCEEDED, Errors, count_of, say, show, to_line
from .running import has_files, to_item
from .writing import STREAM, write_results

# Statuses in the order in which they are shown.
STATUSES = ("succeeded", "failed", "canceled", "aborted", "running", "sending", "waiting")
# Requests that cancel predictions at the same time.
CANCELS = 16
# Seconds for which canceled predictions are waited for.
MAX_WAIT = 60


def status(options: Namespace) -> int:
    """Show what became of a journal's inputs."""
    with Journal(options.journal) as journal:
        summary = journal.summary()
        errors = Errors()
        for row in journal._store.iterate("error IS NOT NULL"):
            errors.add(row.error)
    show([*_describe(summary), *(["", "errors", *errors.lines()] if errors.lines() else [])])
    return SUCCEEDED


def _describe(summary: Summary) -> list[str]:
    counts = summary.statuses
    known = [name for name in (*STATUSES, *(counts.keys() - {*STATUSES})) if counts.get(name)]
    rows = [("target", summary.target), ("inputs", str(summary.total))]
    rows += [(name, str(counts[name])) for name in known]
    rows += [
        ("attempts", str(summary.attempts)),
        ("predict time", str(timedelta(seconds=round(summary.predict_seconds)))),
        ("begun", _to_text(summary.created_at)),
        ("last ended", "-" if summary.ended_at is None else _to_text(summary.ended_at)),
        ("workers", str(summary.workers)),
    ]
    return [f"{name:<13}{value}" for name, value in rows]


def _to_text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def export(options: Namespace) -> int:
    """Write a journal's results to a file."""
    with Journal(options.journal) as journal:
        count = write_results(journal.results(), options.out)
    if options.out != STREAM:
        say(f"{count_of(count, 'result')} written to {options.out}")
    return SUCCEEDED


def cancel(options: Namespace) -> int:
    """Cancel the predictions of a journal that run, and note in it what became of them."""
    with Journal(options.journal) as journal:
        summary = journal.summary()
        rows = [*journal._store.iterate("status = 'running'")]
    if summary.workers:
        say(
            "a command works on this journal, and goes on to create predictions: end it, and then"
            " cancel again"
        )
    client = Replicate()

    def cancel_one(id: str) -> str | None:
        try:
            client.predictions.cancel(id)
        except AuthenticationError:
            raise
        except APIStatusError as error:
            return f"{id}: {to_line(error)}"
        return None

    with ThreadPoolExecutor(CANCELS) as pool:
        problems = [*filter(None, pool.map(cancel_one, [str(row.prediction) for row in rows]))]
    for problem in problems:
        say(problem)
    # The journal learns what became of them. Nothing is created: each has its prediction.
    known = [to_item(row) for row in rows if not has_files(loads(row.input))]
    kind, _, name = summary.target.rpartition(" ")
    results = client.map(
        None if kind else summary.target,
        known,
        deployment=name if kind else None,
        journal=options.journal,
        timeout=MAX_WAIT,
        use_file_output=False,
    )
    ended = canceled = 0
    try:
        for result in results:
            ended += 1
            canceled += result.status in ("canceled", "aborted")
    except PredictionTimeout:
        pass
    text = f"{canceled} canceled, {ended - canceled} had ended"
    if len(rows) > ended:
        text += f", {len(rows) - ended} are noted by the next run"
    if unknown := summary.statuses.get("sending", 0):
        text += (
            f"; of {count_of(unknown, 'input')} it is not known whether a prediction was created:"
            " the next run looks for it"
        )
    say(text)
    return FAILED if problems else SUCCEEDED
