"""The arguments of operations: which rule each one must satisfy, and their other spellings.

`operation` and `streaming` check the arguments of a call before anything is sent. Signatures, help
and type checkers show one name for each argument; the other names that 1.0.7 and 2.0 have for it
stand in `ALIASES`.
"""

from __future__ import annotations

from .._core import AbortSignal
from . import checks
from .credentials import Secret, strip_frames
from .typing import TYPE_CHECKING, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from .checks import Check

    # The type of values that need no check, and the check of all others.
    Rules: TypeAlias = Mapping[str, tuple[type | None, Check]]
    # Names that stand for others: the canonical names, then the names that may be given instead.
    # Two that stand for one are the owner and the name of a model or a deployment.
    Alias: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]

# By the argument's canonical name.
RULES: dict[str, tuple[type | None, Check]] = {
    **dict.fromkeys(("id", "file_id", "slug", "hardware"), (str, checks.resource_id)),
    **dict.fromkeys(("version", "version_id"), (str, checks.version)),
    **dict.fromkeys(
        ("ref", "model", "deployment", "destination", "owner"), (str, checks.reference)
    ),
    **dict.fromkeys(
        (
            "name",
            "description",
            "readme",
            "query",
            "filename",
            "content_type",
            "signature",
            "route",
        ),
        (str, checks.text),
    ),
    **dict.fromkeys(
        ("github_url", "paper_url", "license_url", "weights_url", "cover_image_url"),
        (str, checks.text),
    ),
    **dict.fromkeys(
        ("cancel_on_exit", "use_file_output", "overwrite", "cached", "stream", "streaming"),
        (bool, checks.flag),
    ),
    **dict.fromkeys(("webhook", "webhook_completed"), (None, checks.webhook_url)),
    **dict.fromkeys(("created_after", "created_before"), (str, checks.timestamp)),
    **dict.fromkeys(("min_instances", "max_instances"), (None, checks.integer)),
    **dict.fromkeys(("headers", "extra_headers"), (None, checks.headers)),
    **dict.fromkeys(("params", "extra_query"), (None, checks.query)),
    **dict.fromkeys(("extra_body", "metadata"), (None, checks.json_object)),
    **dict.fromkeys(("size", "offset"), (None, checks.signed_integer)),
    "input": (dict, checks.model_input),
    "signal": (AbortSignal, checks.abort_signal),
    "timeout": (None, checks.limit),
    "interval": (None, checks.poll_interval),
    "wait": (bool, checks.wait),
    "prefer": (None, checks.prefer),
    "cancel_after": (None, checks.cancel_after),
    "webhook_events_filter": (None, checks.events),
    "file_encoding_strategy": (None, checks.strategy),
    "progress": (None, checks.progress),
    "upload_progress": (None, checks.plain_progress),
    "prediction": (None, checks.prediction),
    "cursor": (None, checks.cursor),
    "limit": (None, checks.count),
    "expiry": (None, checks.unix_time),
    "whence": (None, checks.whence),
    "buffer": (bytearray, checks.writable_buffer),
    "path": (None, checks.file_path),
    "method": (None, checks.http_method),
    "visibility": (None, checks.choice("public", "private")),
    "source": (None, checks.choice("web")),
    "sort_by": (None, checks.choice("model_created_at", "latest_version_created_at")),
    "sort_direction": (None, checks.choice("asc", "desc")),
}
# The rules of calls that block: these cannot await a caller's function.
BLOCKING_RULES = {**RULES, "progress": (None, checks.sync_progress)}

_MODEL_NAMES = ("model_owner", "model_name")
_DEPLOYMENT_NAMES = ("deployment_owner", "deployment_name")
_MODEL: Alias = (("owner", "name"), _MODEL_NAMES)
_MODEL_KEY: Alias = (("owner", "name"), ("key",))
_DEPLOYMENT: Alias = (("owner", "name"), _DEPLOYMENT_NAMES)
_PREDICTION_ID: Alias = (("id",), ("prediction_id",))
_TRAINING_ID: Alias = (("id",), ("training_id",))

# By the qualified name of the operation's function.
ALIASES: dict[str, tuple[Alias, ...]] = {
    "Collections.get": ((("slug",), ("collection_slug",)),),
    **dict.fromkeys(
        ("Deployments.get", "Deployments.update", "Deployments.delete"), (_DEPLOYMENT,)
    ),
    "DeploymentsPredictions.create": ((("deployment",), _DEPLOYMENT_NAMES),),
    "Files.create": ((("file",), ("content",)), (("content_type",), ("type",))),
    **dict.fromkeys(("Models.get", "Models.delete"), (_MODEL, _MODEL_KEY)),
    **dict.fromkeys(("Models.update", "Examples.list", "Readmes.get"), (_MODEL,)),
    **dict.fromkeys(("Versions.list", "Versions.get", "Versions.delete"), (_MODEL,)),
    "Models.search": ((("query",), ("body",)),),
    "ModelsPredictions.create": ((("model",), _MODEL_NAMES),),
    **dict.fromkeys(
        ("Predictions.get", "Predictions.cancel", "Predictions.wait", "Predictions.stream"),
        (_PREDICTION_ID,),
    ),
    "Trainings.create": ((("model",), _MODEL_NAMES), (("version",), ("version_id",))),
    **dict.fromkeys(("Trainings.get", "Trainings.cancel"), (_TRAINING_ID,)),
}


