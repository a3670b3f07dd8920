"""The operations of both origins, against which the patterns of faults are checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from starlette.routing import Route

from ..execution import Execution
from ..settings import Settings
from ..state import State
from ..traffic.patterns import Operation
from .output import FILE_PATH, OutputEndpoints
from .resources import create_routes


@cache
def operations() -> tuple[Operation, ...]:
    """Return the operations of both origins, with paths without `/v1`.

    Those of the web page are left out, because faults do not apply to it.
    """
    # The routes are read and never served, so that the state needs no folder.
    state = State(Settings(), "", (), folder=Path())
    return (
        *_operations(create_routes(state, Execution(state)), is_output=False),
        *_operations(OutputEndpoints(state).routes, is_output=True),
    )


def _operations(routes: Iterable[Route], *, is_output: bool) -> Iterator[Operation]:
    for route in routes:
        path = route.path.removeprefix("/v1")
        is_stream = is_output and not path.startswith(FILE_PATH)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield Operation(method, path, is_stream=is_stream)
