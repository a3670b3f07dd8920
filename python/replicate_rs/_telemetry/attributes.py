"""Names and attributes of spans and metrics.

They follow the semantic conventions for generative AI and for HTTP clients. What these do not name
begins with ``replicate.``.
"""

from __future__ import annotations

from json import dumps
from re import ASCII, fullmatch, match, split, sub
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .._base.typing import is_array, is_object
from .._notebook.values import MAX_DEPTH, hide
from ..exceptions import ReplicateError
from ..identifier import ModelVersionIdentifier, target_of
from ..model import Model, Models
from ..prediction import Prediction
from ..version import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from re import Match
    from typing import Any, TypeAlias

    Attributes: TypeAlias = dict[str, str | int | float | bool]

PROVIDER = "replicate"
# The operations that run a model, and the conventions' name for them.
GENERATING = frozenset(("run", "stream", "text_stream", "relay", "use", "use.stream", "map"))
GENERATE = "generate_content"

# Resources whose operations name a model by its owner and its name.
_OF_MODELS = (Models, Versions)
# The collections of the API, and what follows each in a path.
_PARAMETERS = {
    "collections": ("collection_slug",),
    "deployments": ("deployment_owner", "deployment_name"),
    "files": ("file_id",),
    "models": ("model_owner", "model_name"),
    "predictions": ("prediction_id",),
    "trainings": ("training_id",),
    "versions": ("version_id",),
}
_WORDS = frozenset(
    [
        *("account", "cancel", "default", "download", "examples", "hardware", "readme", "search"),
        *("secret", "webhooks"),
    ]
)
# What a prediction's metrics have in seconds.
_TIMES = ("predict_time", "total_time", "time_to_first_token")
# Numbers from here on are no counts, and cannot be exported.
_MAX_NUMBER = 2**53
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"))


def template_of(path: str) -> str | None:
    """Return a path of the API with names in place of ids; None if it is another path.

    ``/v1/predictions/p1/cancel`` is ``/v1/predictions/{prediction_id}/cancel``. What a gateway has
    before the version is left out.
    """
    found = _split_path(path)
    return found and found[1]


def _split_path(path: str) -> tuple[str, str] | None:
    """Return a path of the API as it may be shown, and its template; None if it is another path.

    What a gateway has before the version may be a key. So may ids and names that can be none.
    """
    before, version, rest = path.partition("/v1/")
    if not version:
        before, rest = "", path
    while True:
        segments = rest.strip("/").split("/")
        parts: list[str] = []
        names: list[str] = []
        for segment in segments:
            if names:
                parts.append(f"{{{names.pop(0)}}}")
            elif segment in _PARAMETERS:
                parts.append(segment)
                names = [*_PARAMETERS[segment]]
            elif segment in _WORDS:
                parts.append(segment)
            else:
                break
        else:
            start = version.rstrip("/")
            if not all(map(_is_name, segments)):
                segments = ["REDACTED" if part[:1] == "{" else part for part in parts]
            prefix = "/REDACTED" if before else ""
            return f"{prefix}{start}/{'/'.join(segments)}", f"{start}/{'/'.join(parts)}"
        # A gateway's own path may have a version, too.
        before, again, rest = rest.partition("/v1/")
        if not again:
            return None


def _is_name(text: object) -> bool:
    """Return whether a text can be a name or an id of the API, rather than anything else."""
    return isinstance(text, str) and fullmatch(r"[\w.~-]{1,255}", text, ASCII) is not None


def attributes_of_attempt(method: str, url: str, *, is_api: bool, is_whole: bool) -> Attributes:
    """Return what is known of an attempt before its response.

    Args:
        method: The HTTP method.
        url: The URL, without user, password, query and fragment.
        is_api: Whether it is the API's.
        is_whole: Whether other paths than those of the API are shown. They lead to outputs.

    """
    parts = urlsplit(url)
    attributes: Attributes = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        "network.protocol.version": "1.1",
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = method
    found = _split_path(parts.path) if is_api else None
    if found is not None:
        url = f"{parts.scheme}://{parts.netloc}{found[0]}"
        attributes["url.template"] = found[1]
    elif is_api or not is_whole:
        # Another path of a gateway may begin with its key, too.
        url = f"{parts.scheme}://{parts.netloc}/REDACTED"
    attributes["url.full"] = url
    return attributes


