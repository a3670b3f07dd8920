"""Checks of arguments: each is a function of an argument's name and its value.

A check returns the value in the form that the library uses (seconds as a number, an id as text), or
raises a `TypeError` or a `ValueError` that names the argument. `arguments.RULES` assigns checks to
the arguments of operations.

No message shows a value that may be secret: a header, a token, or any value of a wrong type.
"""

from __future__ import annotations

from .._core import AbortController, AbortSignal, is_plain
from .credentials import reveal
from .typing import TYPE_CHECKING, is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from .types import HasTimeouts as HasTimeouts
    from .types import Limit as Limit
    from .types import Seconds as Seconds

    Check: TypeAlias = Callable[[str, Any], Any]

# Values of `file_encoding_strategy`.
STRATEGIES = ("default", "upload", "url", "data-uri", "base64")
# Values of `webhook_events_filter`.
EVENTS = ("start", "output", "logs", "completed")
# The parts of a request that a `Timeout` limits.
PARTS = ("connect", "read", "write", "pool")

# Characters of a header's name besides letters and digits (RFC 9110, §5.6.2).
TOKEN = frozenset("!#$%&'*+-.^_`|~")
# The flag of a coroutine function's code
# (https://docs.python.org/3/library/inspect.html#code-objects-bit-flags).
CO_COROUTINE = 128
# A poll interval of this many seconds or more is taken for milliseconds.
MAX_POLL_INTERVAL = 100
# The keys of a Node client's call options.
NODE_OPTIONS = {
    *("input", "wait", "webhook", "webhook_events_filter", "signal", "stream", "destination"),
    *("version", "model", "deployment"),
}
# Types that are no mapping of inputs, though JSON can carry them or they have members.
NOT_INPUTS: tuple[type[Any], ...] = (str, bytes, bytearray, int, float, list, tuple, set, frozenset)


# Text, flags and numbers.


# Characters of a value that an error message shows.
MAX_SHOWN = 80


def wrong_type(name: str, wanted: str, value: object) -> TypeError:
    """Return the error for an argument of the wrong type; its message does not show the value."""
    return TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def wrong_value(name: str, wanted: str, value: object) -> ValueError:
    """Return the error for an argument of the right type with a value that is not allowed."""
    return ValueError(f"{name} must be {wanted}, not {shown(value)}")


def shown(value: object) -> str:
    """Return a value as an error message shows it."""
    try:
        text = ascii(value)
    except ValueError:
        # Python converts integers of at most 4,300 digits to text.
        return "an integer with too many digits to show"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def text(name: str, value: object) -> str:
    """Check text; it must be encodable as UTF-8."""
    if not isinstance(value, str):
        raise wrong_type(name, "a str", value)
    if not value.isascii():
        encodable(name, value)
    return value


