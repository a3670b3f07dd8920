"""The module `replicate.client`."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING
from ..client import AsyncReplicate as AsyncReplicate
from ..client import BaseClient
from ..client import Replicate as _Replicate
from .adapter import Adapter, warn_ignored

if TYPE_CHECKING:
    from typing import Any

    from .._client.config import Config

_CODE = BaseClient.__init__.__code__
_OPTIONS = frozenset(_CODE.co_varnames[1 : _CODE.co_argcount + _CODE.co_kwonlyargcount])


class Client(_Replicate):
    """A client whose calls block; each method has an async one, ``async_…``.

    Calls follow the rules of 1.0.7 where these differ.
    """

    __slots__ = ()

    def __init__(self, api_token: Any = None, **options: Any) -> None:
        """Create a client.

        Args:
            api_token: The API token.
            options: The options of `replicate_rs.Replicate`, and `transport`, a transport of httpx.
                Other options, which 1.0.7 passes to httpx, are ignored with a warning.

        """
        transport = options.pop("transport", None)
        if transport is not None and options.get("fetch") is None:
            from ._httpx_transport import fetch_through

            # Tests set a transport so that no real requests are sent.
            options["fetch"] = fetch_through(transport)
        unknown = [name for name in options if name not in _OPTIONS]
        for name in unknown:
            del options[name]
        if unknown:
            warn_ignored(unknown, "Client()")
        try:
            super().__init__(api_token, **options)
        except (ValueError, TypeError) as error:
            # Error reports show local variables, and these contain the token.
            api_token = None
            options.clear()
            raise error.with_traceback(None) from None

    def _request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return its response, with options and response of httpx."""
        from . import httpx_request

        return httpx_request.send(self, method, path, **options)

    async def _async_request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return its response, with options and response of httpx."""
        from . import httpx_request

        return await httpx_request.async_send(self, method, path, **options)

    def _set_up(self, options: dict[str, Any], share: Config | None = None) -> None:
        super()._set_up(options, share)
        self._session.adapter = Adapter(type(self))


Replicate = Client
AsyncClient = AsyncReplicate
