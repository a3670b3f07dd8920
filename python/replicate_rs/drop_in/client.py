"""The client under the name `replicate`."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING
from ..client import AsyncReplicate as AsyncReplicate
from ..client import BaseClient
from ..client import Replicate as _Replicate
from .adapter import Adapter, warn_of

if TYPE_CHECKING:
    from typing import Any

    from .._client.settings import Settings

_CODE = BaseClient.__init__.__code__
_OPTIONS = frozenset(_CODE.co_varnames[1 : _CODE.co_argcount + _CODE.co_kwonlyargcount])


class Client(_Replicate):
    """A client whose calls block; each has an ``async_`` twin.

    Calls follow the rules of 1.0.7 where these differ.
    """

    __slots__ = ()

    def __init__(self, api_token: Any = None, **options: Any) -> None:
        """Create a client; takes what `replicate_rs.Replicate` takes, and `transport`.

        What else 1.0.7 gives httpx is ignored.
        """
        transport = options.pop("transport", None)
        if transport is not None and options.get("fetch") is None:
            from ._transport import fetch_through

            # A test that has one must not send real requests.
            options["fetch"] = fetch_through(transport)
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

    def _request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request as 1.0.7 does; return its response as one of httpx."""
        from ..drop_in import any_request

        return any_request.send(self, method, path, **options)

    async def _async_request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request as 1.0.7 does; return its response as one of httpx."""
        from ..drop_in import any_request

        return await any_request.async_send(self, method, path, **options)

    def _set_up(self, options: dict[str, Any], share: Settings | None = None) -> None:
        super()._set_up(options, share)
        self._session.adapter = Adapter(type(self))


Replicate = Client
AsyncClient = AsyncReplicate
