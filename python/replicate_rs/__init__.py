"""Run AI models on Replicate.

    import replicate_rs as replicate

    output = replicate.run("black-forest-labs/flux-schnell", input={"prompt": "an iguana on the
    beach"})

Names are imported when they are first used, so that importing the package costs next to nothing.

For pytest, which warns of packages with a plugin that were imported before it: PYTEST_DONT_REWRITE
"""

# Without `from __future__ import annotations`, which would be a fifth of what the package's import
# costs.
import sys

TYPE_CHECKING = False


def _is_main_interpreter() -> bool:
    if TYPE_CHECKING:
        return True
    try:
        try:
            from _thread import _is_main_interpreter as is_main  # type: ignore[attr-defined] # its stub has it not
        except ImportError:
            # Before 3.13.
            from _xxsubinterpreters import get_current, get_main  # type: ignore[import-not-found] # it has no stub

            return get_current() == get_main()
    except ImportError:
        return True
    return is_main()


# Before anything of Rust is loaded, which is once for all interpreters of a process.
if not _is_main_interpreter():
    raise ImportError(
        "replicate_rs works in a process's main interpreter only, not in a subinterpreter: use"
        " threads or processes"
    )

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.machinery import ModuleSpec
    from os import PathLike
    from typing import Any, Final

    from . import exceptions as exceptions
    from ._base.checks import Limit, Seconds
    from ._base.session import Async as Async
    from ._base.session import Sync as Sync
    from ._base.types import FileEncodingStrategy, Headers
    from ._client.http import Request as Request
    from ._client.options import Certificate, Token
    from ._client.options import Timeout as Timeout
    from ._client.search import SearchResult as SearchResult  # pyright: ignore[reportGeneralTypeIssues]
    from ._client.types import Fetch
    from ._core import AbortController as AbortController
    from ._core import AbortSignal as AbortSignal
    from ._core import Response as Response
    from ._files.output import FileOutput as FileOutput
    from ._files.save_all import asave_all as asave_all
    from ._files.save_all import save_all as save_all
    from ._files.urls import get_path_url as get_path_url
    from ._webhooks.verifier import SeenWebhooks as SeenWebhooks
    from ._webhooks.verifier import WebhookVerifier as WebhookVerifier

    # The client's properties below have the names of these modules, which pyright takes for
    # assignments.
    from .account import Account as Account  # pyright: ignore[reportGeneralTypeIssues]
    from .client import AsyncReplicate as AsyncReplicate
    from .client import Replicate as Replicate
    from .collection import Collection as Collection
    from .deployment import Deployment as Deployment
    from .exceptions import AbortError as AbortError
    from .exceptions import APIConnectionError as APIConnectionError
    from .exceptions import APIError as APIError
    from .exceptions import APIResponseValidationError as APIResponseValidationError
    from .exceptions import APIStatusError as APIStatusError
    from .exceptions import APITimeoutError as APITimeoutError
    from .exceptions import AuthenticationError as AuthenticationError
    from .exceptions import BadRequestError as BadRequestError
    from .exceptions import ClientClosedError as ClientClosedError
    from .exceptions import ConflictError as ConflictError
    from .exceptions import EventTooLarge as EventTooLarge
    from .exceptions import FileError as FileError
    from .exceptions import ForkedError as ForkedError
    from .exceptions import InsufficientCreditError as InsufficientCreditError
    from .exceptions import InternalServerError as InternalServerError
    from .exceptions import MissingTokenError as MissingTokenError
    from .exceptions import ModelError as ModelError
    from .exceptions import NotFoundError as NotFoundError
    from .exceptions import PayloadTooLargeError as PayloadTooLargeError
    from .exceptions import PermissionDeniedError as PermissionDeniedError
    from .exceptions import PredictionCanceled as PredictionCanceled
    from .exceptions import PredictionTimeout as PredictionTimeout
    from .exceptions import RateLimitError as RateLimitError
    from .exceptions import ReplicateError as ReplicateError
    from .exceptions import ReplicateException as ReplicateException
    from .exceptions import RequestError as RequestError
    from .exceptions import StreamError as StreamError
    from .exceptions import StreamInterrupted as StreamInterrupted
    from .exceptions import UnprocessableEntityError as UnprocessableEntityError
    from .file import File as File
    from .hardware import Hardware as Hardware  # pyright: ignore[reportGeneralTypeIssues]
    from .identifier import ModelVersionIdentifier as ModelVersionIdentifier
    from .model import Model as Model
    from .pagination import Page as Page
    from .pagination import async_paginate as async_paginate
    from .pagination import paginate as paginate
    from .prediction import Prediction as Prediction
    from .prediction import parse_progress_from_logs as parse_progress_from_logs
    from .stream import ServerSentEvent as ServerSentEvent  # pyright: ignore[reportGeneralTypeIssues]
    from .training import Training as Training
    from .use import use as use
    from .version import Version as Version
    from .webhook import InvalidSecretKeyError as InvalidSecretKeyError
    from .webhook import InvalidSignatureError as InvalidSignatureError
    from .webhook import InvalidTimestampError as InvalidTimestampError
    from .webhook import InvalidWebhookBodyError as InvalidWebhookBodyError
    from .webhook import MissingWebhookBodyError as MissingWebhookBodyError
    from .webhook import MissingWebhookHeaderError as MissingWebhookHeaderError
    from .webhook import ReplayedWebhookError as ReplayedWebhookError
    from .webhook import WebhookSigningSecret as WebhookSigningSecret
    from .webhook import WebhookValidationError as WebhookValidationError
    from .webhook import avalidate_webhook as avalidate_webhook
    from .webhook import sign_webhook as sign_webhook
    from .webhook import validate_webhook as validate_webhook

    Client = Replicate
    AsyncClient = AsyncReplicate
    default_client: Replicate = Replicate()
    run: Final = default_client.run
    async_run: Final = default_client.async_run
    stream: Final = default_client.stream
    async_stream: Final = default_client.async_stream
    text_stream: Final = default_client.text_stream
    async_text_stream: Final = default_client.async_text_stream
    relay: Final = default_client.relay
    async_relay: Final = default_client.async_relay
    wait: Final = default_client.wait
    search: Final = default_client.search
    async_search: Final = default_client.async_search
    request: Final = default_client.request
    async_request: Final = default_client.async_request
    accounts: Final = default_client.accounts
    account: Final = default_client.account
    collections: Final = default_client.collections
    deployments: Final = default_client.deployments
    files: Final = default_client.files
    hardware: Final = default_client.hardware
    models: Final = default_client.models
    predictions: Final = default_client.predictions
    trainings: Final = default_client.trainings
    webhooks: Final = default_client.webhooks

    api_token: Token | None
    auth: Token | None
    bearer_token: Token | None
    base_url: str | None
    timeout: Limit | None
    max_retries: int | None
    max_connections: int | None
    max_response_bytes: int | None
    headers: Headers | None
    default_headers: Headers | None
    user_agent: str | None
    poll_interval: Seconds | None
    file_encoding_strategy: FileEncodingStrategy | None
    use_file_output: bool | None
    block_private_addresses: bool | None
    proxy: str | None
    verify: bool | str | PathLike[str] | None
    ssl_cert_file: str | PathLike[str] | None
    cert: Certificate | None
    fetch: Fetch | None

