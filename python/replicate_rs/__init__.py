"""Run AI models on Replicate.

    import replicate_rs as replicate

    output = replicate.run("black-forest-labs/flux-schnell", input={"prompt": "an iguana on the beach"})

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from . import exceptions as exceptions
    from ._core import AbortController as AbortController
    from ._core import AbortSignal as AbortSignal
    from ._core import Response as Response
    from .client import AsyncReplicate as AsyncReplicate
    from .client import Replicate as Replicate
    from .client import Timeout as Timeout
    from .exceptions import AbortError as AbortError
    from .exceptions import ModelError as ModelError
    from .exceptions import PredictionCanceled as PredictionCanceled
    from .exceptions import PredictionTimeout as PredictionTimeout
    from .exceptions import ReplicateError as ReplicateError
    from .exceptions import ReplicateException as ReplicateException
    from .file import File as File
    from .file_output import FileOutput as FileOutput
    from .identifier import ModelVersionIdentifier as ModelVersionIdentifier
    from .pagination import Page as Page
    from .prediction import Prediction as Prediction
    from .prediction import parse_progress_from_logs as parse_progress_from_logs
    from .stream import ServerSentEvent as ServerSentEvent
    from .webhook import sign_webhook as sign_webhook
    from .webhook import validate_webhook as validate_webhook

    Client = Replicate
    AsyncClient = AsyncReplicate
    default_client: Replicate = Replicate()
    run = default_client.run
    async_run = default_client.async_run
    stream = default_client.stream
    async_stream = default_client.async_stream
    predictions = default_client.predictions
    files = default_client.files
    webhooks = default_client.webhooks

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "AbortController": "_core",
    "AbortSignal": "_core",
    "Response": "_core",
    "AsyncReplicate": "client",
    "Replicate": "client",
    "Timeout": "client",
    "AbortError": "exceptions",
    "ModelError": "exceptions",
    "PredictionCanceled": "exceptions",
    "PredictionTimeout": "exceptions",
    "ReplicateError": "exceptions",
    "ReplicateException": "exceptions",
    "File": "file",
    "FileOutput": "file_output",
    "ModelVersionIdentifier": "identifier",
    "Page": "pagination",
    "Prediction": "prediction",
    "parse_progress_from_logs": "prediction",
    "ServerSentEvent": "stream",
    "sign_webhook": "webhook",
    "validate_webhook": "webhook",
}
_ALIASES = {"Client": "Replicate", "AsyncClient": "AsyncReplicate"}

# What the default client lends to the module.
_LENT = ("run", "async_run", "stream", "async_stream", "predictions", "files", "webhooks")

__all__ = ["exceptions", "default_client", *_HOMES, *_ALIASES, *_LENT]  # pyright: ignore[reportUnsupportedDunderAll] - one list, kept by a test


def __getattr__(name: str) -> object:
    if name == "default_client":
        from .client import Replicate

        # Of two threads that come here first, both get the one that was kept; a client costs nothing until it is used.
        return globals().setdefault(name, Replicate())
    if name in _LENT:
        return getattr(__getattr__("default_client"), name)
    if name in _ALIASES:
        return __getattr__(_ALIASES[name])
    if name in _HOMES or name == "exceptions":
        from importlib import import_module

        module = import_module(f".{_HOMES.get(name, name)}", __name__)
        return globals().setdefault(name, module if name == "exceptions" else getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from types import ModuleType
else:
    # Importing `types` for one name would double what this module costs.
    ModuleType = type(sys)


class _Package(ModuleType):
    """The class of this module: `run` and `stream` are functions, though submodules have these names too."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _LENT and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
