"""The client under the name `replicate`."""

from __future__ import annotations

from .._typing import TYPE_CHECKING
from ..account import Accounts as Accounts
from ..client import AsyncReplicate as AsyncReplicate
from ..client import BaseClient
from ..client import Replicate as _Replicate
from ..collection import Collections as Collections
from ..deployment import Deployments as Deployments
from ..file import Files as Files
from ..hardware import HardwareNamespace as HardwareNamespace
from ..model import Models as Models
from ..prediction import Predictions as Predictions
from ..run import async_run as async_run
from ..run import run as run
from ..training import Trainings as Trainings
from ..webhook import Webhooks as Webhooks
from .adapter import Adapter, warn_of
from .exceptions import ReplicateError as ReplicateError
from .stream import async_stream as async_stream
from .stream import stream as stream

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


def __getattr__(name: str) -> object:
    if name == "RetryTransport":
        # It needs httpx, and nothing else here does.
        from .retry_transport import RetryTransport

        return RetryTransport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


Hardware = HardwareNamespace
Replicate = Client
AsyncClient = AsyncReplicate
