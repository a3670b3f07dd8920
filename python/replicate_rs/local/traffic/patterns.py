"""Which requests a fault's pattern is about, and whether there can be any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from operator import eq

_PATTERN = re.compile(r"(\*|[A-Z]+) (/\S*)\Z")
_PARTS = re.compile(r"(\{\w+\})|(\[!?\]?[^\]]*\])|(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path that the server answers; ``{name}`` stands for one segment."""

    method: str
    path: str
    is_stream: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A method and a path; ``*`` stands for anything."""

    method: str
    path: str

    @classmethod
    def parse(cls, pattern: str) -> Pattern:
        """Read `METHOD /path`; `/v1` may be left out. Raises `ValueError`."""
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
        """Return whether a request is meant."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def choose(self, operations: Iterable[Operation]) -> list[Operation]:
        """Return the operations whose requests may be meant.

        Raises:
            ValueError: There are none.

        """
        every = list(operations)
        on_path = [each for each in every if _overlap(self.path, each.path)]
        # What answers GET answers HEAD.
        method = "GET" if self.method == "HEAD" else self.method
        found = [each for each in on_path if method in ("*", each.method)]
        if found:
            return found
        if on_path:
            methods = ", ".join(dict.fromkeys(each.method for each in on_path))
            raise ValueError(
                f"no request can meet a fault on {str(self)!r}: the methods of this path are"
                f" {methods}"
            )
        near = get_close_matches(str(self), map(str, every), n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}, with * for a name?"
            if near
            else "the API has no such path"
        )
        raise ValueError(f"no request can meet a fault on {str(self)!r}: {hint}")


def _overlap(pattern: str, path: str) -> bool:
    """Return whether a path of an operation can fit a pattern: both are automata, which are run
    side by side.
    """
    left, right = list(_pattern_steps(pattern)), list(_path_steps(path))
    # One letter beside those that are named stands for all others.
    letters = {*pattern, *path, "\0"}
    seen: set[tuple[int, int]] = set()
    waiting = [(0, 0)]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        i, j = place
        if (i, j) == (len(left), len(right)):
            return True
        # What may be repeated may also be left.
        if i < len(left) and left[i].repeats:
            waiting.append((i + 1, j))
        if j < len(right) and right[j].repeats:
            waiting.append((i, j + 1))
        if (
            i < len(left)
            and j < len(right)
            and any(left[i].takes(each) and right[j].takes(each) for each in letters)
        ):
            waiting.append((i if left[i].repeats else i + 1, j if right[j].repeats else j + 1))
    return False


@dataclass(frozen=True, slots=True)
class _Step:
    takes: Callable[[str], bool]
    repeats: bool = False


def _pattern_steps(pattern: str) -> Iterator[_Step]:
    for _, group, letter in _PARTS.findall(pattern):
        if letter == "*":
            yield _Step(lambda _: True, repeats=True)
        else:
            yield _Step(partial(fnmatchcase, pat=group or letter))


def _path_steps(path: str) -> Iterator[_Step]:
    for parameter, group, letter in _PARTS.findall(path):
        if parameter:
            yield _Step(lambda each: each != "/")
            yield _Step(lambda each: each != "/", repeats=True)
        else:
            yield from (_Step(partial(eq, each)) for each in group or letter)
