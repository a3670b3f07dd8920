"""Wrong values for every argument of the public interface, and right calls to put them into."""

import asyncio
import datetime
import decimal
import math
import re

import replicate_rs as replicate
from support.wire import prediction

# Texts of Python's, PyO3's and the standard library's own errors: whoever sees one cannot tell what
# to do.
FOREIGN = re.compile(
    r"argument '|has no attribute|cannot be converted|cannot be interpreted|is not iterable|not"
    r" subscriptable|codec can't"
    r"|integral type|unhashable|missing \d+ required|positional argument|object is not|can't be"
    r" used|while processing"
    r"|expected str|should be a|must be real number|JSON serializable"
)


class Odd:
    """Of no type that anything takes."""


class Named:
    """An object whose id is no text."""

    id = 5


TOKENS = ("auth", "api_token", "bearer_token")


async def is_async(*_):
    """What nobody awaits."""


HALF = "a\ud800"
NOT_TEXT = [5, True, b"x", ["x"], {"x": 1}, Odd(), math.nan]
TEXT = [*NOT_TEXT, HALF]
ID = [*TEXT, Named(), Odd]
NOT_NUMBERS = ["5", "", b"5", True, [], {}, Odd(), object, 1j, datetime.date(2026, 1, 1)]
SECONDS = [
    *NOT_NUMBERS,
    0,
    -1,
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    datetime.timedelta(0),
    decimal.Decimal("NaN"),
]
INTERVAL = [value for value in SECONDS if value not in (0, datetime.timedelta(0))]
FLAG = ["no", "", 0, 1, 0.5, [], Odd()]
WHOLE = ["5", b"5", True, 1.5, [], Odd(), -1, 10**5000, math.nan]
PATH = [5, True, b"x", [], Odd(), math.nan]
FUNCTION = [True, 5, "print", [], Odd()]
MAPPING = ["x", 5, True, b"x", Odd(), ["x"], [("a",)], {1, 2}]
HEADERS = [
    *MAPPING,
    {"X": 5},
    {"X": None},
    {"X": b"x"},
    {5: "x"},
    {"": "x"},
    {"X\r\n": "x"},
    {"X": "a\r\nB: c"},
    {"X": HALF},
    {"X y": ""},
]
QUERY = [
    *MAPPING,
    {5: "x"},
    {"x": b"x"},
    {"x": {"y": 1}},
    {"x": Odd()},
    {"x": HALF},
    {HALF: "x"},
    {"x": [[1]]},
]
JSON = [*MAPPING, {"x": Odd()}, {"x": math.nan}, {"x": b"x"}, {"x": HALF}]
INPUT = [
    "x",
    5,
    True,
    b"x",
    1.5,
    ["x"],
    ("x",),
    {1},
    print,
    {"x": HALF},
    {"x": math.nan},
    {"x": Odd()},
    Odd(),
]
REFERENCE = [
    5,
    True,
    b"x",
    ["a", "b"],
    {"a": 1},
    Odd(),
    math.nan,
    HALF,
    "",
    (),
    ("a",),
    ("a", 5),
    ("a", HALF),
    "a/b/c",
    "a/../b",
]
MODEL = [*REFERENCE, "acme"]
SIGNAL = [True, 5, "x", Odd(), asyncio.Event, replicate.AbortController, replicate.AbortSignal]
PLAIN_FUNCTION = [*FUNCTION, is_async]
# True is a progress bar, and False is none.
PROGRESS = [value for value in PLAIN_FUNCTION if value is not True]
LIMIT = [*SECONDS, (5, 5), replicate.AbortSignal.abort()]

