"""What arguments must be. Each rule is stated once, as a function of an argument's name and value.

A rule returns the value in the form that the library uses (seconds as a number, an id as text), or
raises a `TypeError` or `ValueError` that names the argument. `RULES` says which rule is for which
argument of an operation; operations apply it when they are called, so that nothing is sent before
all arguments of a call have been checked.

No message shows a value that may be a secret: headers, tokens, and whatever has a type that it
should not have.
"""

from __future__ import annotations

from .._core import AbortController, AbortSignal, is_plain
from .credentials import Secret, reveal, strip_frames
from .typing import TYPE_CHECKING, is_array, is_object, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from .types import HasTimeouts as HasTimeouts
    from .types import Limit as Limit
    from .types import Seconds as Seconds

    Rule: TypeAlias = Callable[[str, Any], Any]

# How a file among a model's inputs is sent.
STRATEGIES = ("default", "upload", "url", "data-uri", "base64")
# Events that a webhook may tell of.
EVENTS = ("start", "output", "logs", "completed")

# What a header's name may consist of besides letters and digits (RFC 9110, §5.6.2).
TOKEN = frozenset("!#$%&'*+-.^_`|~")
# The flag of a coroutine function's code
# (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_COROUTINE = 128
# Characters of a value that a message shows.
LONGEST = 80
# Of the `repr` of a record: characters of a text, items of a list or an object, lists within lists,
# characters of a field.
MAX_SHOWN, MAX_ITEMS, MAX_DEPTH, MAX_FIELD = 200, 20, 8, 2000
# A bare number from here on is no time between polls.
MILLISECONDS = 100
# What the Node client has beside the inputs in its options, and what it calls a prediction's
# target.
NODE_OPTIONS = frozenset(
    (
        "input",
        "wait",
        "webhook",
        "webhook_events_filter",
        "signal",
        "stream",
        "version",
        "model",
        "deployment",
        "destination",
    )
)


def wrong_type(name: str, wanted: str, value: object) -> TypeError:
    """Return the error for an argument of the wrong type."""
    return TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def wrong_value(name: str, wanted: str, value: object) -> ValueError:
    """Return the error for an argument of the right type with a value that will not do."""
    return ValueError(f"{name} must be {wanted}, not {_shown(value)}")


def _shown(value: object) -> str:
    try:
        shown = ascii(value)
    except ValueError:
        # Python writes integers of 4,300 digits at most.
        return "a number of so many digits"
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def shortened(value: object, depth: int = 0) -> str:
    """Return the `repr` of a JSON value, with what is long cut: a file in its own address, or the
    logs of an hour.
    """
    if isinstance(value, (str, bytes)) and len(value) > MAX_SHOWN:
        return (
            f"{value[:MAX_SHOWN]!r}… ({len(value):,}"
            f" {'characters' if isinstance(value, str) else 'bytes'})"
        )
    if not is_object(value) and not (is_array(value) and type(value) is list):
        return repr(value)
    if depth == MAX_DEPTH:
        return "…"
    items: list[str] = []
    if is_object(value):
        items = [
            f"{shortened(name)}: {shortened(each, depth + 1)}"
            for name, each in [*value.items()][:MAX_ITEMS]
        ]
    elif is_array(value):
        items = [shortened(each, depth + 1) for each in value[:MAX_ITEMS]]
    if len(value) > MAX_ITEMS:
        items.append(f"… ({len(value):,} in all)")
    shown = ", ".join(items)
    shown = shown if len(shown) <= MAX_FIELD else f"{shown[:MAX_FIELD]}…"
    return f"{{{shown}}}" if is_object(value) else f"[{shown}]"


def text(name: str, value: object) -> str:
    """Check text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise wrong_type(name, "a str", value)
    if not value.isascii():
        encodable(name, value)
    return value


def encodable(name: str, value: str) -> str:
    """Refuse text with half of a surrogate pair, which nothing can carry."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} must be Unicode text; this has half of a surrogate pair"
        ) from None
    return value