def name_of(path: str, function: Callable[..., Any]) -> str:
    """Return the name of an operation: ``run``, ``predictions.get``, ``file.read``.

    Args:
        path: The class and the name of the method.
        function: Its function.

    """
    owner, _, method = path.rpartition(".")
    owner = owner.removeprefix("Base")
    if owner == "FileOutput":
        return f"file.{function.__name__.removeprefix('_')}"
    name = method.removeprefix("async_")
    if owner in ("Client", "Replicate", "AsyncReplicate", ""):
        return name
    for plural in ("Models", "Deployments"):
        if owner.startswith(plural) and owner != plural:
            owner = f"{plural}.{owner.removeprefix(plural)}"
    return f"{owner.lower()}.{name}"


def arguments_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by their names, the resource included."""
    code = function.__code__
    return {**dict(zip(code.co_varnames[: code.co_argcount], args, strict=False)), **kwargs}


def attributes_of_arguments(arguments: Mapping[str, Any]) -> Attributes:
    """Return the model, the version, the deployment or the prediction that a call names."""
    found: Attributes = {}
    resource = arguments.get("self", arguments.get("client"))
    if isinstance(resource, Prediction):
        found |= attributes_of_prediction(resource, is_request=True)  # pyright: ignore[reportUnknownArgumentType] - of either client
    if isinstance(prediction := arguments.get("prediction"), Prediction):
        found |= attributes_of_prediction(prediction, is_request=True)  # pyright: ignore[reportUnknownArgumentType] - of either client
    for argument in ("ref", "model", "version"):
        _add_target(found, arguments.get(argument))
    if isinstance(resource, _OF_MODELS):
        owner, name = arguments.get("owner"), arguments.get("name")
        if isinstance(owner, str) and isinstance(name, str):
            _add_pair(found, "gen_ai.request.model", owner, name)
        elif not isinstance(owner, str) or "/" in owner:
            _add_target(found, owner)
    elif isinstance(resource, Model):
        _add_pair(found, "gen_ai.request.model", resource.owner, resource.name)
    _add_deployment(found, arguments.get("deployment"))
    return found


def _add_pair(found: Attributes, attribute: str, owner: object, name: object) -> None:
    """Add ``owner/name``; what is no name may be anything, such as a URL with a key."""
    if _is_name(owner) and _is_name(name):
        found[attribute] = f"{owner}/{name}"


def _add_deployment(found: Attributes, deployment: Any) -> None:
    """Add the name of a deployment: of text, of an object, or of a pair."""
    if isinstance(deployment, str):
        deployment = tuple(deployment.split("/"))
    elif hasattr(deployment, "owner"):
        deployment = deployment.owner, deployment.name
    if isinstance(deployment, tuple) and len(deployment) == 2:  # pyright: ignore[reportUnknownArgumentType] - its items are objects
        _add_pair(found, "replicate.deployment.name", *deployment)  # pyright: ignore[reportUnknownArgumentType] - its items are objects


def _add_target(found: Attributes, ref: Any) -> None:
    """Add the model and the version of a reference; what is no reference is refused elsewhere."""
    if ref is None:
        return
    try:
        version, model = target_of(ref)
    except (TypeError, ValueError):
        return
    if isinstance(ref, str) and "/" in ref:
        model = ModelVersionIdentifier.parse(ref)
    elif isinstance(ref, ModelVersionIdentifier):
        model = ref
    if model is not None:
        _add_pair(found, "gen_ai.request.model", model.owner, model.name)
    if version is not None and _is_name(version):
        found["replicate.model.version"] = version


def attributes_of_prediction(
    prediction: Prediction[Any], *, is_request: bool = False
) -> Attributes:
    """Return what a prediction tells: its model, id, status, times and counts of tokens.

    Args:
        prediction: As last seen.
        is_request: Whether the call is about it, rather than returns it.

    """
    found: Attributes = {}

    def add(name: str, value: object) -> None:
        if isinstance(value, str) and value:
            found[name] = value

    add("gen_ai.response.id", prediction.id)
    add("gen_ai.request.model" if is_request else "gen_ai.response.model", prediction.model)
    if is_request:
        return found
    add("replicate.model.version", prediction.version)
    add("replicate.prediction.status", prediction.status)
    metrics: object = prediction.metrics
    if is_object(metrics):
        for name in _TIMES:
            if (seconds := _to_number(metrics.get(name))) is not None:
                found[f"replicate.prediction.{name}"] = seconds
        for kind in ("input", "output"):
            if (count := _to_number(metrics.get(f"{kind}_token_count"))) is not None:
                found[f"gen_ai.usage.{kind}_tokens"] = int(count)
    return found


def _to_number(value: object) -> float | None:
    """Return a number of a prediction's metrics, which a model makes up; None for a wrong one.

    An exporter that cannot encode a number loses the other spans, too.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_NUMBER else None