WRONG = {
    **dict.fromkeys(
        (
            "id",
            "prediction_id",
            "training_id",
            "file_id",
            "slug",
            "collection_slug",
            "hardware",
            "version_id",
        ),
        ID,
    ),
    **dict.fromkeys(
        (
            "name",
            "model_owner",
            "model_name",
            "deployment_owner",
            "deployment_name",
            "description",
            "readme",
        ),
        TEXT,
    ),
    **dict.fromkeys(
        (
            "github_url",
            "paper_url",
            "license_url",
            "weights_url",
            "cover_image_url",
            "query",
            "body",
        ),
        TEXT,
    ),
    **dict.fromkeys(
        ("filename", "content_type", "type", "signature", "route", "user_agent", "url", "event"),
        TEXT,
    ),
    **dict.fromkeys(
        (
            "cancel_on_exit",
            "use_file_output",
            "overwrite",
            "cached",
            "stream",
            "streaming",
            "use_async",
            "deep",
        ),
        FLAG,
    ),
    "include": [5, "id", ["id"], Odd()],
    "exclude": [5, "id", ["id"], Odd()],
    **dict.fromkeys(("block_private_addresses", "succeeded"), FLAG),
    **dict.fromkeys(("extra_headers", "headers", "default_headers"), HEADERS),
    **dict.fromkeys(("extra_query", "params"), QUERY),
    **dict.fromkeys(("interval", "poll_interval", "seconds", "tolerance"), INTERVAL),
    **dict.fromkeys(("connect", "read", "write", "pool", "total", "idle"), SECONDS),
    **{key: [*WHOLE, 0] for key in ("max_connections", "max_response_bytes")},
    **dict.fromkeys(("model", "deployment", "owner", "key"), MODEL),
    # What text names is for the API to say.
    "destination": [value for value in MODEL if not isinstance(value, str) or value == HALF],
    **{
        key: [*TEXT, "x", "ftp://x", "https://", "https://a b", "https://x\r\n"]
        for key in ("webhook", "webhook_completed")
    },
    **{key: [5, True, b"x", Odd(), HALF] for key in ("created_after", "created_before")},
    **dict.fromkeys(("min_instances", "max_instances", "max_bytes", "retry"), WHOLE),
    **{key: [5, True, b"x", [], Odd(), is_async, "a\nb", HALF] for key in TOKENS},
    **dict.fromkeys(("progress", "upload_progress"), PROGRESS),
    **dict.fromkeys(("list_method", "seen"), PLAIN_FUNCTION),
    "hint": FUNCTION,
    "fetch": FUNCTION,
    "ref": [*REFERENCE, "acme"],
    "version": [*ID, ("a", "b")],
    "input": INPUT,
    "signal": SIGNAL,
    "timeout": LIMIT,
    # Of `map`.
    "inputs": [None, 5, "x.csv", b"x", {"text": "x"}],
    "journal": [5, "", True],
    "save_to": [5, "", True],
    "concurrency": [0, -1, "5", 1.5, True, 1 << 20],
    "rate": [0, -1, "5", True, float("inf"), float("nan")],
    "on_error": [5, "ignore", True],
    "on_exit": [5, "stop", "leave", True],
    "retries": [-1, "5", 1.5, True],
    "retry_if": [5, "x", True, is_async],
    "max_failures": [-1, 1.5, "5 %", True, float("nan")],
    "ordered": [5, "yes", 1],
    "retry_failed": [5, "yes", 1],
    "wait": [
        -1,
        "5",
        "",
        b"5",
        [],
        Odd(),
        math.nan,
        math.inf,
        10**400,
        {"mode": "x"},
        {"x": 1},
        {"interval": -1},
        {"timeout": "5"},
    ],
    "prefer": [*TEXT, "wait=", "wait=x", "respond-async", "wait=5\r\n", "wait=²"],
    "cancel_after": [*INTERVAL[1:], 0, "", "x", "5x", "1h1h1d", "5\r\n", "1.5h", "²s"],
    "webhook_events_filter": [5, True, "start", b"start", Odd(), ["x"], [5], [["start"]]],
    "file_encoding_strategy": [5, True, "nope", "", b"base64", ["upload"], Odd()],
    "extra_body": JSON,
    "metadata": JSON,
    "prediction": ["x", 5, True, b"x", {"id": "x"}, Odd()],
    "cursor": [None, 5, True, b"x", [], Odd(), HALF],
    "limit": [*WHOLE, 0],
    "size": [value for value in WHOLE if value != -1],
    "offset": [value for value in WHOLE if value != -1],
    "whence": [*WHOLE, 3],
    "buffer": ["x", b"x", 5, True, [], Odd(), memoryview(b"x")],
    "names": [
        "x",
        b"x",
        5,
        Odd(),
        [5],
        [b"x"],
        [""],
        ["a/b"],
        ["a\\b"],
        [".."],
        ["a", "b"],
        [],
        lambda index, file: index,
    ],
    "client": ["x", 5, True, Odd(), replicate.Replicate],
    "path": PATH,
    "folder": PATH,
    "method": [*TEXT, "", "A B", "GET\r\n"],
    "visibility": [5, True, "secret", Odd()],
    "source": [5, True, "api", Odd()],
    "sort_by": [5, True, "name", Odd()],
    "sort_direction": [5, True, "up", Odd()],
    "expiry": ["x", b"5", True, 1.5, Odd(), -1],
    "max_retries": [*WHOLE, 1 << 40],
    "base_url": [*TEXT, "x", "ftp://x", "https://", "http://\0"],
    "proxy": [*TEXT, "x", "ftp://x", "http://"],
    "verify": [5, b"x", [], Odd(), math.nan],
    "ssl_cert_file": PATH,
    "cert": [*PATH, ["a", "b"], ("a",), ("a", 5), ("a", "b", "c")],
    "data": [Odd(), math.nan, {"x": Odd()}, {"x": HALF}, {"x": {"y": b"x"}}],
    "file": [5, True, Odd(), [], {}, ("x",), (5, b"x"), math.nan],
    "content": [5, True, Odd(), [], {}, ("x",), (5, b"x"), math.nan],
    "secret": [5, True, b"x", Odd(), [5], []],
    "secrets": [5, True, b"x", Odd(), [5], []],
    "request": [5, True, "x", b"x", Odd()],
    "now": [True, "x", b"x", [], {}, Odd(), -1, math.nan, math.inf, HALF],
    "timestamp": [True, 1.5, b"1", Odd(), -1, HALF],
    "logs": [5, True, b"x", Odd()],
    "status": [*WHOLE, 99, 1000],
    "bytes": ["x", 5, Odd(), None],
    "update": MAPPING,
    # It may hold anything.
    "output": [],
}
VALIDATING = (
    "validate_webhook",
    "webhooks.validate",
    "WebhookVerifier.verify",
    "WebhookVerifier.unwrap",
    "WebhookVerifier.read",
)
# Arguments of other names of which some call takes something else.
OTHERWISE = {
    ("files.create", "progress"): PROGRESS,
    ("files.download", "owner"): TEXT,
    ("models.create", "owner"): TEXT,
    **{("ModelVersionIdentifier", name): TEXT for name in ("owner", "version")},
    ("ModelVersionIdentifier.parse", "ref"): [*TEXT, "", "acme", "a/b/c"],
    ("Response", "body"): ["x", 5, Odd()],
    ("Request", "body"): ["x", 5, Odd()],
    ("EventDecoder", "max_bytes"): WHOLE,
    ("ServerSentEvent", "data"): [5, True, b"x", Odd(), HALF],
    ("parse_obj", "data"): MAPPING,
    ("SeenWebhooks", "size"): [*WHOLE, 0],
    **{
        (call, "body"): [5, True, ["x"], Odd()]
        for call in (*VALIDATING, "avalidate_webhook", "sign_webhook")
    },
    **{(call, "headers"): [5, True, Odd(), ["x"]] for call in VALIDATING},
    **{
        ("validate_webhook", name): [5, True, Odd(), ["x"]]
        for name in ("id", "timestamp", "signature")
    },
    ("sign_webhook", "id"): TEXT,
    **{
        (call, "id"): TEXT
        for call in (
            "SeenWebhooks.settle",
            "SeenWebhooks.is_settled",
            "SeenWebhooks()",
            "ServerSentEvent",
        )
    },
    **{
        (call, "webhooks"): [5, True, Odd(), [5], [({}, b"x", 1)]]
        for call in ("WebhookVerifier.verify_many",)
    },
}
# Arguments that the error of another one speaks for, or that are called otherwise in it.
SPOKEN_OF = {
    "content": "file",
    "secrets": "secret",
    "auth": "token",
    "bearer_token": "token",
    "api_token": "token",
} | {
    "default_headers": "headers",
    "ref": "ref|reference|model",
    "owner": "owner|model|deployment|reference|an id or name",
    "key": "key|model|reference",
    "model": "model|ref",
    "deployment": "deployment|ref",
    "destination": "destination|model|ref",
    "base_url": "base_url|URL|address",
    "user_agent": "user.agent",
    "signature": "webhook-signature|signature",
    "timestamp": "webhook-timestamp|timestamp",
    "version": "version|ref",
    "headers": "headers|webhook id",
}