def flag(name: str, value: object) -> bool:
    """Check a bool."""
    if not isinstance(value, bool):
        raise wrong_type(name, "True or False", value)
    return value


def integer(name: str, value: object, least: int = 0, most: int = (1 << 63) - 1) -> int:
    """Check a whole number."""
    index = getattr(type(value), "__index__", None)
    if isinstance(value, bool) or index is None:
        raise wrong_type(name, "a whole number", value)
    try:
        number = int(index(value))
    except (TypeError, ValueError):
        raise wrong_type(name, "a whole number", value) from None
    if not least <= number <= most:
        raise wrong_value(
            name,
            f"a whole number, {least} or more" if number < least else f"at most {most}",
            number,
        )
    return number


def number(name: str, value: object, wanted: str) -> float:
    """Check a number, or a `timedelta`, which is given as its seconds."""
    if type(value) is float or type(value) is int:
        result: float = value
    else:
        convert = getattr(type(value), "total_seconds", None) or getattr(
            type(value), "__float__", None
        )
        if isinstance(value, (bool, str, bytes)) or convert is None:
            raise wrong_type(name, f"{wanted}, or a timedelta", value)
        try:
            result = float(convert(value))
        except (TypeError, ValueError):
            raise wrong_type(name, f"{wanted}, or a timedelta", value) from None
        except OverflowError:
            raise wrong_value(name, wanted, value) from None
    # What no float can hold is no time either; NaN is not equal to itself.
    if not -1e300 < result < 1e300:
        raise wrong_value(name, wanted, value)
    return result


def seconds(name: str, value: object) -> float:
    """Check a time above 0."""
    wanted = "a number of seconds above 0"
    result = number(name, value, wanted)
    if not result > 0:
        raise wrong_value(name, wanted, value)
    return result


def interval(name: str, value: object) -> float:
    """Check a time that may be 0."""
    wanted = "a number of seconds, 0 or more"
    result = number(name, value, wanted)
    if not result >= 0:
        raise wrong_value(name, wanted, value)
    return result


def pause(name: str, value: object) -> float:
    """Check the time between two polls.

    A number that can only be milliseconds, in which Node counts, is refused.
    """
    result = interval(name, value)
    if result >= MILLISECONDS and not hasattr(type(value), "total_seconds"):
        raise ValueError(
            f"{name} is in seconds: write {result / 1000:g} for {result:g} milliseconds, "
            f"or timedelta(seconds={result:g}) if you mean seconds"
        )
    return result


def limit(name: str, value: Limit | None) -> float | None:
    """Return the seconds that a call may take; None is without a limit.

    Of a `Timeout`, or one of httpx, the `total` counts, or else its longest part, so that
    ``Timeout(60)`` means what 60 does.
    """
    if value is None:
        return None
    if not is_timeout(value):
        return seconds(name, value)
    parts = {
        part: seconds_or_none(f"{name}.{part}", getattr(value, part, None))
        for part in ("total", *PARTS)
    }
    if parts["total"] is not None:
        return parts["total"]
    return (
        None if parts["read"] is None else max(part for part in parts.values() if part is not None)
    )


# The parts of a request that a timeout has seconds for.
PARTS = ("connect", "read", "write", "pool")


def is_timeout(value: object) -> bool:
    """Whether a value has a limit for each part of a request: a `Timeout`, or one of httpx."""
    return all(hasattr(value, part) for part in PARTS)


def seconds_or_none(name: str, value: object) -> float | None:
    """Check a time above 0, or None: without a limit."""
    return None if value is None else seconds(name, value)


