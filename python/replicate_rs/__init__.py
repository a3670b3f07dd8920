"""Run AI models on Replicate.

    import replicate_rs as replicate

    output = replicate.run(
        "black-forest-labs/flux-schnell", input={"prompt": "an iguana on the beach"}
    )

Names are imported on first use, so that importing the package takes next to no time.

PYTEST_DONT_REWRITE: keeps pytest from warning that a package with a plugin was imported before it.
"""

# Without `from __future__ import annotations`, which would be a fifth of the package's import time.
import sys

TYPE_CHECKING = False


def _is_main_interpreter() -> bool:
    if TYPE_CHECKING:
        return True
    try:
        try:
            from _thread import _is_main_interpreter as is_main  # type: ignore[attr-defined] # missing in its stub
        except ImportError:
            # Before Python 3.13.
            from _xxsubinterpreters import get_current, get_main  # type: ignore[import-not-found] # has no stub

            return get_current() == get_main()
    except ImportError:
        return True
    return is_main()


# Before the Rust core is looked for, which others than CPython do not find, or cannot use.
if sys.implementation.name != "cpython":
    raise ImportError(
        f"replicate_rs needs CPython 3.11 or newer; this is {sys.implementation.name}"
    )

# Checked before the Rust core is loaded, which all interpreters of a process share.
if not _is_main_interpreter():
    raise ImportError(
        "replicate_rs works in a process's main interpreter only, not in a subinterpreter: use"
        " threads or processes; under mod_wsgi, set WSGIApplicationGroup %{GLOBAL}"
    )

# `zipimport` loads no extension modules, so that the first call would fail without a reason.
if type(__spec__.loader).__name__ == "zipimporter":
    raise ImportError(
        f"replicate_rs cannot be imported from a zip archive ({__file__}): the operating system"
        " loads its extension module from a file. Unpack the archive, or build it with shiv or pex,"
        " which unpack it themselves"
    )

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.machinery import ModuleSpec
    from os import PathLike
    from typing import Any, Final

    from . import exceptions as exceptions
    from ._base import AbortController as AbortController
    from ._base import AbortSignal as AbortSignal
    from ._base import Response as Response
    from ._base import __version__ as __version__
    from ._base.checks import Limit, Seconds
    from ._base.session import Async as Async
    from ._base.session import Sync as Sync
    from ._base.types import FileEncodingStrategy, Headers
    from ._client.http import Request as Request
    from ._client.search import SearchResult as SearchResult  # pyright: ignore[reportGeneralTypeIssues] - as above
    from ._client.timeout import Timeout as Timeout
    from ._client.types import Certificate, Fetch, Token
    from ._files.output import FileOutput as FileOutput
    from ._files.save_all import asave_all as asave_all
    from ._files.save_all import save_all as save_all
    from ._files.urls import get_path_url as get_path_url
    from ._webhooks.verifier import SeenWebhooks as SeenWebhooks
    from ._webhooks.verifier import WebhookVerifier as WebhookVerifier

    # The client's properties below have the names of these modules, which pyright reports as
    # assignments to the modules.
    from .account import Account as Account  # pyright: ignore[reportGeneralTypeIssues] - as above
    from .client import AsyncReplicate as AsyncReplicate
    from .client import Replicate as Replicate
    from .collection import Collection as Collection
    from .deployment import Deployment as Deployment
    from .exceptions import *  # noqa: F403 - all of them
    from .file import File as File
    from .hardware import Hardware as Hardware  # pyright: ignore[reportGeneralTypeIssues] - as above
    from .identifier import ModelVersionIdentifier as ModelVersionIdentifier
    from .model import Model as Model
    from .pagination import Page as Page
    from .pagination import async_paginate as async_paginate
    from .pagination import paginate as paginate
    from .prediction import Prediction as Prediction
    from .prediction import parse_progress_from_logs as parse_progress_from_logs
    from .stream import ServerSentEvent as ServerSentEvent  # pyright: ignore[reportGeneralTypeIssues] - as above
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
    """The client of the functions of this module, created when it is first used."""
    run: Final = default_client.run
    async_run: Final = default_client.async_run
    stream: Final = default_client.stream
    async_stream: Final = default_client.async_stream
    text_stream: Final = default_client.text_stream
    async_text_stream: Final = default_client.async_text_stream
    relay: Final = default_client.relay
    async_relay: Final = default_client.async_relay
    map: Final = default_client.map
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

# The module of each public name.
_EXPORTS = {
    name: module
    for module, names in {
        "_base": "AbortController AbortSignal Response",
        "_base.session": "Async Sync",
        "account": "Account",
        "client": "AsyncReplicate Replicate",
        "_client.timeout": "Timeout",
        "collection": "Collection",
        "deployment": "Deployment",
        "exceptions": (
            "APIConnectionError APIError APIResponseValidationError APIStatusError "
            "APITimeoutError AbortError AuthenticationError BadRequestError ClientClosedError "
            "ConflictError EventTooLarge FileError ForkedError InsufficientCreditError "
            "InternalServerError JournalError MissingTokenError ModelError NotFoundError "
            "PayloadTooLargeError PermissionDeniedError PredictionCanceled "
            "PredictionTimeout RateLimitError ReplicateError ReplicateException "
            "RequestError StreamError StreamInterrupted "
            "TooManyFailures UnprocessableEntityError"
        ),
        "file": "File",
        "_files.output": "FileOutput",
        "_files.urls": "get_path_url",
        "hardware": "Hardware",
        "identifier": "ModelVersionIdentifier",
        "_client.http": "Request",
        "model": "Model",
        "pagination": "Page async_paginate paginate",
        "prediction": "Prediction parse_progress_from_logs",
        "_files.save_all": "asave_all save_all",
        "_client.search": "SearchResult",
        "stream": "ServerSentEvent",
        "training": "Training",
        "use": "use",
        "version": "Version",
        "webhook": (
            "WebhookSigningSecret WebhookValidationError avalidate_webhook sign_webhook "
            "validate_webhook InvalidSecretKeyError InvalidSignatureError InvalidTimestampError "
            "InvalidWebhookBodyError MissingWebhookBodyError MissingWebhookHeaderError "
            "ReplayedWebhookError"
        ),
        "_webhooks.verifier": "SeenWebhooks WebhookVerifier",
    }.items()
    for name in names.split()
}
_ALIASES = {"Client": "Replicate", "AsyncClient": "AsyncReplicate"}

