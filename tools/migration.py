"""Writes docs/migration.md from the list of names in `surfaces`."""

from __future__ import annotations

from pathlib import Path

from surfaces import NODE, V1, V2, Name

PAGE = Path(__file__).parent.parent / "docs" / "migration.md"

INTRODUCTION = """\
<!-- Written by tools/migration.py from tools/surfaces.py: change those, then `make migration`. -->
# From Replicate's clients to this one

Change the import:

```python
import replicate_rs as replicate
```

Or change nothing. This runs a program that imports `replicate`, and libraries that do, on this package:

```sh
python -m replicate_rs.drop_in program.py
python -m replicate_rs.drop_in -m package.module
```

A program can do so itself, before anything imports `replicate`:

```python
import replicate_rs.drop_in

replicate_rs.drop_in.install()
```

Or from outside, for servers and job queues that start programs themselves:

```sh
PYTHONPATH=$(python -m replicate_rs.drop_in --path) gunicorn app:app
```

It does not matter whether the official client is installed. Where it was imported before, `install()` raises a RuntimeError.
Processes that the program starts see it too, as long as they read `PYTHONPATH` (`python -I` does not). There
`importlib.metadata.version("replicate")` and `replicate.__version__` are `1.0.7`.

Under the name `replicate`, calls follow the rules of 1.0.7 where these differ; in the same process, `replicate_rs` has its own:

* keywords that 1.0.7 swallows (`run(…, foo=1)`, `Client(follow_redirects=True)`) are ignored, with a warning that names them; in
  `replicate_rs` they are TypeErrors. The `api_token=` of a call is used for it.
* `ReplicateError` is the class of the API's errors and of those on the way to it (`replicate_rs.RequestError`), and `ModelError`
  is none.
* in a program that has imported httpx, errors of the network are `httpx.TransportError`s too (`ConnectError`, `ReadTimeout`, …),
  and a status of 400 or more that a file was answered with is a `httpx.HTTPStatusError`.
* `stream()`, `prediction.stream()` and `output_iterator()` are generators, and their async twins async generators. `.prediction`,
  `.collect()` and `with` are those of `replicate_rs` only.
* a list that `run()` returns is an iterator too: `next(output)`, `async for`.
* what this library has no use for, but programs mention, is there: `RetryTransport`, `EventSource`, the `…Params` types.

Below is every public name of the three official clients. `client` is a `Replicate`; an `AsyncReplicate` has the same methods, to
be awaited, and so have the records, pages and files that it gives.
"""


def row(name: Name) -> str:
    """Write a name's row."""
    here = f"`{name.here}`" if name.here else ""
    note = name.status if name.status == "same" else f"{name.status}: {name.note}"
    return " | ".join(("", f"`{name.there}`", here, note, "")).strip().replace("|  |", "| |")


def table(title: str, names: list[Name]) -> str:
    """Write a client's table."""
    return "\n".join(
        [f"\n## {title}\n", "| there | here | note |", "|---|---|---|", *map(row, names), ""]
    )


def page() -> str:
    """Write the page."""
    return INTRODUCTION + "".join(
        (
            table("Python, replicate 1.0.7", V1),
            table("Python, replicate 2.0 (2.0.0b4)", V2),
            table("Node.js, replicate 1.4.0", NODE),
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page())
