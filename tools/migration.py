"""Write docs/migration.md from the names in `surfaces`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from surfaces import NODE, V1, V2, Name

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parent.parent / "docs" / "migration.md"

HEADER = "<!-- Written by `make migration`: change tools/migration.py and tools/surfaces.py. -->\n"
INTRODUCTION = """\
# Migration from Replicate's clients

## How to switch

Change the import:

```python
import replicate_rs as replicate
```

Or leave the program unchanged, and run it with this package under the name `replicate`. Libraries
that import `replicate` then use it too:

```sh
python -m replicate_rs.drop_in program.py
python -m replicate_rs.drop_in -m package.module
```

A program can do this itself, before anything imports `replicate`:

```python
import replicate_rs.drop_in

replicate_rs.drop_in.install()
```

Servers and job queues that start programs themselves take an environment variable:

```sh
PYTHONPATH=$(python -m replicate_rs.drop_in --path) gunicorn app:app
```

The official client may be installed or not. If it was imported before, `install()` raises
RuntimeError. Child processes use this package too, if they read `PYTHONPATH` (`python -I` does
not). In all of them `importlib.metadata.version("replicate")` and `replicate.__version__` are
`1.0.7`.

## Under the name `replicate`

Calls follow the rules of 1.0.7 where they differ from those of `replicate_rs`. In the same process,
calls through `replicate_rs` keep its own rules:

| | under the name `replicate` | `replicate_rs` |
|---|---|---|
| unknown keywords, such as `run(…, foo=1)` or `Client(follow_redirects=True)` | ignored, with a \
warning that names them; `api_token=` of a call is used for this call | TypeError |
| `ReplicateError` | the class of errors of the API and of the network \
(`replicate_rs.RequestError`); `ModelError` is not a subclass | the class of all errors, with \
`ModelError` |
| network errors, if the program has imported httpx | are `httpx.TransportError`s too \
(`ConnectError`, `ReadTimeout`, …); a file answered with an error status raises an \
`httpx.HTTPStatusError` | `APIConnectionError` and `APITimeoutError` |
| `stream()`, `prediction.stream()`, `output_iterator()` and their async twins | generators | \
iterators with `.prediction`, `.collect()` and `with` |
| a list that `run()` returns | is an iterator too: `next(output)`, `async for` | a list |
| names without a use here: `RetryTransport`, `EventSource`, the `…Params` types | exist | missing |

## What differs

The tables list the names of the three official clients that differ or are missing. Every other
public name of theirs is the same here, which the tests check name by name. `client` is a
`Replicate`; the methods of an `AsyncReplicate`, and of its records, pages and files, have the same
names and are awaited. Where the second column is empty, the name is the same (in `replicate_rs`,
where it begins with `replicate`). Other names of arguments (`prediction_id`, `model_owner`, …) are
accepted when a program runs, but type checkers report them.
"""


def page() -> str:
    """Return the page."""
    return (HEADER + INTRODUCTION).replace("\\\n", "") + "".join(
        (
            section("Python, replicate 1.0.7", V1),
            section("Python, replicate 2.0 (2.0.0b4)", V2),
            section("Node.js, replicate 1.4.0", NODE),
        )
    )


def section(title: str, names: list[Name]) -> str:
    """Return the tables for one client; names in a row that have the same note share it."""
    differing = [name for name in names if name.here]
    absent = [name for name in names if not name.here]
    lines = ["", f"### {title}", "", "| name | here | what differs |", "|---|---|---|"]
    for note, rows in groupby(differing, lambda name: name.note):
        shared = [*rows]
        there = code(name.there for name in shared)
        here = code(name.here for name in shared if not is_same_name(name))
        lines.append(f"| {there} | {here} | {note} |")
    if absent:
        lines += ["", "Not here:", "", "| name | instead |", "|---|---|"]
        for note, rows in groupby(absent, lambda name: name.note):
            lines.append(f"| {code(name.there for name in rows)} | {note} |")
    return "\n".join([*lines, ""])


def is_same_name(name: Name) -> bool:
    """Return whether a name is written the same here, apart from the package."""
    return name.here in (name.there, name.there.replace("replicate", "replicate_rs", 1))


def code(names: Iterable[str]) -> str:
    """Return names as code, each once, without members of those before."""
    shown: list[str] = []
    for name in dict.fromkeys(names):
        if not any(name.startswith(f"{each}.") for each in shown):
            shown.append(name)
    return ", ".join(f"`{name}`" for name in shown)


if __name__ == "__main__":
    PAGE.write_text(page())
