"""What a process of an engine has of its own: clients, and where their token comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from .._base.checks import shown, wrong_type
from .._base.credentials import is_secret_str
from .._client.options import normalize, resolve_aliases
from ..client import Replicate
from ..exceptions import MissingTokenError

# Where a worker finds the token: a function that returns it, a file, or the environment.
TokenSource: TypeAlias = Callable[[], str | None] | Path | None

WHY_NOT_TEXT = (
    "the token would be sent to every worker, and stored with the tasks. Set REPLICATE_API_TOKEN"
    " where the workers run, or pass a function that returns the token there, or the path of a file"
    " that has it"
)
# Options that a worker must not be sent, and what to do instead.
REFUSED = {
    "api_token": f"pass token=, a function or a path: {WHY_NOT_TEXT}",
    "headers": "headers may be secret: add them with fetch=, a function that runs on the workers",
    "use_file_output": "files are in the column `output` as URLs",
}

# The clients of this process, by their options. A client goes on after a fork.
_clients: dict[object, Replicate] = {}


def check_token(token: object) -> TokenSource:
    """Return where a worker finds the token; refuse the token itself.

    Raises:
        TypeError: It is text, or neither a function nor a path.

    """
    if token is None or callable(token):
        return cast("TokenSource", token)
    if isinstance(token, os.PathLike):
        return Path(os.path.abspath(Path(cast("os.PathLike[str]", token)).expanduser()))  # noqa: PTH100 - of `..`, too
    if isinstance(token, str) and not token.startswith("r8_") and {"/", os.sep} & {*token}:
        return Path(os.path.abspath(Path(token).expanduser()))  # noqa: PTH100 - as above
    # Error reports show local variables.
    is_text = isinstance(token, str) or is_secret_str(token)
    kind = type(token).__name__
    del token
    if is_text:
        raise TypeError(
            f"token must not be the token itself: {WHY_NOT_TEXT}. The path of a file in the working"
            " directory begins with './'"
        )
    raise TypeError(f"token must be a function that returns it, or the path of a file, not {kind}")


def check_options(client: object) -> dict[str, Any]:
    """Return the options of a client; refuse those that are secret.

    Raises:
        TypeError: An option does not exist, has the wrong type, or must not be sent to workers.
        ValueError: An option has an invalid value.

    """
    if client is None:
        return {}
    if not isinstance(client, Mapping):
        raise wrong_type("client", "a dict of a client's options", client)
    options = resolve_aliases(cast("Mapping[str, Any]", client))
    for name, reason in REFUSED.items():
        if options.get(name) is not None:
            raise TypeError(f"client must not have {name!r}: {reason}")
    proxy = options.get("proxy")
    if isinstance(proxy, str) and "@" in proxy:
        raise ValueError(
            "client must not have a proxy with a password, which would be sent to every worker: set"
            " HTTPS_PROXY where the workers run"
        )
    normalize(Replicate.mode, options)
    return options


def get_client(token: TokenSource, options: Mapping[str, Any], owner: str) -> Replicate:
    """Return this process's client with these options; create it if there is none.

    Args:
        token: Where the token is.
        options: The other options.
        owner: Stands for functions that have no name of their own, and that every pickle makes
            anew.

    """
    key = (_identify(token, owner), *((name, _identify(options[name], owner)) for name in options))
    client = _clients.get(key)
    if client is None:
        source = TokenFile(token) if isinstance(token, Path) else token
        # Without a lock, which a fork could leave locked: one of two clients is dropped.
        client = _clients.setdefault(key, Replicate(source, **options, use_file_output=False))
    return client


def _identify(value: object, owner: str) -> str:
    if not callable(value):
        return repr(value)
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    has_name = isinstance(name, str) and "<" not in name and module != "__main__"
    return f"{module}.{name}" if has_name else f"{owner} {type(value).__qualname__} {name}"


class TokenFile:
    """Reads the token from a file, before each request, so that it may be replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> str:
        """Return the token.

        Raises:
            MissingTokenError: The file cannot be read, or is empty.

        """
        try:
            text = self._path.read_text("ascii", "replace").strip()
        except OSError as error:
            reason = error.strerror or error
            raise MissingTokenError(
                f"the token's file on this worker, {shown(str(self._path))}: {reason}"
            ) from error
        if not text:
            raise MissingTokenError(
                f"the token's file on this worker, {shown(str(self._path))}, is empty"
            )
        return text