def encodable(name: str, value: str) -> str:
    """Refuse text with an unpaired surrogate, which UTF-8 cannot encode."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} must be Unicode text; this has half of a surrogate pair"
        ) from None
    return value


def choice(*choices: str) -> Check:
    """Return a check for one of several texts."""
    wanted = f"one of {', '.join(choices)}"

    def check(name: str, value: object) -> str:
        if not isinstance(value, str):
            raise wrong_type(name, wanted, value)
        if value not in choices:
            raise wrong_value(name, wanted, value)
        return value

    return check


strategy = choice(*STRATEGIES)


def flag(name: str, value: object) -> bool:
    """Check a bool."""
    if not isinstance(value, bool):
        raise wrong_type(name, "True or False", value)
    return value


def integer(name: str, value: object, minimum: int = 0, maximum: int = (1 << 63) - 1) -> int:
    """Check a whole number within limits."""
    index = getattr(type(value), "__index__", None)
    if isinstance(value, bool) or index is None:
        raise wrong_type(name, "a whole number", value)
    try:
        number = int(index(value))
    except (TypeError, ValueError):
        raise wrong_type(name, "a whole number", value) from None
    if number < minimum:
        raise wrong_value(name, f"a whole number, {minimum} or more", number)
    if number > maximum:
        raise wrong_value(name, f"at most {maximum}", number)
    return number


def signed_integer(name: str, value: object) -> int:
    """Check a whole number that may be negative."""
    return integer(name, value, -(1 << 63))


def count(name: str, value: object) -> int:
    """Check a whole number of at least 1."""
    return integer(name, value, 1)


def http_status(name: str, value: object) -> int:
    """Check an HTTP status."""
    return integer(name, value, 100, 999)


def whence(name: str, value: object) -> int:
    """Check the origin of a `seek`."""
    return integer(name, value, 0, 2)


def number(name: str, value: object, wanted: str) -> float:
    """Check a number or a `timedelta`; return a `timedelta` as seconds."""
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
    # Refuses NaN, infinity, and integers beyond the range of a float.
    if not -1e300 < result < 1e300:
        raise wrong_value(name, wanted, value)
    return result


# Durations and times.


def seconds(name: str, value: object) -> float:
    """Check a duration above 0."""
    wanted = "a number of seconds above 0"
    result = number(name, value, wanted)
    if not result > 0:
        raise wrong_value(name, wanted, value)
    return result


def seconds_or_none(name: str, value: object) -> float | None:
    """Check a duration above 0, or None for no limit."""
    return None if value is None else seconds(name, value)


def interval(name: str, value: object) -> float:
    """Check a duration of 0 or more."""
    return _at_least_0(name, value, "a number of seconds, 0 or more")


def _at_least_0(name: str, value: object, wanted: str) -> float:
    result = number(name, value, wanted)
    if not result >= 0:
        raise wrong_value(name, wanted, value)
    return result


def poll_interval(name: str, value: object) -> float:
    """Check the seconds between two polls; refuse numbers that must be milliseconds."""
    result = interval(name, value)
    if result >= MAX_POLL_INTERVAL and not hasattr(type(value), "total_seconds"):
        raise ValueError(
            f"{name} is in seconds: write {result / 1000:g} for {result:g} milliseconds, "
            f"or timedelta(seconds={result:g}) if you mean seconds"
        )
    return result


def is_timeout(value: object) -> bool:
    """Return whether a value is a `Timeout`, or one of httpx."""
    return all(hasattr(value, part) for part in PARTS)


def limit(name: str, value: Limit | None) -> float | None:
    """Return the seconds that a call may take; None for no limit.

    Of a `Timeout`, or one of httpx, `total` counts, or else its longest part: ``Timeout(60)`` means
    the same as 60.
    """
    if value is None:
        return None
    if not is_timeout(value):
        return seconds(name, value)
    total, *parts = (
        seconds_or_none(f"{name}.{part}", getattr(value, part, None)) for part in ("total", *PARTS)
    )
    if total is not None:
        return total
    # Without a `read` timeout a response may take any time.
    read = parts[PARTS.index("read")]
    return None if read is None else max(part for part in parts if part is not None)


def wait(name: str, value: object) -> Any:
    """Check how long a create may block: a bool, seconds, or the dict that `run` takes."""
    if isinstance(value, bool):
        return value
    if not is_object(value):
        return _wait_seconds(name, value)
    if unknown := [key for key in value if key not in ("mode", "interval", "timeout")]:
        raise TypeError(f"{name} has no option {shown(unknown[0])}: mode, interval or timeout")
    options: dict[str, Any] = {**value}
    if options.get("mode", "block") not in ("block", "poll"):
        raise wrong_value(f"{name}['mode']", "'block' or 'poll'", options["mode"])
    if options.get("interval") is not None:
        options["interval"] = poll_interval(f"{name}['interval']", options["interval"])
    if options.get("timeout") is not None and not isinstance(options["timeout"], bool):
        options["timeout"] = _wait_seconds(f"{name}['timeout']", options["timeout"])
    return options


def _wait_seconds(name: str, value: object) -> float:
    return _at_least_0(name, value, "a bool or a number of seconds above 0")


def prefer(name: str, value: object) -> str:
    """Check the header `Prefer`: ``wait`` or ``wait=`` and seconds."""
    preference, equals, digits = text(name, value).partition("=")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 10
    if preference != "wait" or (equals and not is_number):
        raise wrong_value(name, "'wait' or 'wait=' and seconds", value)
    return str(value)


def cancel_after(name: str, value: object) -> str:
    """Return the header `Cancel-After`: whole seconds, or a duration such as ``1h30m``."""
    if isinstance(value, str):
        rest = value
        for unit in "hms":
            digits, found, after = rest.partition(unit)
            if found and digits.isdigit():
                rest = after
        if not value.isascii() or (rest and not value.isdigit()) or not value:
            raise wrong_value(name, "seconds, or a duration such as '1h30m'", value)
        return value
    # Rounded up, so that the prediction never gets less time than was asked for.
    return str(int(-(-seconds(name, value) // 1)))


def timestamp(name: str, value: object) -> Any:
    """Check a time: ISO 8601 text, or a `datetime`."""
    if isinstance(value, str):
        return text(name, value)
    if not callable(getattr(value, "isoformat", None)):
        raise wrong_type(name, "ISO 8601 text or a datetime", value)
    return value


def unix_time(name: str, value: object) -> int:
    """Check whole seconds since 1970, as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return integer(name, value)


