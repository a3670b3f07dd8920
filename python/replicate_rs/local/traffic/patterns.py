"""Patterns that choose the requests of a fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from operator import eq

_PATTERN = re.compile(r"(\*|[A-Z]+) (/\S*)\Z")
_TOKENS = re.compile(r"(\{\w+\})|(\[!?\]?[^\]]*\])|(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path that the server answers. ``{name}`` stands for a path segment."""

    method: str
    path: str
    is_stream: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A method and a path with wildcards."""

    method: str
    path: str

    @classmethod
    def parse(cls, pattern: str) -> Pattern:
        """Parse `METHOD /path`, with or without `/v1`. Raises `ValueError`."""
        match = _PATTERN.match(pattern)
        if match is None:
            raise ValueError(
                f"a fault's pattern is like 'GET /predictions/*' or '* /files', not {pattern!r}"
            )
        method, path = match.groups()
        return cls(method, path.removeprefix("/v1") or "/")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request matches; its path is without `/v1`."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def choose(self, operations: Iterable[Operation]) -> list[Operation]:
        """Return the operations with requests that can match.

        Raises:
            ValueError: No operation has such requests.

        """
        operations = list(operations)
        on_path = [each for each in operations if _can_match(self.path, each.path)]
        # Endpoints for GET answer HEAD requests too.
        method = "GET" if self.method == "HEAD" else self.method
        chosen = [each for each in on_path if method in ("*", each.method)]
        if chosen:
            return chosen
        if on_path:
            methods = ", ".join(dict.fromkeys(each.method for each in on_path))
            raise ValueError(
                f"no request can meet a fault on {str(self)!r}: the methods of this path are"
                f" {methods}"
            )
        similar = get_close_matches(str(self), map(str, operations), n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, similar))}, with * for a name?"
            if similar
            else "the API has no such path"
        )
        raise ValueError(f"no request can meet a fault on {str(self)!r}: {hint}")


def _can_match(pattern: str, path: str) -> bool:
    """Return whether a pattern matches a path with some values for its ``{name}`` segments.

    Both are read as automata, which run side by side.
    """
    left, right = list(_pattern_steps(pattern)), list(_path_steps(path))
    # The null character stands for all characters that occur in neither.
    alphabet = {*pattern, *path, "\0"}
    visited: set[tuple[int, int]] = set()
    pending = [(0, 0)]
    while pending:
        state = pending.pop()
        if state in visited:
            continue
        visited.add(state)
        i, j = state
        if (i, j) == (len(left), len(right)):
            return True
        # A step that repeats may occur zero times.
        if i < len(left) and left[i].repeats:
            pending.append((i + 1, j))
        if j < len(right) and right[j].repeats:
            pending.append((i, j + 1))
        if (
            i < len(left)
            and j < len(right)
            and any(left[i].accepts(each) and right[j].accepts(each) for each in alphabet)
        ):
            pending.append((i if left[i].repeats else i + 1, j if right[j].repeats else j + 1))
    return False


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of an automaton: the characters that it accepts, once or any number of times."""

    accepts: Callable[[str], bool]
    repeats: bool = False


def _pattern_steps(pattern: str) -> Iterator[_Step]:
    for _, group, character in _TOKENS.findall(pattern):
        if character == "*":
            yield _Step(lambda _: True, repeats=True)
        else:
            yield _Step(partial(fnmatchcase, pat=group or character))


def _path_steps(path: str) -> Iterator[_Step]:
    for parameter, group, character in _TOKENS.findall(path):
        if parameter:
            yield _Step(lambda each: each != "/")
            yield _Step(lambda each: each != "/", repeats=True)
        else:
            yield from (_Step(partial(eq, each)) for each in group or character)