__version__ = "0.1.0"

# Where each public name lives.
_HOMES = {
    "AbortController": "_core",
    "AbortSignal": "_core",
    "Response": "_core",
    "Async": "_base.session",
    "Sync": "_base.session",
    "Account": "account",
    "AsyncReplicate": "client",
    "Replicate": "client",
    "Timeout": "_client.options",
    "Collection": "collection",
    "Deployment": "deployment",
    "APIConnectionError": "exceptions",
    "APIError": "exceptions",
    "APIResponseValidationError": "exceptions",
    "APIStatusError": "exceptions",
    "APITimeoutError": "exceptions",
    "AbortError": "exceptions",
    "AuthenticationError": "exceptions",
    "BadRequestError": "exceptions",
    "ClientClosedError": "exceptions",
    "ConflictError": "exceptions",
    "EventTooLarge": "exceptions",
    "FileError": "exceptions",
    "ForkedError": "exceptions",
    "InsufficientCreditError": "exceptions",
    "InternalServerError": "exceptions",
    "MissingTokenError": "exceptions",
    "ModelError": "exceptions",
    "NotFoundError": "exceptions",
    "PayloadTooLargeError": "exceptions",
    "PermissionDeniedError": "exceptions",
    "PredictionCanceled": "exceptions",
    "PredictionTimeout": "exceptions",
    "RateLimitError": "exceptions",
    "ReplicateError": "exceptions",
    "ReplicateException": "exceptions",
    "RequestError": "exceptions",
    "StreamError": "exceptions",
    "StreamInterrupted": "exceptions",
    "UnprocessableEntityError": "exceptions",
    "File": "file",
    "FileOutput": "_files.output",
    "get_path_url": "_files.urls",
    "Hardware": "hardware",
    "ModelVersionIdentifier": "identifier",
    "Request": "_client.http",
    "Model": "model",
    "Page": "pagination",
    "async_paginate": "pagination",
    "paginate": "pagination",
    "Prediction": "prediction",
    "parse_progress_from_logs": "prediction",
    "asave_all": "_files.save_all",
    "save_all": "_files.save_all",
    "SearchResult": "_client.search",
    "ServerSentEvent": "stream",
    "Training": "training",
    "use": "use",
    "Version": "version",
    "WebhookSigningSecret": "webhook",
    "WebhookValidationError": "webhook",
    "avalidate_webhook": "webhook",
    "sign_webhook": "webhook",
    "validate_webhook": "webhook",
    "InvalidSecretKeyError": "webhook",
    "InvalidSignatureError": "webhook",
    "InvalidTimestampError": "webhook",
    "InvalidWebhookBodyError": "webhook",
    "MissingWebhookBodyError": "webhook",
    "MissingWebhookHeaderError": "webhook",
    "ReplayedWebhookError": "webhook",
    "SeenWebhooks": "_webhooks.verifier",
    "WebhookVerifier": "_webhooks.verifier",
}
_ALIASES = {"Client": "Replicate", "AsyncClient": "AsyncReplicate"}