def abort_signal(name: str, value: object) -> AbortSignal:
    """Return an `AbortSignal`, also of an `AbortController`."""
    if isinstance(value, AbortController):
        return value.signal
    if not isinstance(value, AbortSignal):
        raise wrong_type(
            name, "an AbortSignal: AbortController().signal, or AbortSignal.timeout(seconds)", value
        )
    return value


# References to what the API has.


def resource_id(name: str, value: object) -> str:
    """Return an id: text, or the `id` of an object."""
    if isinstance(value, str):
        return text(name, value)
    _refuse_dict(name, value)
    id = getattr(value, "id", None)
    if not isinstance(id, str):
        raise wrong_type(name, "a str, or an object with an id", value)
    return text(name, id)


def version(name: str, value: object) -> str:
    """Return a version's id, or ``owner/name:version`` of a `ModelVersionIdentifier`."""
    if is_array(value) and isinstance(getattr(value, "version", None), str):
        return text(name, str(value))
    return resource_id(name, value)


def reference(name: str, value: object) -> Any:
    """Check a reference to a model, a version or a deployment; text is parsed later."""
    if isinstance(value, str):
        return text(name, value)
    _refuse_dict(name, value)
    owner, model, id = (getattr(value, part, None) for part in ("owner", "name", "id"))
    if is_array(value) and not hasattr(value, "owner"):
        parts = value if isinstance(value, tuple) else ()
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise TypeError(f"{name} must be 'owner/name', or a pair of an owner and a name")
        text(name, "/".join(parts))
    elif not (isinstance(owner, str) and isinstance(model, str)) and not isinstance(id, str):
        raise wrong_type(name, "'owner/name', 'owner/name:version', a model or a version", value)
    return value


def _refuse_dict(name: str, value: object) -> None:
    """Refuse a dict of arguments as the first argument."""
    if is_object(value):
        takes_input = name in ("ref", "version", "model", "deployment")
        example = f"{name}=…, input={{…}}" if takes_input else f"{name}=…"
        raise TypeError(
            f"{name} must be a str, not a dict: pass arguments by name, as in {example}, or put **"
            " before the dict"
        )


def prediction(name: str, value: object) -> Any:
    """Check a prediction."""
    if not hasattr(type(value), "is_done"):
        raise wrong_type(name, "a Prediction (predictions.wait takes an id)", value)
    return value


def cursor(name: str, value: object) -> Any:
    """Check a cursor: the `next` or `previous` of a page, or `...` for the first page."""
    if value is ...:
        return value
    if value is None:
        raise ValueError(f"{name} cannot be None: the page before was the last")
    if not isinstance(value, str):
        raise wrong_type(name, "a page's `next` or `previous`", value)
    return text(name, value)


