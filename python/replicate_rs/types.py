"""The types in this package's signatures: aliases, protocols, and dictionaries of options.

Other modules import them for type checkers only. At run time this module is loaded when a program
imports it, or reads the annotations of a function or a class, as `typing.get_type_hints`,
`inspect.signature`, pydantic and documentation tools do.
"""

from __future__ import annotations

import collections.abc
import datetime
import io
import os
import pathlib
import sys
import types
import typing
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeAlias, TypeVar

from ._base.resource import Namespace
from ._base.types import (
    Choice,
    DeploymentOptions,
    FileEncodingStrategy,
    HasId,
    HasOwnerAndName,
    HasTimeouts,
    Headers,
    Limit,
    ModelOptions,
    Named,
    OnReceived,
    Options,
    Query,
    Ref,
    Seconds,
    SecretText,
    Usable,
    Visibility,
)
from ._batch.types import OnError, OnExit
from ._client.search import FoundModel
from ._client.stats import Stats
from ._client.types import AsyncSend, Certificate, ClientOptions, Fetch, OnProgress, Send, Token
from ._core import AbortSignal, Response
from ._files.types import (
    AsyncReadable,
    FileLike,
    FileNames,
    Image,
    NamedFile,
    OnSaved,
    OnSent,
    Readable,
    ReadsBytes,
)
from ._predictions.progress import Progress
from ._predictions.types import (
    CreateOptions,
    PredictionOptions,
    Status,
    TrainingOptions,
    Wait,
    WaitOptions,
    WebhookEvent,
)
from ._webhooks.types import (
    HasHeaders,
    HasKey,
    Moment,
    Now,
    Secret,
    Secrets,
    WebhookBody,
    WebhookHeaders,
    WebhookRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AsyncReadable",
    "AsyncSend",
    "Certificate",
    "Choice",
    "ClientOptions",
    "CreateOptions",
    "DeploymentOptions",
    "Fetch",
    "FileEncodingStrategy",
    "FileLike",
    "FileNames",
    "FoundModel",
    "HasHeaders",
    "HasId",
    "HasKey",
    "HasOwnerAndName",
    "HasTimeouts",
    "Headers",
    "Image",
    "Limit",
    "ModelOptions",
    "Moment",
    "Named",
    "NamedFile",
    "Now",
    "OnError",
    "OnExit",
    "OnProgress",
    "OnReceived",
    "OnSaved",
    "OnSent",
    "Options",
    "PredictionOptions",
    "Progress",
    "Query",
    "Readable",
    "ReadsBytes",
    "Ref",
    "Seconds",
    "Secret",
    "SecretText",
    "Secrets",
    "Send",
    "Stats",
    "Status",
    "Token",
    "TrainingOptions",
    "Usable",
    "Visibility",
    "Wait",
    "WaitOptions",
    "WebhookBody",
    "WebhookEvent",
    "WebhookHeaders",
    "WebhookRequest",
]

# Names that only annotations of the package use.

E = TypeVar("E", bound=BaseException)
M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")
JSONObject: TypeAlias = dict[str, Any]
# Types that are more precise for type checkers.
_INTERNAL: dict[str, Any] = {
    "Core": Any,
    "FileInfo": tuple,
    "JsonObject": Any,
    "Form": str,
    "OutputFunction": Any,
    "Pending": collections.abc.Awaitable,
    "Streamed": collections.abc.AsyncIterable,
    "Transport": Any,
}
# Modules about webhooks use shorter names for these types.
_WEBHOOK_NAMES = {
    **_INTERNAL,
    "Body": WebhookBody,
    "Headers": WebhookHeaders,
    "Request": WebhookRequest,
}
_LOCAL_NAMES: dict[str, dict[str, Any]] = dict.fromkeys(
    ("webhook", "_webhooks.requests", "_webhooks.verifier"), _WEBHOOK_NAMES
)
_LIBRARIES = (collections.abc, typing, types, datetime, io, os, pathlib)
# The modules of the classes in annotations that are not names of the package itself.
_MODULES = (
    "account",
    "collection",
    "deployment",
    "file",
    "hardware",
    "model",
    "training",
    "_use.function",
    "_use.output_iterator",
    "_use.run",
    "webhook",
    "_base.progress_bar",
    "_batch.map",
    "_batch.progress",
    "_batch.results",
    "_base.record",
    "_base.resource",
    "_base.session",
    "_base.streaming",
    "_client.stats",
    "_files.reader",
    "_files.reporting",
    "_files.sources",
    "_predictions.events",
    "_predictions.job",
    "_predictions.progress",
)


class _Names(dict[str, Any]):
    """The values of the names in a module's annotations."""

    def __init__(self, module: str, owner: type | None) -> None:
        super().__init__(_LOCAL_NAMES.get(module.partition(".")[2], _INTERNAL))
        if owner is not None:
            self["Self"] = owner
        self._module = vars(sys.modules[module])

    def __missing__(self, name: str) -> Any:
        for names in (globals(), self._module, *map(vars, _LIBRARIES)):
            if name in names and not isinstance(names[name], types.ModuleType):
                return names[name]
        package = __name__.rpartition(".")[0]
        for module in (package, *(f"{package}.{path}" for path in _MODULES)):
            found = getattr(import_module(module), name, None)
            if isinstance(found, type):
                return found
        raise KeyError(name)


def evaluate(annotation: object, module: str, owner: type | None) -> Any:
    """Return the type that an annotation stands for.

    Args:
        annotation: Its text, or a value.
        module: The name of its module.
        owner: The class that it belongs to.

    """
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, {}, _Names(module, owner))  # noqa: S307 - the package's own annotations


def _add_schema(kind: Any, is_valid: Callable[[object], bool], requirement: str) -> None:
    """Let pydantic accept values for which `is_valid` returns True."""

    def validate(value: object) -> object:
        if not is_valid(value):
            raise ValueError(f"must {requirement}")
        return value

    def schema(_source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(validate)

    kind.__get_pydantic_core_schema__ = schema
    kind.__get_pydantic_json_schema__ = _any_json


def _add_protocol_schema(kind: Any) -> None:
    members: list[str] = [name for name in dir(kind) if name[0] != "_"]
    _add_schema(
        kind,
        lambda value: all(hasattr(value, name) for name in members),
        f"have {' and '.join(members)}",
    )
    kind.__get_pydantic_json_schema__ = _omit


def _any_json(_schema: object, _handler: object) -> dict[str, Any]:
    return {}


def _omit(_schema: object, _handler: object) -> NoReturn:
    # A JSON schema shows the parameter's other types only.
    from pydantic_core import PydanticOmit

    raise PydanticOmit


for _kind in (
    HasTimeouts,
    HasOwnerAndName,
    HasId,
    Named,
    HasKey,
    SecretText,
    HasHeaders,
    Readable,
    ReadsBytes,
    AsyncReadable,
    Image,
):
    _add_protocol_schema(_kind)
_add_schema(Namespace, lambda value: isinstance(value, Namespace), "be a client")
_add_schema(AbortSignal, lambda value: isinstance(value, AbortSignal), "be an AbortSignal")
_add_schema(Response, lambda value: isinstance(value, Response), "be a Response")

# Help and error messages show these classes under this module's name.
for _name in __all__:
    _class: object = globals()[_name]
    if isinstance(_class, type) and _class.__module__.endswith(".types"):
        _class.__module__ = __name__