# What the default client lends to the module.
_LENT = (
    "run",
    "async_run",
    "stream",
    "async_stream",
    "text_stream",
    "async_text_stream",
    "relay",
    "async_relay",
    "wait",
    "search",
    "async_search",
    "request",
    "async_request",
    "accounts",
    "account",
    "collections",
    "deployments",
    "files",
    "hardware",
    "models",
    "predictions",
    "trainings",
    "webhooks",
)

# Modules that 1.0.7 has as attributes once it is imported; `run`, `stream`, `hardware` and
# `account` mean something else.
_SUBMODULES = (
    "__about__",
    "client",
    "collection",
    "deployment",
    "exceptions",
    "file",
    "helpers",
    "identifier",
    "model",
    "pagination",
    "prediction",
    "resource",
    "schema",
    "training",
    "types",
    "version",
    "webhook",
)

# Options of the default client, under the names that 1.0.7 and 2.0 have for them too: one that is
# assigned counts from its next request on.
_SETTINGS = {
    "api_token": "api_token",
    "auth": "api_token",
    "bearer_token": "api_token",
    "base_url": "base_url",
    "timeout": "timeout",
    "max_retries": "max_retries",
    "max_connections": "max_connections",
    "max_response_bytes": "max_response_bytes",
    "headers": "headers",
    "default_headers": "headers",
    "user_agent": "user_agent",
    "poll_interval": "poll_interval",
    "file_encoding_strategy": "file_encoding_strategy",
    "use_file_output": "use_file_output",
    "block_private_addresses": "block_private_addresses",
    "proxy": "proxy",
    "verify": "verify",
    "ssl_cert_file": "ssl_cert_file",
    "cert": "cert",
    "fetch": "fetch",
}

__all__ = [
    "exceptions",
    "default_client",
    *_HOMES,
    *_ALIASES,
    *_LENT,
]  # pyright: ignore[reportUnsupportedDunderAll] - one list, kept by a test


