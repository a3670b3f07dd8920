"""Names and attributes of spans and metrics.

They follow the semantic conventions for generative AI and for HTTP clients. What these do not name
begins with ``replicate.``.
"""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .._base.typing import is_array, is_object
from ..exceptions import ReplicateError
from ..identifier import ModelVersionIdentifier, target_of
from ..model import Model, Models
from ..prediction import Prediction
from ..version import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
    before, version, rest = path.partition("/v1/")
    segments = rest.strip("/").split("/") if version else path.strip("/").split("/")
    del before
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
            return None
    return f"/v1/{'/'.join(parts)}" if version else f"/{'/'.join(parts)}"


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
    template = template_of(parts.path) if is_api else None
    if template is not None:
        attributes["url.template"] = template
    elif not is_whole:
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
            found["gen_ai.request.model"] = f"{owner}/{name}"
        elif not isinstance(owner, str) or "/" in owner:
            _add_target(found, owner)
    elif isinstance(resource, Model):
        found["gen_ai.request.model"] = f"{resource.owner}/{resource.name}"
    _add_deployment(found, arguments.get("deployment"))
    return found


def _add_deployment(found: Attributes, deployment: Any) -> None:
    """Add the name of a deployment: of text, of an object, or of a pair."""
    if isinstance(deployment, str):
        found["replicate.deployment.name"] = deployment
    elif hasattr(deployment, "owner"):
        found["replicate.deployment.name"] = f"{deployment.owner}/{deployment.name}"
    elif deployment:
        found["replicate.deployment.name"] = "/".join(map(str, deployment))


def _add_target(found: Attributes, ref: Any) -> None:
    """Add the model and the version of a reference; what is no reference is refused elsewhere."""
    if ref is None:
        return
    try:
        version, model = target_of(ref)
    except (TypeError, ValueError):
        return
    if model is not None:
        found["gen_ai.request.model"] = f"{model.owner}/{model.name}"
    elif isinstance(ref, str) and "/" in ref:
        found["gen_ai.request.model"] = ref.partition(":")[0]
    elif isinstance(ref, ModelVersionIdentifier):
        found["gen_ai.request.model"] = f"{ref.owner}/{ref.name}"
    if version is not None:
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


def input_messages(value: object) -> str:
    """Return a model's inputs as one message of a user: its prompt, or else all as JSON."""
    prompt = value.get("prompt") if is_object(value) else None
    text = prompt if isinstance(prompt, str) else _to_json(value)
    return dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])


def output_messages(output: object, *, failed: bool) -> str:
    """Return an output as one message of a model: its text, or else all as JSON."""
    if is_array(output) and all(isinstance(each, str) for each in output):
        output = "".join(output)
    text = output if isinstance(output, str) else _to_json(output)
    reason = "error" if failed else "stop"
    message = {"role": "assistant", "parts": [{"type": "text", "content": text}]}
    return dumps([{**message, "finish_reason": reason}])


def _to_json(value: object) -> str:
    """Return a value as JSON; files and other objects are named by their types."""
    return dumps(value, default=lambda each: f"<{type(each).__name__}>")