def hold(name: str, value: object) -> Any:
    """Check for how long a create is to be held open: a bool, seconds, or what `run` takes beside
    these, a dict.
    """
    if isinstance(value, bool):
        return value
    if not is_object(value):
        return number_of_hold(name, value)
    if unknown := [key for key in value if key not in ("mode", "interval", "timeout")]:
        raise TypeError(f"{name} has no option {_shown(unknown[0])}: mode, interval or timeout")
    options: dict[str, Any] = {**value}
    if options.get("mode", "block") not in ("block", "poll"):
        raise wrong_value(f"{name}['mode']", "'block' or 'poll'", options["mode"])
    if options.get("interval") is not None:
        options["interval"] = pause(f"{name}['interval']", options["interval"])
    if options.get("timeout") is not None and not isinstance(options["timeout"], bool):
        options["timeout"] = number_of_hold(f"{name}['timeout']", options["timeout"])
    return options


def number_of_hold(name: str, value: object) -> float:
    """Check the seconds of a hold."""
    wanted = "a bool or a number of seconds above 0"
    result = number(name, value, wanted)
    if not result >= 0:
        raise wrong_value(name, wanted, value)
    return result


def prefer(name: str, value: object) -> str:
    """Check the header `Prefer`, of which ``wait`` is what the API knows."""
    wait, equals, least = text(name, value).partition("=")
    if wait != "wait" or (equals and not (least.isascii() and least.isdigit() and len(least) < 10)):
        raise wrong_value(name, "'wait' or 'wait=' and seconds", value)
    return str(value)


