"""The tests once more, with a `fetch=` that passes every request on: `THROUGH_FETCH=1` (`make test-fetch`).

Nothing that the tests ask for may depend on whether a client has a `fetch`; tests of the core itself are left out.
"""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import Any

IS_ON = bool(os.environ.get("THROUGH_FETCH"))

# What programs that tests start have to do first.
PRELUDE = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import passing; passing.install()\n" if IS_ON else ""


def pass_on(request: Any, send: Any) -> Any:
    """The `fetch` of a `Replicate`."""
    return send(request)


async def pass_on_awaited(request: Any, send: Any) -> Any:
    """The `fetch` of an `AsyncReplicate`."""
    return await send(request)


def install() -> None:
    """Give every client that is made from now on such a function, unless it is given one."""
    from replicate_rs.client import AsyncReplicate, BaseClient

    original = BaseClient.__init__

    @wraps(original)
    def init(self: Any, *args: Any, **options: Any) -> None:
        if options.get("fetch") is None:
            options["fetch"] = pass_on_awaited if isinstance(self, AsyncReplicate) else pass_on
        original(self, *args, **options)

    BaseClient.__init__ = init  # type: ignore[method-assign]
