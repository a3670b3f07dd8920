"""The command ``python -m replicate_rs.batch``: its arguments, and its errors."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..exceptions import AuthenticationError
from .console import BROKEN_PIPE, ERRORS, INTERRUPTED, REFUSED, say, to_line
from .journals import cancel, export, status
from .running import retry, run
from .writing import check_format

PROGRAM = "python -m replicate_rs.batch"
MODEL = "black-forest-labs/flux-schnell"
# The types of `read_inputs` by the names that `--type` takes.
TYPES: dict[str, type] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "list": list,
    "dict": dict,
}

DESCRIPTION = "Run a model on every row of a table, with a journal, so that nothing is paid twice."
CODES = """exit codes:
  0    run, retry: all inputs succeeded; status, export, cancel: done
  1    run, retry: inputs failed, or their files were not saved; cancel: some were not canceled
  2    wrong arguments or bad input, or an error that ended the command (one line on stderr)
  130  interrupted by Ctrl-C or SIGTERM
  141  what reads the output has ended
"""
MAIN_EXAMPLES = f"""examples:
  {PROGRAM} run {MODEL} prompts.csv --journal runs.db --save-to images
  {PROGRAM} status runs.db
  {PROGRAM} retry runs.db --failed --save-to images
  {PROGRAM} export runs.db results.jsonl

The API token is in the variable REPLICATE_API_TOKEN.

{CODES}"""
RUN_EXAMPLES = f"""examples:
  {PROGRAM} run {MODEL} prompts.csv --journal runs.db --save-to images --out results.jsonl
  {PROGRAM} run {MODEL} prompts.csv --journal runs.db --key id --column prompt=text --input aspect_ratio=16:9 --input num_outputs=2
  {PROGRAM} run {MODEL} prompts.csv --journal runs.db --key id --column prompt=text --column seed=seed --type seed=int --concurrency 8 --rate 60
  {PROGRAM} run acme/upscaler photos.csv --journal photos.db --file image --save-to large
  {PROGRAM} run acme/app prompts.jsonl --deployment --journal app.db --retries 2 --max-failures 0.1
  {PROGRAM} run {MODEL} - --out - < prompts.jsonl > results.jsonl

Called again with the same journal, it continues where it stopped: what is done is not run again. --out is
written when all inputs are done. If an error or Ctrl-C ends the run before, the file has what is
done so far; with a journal it is left as it was, since `export` writes it at any time.

{CODES}"""  # noqa: E501 - an example is one line
STATUS_EXAMPLES = f"""example:
  {PROGRAM} status runs.db
"""
EXPORT_EXAMPLES = f"""examples:
  {PROGRAM} export runs.db results.csv
  {PROGRAM} export runs.db results.parquet
  {PROGRAM} export runs.db - | head -n 1
"""
RETRY_EXAMPLES = f"""example:
  {PROGRAM} retry runs.db --failed --save-to images --retries 1

The inputs are those in the journal. It does not have the content of files: inputs with files are
run again by `run ... --retry-failed` with their table.

{CODES}"""
CANCEL_EXAMPLES = f"""example:
  {PROGRAM} cancel runs.db