def lifetime(name: str, value: object) -> str:
    """Check after how long a prediction is to be cancelled, and give it as the header's text.

    The API takes whole seconds, or hours, minutes and seconds as in ``1h30m``.
    """
    if isinstance(value, str):
        rest = value
        for unit in "hms":
            digits, found, after = rest.partition(unit)
            if found and digits.isdigit():
                rest = after
        if not value.isascii() or (rest and not value.isdigit()) or not value:
            raise wrong_value(name, "seconds, or a duration such as '1h30m'", value)
        return value
    # Rounded up: half a second more is better than one less.
    return str(int(-(-seconds(name, value) // 1)))


def abort_signal(name: str, value: object) -> AbortSignal:
    """Check what stops a call; of a controller its signal is taken."""
    if isinstance(value, AbortController):
        return value.signal
    if not isinstance(value, AbortSignal):
        raise wrong_type(
            name, "an AbortSignal: AbortController().signal, or AbortSignal.timeout(seconds)", value
        )
    return value


def identity(name: str, value: object) -> str:
    """Return an id: text, or that of an object that has one."""
    if isinstance(value, str):
        return text(name, value)
    refuse_arguments(name, value)
    id = getattr(value, "id", None)
    if not isinstance(id, str):
        raise wrong_type(name, "a str, or an object with an id", value)
    return text(name, id)


def version(name: str, value: object) -> str:
    """Return a version's id, or ``owner/name:version`` where a reference was given."""
    if is_array(value) and isinstance(getattr(value, "version", None), str):
        return text(name, str(value))
    return identity(name, value)


def refuse_arguments(name: str, value: object) -> None:
    """Refuse a dict of arguments in the place of the first one."""
    if is_object(value):
        example = (
            f"{name}=…, input={{…}}"
            if name in ("ref", "version", "model", "deployment")
            else f"{name}=…"
        )
        raise TypeError(
            f"{name} must be a str, not a dict: pass arguments by name, as in {example}, or put **"
            " before the dict"
        )


def reference(name: str, value: object) -> Any:
    """Check that something names a model, a version or a deployment; what text says is looked at
    where it is read.
    """
    if isinstance(value, str):
        return text(name, value)
    refuse_arguments(name, value)
    if is_array(value) and not hasattr(value, "owner"):
        if (
            not isinstance(value, tuple)
            or len(value) != 2
            or not all(isinstance(part, str) for part in value)
        ):
            raise TypeError(f"{name} must be 'owner/name', or a pair of an owner and a name")
        text(name, "/".join(value))
        return value
    if isinstance(getattr(value, "owner", None), str) and isinstance(
        getattr(value, "name", None), str
    ):
        return value
    if isinstance(getattr(value, "id", None), str):
        return value
    raise wrong_type(name, "'owner/name', 'owner/name:version', a model or a version", value)


def url(name: str, value: object) -> str:
    """Check the address of a webhook."""
    address = text(name, value)
    scheme, _, rest = address.partition("://")
    odd = " " in address or not address.isprintable()
    if scheme not in ("https", "http") or not rest.partition("/")[0] or odd:
        # One with a password is not shown.
        raise ValueError(
            f"{name} must be an https URL" + ("" if "@" in address else f", not {_shown(address)}")
        )
    return address


def events(name: str, value: object) -> list[str]:
    """Check which events a webhook is to tell of."""
    given: Any = value
    if isinstance(value, (str, bytes)) or not hasattr(type(value), "__iter__"):
        raise wrong_type(name, "a list of event names", value)
    names: list[object] = list(given)
    return [_event(name, each) for each in names]


def _event(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(name, "a list of event names", value)
    if value not in EVENTS:
        raise ValueError(f"{name}: {_shown(value)} is not one of {', '.join(EVENTS)}")
    return value


def choice(*choices: str) -> Rule:
    """Return the rule for an argument that is one of some texts."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str):
            raise wrong_type(name, f"one of {', '.join(choices)}", value)
        if value not in choices:
            raise wrong_value(name, f"one of {', '.join(choices)}", value)
        return value

    return check


# How files among a model's inputs are sent.
strategy = choice(*STRATEGIES)


def function(name: str, value: object) -> Any:
    """Check a function."""
    if not callable(value):
        raise wrong_type(name, "a function", value)
    return value


def plain_function(name: str, value: object) -> Any:
    """Check a function that is called where nobody can await it."""
    if is_async_function(function(name, value)):
        raise TypeError(f"{name} must be a plain function, not an async one: nobody would await it")
    return value


def sync_function(name: str, value: object) -> Any:
    """Check a function that a blocking client calls."""
    if is_async_function(function(name, value)):
        raise TypeError(
            f"{name} must be a plain function: an async one needs an AsyncReplicate, or an async_"
            " method"
        )
    return value


def is_async_function(value: Any) -> bool:
    """Whether calling a value gives a coroutine, as far as that can be seen: partial functions and
    callable objects included.
    """
    if type(value).__name__ == "partial":
        value = value.func
    code = getattr(value, "__code__", None)
    if code is None:
        code = _code_of_call(value)
    return bool(getattr(code, "co_flags", 0) & CO_COROUTINE)


def _code_of_call(value: object) -> Any:
    return getattr(getattr(type(value), "__call__", None), "__code__", None)  # noqa: B004 - whose code is looked at


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Check a dict, or what is like one."""
    if not (hasattr(type(value), "keys") and hasattr(type(value), "__getitem__")):
        raise wrong_type(name, "a dict", value)
    given: Any = value
    return value if is_object(value) else {**given}


def is_token(value: str) -> bool:
    """Whether text can be a header's name, or a method."""
    return (
        bool(value)
        and value.isascii()
        and all(character.isalnum() or character in TOKEN for character in value)
    )


def headers(name: str, value: object) -> list[tuple[str, str]]:
    """Return headers, given as a mapping or as pairs, as pairs; their values are not shown, since
    they may be secrets.
    """
    value = reveal(value)
    items: Any = value if is_array(value) else mapping(name, value).items()
    return [_header(name, item) for item in items]


def _header(name: str, item: Any) -> tuple[str, str]:
    if not is_array(item) or len(item) != 2:
        raise TypeError(f"{name} must be a mapping, or pairs of a name and a value")
    key, value = item
    if not isinstance(key, str):
        raise wrong_type(f"a name in {name}", "a str", key)
    if not is_token(key):
        raise ValueError(f"{name}: {_shown(key)} is not a header's name")
    if not isinstance(value, str):
        raise wrong_type(f"{name}[{_shown(key)}]", "a str", value)
    text = encodable(f"{name}[{_shown(key)}]", value)
    if any((character < " " and character != "\t") or character == "\x7f" for character in text):
        raise ValueError(
            f"{name}[{_shown(key)}] holds characters that HTTP does not allow in a header's value"
        )
    return key, value


def query(name: str, value: object) -> Mapping[str, object]:
    """Check the parts of a query: text, numbers, times, and lists of these."""
    given = mapping(name, value)
    for key, each in given.items():
        if not isinstance(key, str):
            raise wrong_type(f"a name in {name}", "a str", key)
        text(f"a name in {name}", key)
        for part in each if is_array(each) else (each,):
            if isinstance(part, str):
                text(f"{name}[{_shown(key)}]", part)
            elif part is not None and not _has_text(part):
                raise wrong_type(
                    f"{name}[{_shown(key)}]", "text, a number, a time, or a list of these", part
                )
    return given


def _has_text(value: object) -> bool:
    """Whether a value's own class says how it is written."""
    if isinstance(value, (bytes, bytearray, dict, set, frozenset, list, tuple)):
        return False
    kind: Any = type(value)
    return (
        isinstance(value, (int, float))
        or kind.__str__ is not object.__str__
        or hasattr(value, "isoformat")
    )


def json_object(name: str, value: object) -> Mapping[str, object]:
    """Check what goes into JSON as it is."""
    given = mapping(name, value)
    if is_plain(given):
        return given
    try:
        _json(name, given)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply, or holds itself") from None
    return given


def _json(where: str, value: object) -> None:
    if isinstance(value, str):
        encodable(where, value)
    elif isinstance(value, float):
        if value - value != 0:
            raise wrong_value(where, "a number that JSON can carry", value)
    elif is_array(value):
        for index, each in enumerate(value):
            _json(f"{where}[{index}]", each)
    elif is_object(value) or hasattr(type(value), "keys"):
        for key, each in mapping(where, value).items():
            if not isinstance(key, str):
                raise wrong_type(f"a name in {where}", "a str", key)
            _json(f"{where}[{_shown(encodable(f'a name in {where}', key))}]", each)
    elif value is not None and not isinstance(value, int):
        raise wrong_type(
            where, "what JSON can carry: a dict, a list, text, a number, a bool or None", value
        )


# Types that JSON writes, or that have members, but not by name.
NO_INPUTS: tuple[type[Any], ...] = (str, bytes, bytearray, int, float, list, tuple, set, frozenset)


def model_input(name: str, value: object) -> Any:
    """Refuse inputs that cannot be a mapping; dataclasses and models of pydantic are read later."""
    if isinstance(value, NO_INPUTS) or callable(value):
        raise wrong_type(name, "a dict of the model's inputs, such as {'prompt': …}", value)
    return value


def plain_inputs(value: object) -> None:
    """Refuse the options of a call of Node's in the place of a model's inputs: they have an
    ``input`` with these in it.
    """
    if (
        not is_object(value)
        or not is_object(inner := value.get("input"))
        or not NODE_OPTIONS.issuperset(value)
    ):
        return
    others = [f"{name}=…" for name in value if name != "input"]
    shown = f"{{{_shown(next(iter(inner)))}: …}}" if inner else "{}"
    raise TypeError(
        f"input must be the model's inputs themselves: write input={shown}, not {{'input':"
        f" {shown}}}" + (f", and give {', '.join(others)} by name" if others else "")
    )


def moment(name: str, value: object) -> Any:
    """Check a time: ISO 8601, or a `datetime`."""
    if isinstance(value, str):
        return text(name, value)
    if not callable(getattr(value, "isoformat", None)):
        raise wrong_type(name, "ISO 8601 text or a datetime", value)
    return value


def file_path(name: str, value: object) -> Any:
    """Check the path of a file or a folder."""
    to_path = getattr(type(value), "__fspath__", None)
    if not isinstance(value if to_path is None else to_path(value), str):
        raise wrong_type(name, "a path", value)
    return value


def cursor(name: str, value: object) -> Any:
    """Check which page is asked for: nothing, or the `next` or `previous` of a page."""
    if value is ...:
        return value
    if value is None:
        raise ValueError(f"{name} cannot be None: the page before was the last")
    if not isinstance(value, str):
        raise wrong_type(name, "a page's `next` or `previous`", value)
    return text(name, value)


def http_status(name: str, value: object) -> int:
    """Check an HTTP status."""
    return integer(name, value, 100, 999)


def count(name: str, value: object) -> int:
    """Check how many there are, at least one."""
    return integer(name, value, 1)


def content(name: str, value: object) -> bytes:
    """Check bytes, or what gives its memory as such."""
    given: Any = value
    try:
        return memoryview(given).tobytes()
    except TypeError:
        raise wrong_type(name, "bytes or a bytes-like object", value) from None


def event_data(name: str, value: object) -> Any:
    """Check what an event of a stream carries: text, or a file."""
    return (
        text(name, value)
        if isinstance(value, str) or not hasattr(type(value), "__url__")
        else value
    )


def http_method(name: str, value: object) -> str:
    """Check an HTTP method."""
    method = text(name, value)
    if not is_token(method):
        raise wrong_value(name, "an HTTP method", method)
    return method


def _prediction(name: str, value: object) -> Any:
    if not hasattr(type(value), "is_done"):
        raise wrong_type(name, "a Prediction (predictions.wait takes an id)", value)
    return value


def _moment_in_seconds(name: str, value: object) -> int:
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
        else integer(name, value)
    )


def _size(name: str, value: object) -> int:
    return integer(name, value, -(1 << 63))


def _whence(name: str, value: object) -> int:
    return integer(name, value, 0, 2)


def _buffer(name: str, value: Any) -> Any:
    try:
        if not memoryview(value).readonly:
            return value
    except TypeError:
        pass
    raise wrong_type(name, "a writable buffer, such as a bytearray", value)


# The type of values that need no look, and the rule for all others.
RULES: dict[str, tuple[type | None, Rule]] = {
    **dict.fromkeys(
        ("id", "prediction_id", "training_id", "file_id", "slug", "collection_slug", "hardware"),
        (str, identity),
    ),
    **dict.fromkeys(("version", "version_id"), (str, version)),
    **dict.fromkeys(
        ("ref", "model", "deployment", "destination", "owner", "key"), (str, reference)
    ),
    **dict.fromkeys(
        ("name", "model_owner", "model_name", "deployment_owner", "deployment_name"), (str, text)
    ),
    **dict.fromkeys(
        ("description", "readme", "github_url", "paper_url", "license_url", "weights_url"),
        (str, text),
    ),
    **dict.fromkeys(
        (
            "cover_image_url",
            "query",
            "body",
            "filename",
            "content_type",
            "type",
            "signature",
            "route",
        ),
        (str, text),
    ),
    **dict.fromkeys(
        ("cancel_on_exit", "use_file_output", "overwrite", "cached", "stream", "streaming"),
        (bool, flag),
    ),
    **dict.fromkeys(("webhook", "webhook_completed"), (None, url)),
    **dict.fromkeys(("created_after", "created_before"), (str, moment)),
    **dict.fromkeys(("min_instances", "max_instances"), (None, integer)),
    **dict.fromkeys(("headers", "extra_headers"), (None, headers)),
    **dict.fromkeys(("params", "extra_query"), (None, query)),
    **dict.fromkeys(("extra_body", "metadata"), (None, json_object)),
    "input": (dict, model_input),
    "signal": (AbortSignal, abort_signal),
    "timeout": (None, limit),
    "interval": (None, pause),
    "wait": (bool, hold),
    "prefer": (None, prefer),
    "cancel_after": (None, lifetime),
    "webhook_events_filter": (None, events),
    "file_encoding_strategy": (None, strategy),
    "progress": (None, function),
    "upload_progress": (None, plain_function),
    "prediction": (None, _prediction),
    "cursor": (None, cursor),
    "limit": (None, count),
    "expiry": (None, _moment_in_seconds),
    **dict.fromkeys(("size", "offset"), (None, _size)),
    "whence": (None, _whence),
    "buffer": (bytearray, _buffer),
    "path": (None, file_path),
    "method": (None, http_method),
    "visibility": (None, choice("public", "private")),
    "source": (None, choice("web")),
    "sort_by": (None, choice("model_created_at", "latest_version_created_at")),
    "sort_direction": (None, choice("asc", "desc")),
}
# Those for calls that block.
BLOCKING_RULES = {**RULES, "progress": (None, sync_function)}


def checker(
    function: Callable[..., Any], rules: Mapping[str, tuple[type | None, Rule]]
) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]:
    """Return what checks the arguments of a call of `function`, the first of which is its resource.

    It returns the arguments that are given by position, and puts those that are given by name in
    the form that is used.
    """
    code, written = function.__code__, texts(function)
    names = code.co_varnames[: code.co_argcount]
    # The types of arguments that need no look, by position; the first is the resource.
    plain = [object, *(rules[name][0] if name in rules else object for name in names[1:])]
    first = [*plain, None][1]
    # Where the inputs are, if they are given by position.
    inputs = (*names, "input").index("input")

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if kwargs:
            _check_named(written, kwargs, rules)
        if len(args) == 1 or (
            len(args) == 2 and first is str and type(args[1]) is str and args[1].isascii()
        ):
            # What is given most often.
            return args
        if len(args) > inputs:
            plain_inputs(args[inputs])
        for value, kind in zip(args, plain, strict=False):
            if kind is not object and not _is_plain(value, kind):
                break
        else:
            return args
        given = list(args)
        for place, name in enumerate(names[1 : len(args)], 1):
            if (rule := rules.get(name)) is not None and not _is_plain(args[place], rule[0]):
                given[place] = _applied(written, name, args[place], rule[1])
        return tuple(given)

    return check


def _check_named(
    written: Mapping[str, str],
    kwargs: dict[str, Any],
    rules: Mapping[str, tuple[type | None, Rule]],
) -> None:
    """Put arguments that are given by name in the form that is used: headers, which may be secrets,
    in one that is not shown.
    """
    try:
        for name in ("headers", "extra_headers"):
            if name in kwargs and name in rules and type(kwargs[name]) is not Secret:
                pairs = _applied(written, name, kwargs[name], rules[name][1])
                kwargs[name] = None if pairs is None else Secret(pairs)
        for name, value in kwargs.items():
            if (
                (rule := rules.get(name)) is not None
                and not _is_plain(value, rule[0])
                and type(value) is not Secret
            ):
                kwargs[name] = _applied(written, name, value, rule[1])
    except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
        # Reports of errors show the locals of frames: of this one, and of its caller, which has the
        # same arguments.
        value = pairs = None
        kwargs.clear()
        raise strip_frames(error) from error.__cause__


def _is_plain(value: object, kind: type | None) -> bool:
    """Whether a value is of the type that needs no look.

    Of text, what is not ASCII is looked at.
    """
    return type(value) is kind and (kind is not str or str.isascii(value))  # type: ignore[arg-type] # it is a str


def _applied(written: Mapping[str, str], name: str, value: object, rule: Rule) -> Any:
    """Apply a rule; None may be given where the annotation says so, and for options, which have
    none.
    """
    if value is None and "None" in written.get(name, "None"):
        return None
    return rule(name, value)
