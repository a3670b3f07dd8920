"""A client's options: their names, defaults and checks."""

from __future__ import annotations

import os

from .._base import __version__
from .._base.checks import (
    file_path,
    flag,
    function,
    interval,
    is_async_function,
    strategy,
    text,
    wrong_type,
)
from .._base.checks import headers as checked_headers
from .._base.credentials import Secret, is_secret_str, read_token, reveal
from .._base.session import Async
from .._base.typing import TYPE_CHECKING, defer_annotations, is_array

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any

    from .._base.session import Sync
    from .types import Certificate


# Options that concern connections: only clients that agree in these share connections.
CONNECTION_OPTIONS = ("max_connections", "proxy", "verify", "ssl_cert_file", "cert")
# Other names of options, from the Node client and from 2.0, and of attributes, from 1.0.7 and 2.0.
ALIASES = {"auth": "api_token", "bearer_token": "api_token", "default_headers": "headers"}
ATTRIBUTE_ALIASES = {
    **ALIASES,
    "_api_token": "api_token",
    "_base_url": "base_url",
    "_timeout": "timeout",
}
DEFAULT_BASE_URL = "https://api.replicate.com/v1"
USER_AGENT = f"replicate-rs/{__version__}"

# Defaults of `max_retries` and `max_response_bytes`.
MAX_RETRIES = 5
MAX_RESPONSE_BYTES = 64 << 20

DEFAULTS: dict[str, Any] = {
    "api_token": None,
    "base_url": None,
    "timeout": None,
    "max_retries": MAX_RETRIES,
    "max_connections": None,
    "max_response_bytes": MAX_RESPONSE_BYTES,
    "headers": None,
    "user_agent": None,
    "poll_interval": None,
    "file_encoding_strategy": "default",
    "use_file_output": True,
    "block_private_addresses": False,
    "proxy": None,
    "verify": True,
    "ssl_cert_file": None,
    "cert": None,
    "fetch": None,
}


def normalize(mode: type[Sync | Async], options: Mapping[str, Any]) -> dict[str, Any]:
    """Check options and return them all, secrets as a `Secret` and blank text as None.

    Args:
        mode: The client's mode.
        options: Options by their canonical names; the others get their defaults.

    Raises:
        TypeError: An option has the wrong type.
        ValueError: An option has an invalid value.

    """
    normalized = {**DEFAULTS, **options}
    normalized["api_token"] = _normalize_token(mode, normalized["api_token"])
    for name in ("base_url", "user_agent", "proxy"):
        if normalized[name] is not None:
            normalized[name] = text(name, reveal(normalized[name])).strip() or None
    if normalized["proxy"] is not None:
        normalized["proxy"] = Secret(normalized["proxy"])
    if normalized["headers"] is not None:
        headers = reveal(normalized["headers"])
        pairs = checked_headers("headers", headers)
        normalized["headers"] = Secret(tuple(pairs) if is_array(headers) else dict(pairs))
    if normalized["poll_interval"] is not None:
        normalized["poll_interval"] = interval("poll_interval", normalized["poll_interval"])
    flag("use_file_output", normalized["use_file_output"])
    flag("block_private_addresses", normalized["block_private_addresses"])
    strategy("file_encoding_strategy", normalized["file_encoding_strategy"])
    if normalized["fetch"] is not None:
        function("fetch", normalized["fetch"])
    return normalized


def _normalize_token(mode: type[Sync | Async], token: Any) -> Any:
    """Check a token and return it as a `Secret`, a function, or None."""
    if token is None:
        return None
    if isinstance(token, str) or is_secret_str(token):
        token = read_token("the API token", token)
        return None if token is None else Secret(token)
    if not callable(token):
        raise wrong_type("api_token", "a str, a SecretStr, or a function that returns one", token)
    if mode is not Async and is_async_function(token):
        raise TypeError(
            "api_token must be a plain function on a Replicate, whose calls block: an async one"
            " needs an AsyncReplicate"
        )
    return token


def resolve_aliases(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by their canonical names.

    Raises:
        TypeError: An option does not exist, or is given under two names.

    """
    resolved: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in options.items():
        option = ALIASES.get(name, name)
        if option not in DEFAULTS:
            raise TypeError(f"unexpected keyword argument {name!r}")
        if value is None:
            resolved.setdefault(option, None)
            continue
        if option in names:
            raise TypeError(f"{names[option]} and {name} are the same argument: give one")
        names[option], resolved[option] = name, value
    return resolved


def to_trust(
    verify: bool | str | PathLike[str], ssl_cert_file: str | PathLike[str] | None
) -> tuple[bool, str | PathLike[str] | None]:
    """Convert `verify` and `ssl_cert_file` to whether to verify servers, and a file of authorities.

    As in httpx and requests, `verify` may be that file.
    """
    if isinstance(verify, bool):
        if not verify and ssl_cert_file is not None:
            raise ValueError(
                "verify=False accepts every server: leave out ssl_cert_file, or verify"
            )
        return verify, None if ssl_cert_file is None else file_path("ssl_cert_file", ssl_cert_file)
    if not isinstance(verify, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(
            f"verify must be a bool or the path of a PEM file, not {type(verify).__name__}"
        )
    if ssl_cert_file is not None:
        raise TypeError("verify and ssl_cert_file are the same argument: give one")
    return True, file_path("verify", verify)


def to_certificate(
    cert: Certificate | None,
) -> tuple[str | PathLike[str], str | PathLike[str]] | None:
    """Convert `cert` to the paths of the client's certificate and its key, which may be equal."""
    if cert is None:
        return None
    if isinstance(cert, tuple):
        if len(cert) != 2:
            raise ValueError(
                f"cert must be the path of a PEM file, or a pair of paths, not {len(cert)} of them"
            )
        return file_path("cert", cert[0]), file_path("cert", cert[1])
    if isinstance(cert, list):
        raise wrong_type("cert", "the path of a PEM file, or a tuple of two paths", cert)
    return file_path("cert", cert), cert


defer_annotations(globals())