End the `run` that works on the journal first: it would go on to create predictions.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status."""
    parsed = _parser().parse_args(arguments)
    words = sys.orig_argv if arguments is None else [*PROGRAM.split(), *arguments]
    parsed.words = words
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        result = command(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Python would write what is left when it ends, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except AuthenticationError as error:
        say(f"{to_line(error)}: check REPLICATE_API_TOKEN")
        return REFUSED
    except ERRORS as error:
        say(to_line(error))
        return REFUSED
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=MAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], help: str, examples: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(command=command)
        return added

    _add_run_arguments(add("run", run, "run a model on every row of a table", RUN_EXAMPLES))
    _add_journal(add("status", status, "show what became of a journal's inputs", STATUS_EXAMPLES))
    exporting = add("export", export, "write a journal's results to a file", EXPORT_EXAMPLES)
    _add_journal(exporting)
    exporting.add_argument(
        "out",
        type=_checked(check_format),
        help="a .jsonl, .csv, .tsv or .parquet file; -: JSON Lines on stdout",
    )
    retrying = add("retry", retry, "run a journal's inputs again that failed", RETRY_EXAMPLES)
    _add_journal(retrying)
    retrying.add_argument(
        "--failed", action="store_true", required=True, help="run those again that failed"
    )
    _add_pace(retrying)
    _add_journal(
        add("cancel", cancel, "cancel the predictions of a journal that run", CANCEL_EXAMPLES)
    )
    return parser


def _add_journal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("journal", help="the journal of a run, such as runs.db")


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="owner/name, owner/name:version, or a version's id")
    parser.add_argument(
        "inputs",
        help="a .jsonl, .csv, .tsv (each also with .gz) or .parquet file with one input a row;"
        " -: JSON Lines on stdin",
    )
    parser.add_argument(
        "--deployment", action="store_true", help="owner/name is a deployment, and not a model"
    )
    parser.add_argument(
        "--journal",
        metavar="FILE",
        help="what was sent and what became of it, to go on where a run ended; created if missing",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=_checked(check_format),
        help="the results, as they end: a .jsonl, .csv, .tsv or .parquet file, which is replaced;"
        " -: JSON Lines on stdout",
    )
    parser.add_argument(
        "--key",
        metavar="COLUMN",
        help="the column with each row's key, which names its files (default: a digest)",
    )
    parser.add_argument(
        "--column",
        metavar="INPUT=COLUMN",
        type=_checked(_to_pair),
        action="append",
        default=[],
        help="the column of an input; without any, each column is the input of its name",
    )
    parser.add_argument(
        "--input",
        metavar="INPUT=VALUE",
        type=_checked(_to_constant),
        action="append",
        default=[],
        help="an input of all rows that have none of this name: JSON (4, true, [1, 2]) or else"
        " text; quote text that looks like JSON: 'zip=\"01234\"'",
    )
    parser.add_argument(
        "--file",
        metavar="INPUT",
        action="append",
        default=[],
        help="an input whose text is the path of a file, relative to the table's folder; URLs stay",
    )
    parser.add_argument(
        "--type",
        metavar="INPUT=TYPE",
        type=_checked(_to_type),
        action="append",
        default=[],
        help=f"the type of an input, which is text in CSV files: {', '.join(TYPES)}",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="run inputs again that failed before"
    )
    _add_pace(parser)


def _add_pace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--save-to",
        metavar="FOLDER",
        help="a folder, or a URL of fsspec, for the files of outputs, which the API deletes after"
        " an hour",
    )
    parser.add_argument(
        "--concurrency", metavar="N", type=int, help="runs in flight, at most (default: 64)"
    )
    parser.add_argument(
        "--rate", metavar="N", type=float, help="predictions created a minute, at most"
    )
    parser.add_argument(
        "--retries", metavar="N", type=int, default=0, help="times a failed input is run again"
    )
    parser.add_argument(
        "--max-failures",
        metavar="N",
        type=_checked(_to_failures),
        help="end the run when more inputs fail: a number (10), or a share of all (0.1)",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="show no progress and no summary, errors only"
    )


def _checked(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a conversion whose errors argparse shows with their messages."""

    def convert_text(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert_text


def _to_pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise ValueError(f"it must be NAME=VALUE, not {text!r}")
    return name, value


def _to_constant(text: str) -> tuple[str, Any]:
    name, value = _to_pair(text)
    try:
        return name, json.loads(value, parse_constant=str)
    except ValueError:
        return name, value


def _to_type(text: str) -> tuple[str, type]:
    name, value = _to_pair(text)
    if value not in TYPES:
        raise ValueError(f"the type must be one of {', '.join(TYPES)}, not {value!r}")
    return name, TYPES[value]


def _to_failures(text: str) -> float:
    return int(text) if text.isdigit() else float(text)
