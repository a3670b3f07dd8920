"""The types that the signatures of this package name: aliases, protocols, and dictionaries of
options.

The other modules import them for type checkers only. At run time this module is loaded when a
program imports it, or reads the annotations of a function or a class, as `typing.get_type_hints`,
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
    Options,
    Query,
    Ref,
    Seconds,
    SecretText,
    Usable,
    Visibility,
)
from ._client.types import AsyncSend, Certificate, ClientOptions, Fetch, OnProgress, Send, Token
from ._core import AbortSignal, Response
from ._files.types import (
    AsyncReadable,
    FileLike,
    FileNames,
    Image,
    NamedFile,
    OnSent,
    Readable,
    ReadsBytes,
)
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
    "OnProgress",
    "OnSent",
    "Options",
    "PredictionOptions",
    "Query",
    "Readable",
    "ReadsBytes",
    "Ref",
    "Seconds",
    "Secret",
    "SecretText",
    "Secrets",
    "Send",
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

# For those who read annotations. What only annotations of the package itself name is here too.

E = TypeVar("E", bound=BaseException)
M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")
JSONObject: TypeAlias = dict[str, Any]
# What only type checkers know more of.
_INTERNAL: dict[str, Any] = {
    "Form": str,
    "FileInfo": tuple,
    "Pending": collections.abc.Awaitable,
    "Streamed": collections.abc.AsyncIterable,
    "Transport": Any,
}
# Where a module calls a type by a shorter name.
_OF_WEBHOOKS = {
    **_INTERNAL,
    "Body": WebhookBody,
    "Headers": WebhookHeaders,
    "Request": WebhookRequest,
}
_LOCAL_NAMES: dict[str, dict[str, Any]] = dict.fromkeys(
    ("webhook", "_webhooks.requests", "_webhooks.verifier"), _OF_WEBHOOKS
)
# Where the classes are that annotations name.
_LIBRARIES = (collections.abc, typing, types, datetime, io, os, pathlib)
_HOMES = (
    *(
        "account",
        "client",
        "collection",
        "_predictions.polling",
        "deployment",
        "exceptions",
        "file",
        "_files.inputs",
        "_files.output",
        "_files.sources",
    ),
    *(
        "hardware",
        "_files.encode",
        "_predictions.job",
        "_client.http",
        "_client.middleware",
        "model",
        "_client.options",
        "pagination",
        "prediction",
        "_predictions.progress",
    ),
    *(
        "run",
        "_client.search",
        "stream",
        "training",
        "use",
        "version",
        "_predictions.events",
        "webhook",
        "_webhooks.verifier",
    ),
    *("_client.configurable", "_files.reader", "_files.open_file", "_client.settings"),
    *(
        "_core",
        "_base.model_api",
        "_base.operation",
        "_base.resource",
        "_base.record",
        "_base.streaming",
        "_base.transport",
    ),
)


class _Names(dict[str, Any]):
    """What the names in a module's annotations stand for."""

    def __init__(self, module: str, owner: type | None) -> None:
        super().__init__(_LOCAL_NAMES.get(module.partition(".")[2], _INTERNAL))
        if owner is not None:
            self["Self"] = owner
        self._module = vars(sys.modules[module])

    def __missing__(self, name: str) -> Any:
        for names in (globals(), self._module, *map(vars, _LIBRARIES)):
            if name in names and not isinstance(names[name], types.ModuleType):
                return names[name]
        for home in _HOMES:
            found = vars(import_module(f".{home}", __package__)).get(name)
            if isinstance(found, type):
                return found
        raise KeyError(name)


def evaluated(annotation: object, module: str, owner: type | None) -> Any:
    """Return the type that an annotation of one of the package's modules, and perhaps of a class in
    it, means.
    """
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, {}, _Names(module, owner))  # noqa: S307 - the package's own annotations


def _describe_to_pydantic(kind: Any, check: Callable[[object], bool], wanted: str) -> None:
    """Let pydantic take values for which `check` is true."""

    def checked(value: object) -> object:
        if not check(value):
            raise ValueError(f"must {wanted}")
        return value

    def schema(_source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(checked)

    kind.__get_pydantic_core_schema__ = schema
    kind.__get_pydantic_json_schema__ = _any_json


def _describe_protocol(kind: Any) -> None:
    members: list[str] = [name for name in dir(kind) if name[0] != "_"]
    _describe_to_pydantic(
        kind,
        lambda value: all(hasattr(value, name) for name in members),
        f"have {' and '.join(members)}",
    )
    kind.__get_pydantic_json_schema__ = _omitted


def _any_json(_schema: object, _handler: object) -> dict[str, Any]:
    return {}


def _omitted(_schema: object, _handler: object) -> NoReturn:
    # Of several types that a parameter may have, JSON has the others.
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
    _describe_protocol(_kind)
_describe_to_pydantic(Namespace, lambda value: isinstance(value, Namespace), "be a client")
_describe_to_pydantic(
    AbortSignal, lambda value: isinstance(value, AbortSignal), "be an AbortSignal"
)
_describe_to_pydantic(Response, lambda value: isinstance(value, Response), "be a Response")