SECRET = "whsec_" + "C" * 32
SIGNED = {
    "webhook-id": "msg",
    "webhook-timestamp": "1",
    "webhook-signature": replicate.sign_webhook(SECRET, "msg", 1, b"x"),
}


def on_clients(client, wire):
    """What each call of a client needs to be right, by where it is."""
    p1 = replicate.Prediction._of(
        prediction("starting", urls={"stream": f"{wire.origin}/s"}), client._session
    )
    named, target = {"owner": "acme", "name": "x"}, {"owner": "acme/x"}
    create = {"input": {}}
    version = {**named, "version_id": "v"}
    training = {"model": "acme/x", "version": "v", "input": {}, "destination": "me/y"}
    new = {"owner": "me", "name": "x", "visibility": "private", "hardware": "cpu"}
    kept = {
        "name": "x",
        "model": "acme/x",
        "version": "v",
        "hardware": "cpu",
        "min_instances": 0,
        "max_instances": 1,
    }
    return {
        **{
            key: {"ref": "acme/x", "input": {}} for key in ("run", "stream", "text_stream", "relay")
        },
        "wait": {"prediction": p1},
        "map": {"ref": "acme/x", "inputs": []},
        "search": {"query": "x"},
        "request": {"route": "/models", "method": "POST"},
        "use": {"ref": "acme/x"},
        "paginate": {"list_method": None},
        "with_options": {},
        "copy": {},
        **{
            key: {}
            for key in (
                "accounts.current",
                "accounts.get",
                "account.current",
                "account.get",
                "hardware.list",
            )
        },
        **{
            key: {}
            for key in (
                "collections.list",
                "deployments.list",
                "files.list",
                "models.list",
                "predictions.list",
            )
        },
        "trainings.list": {},
        "collections.get": {"slug": "x"},
        "webhooks.default.secret.get": {},
        **{
            key: {"id": "p1"}
            for key in ("predictions.get", "predictions.cancel", "predictions.stream")
        },
        **{key: {"id": "t1"} for key in ("trainings.get", "trainings.cancel")},
        "predictions.wait": {"id": "p1"},
        "predictions.create": {"version": "v", **create},
        "trainings.create": training,
        "models.create": new,
        "deployments.create": kept,
        **dict.fromkeys(
            (
                "models.get",
                "models.delete",
                "models.update",
                "models.readme.get",
                "models.examples.list",
            ),
            target,
        ),
        "models.search": {"query": "x"},
        "models.predictions.create": {"model": "acme/x", **create},
        "models.versions.list": named,
        "models.versions.get": version,
        "models.versions.delete": version,
        **dict.fromkeys(("deployments.get", "deployments.update", "deployments.delete"), named),
        "deployments.predictions.create": {"deployment": "acme/x", **create},
        "files.create": {"file": b"x"},
        "files.get": {"file_id": "f"},
        "files.delete": {"file_id": "f"},
        "files.download": {"file_id": "f", "owner": "o", "expiry": 1, "signature": "s"},
        "webhooks.validate": {"headers": SIGNED, "body": b"x", "secret": SECRET},
    }


# Names that are no calls with arguments, or that say of a namespace whose it is.
OTHERS = {
    "base_url",
    "poll_interval",
    "is_closed",
    "mode",
    "stats",
    "close",
    "aclose",
    "of",
    "begin",
}


# Other spellings of an argument, which are given instead of the usual one.
INSTEAD = {
    **dict.fromkeys(("prediction_id", "training_id"), ("id",)),
    **dict.fromkeys(
        ("model_owner", "model_name", "deployment_owner", "deployment_name"),
        ("owner", "name", "model", "deployment"),
    ),
    "collection_slug": ("slug",),
    "content": ("file",),
    "key": ("owner", "name"),
}
