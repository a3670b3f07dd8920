"""A Replicate server on your machine, whose models are Python functions.

    from replicate_rs.local import LocalReplicate

    server = LocalReplicate()

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    with server:
        client = Replicate(api_token=server.token, base_url=server.base_url)
        client.run("acme/shout", input={"text": "hi"})  # 'HI'

Needs the extra: ``pip install replicate-rs[local]``. See ``docs/local.md``.
"""

import sys

try:
    # Starlette imports it only when a form arrives.
    __import__("python_multipart")
    from . import request_log
    from .cassettes.errors import CassetteError
    from .models import call, schema
    from .models.call import Cancelled, cancelled, check_cancelled, progress, sleep
    from .models.schema import Input
    from .request_log import LoggedRequest
    from .runs import webhooks
    from .runs.webhooks import Delivery
    from .server import LocalReplicate
    from .settings import RateLimits, Settings
    from .traffic.faults import Fault
except ModuleNotFoundError as _error:
    raise ImportError(
        f'replicate_rs.local needs {_error.name}: pip install "replicate-rs[local]"'
    ) from _error

# Pickles of earlier versions refer to these modules.
sys.modules.update(
    {
        f"{__name__}.job": call,
        f"{__name__}.signature": schema,
        f"{__name__}.traffic_log": request_log,
        f"{__name__}.webhooks": webhooks,
    }
)

__all__ = [
    "Cancelled",
    "CassetteError",
    "Delivery",
    "Fault",
    "Input",
    "LocalReplicate",
    "LoggedRequest",
    "RateLimits",
    "Settings",
    "cancelled",
    "check_cancelled",
    "progress",
    "sleep",
]


def __dir__() -> list[str]:
    return sorted(__all__)