# Methods and namespaces of the default client that are functions and attributes of this module.
_CLIENT_METHODS = (
    "run",
    "async_run",
    "stream",
    "async_stream",
    "text_stream",
    "async_text_stream",
    "relay",
    "async_relay",
    "map",
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

# Submodules that are attributes of the package, as in 1.0.7. `run`, `stream`, `hardware` and
# `account` are not among them: these names belong to the default client.
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
    "telemetry",
    "training",
    "types",
    "version",
    "webhook",
)

# Options of the default client that may be assigned to this module, and their canonical names.
_OPTIONS = {
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
    *_EXPORTS,
    *_ALIASES,
    *_CLIENT_METHODS,
]  # pyright: ignore[reportUnsupportedDunderAll] - one list, kept by a test


def __getattr__(name: str) -> object:
    if name == "__version__":
        from ._base import __version__ as version

        return globals().setdefault(name, version)
    if name == "default_client":
        from .client import Replicate

        # If two threads create it at once, both get the same one. The other has not connected.
        client = Replicate(**_get_options(globals()))
        client._session.config.is_default = True
        client = globals().setdefault(name, client)
        globals()["_own_client"] = client
        return client
    if name in _CLIENT_METHODS:
        return getattr(__getattr__("default_client"), name)
    if name in _OPTIONS:
        return None
    if name in _ALIASES:
        return __getattr__(_ALIASES[name])
    if name in _EXPORTS or name in _SUBMODULES:
        path = f"{__name__}.{_EXPORTS.get(name, name)}"
        # Not with `importlib`, whose import would take longer than the rest.
        __import__(path)
        module = sys.modules[path]
        return globals().setdefault(name, getattr(module, name) if name in _EXPORTS else module)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_OPTIONS])


if TYPE_CHECKING:
    from types import ModuleType
else:
    # Importing `types` would double this module's import time.
    ModuleType = type(sys)


def _get_options(values: "Mapping[str, object]") -> "dict[str, Any]":
    """Return the options among the module's variables, by their canonical names.

    If an option was assigned under two names, the later assignment counts.
    """
    return {
        _OPTIONS[name]: value
        for name, value in list(values.items())
        if name in _OPTIONS and value is not None
    }


class _Package(ModuleType):
    """The class of this module.

    It keeps submodules from replacing the functions `run`, `stream` and `use`, which have the same
    names, and passes options that are assigned on to the default client. That stays the same
    object, so the options also apply to functions that were imported by name.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and (
            name in _CLIENT_METHODS or _EXPORTS.get(name) == name
        ):
            return
        if name in _OPTIONS:
            try:
                # The option comes last, as the latest.
                _set_options(
                    {**{each: old for each, old in globals().items() if each != name}, name: value},
                    name,
                )
            except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
                from ._base.credentials import strip_frames

                # Error reports show local variables, and this may be a secret.
                value = None
                raise strip_frames(error) from error.__cause__
            globals().pop(name, None)
        elif name in _CLIENT_METHODS and _is_own(name, value):
            # A test restores what it has replaced.
            globals().pop(name, None)
            return
        elif not (name.startswith("_") or isinstance(value, ModuleType) or hasattr(self, name)):
            from ._client.attributes import describe_unknown_option

            value = None
            raise AttributeError(describe_unknown_option(f"module {__name__!r}", name))
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in _OPTIONS and name in globals():
            _set_options({each: value for each, value in globals().items() if each != name}, name)
        replaced = name == "default_client" and globals().get(name) is not _own_client
        super().__delattr__(name)
        if replaced and _own_client is not None:
            # A test removes its replacement.
            globals()[name] = _own_client

    def __reduce__(self) -> tuple[object, ...]:
        from importlib import import_module

        return import_module, (__name__,)


def _set_options(values: "Mapping[str, object]", name: str) -> None:
    """Set the default client's options to those that are assigned to the module.

    Args:
        values: The module's variables.
        name: The option that was assigned or deleted.

    """
    client: Any = globals().get("default_client")
    if client is None:
        from .client import Replicate

        # Raises if the option is invalid.
        Replicate(**_get_options(values))
    elif client is _own_client:
        client._set_initial_options(_get_options(values))
    else:
        # A client that the program has put in place of the default client.
        setattr(client, _OPTIONS[name], values.get(name))


# The default client that this module has created; a program may have replaced it.
_own_client: "Any" = None


def _is_own(name: str, value: object) -> bool:
    client: Any = globals().get("default_client")
    own = None if client is None else getattr(client, name)
    # Wrappers of tracers compare equal to what they wrap.
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
