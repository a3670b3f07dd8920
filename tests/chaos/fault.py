"""The definition of a fault, and of the outcome it must have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaos.server import Opening, Stage
from support.wire import Answer, Seen

Script = Callable[[Stage, Seen], Answer | None]


@dataclass(frozen=True)
class Error:
    """An error of this class or a subclass, with a text that matches `words`."""

    kind: str
    words: str
    check: Callable[[Any], bool] = lambda error: True


@dataclass(frozen=True)
class Value:
    """A result, as plain data."""

    value: Any


USUAL = Value(...)
"""The operation's usual result."""


@dataclass(frozen=True)
class Fault:
    """One fault."""

    name: str
    what: str
    """What the server does, in one line."""
    script: Script | tuple[Answer | None, ...] | Answer | None
    """The response to each request; a tuple gives responses in turn, the last again and again."""
    expected: Error | Value | tuple[Error | Value, ...] = USUAL
    """The required outcome; one of several where it depends on the network."""
    operation: str = "get"
    argument: Any = None
    """The operation's argument, if it matters."""
    openings: tuple[Opening | None, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the client."""
    deadline: float | None = None
    """The timeout of the call, in seconds."""
    address: Callable[[Stage], str] = lambda stage: stage.home.base_url
    posts: int | None = None
    """The exact number of POSTs; None allows at most one."""
    lasts: tuple[float, float] = (0.0, 5.0)
    """The shortest and longest duration of the call, in seconds."""
    settles: float = 2.0
    """Seconds within which all connections must be closed.

    A create without a response keeps its connection longer, to learn the id to cancel.
    """
    check: Callable[[Stage], bool] = lambda stage: True
    """Checks the requests that the servers received."""
    grows: bool = False
    """Whether the memory that the call takes is tested."""

    def stage(self) -> Stage:
        """Start the servers."""
        script = self.script
        if isinstance(script, tuple):
            count = iter(range(len(script)))
            return Stage.of(lambda stage, seen: script[next(count, len(script) - 1)], self.openings)
        # A script takes a stage and a request; a response may be a function of a socket.
        if callable(script) and script.__code__.co_argcount == 2:
            return Stage.of(script, self.openings)
        return Stage.of(lambda stage, seen: script, self.openings)