def attributes_of_error(error: BaseException) -> Attributes:
    """Return the type of an error, and what support asks for. Its text may hold inputs."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    found: Attributes = {"error.type": f"{module}{kind.__qualname__}"}
    if isinstance(error, ReplicateError):
        request_id = getattr(error, "request_id", None)
        if isinstance(request_id, str):
            found["replicate.request.id"] = request_id
        if isinstance(error.prediction, Prediction):
            found |= attributes_of_prediction(error.prediction)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - of either client
    return found


def without_secrets(text: str) -> str:
    """Return a text without what is in no span, whatever was asked for.

    That is the credentials and the signatures in URLs, and the content of `data:` URIs.
    """
    if match(r"(?i)data:[^\s,]{0,255},", text):
        return f"{text.partition(',')[0]},REDACTED"
    text = sub(r"(?i)(\bdata:[^\s,\"<>]{0,255},)[^\s\"<>]+", r"\1REDACTED", text)
    return sub(r"(?i)\bhttps?://[^\s\"<>]+", _without_secrets_of_url, text)


def _without_secrets_of_url(found: Match[str]) -> str:
    scheme, _, rest = found[0].partition("//")
    path = split(r"[?#]", rest, maxsplit=1)[0]
    # A user's name and password, also of a URL within the URL.
    parts = [part.rpartition("@")[2] if ":" in part else part for part in path.split("/")]
    return f"{scheme}//{'/'.join([parts[0].rpartition('@')[2], *parts[1:]])}"


def _shown(value: object, depth: int = MAX_DEPTH) -> object:
    """Return a value without secrets in its texts; of files and other objects, their types."""
    if isinstance(value, str):
        return without_secrets(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if is_array(value) and depth:
        return [_shown(each, depth - 1) for each in value]
    if is_object(value) and depth:
        return {without_secrets(str(key)): _shown(each, depth - 1) for key, each in value.items()}
    return f"<{type(value).__name__}>"


def input_messages(value: object) -> str:
    """Return a model's inputs as one message of a user: its prompt, or else all as JSON.

    Inputs whose names are those of secrets are left out.
    """
    value = _shown(hide("", value))
    prompt = value.get("prompt") if is_object(value) else None
    text = prompt if isinstance(prompt, str) else dumps(value)
    return dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])


def output_messages(output: object, *, failed: bool) -> str:
    """Return an output as one message of a model: its text, or else all as JSON."""
    output = _shown(output)
    if is_array(output) and all(isinstance(each, str) for each in output):
        output = "".join(output)
    text = output if isinstance(output, str) else dumps(output)
    reason = "error" if failed else "stop"
    message = {"role": "assistant", "parts": [{"type": "text", "content": text}]}
    return dumps([{**message, "finish_reason": reason}])
