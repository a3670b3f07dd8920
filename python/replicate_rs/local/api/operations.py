"""What the server can be asked, so that a fault that no request can meet is found at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from starlette.routing import BaseRoute, Route

from ..app import resources
from ..execution import Execution
from ..settings import Settings
from ..state import State
from ..traffic.patterns import Operation
from .output import Delivery


@cache
def operations() -> tuple[Operation, ...]:
    """Return the operations of both origins, but not the web page's: no fault strikes there.

    `/v1` is left out.
    """
    # Nothing is asked of this one, so it needs no folder.
    state = State(Settings(), "", (), folder=Path())
    api = [route for each in resources(state, Execution(state)) for route in each.routes]
    return tuple(_operations(api, is_delivery=False)) + tuple(
        _operations(Delivery(state).app.routes, is_delivery=True)
    )


def _operations(routes: list[Route] | list[BaseRoute], *, is_delivery: bool) -> Iterator[Operation]:
    for route in routes:
        if isinstance(route, Route):
            path = route.path.removeprefix("/v1")
            for method in sorted(route.methods - {"HEAD"} if route.methods else ()):
                yield Operation(
                    method, path, is_stream=is_delivery and not path.startswith("/pbxt/")
                )
