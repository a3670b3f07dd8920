"""What a fault is, and what may become of a call that meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaos.server import Opening, Stage
from support.wire import Answer, Seen

Script = Callable[[Stage, Seen], Answer | None]


@dataclass(frozen=True)
class Error:
    """An error of this class, or of one below it, whose text has these words (a regular
    expression).
    """

    kind: str
    words: str
    check: Callable[[Any], bool] = lambda error: True


@dataclass(frozen=True)
class Value:
    """This result, in plain data."""

    value: Any


USUAL = Value(...)
"""The operation's usual result."""


@dataclass(frozen=True)
class Fault:
    """One fault."""

    name: str
    what: str
    """What is done, in a line."""
    script: Script | tuple[Answer | None, ...] | Answer | None
    """The answer to each request; or the answers in turn, the last again and again; or one."""
    expected: Error | Value | tuple[Error | Value, ...] = USUAL
    """What must come of it; one of several, where the network decides."""
    operation: str = "get"
    argument: Any = None
    """What the operation is given, where it matters."""
    openings: tuple[Opening | None, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    """The client's."""
    deadline: float | None = None
    """Seconds that the call itself may take."""
    address: Callable[[Stage], str] = lambda stage: stage.home.base_url
    posts: int | None = None
    """How many POSTs are to be seen; without it at most one."""
    lasts: tuple[float, float] = (0.0, 5.0)
    """Seconds, where they are what is tested; else what is no hang."""
    settles: float = 2.0
    """Seconds within which no connection is left.

    A create that has no answer keeps its own for some more.
    """
    check: Callable[[Stage], bool] = lambda stage: True
    """What the servers must have seen."""
    grows: bool = False
    """Whether memory is what is tested."""

    def stage(self) -> Stage:
        """Make the servers."""
        script = self.script
        if isinstance(script, tuple):
            count = iter(range(len(script)))
            return Stage.of(lambda stage, seen: script[next(count, len(script) - 1)], self.openings)
        # A function of a stage and a request has those names; an answer may be a function of a
        # socket.
        if callable(script) and script.__code__.co_argcount == 2:
            return Stage.of(script, self.openings)
        return Stage.of(lambda stage, seen: script, self.openings)