def webhook_url(name: str, value: object) -> str:
    """Check the URL of a webhook."""
    address = text(name, value)
    scheme, _, rest = address.partition("://")
    is_unprintable = " " in address or not address.isprintable()
    if scheme not in ("https", "http") or not rest.partition("/")[0] or is_unprintable:
        # A URL with a password is not shown.
        raise ValueError(
            f"{name} must be an https URL" + ("" if "@" in address else f", not {shown(address)}")
        )
    return address


def events(name: str, value: object) -> list[str]:
    """Check the events that a webhook is sent for."""
    if isinstance(value, (str, bytes)) or not hasattr(type(value), "__iter__"):
        raise wrong_type(name, "a list of event names", value)
    items: Any = value
    return [_event(name, item) for item in items]


def _event(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(name, "a list of event names", value)
    if value not in EVENTS:
        raise ValueError(f"{name}: {shown(value)} is not one of {', '.join(EVENTS)}")
    return value


# Functions.


def function(name: str, value: object) -> Any:
    """Check a function."""
    if not callable(value):
        raise wrong_type(name, "a function", value)
    return value


def plain_function(name: str, value: object) -> Any:
    """Check a function that is called where a coroutine cannot be awaited."""
    if is_async_function(function(name, value)):
        raise TypeError(
            f"{name} must be a plain function, not an async one: its coroutine would never be"
            " awaited"
        )
    return value


def sync_function(name: str, value: object) -> Any:
    """Check a function that a blocking client calls."""
    if is_async_function(function(name, value)):
        raise TypeError(
            f"{name} must be a plain function: an async one needs an AsyncReplicate, or an async_"
            " method"
        )
    return value


def _progress(check: Check) -> Check:
    """Return a check for a function, True for a progress bar, or False, which means None."""

    def check_progress(name: str, value: object) -> Any:
        if value is True:
            return True
        if value is False:
            return None
        if not callable(value):
            raise wrong_type(name, "True or a function", value)
        return check(name, value)

    return check_progress


progress = _progress(function)
plain_progress = _progress(plain_function)
sync_progress = _progress(sync_function)


def is_async_function(value: Any) -> bool:
    """Return whether a function, a partial function or a callable object is an ``async def``."""
    if type(value).__name__ == "partial":
        value = value.func
    code = getattr(value, "__code__", None) or _code_of_call(value)
    return bool(getattr(code, "co_flags", 0) & CO_COROUTINE)


def _code_of_call(value: object) -> Any:
    return getattr(getattr(type(value), "__call__", None), "__code__", None)  # noqa: B004 - its code is read


# Mappings: headers, queries, JSON, inputs.


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Check a dict or another mapping."""
    if not (hasattr(type(value), "keys") and hasattr(type(value), "__getitem__")):
        raise wrong_type(name, "a dict", value)
    items: Any = value
    return value if is_object(value) else {**items}


def is_token(value: str) -> bool:
    """Return whether text can be a header's name or an HTTP method."""
    return (
        bool(value)
        and value.isascii()
        and all(character.isalnum() or character in TOKEN for character in value)
    )


def http_method(name: str, value: object) -> str:
    """Check an HTTP method."""
    method = text(name, value)
    if not is_token(method):
        raise wrong_value(name, "an HTTP method", method)
    return method


def headers(name: str, value: object) -> list[tuple[str, str]]:
    """Return headers as pairs; no message shows their values, which may be secrets."""
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
        raise ValueError(f"{name}: {shown(key)} is not a header's name")
    header = f"{name}[{shown(key)}]"
    if not isinstance(value, str):
        raise wrong_type(header, "a str", value)
    encodable(header, value)
    if any((character < " " and character != "\t") or character == "\x7f" for character in value):
        raise ValueError(f"{header} has characters that HTTP does not allow in a header's value")
    return key, value


def query(name: str, value: object) -> Mapping[str, object]:
    """Check the parameters of a query: text, numbers, times, and lists of these."""
    parameters = mapping(name, value)
    for key, item in parameters.items():
        if not isinstance(key, str):
            raise wrong_type(f"a name in {name}", "a str", key)
        text(f"a name in {name}", key)
        for each in item if is_array(item) else (item,):
            if isinstance(each, str):
                text(f"{name}[{shown(key)}]", each)
            elif each is not None and not _has_text_form(each):
                raise wrong_type(
                    f"{name}[{shown(key)}]", "text, a number, a time, or a list of these", each
                )
    return parameters


def _has_text_form(value: object) -> bool:
    """Return whether a value is a number, a time, or has a `__str__` of its own."""
    if isinstance(value, (bytes, bytearray, dict, set, frozenset, list, tuple)):
        return False
    kind: Any = type(value)
    return (
        isinstance(value, (int, float))
        or kind.__str__ is not object.__str__
        or hasattr(value, "isoformat")
    )


def json_object(name: str, value: object) -> Mapping[str, object]:
    """Check a mapping that is sent as JSON."""
    members = mapping(name, value)
    if is_plain(members):
        return members
    try:
        _json(name, members)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply, or contains itself") from None
    return members


def _json(name: str, value: object) -> None:
    if isinstance(value, str):
        encodable(name, value)
    elif isinstance(value, float):
        if value - value != 0:
            raise wrong_value(name, "a number that JSON can carry", value)
    elif is_array(value):
        for index, item in enumerate(value):
            _json(f"{name}[{index}]", item)
    elif is_object(value) or hasattr(type(value), "keys"):
        for key, item in mapping(name, value).items():
            if not isinstance(key, str):
                raise wrong_type(f"a name in {name}", "a str", key)
            _json(f"{name}[{shown(encodable(f'a name in {name}', key))}]", item)
    elif value is not None and not isinstance(value, int):
        raise wrong_type(
            name, "what JSON can carry: a dict, a list, text, a number, a bool or None", value
        )


def model_input(name: str, value: object) -> Any:
    """Refuse what cannot be a mapping of inputs; dataclasses and pydantic models are read later."""
    if isinstance(value, NOT_INPUTS) or callable(value):
        raise wrong_type(name, "a dict of the model's inputs, such as {'prompt': …}", value)
    return value


def refuse_call_options(value: object) -> None:
    """Refuse a Node client's call options, ``{"input": {…}, …}``, in the place of `input`."""
    if (
        not is_object(value)
        or not is_object(inputs := value.get("input"))
        or not NODE_OPTIONS.issuperset(value)
    ):
        return
    options = [f"{name}=…" for name in value if name != "input"]
    example = f"{{{shown(next(iter(inputs)))}: …}}" if inputs else "{}"
    raise TypeError(
        f"input must be the model's inputs themselves: write input={example}, not {{'input':"
        f" {example}}}" + (f", and give {', '.join(options)} by name" if options else "")
    )


# Files and bytes.


def file_path(name: str, value: object) -> Any:
    """Check the path of a file or a folder."""
    to_path = getattr(type(value), "__fspath__", None)
    if not isinstance(value if to_path is None else to_path(value), str):
        raise wrong_type(name, "a path", value)
    return value


def content(name: str, value: object) -> bytes:
    """Return the bytes of a bytes-like object."""
    buffer: Any = value
    try:
        return memoryview(buffer).tobytes()
    except TypeError:
        raise wrong_type(name, "bytes or a bytes-like object", value) from None


def writable_buffer(name: str, value: Any) -> Any:
    """Check a writable bytes-like object."""
    try:
        if not memoryview(value).readonly:
            return value
    except TypeError:
        pass
    raise wrong_type(name, "a writable buffer, such as a bytearray", value)


def event_data(name: str, value: object) -> Any:
    """Check the data of a stream's event: text, or a file."""
    is_file = hasattr(type(value), "__url__") and not isinstance(value, str)
    return value if is_file else text(name, value)