def aliases_of(function: Callable[..., Any]) -> frozenset[str]:
    """Return the other spellings of the arguments of an operation's function."""
    aliases = ALIASES.get(function.__qualname__, ())
    return frozenset(name for _, names in aliases for name in names)


def checker(
    function: Callable[..., Any], rules: Rules
) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]:
    """Return a function that checks the arguments of a call.

    Args:
        function: The operation's function; its first argument is the resource.
        rules: `RULES` or `BLOCKING_RULES`.

    Returns:
        A function of the positional and the keyword arguments. It returns the positional arguments,
        and changes the keyword arguments in place: to canonical names and checked values.

    """
    code, annotations = function.__code__, texts(function)
    names = code.co_varnames[: code.co_argcount]
    # The types of positional arguments that need no check; the first is the resource.
    plain: list[Any] = [
        object,
        *(rules[name][0] if name in rules else object for name in names[1:]),
    ]
    first = [*plain, None][1]
    input_index = (*names, "input").index("input")
    aliases = aliases_of(function)

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if kwargs:
            if aliases and not aliases.isdisjoint(kwargs):
                args = _resolve_aliases(function, names, args, kwargs, rules)
            _check_keywords(annotations, kwargs, rules)
        if len(args) == 1 or (
            len(args) == 2 and first is str and type(args[1]) is str and args[1].isascii()
        ):
            # The most frequent calls.
            return args
        if (
            len(args) > input_index
            and isinstance(args[input_index], dict)
            and "input" in args[input_index]
        ):
            checks.refuse_call_options(args[input_index])
        for value, kind in zip(args, plain, strict=False):
            # The body of `_is_plain`, to save a call for each argument.
            if kind is not object and (
                type(value) is not kind or (kind is str and not value.isascii())
            ):
                break
        else:
            return args
        checked = list(args)
        for index, name in enumerate(names[1 : len(args)], 1):
            if (rule := rules.get(name)) is not None and not _is_plain(args[index], rule[0]):
                checked[index] = _apply(annotations, name, args[index], rule[1])
        return tuple(checked)

    return check


def _check_keywords(annotations: Mapping[str, str], kwargs: dict[str, Any], rules: Rules) -> None:
    """Replace keyword arguments by their checked values, headers by a `Secret` of theirs."""
    try:
        for name in ("headers", "extra_headers"):
            if name in kwargs and name in rules and type(kwargs[name]) is not Secret:
                headers = _apply(annotations, name, kwargs[name], rules[name][1])
                kwargs[name] = None if headers is None else Secret(headers)
        for name, value in kwargs.items():
            if (
                (rule := rules.get(name)) is not None
                and not _is_plain(value, rule[0])
                and type(value) is not Secret
            ):
                kwargs[name] = _apply(annotations, name, value, rule[1])
    except Exception as error:  # noqa: BLE001 - a caller's object may raise anything
        # Error reports show the locals of frames: of this one, and of its caller, which has the
        # same arguments.
        value = headers = None
        kwargs.clear()
        raise strip_frames(error) from error.__cause__


def _resolve_aliases(
    function: Callable[..., Any],
    parameters: tuple[str, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    rules: Rules,
) -> tuple[Any, ...]:
    """Return the positional arguments; move keyword arguments to their canonical names.

    Raises:
        TypeError: An argument is given twice, or has the wrong type.
        ValueError: The value of an argument is not allowed.

    """
    positional = dict(zip(parameters, args, strict=False))
    try:
        for canonical, names in ALIASES[function.__qualname__]:
            values = {
                name: value for name in names if (value := kwargs.pop(name, None)) is not None
            }
            if not values:
                continue
            if any(positional.get(name, kwargs.get(name)) is not None for name in canonical):
                raise TypeError(f"give {_listed(canonical)} or {_listed(names)}, once")
            rule = rules.get(canonical[0]) if len(names) == 1 else rules["name"]
            for name, value in values.items():
                values[name] = value if rule is None else rule[1](name, value)
            if len(names) == len(canonical):
                resolved = {new: values.get(old) for new, old in zip(canonical, names, strict=True)}
            else:
                parts = [*values.values()]
                resolved = {canonical[0]: parts[0] if len(parts) == 1 else tuple(parts)}
            for name, value in resolved.items():
                (positional if name in positional else kwargs)[name] = value
    except (TypeError, ValueError):
        # Error reports show the locals of frames, and headers may be secrets.
        kwargs.clear()
        raise
    return (*positional.values(), *args[len(positional) :])


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(f"{name}=" for name in names)


def _is_plain(value: object, kind: type | None) -> bool:
    """Return whether a value has the type that needs no check; text must be ASCII, too."""
    return type(value) is kind and (kind is not str or str.isascii(value))  # type: ignore[arg-type] # it is a str


def _apply(annotations: Mapping[str, str], name: str, value: object, check: Check) -> Any:
    """Apply a check; None passes where the annotation allows it, and for shared options."""
    if value is None and "None" in annotations.get(name, "None"):
        return None
    return check(name, value)
