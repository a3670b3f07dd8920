"""The client under the name `replicate`."""

from __future__ import annotations

from .._typing import TYPE_CHECKING
from ..client import AsyncReplicate as AsyncReplicate
from ..client import BaseClient
from ..client import Replicate as _Replicate
from .adapter import Adapter, warn_of

if TYPE_CHECKING:
    from typing import Any

    from .._operation import Session

_CODE = BaseClient.__init__.__code__
_OPTIONS = frozenset(_CODE.co_varnames[1 : _CODE.co_argcount + _CODE.co_kwonlyargcount])


class Client(_Replicate):
    """A client whose calls block; each has an ``async_`` twin. Calls follow the rules of 1.0.7 where these differ."""

    __slots__ = ()

    def __init__(self, api_token: Any = None, **options: Any) -> None:
        """Create a client; takes what `replicate_rs.Replicate` takes, and `transport`. What else 1.0.7 gives httpx is ignored."""
        transport = options.pop("transport", None)
        if transport is not None and options.get("fetch") is None:
            from .transport import fetch_through

            # A test that has one must not send real requests.
            options["fetch"] = fetch_through(transport, api_token, options.get("base_url"))
        unknown = [name for name in options if name not in _OPTIONS]
        for name in unknown:
            del options[name]
        if unknown:
            warn_of(unknown, "Client()")
        try:
            super().__init__(api_token, **options)
        except (ValueError, TypeError) as error:
            # Reports of errors show the locals of frames, and these hold the token.
            api_token = None
            options.clear()
            raise error.with_traceback(None) from None

    def _set_up(self, options: dict[str, Any], session: Session) -> None:
        session.adapter = Adapter(type(self), options)
        super()._set_up(options, session)


Replicate = Client
AsyncClient = AsyncReplicate