def __getattr__(name: str) -> object:
    if name == "default_client":
        from .client import Replicate

        # Of two threads that come here first, both get the one that was kept; a client costs
        # nothing until it is used.
        client = Replicate(**_assigned(globals()))
        client._session.settings.is_default = True
        client = globals().setdefault(name, client)
        globals()["_own_client"] = client
        return client
    if name in _LENT:
        return getattr(__getattr__("default_client"), name)
    if name in _SETTINGS:
        return None
    if name in _ALIASES:
        return __getattr__(_ALIASES[name])
    if name in _HOMES or name in _SUBMODULES:
        path = f"{__name__}.{_HOMES.get(name, name)}"
        # Not by `importlib`, which would be imported for this alone, and `warnings` with it.
        __import__(path)
        module = sys.modules[path]
        return globals().setdefault(name, getattr(module, name) if name in _HOMES else module)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SETTINGS])


if TYPE_CHECKING:
    from types import ModuleType
else:
    # Importing `types` for one name would double what this module costs.
    ModuleType = type(sys)


def _assigned(values: "Mapping[str, object]") -> "dict[str, Any]":
    """Return the options that were assigned to the module, by their own names; of two names for
    one, the latest counts.
    """
    return {
        _SETTINGS[name]: value
        for name, value in list(values.items())
        if name in _SETTINGS and value is not None
    }


class _Package(ModuleType):
    """The class of this module.

    `run`, `stream` and `use` are functions, though submodules have these names too. Options that
    are assigned are those of the default client, which stays the same object, so that functions
    that were imported by name follow too.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and (name in _LENT or _HOMES.get(name) == name):
            return
        if name in _SETTINGS:
            try:
                # At the end, as the latest.
                _take_over(
                    {**{each: old for each, old in globals().items() if each != name}, name: value},
                    name,
                )
            except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
                from ._base.credentials import without_frames

                # Reports of errors show the locals of frames.
                value = None
                raise without_frames(error) from error.__cause__
            globals().pop(name, None)
        elif name in _LENT and _is_own(name, value):
            # A test puts back what it has replaced.
            globals().pop(name, None)
            return
        elif not (name.startswith("_") or isinstance(value, ModuleType) or hasattr(self, name)):
            from ._client.configurable import unknown_option

            value = None
            raise AttributeError(unknown_option(f"module {__name__!r}", name))
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in _SETTINGS and name in globals():
            _take_over({each: value for each, value in globals().items() if each != name}, name)
        replaced = name == "default_client" and globals().get(name) is not _own_client
        super().__delattr__(name)
        if replaced and _own_client is not None:
            # What was put in its place is taken away.
            globals()[name] = _own_client

    def __reduce__(self) -> tuple[object, ...]:
        from importlib import import_module

        return import_module, (__name__,)


def _take_over(values: "Mapping[str, object]", name: str) -> None:
    """Have the default client be as if made with what is assigned to the module; `name` was
    assigned or deleted last.
    """
    client: Any = globals().get("default_client")
    if client is None:
        from .client import Replicate

        # What is wrong is told where it is assigned.
        Replicate(**_assigned(values))
    elif client is _own_client:
        client._remake(_assigned(values))
    else:
        # A program's own, made with options of its own.
        setattr(client, _SETTINGS[name], values.get(name))


# The default client that this module has made, whatever is in its place.
_own_client: "Any" = None


def _is_own(name: str, value: object) -> bool:
    client: Any = globals().get("default_client")
    own = None if client is None else getattr(client, name)
    # The wrappers of tracers say that they are equal to what they wrap.
    return type(value) is type(own) and bool(value == own)


sys.modules[__name__].__class__ = _Package


class _FormerModules:
    """Find the modules that pickles of earlier releases name; asked after all other finders."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG004 - the import system passes them
        if not name.startswith("replicate_rs."):
            return None
        from ._former import find_spec

        return find_spec(name)


if __name__ == "replicate_rs":
    sys.meta_path.append(_FormerModules)
