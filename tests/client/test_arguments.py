"""Every argument of every public call, with values of the wrong type or range: an error of ours
names it, and nothing is sent.
"""

import asyncio
import datetime
import decimal
import fractions
import inspect
import json
import math
import re

import pytest

import replicate_rs as replicate
from replicate_rs._base.checks import limit
from replicate_rs._base.resource import Namespace
from replicate_rs._base.streaming import AsyncStream, Stream
from replicate_rs.stream import EventDecoder
from support.signatures import parameters
from support.wire import Wire, hang, prediction, reply

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
PROGRESS = [*FUNCTION, is_async]
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
    **dict.fromkeys(("progress", "list_method"), PROGRESS),
    "upload_progress": PROGRESS,
    "seen": PROGRESS,
    "hint": FUNCTION,
    "fetch": FUNCTION,
    "ref": [*REFERENCE, "acme"],
    "version": [*ID, ("a", "b")],
    "input": INPUT,
    "signal": SIGNAL,
    "timeout": LIMIT,
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


def calls_of(place, path=""):
    """Every public call of a client or a namespace, with where it is."""
    for name in dir(place):
        if name.startswith("_") or name in OTHERS:
            continue
        value = getattr(place, name)
        if isinstance(value, type):
            continue
        if isinstance(value, Namespace) and name != "async_secret":
            yield from calls_of(value, f"{path}{name}.")
        if callable(value) and not isinstance(value, Namespace):
            yield f"{path}{name}", value


@pytest.fixture(scope="module")
def wire():
    with Wire(lambda _: reply(prediction())) as wire:
        yield wire


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


def with_wrong(path, good, name, value):
    """The arguments of a call of which one is wrong."""
    left_out = INSTEAD.get(name, ())
    if path == "models.search" and name == "body":
        left_out = ("query",)
    elif (path == "trainings.create" and name == "version_id") or (
        path == "predictions.create" and name in ("model", "deployment")
    ):
        left_out = ("version",)
    given = {other: each for other, each in good.items() if other not in left_out}
    if name.endswith(("_owner", "_name")):
        given |= {f"{name.partition('_')[0]}_{part}": "x" for part in ("owner", "name")}
    return given | {name: value}


def problem_of(name, call):
    """What is wrong with the error that a call raises, or None."""
    try:
        outcome = call()
    except (TypeError, ValueError) as error:
        is_ours = type(error) in (TypeError, ValueError) or type(error).__module__.startswith(
            "replicate_rs"
        )
        text = str(error) + "".join(getattr(error, "__notes__", ()))
        if (
            is_ours
            and not FOREIGN.search(text)
            and re.search(SPOKEN_OF.get(name, name), text, re.IGNORECASE)
        ):
            return None
        return f"{type(error).__name__}: {text}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return f"no error, but {outcome!r:.60}"


def found_wrong(path, function, good, *, finish, is_awaited=False):
    """What is wrong with the errors of a call for every wrong value of every argument."""
    for name, annotation in parameters(function).items():
        values = OTHERWISE.get((path, name), WRONG.get(name))
        if values is None:
            yield f"{path}({name}=): which values are wrong is not in the table"
            continue
        if (
            isinstance(annotation, str)
            and "None" not in annotation
            and name not in ("data", "output", "cursor")
        ):
            values = [*values, None]
        for value in values:
            # An owner that comes with a name is one segment of the path, whatever it holds; and
            # what is awaited may be async.
            is_right = name == "owner" and value in ("acme", "a/b/c", "a/../b") and "name" in good
            is_right = is_right or (value is is_async and is_awaited and path in ("run", "wait"))
            # A token's function is awaited on an `AsyncReplicate`.
            is_right = is_right or (
                value is is_async and name in TOKENS and (is_awaited or path == "AsyncReplicate")
            )
            given = with_wrong(path, good, name, value)
            problem = (
                None
                if is_right
                else problem_of(name, lambda given=given: finish(lambda: function(**given)))
            )
            if problem is not None:
                yield f"{path}({name}={value!r:.40}): {problem}"


CLIENTS = {"sync": replicate.Replicate, "async": replicate.AsyncReplicate}


@pytest.mark.parametrize("kind", CLIENTS)
def test_every_argument_of_a_client_s_calls(wire, kind):
    client = CLIENTS[kind]("r8_x", base_url=wire.base_url, max_retries=0)
    good = on_clients(client, wire)
    walked = dict(calls_of(client))
    bare = {
        path: ".".join(part.removeprefix("async_") for part in path.split(".")) for path in walked
    }
    assert set(bare.values()) == set(good)
    problems, before = [], len(wire.seen)
    with asyncio.Runner() as runner:
        for path, function in walked.items():
            if bare[path] == "paginate":
                problems += [*_pages(path, function)]
            else:
                given = good[bare[path]]
                is_awaited = kind == "async" or path != bare[path]
                problems += found_wrong(
                    bare[path], function, given, finish=finisher(runner), is_awaited=is_awaited
                )
    assert not problems, "\n".join(sorted(set(problems)))
    assert wire.seen[before:] == []


def test_every_argument_of_what_calls_give(wire):
    """Records, what belongs to them, and files."""
    client = replicate.Replicate("r8_x", base_url=wire.base_url, max_retries=0)
    running = prediction("starting", urls={"stream": f"{wire.origin}/s"})
    p1, t1 = (
        kind._of(running, client._session) for kind in (replicate.Prediction, replicate.Training)
    )
    model, deployment = (
        kind._of({"owner": "a", "name": "b"}, client._session)
        for kind in (replicate.Model, replicate.Deployment)
    )
    output = replicate.FileOutput(f"{wire.origin}/f", client)
    owners = {
        "Prediction": p1,
        "Training": t1,
        "Model": model,
        "Deployment": deployment,
        "FileOutput": output,
    }
    owners |= {"model.versions": model.versions, "deployment.predictions": deployment.predictions}
    good = {
        "get": {"id": "v"},
        "delete": {"id": "v"},
        "save": {"path": "x"},
        "asave": {"path": "x"},
        "parse_obj": {"data": {}},
    }
    good |= {"seek": {"offset": 0}, "readinto": {"buffer": bytearray(1)}}
    problems, before, walked = [], len(wire.seen), 0
    with asyncio.Runner() as runner:
        for kind, owner in owners.items():
            for name, function in calls_of(owner):
                bare = name.removeprefix("async_")
                bare = {"model_validate": "parse_obj"}.get(bare, bare)
                if bare in ("predict", "fields", "schema", "validate") or not parameters(function):
                    continue
                walked += 1
                path = bare if bare == "parse_obj" else f"{kind}.{bare}"
                problems += found_wrong(
                    path,
                    function,
                    good.get(bare, {}),
                    finish=finisher(runner),
                    is_awaited=bare != name,
                )
    assert not problems, "\n".join(sorted(set(problems)))
    assert wire.seen[before:] == []
    assert walked > 50


def test_every_argument_of_the_functions_and_classes(wire):
    verifier, seen, decoder = (
        replicate.WebhookVerifier(SECRET),
        replicate.SeenWebhooks(),
        EventDecoder(),
    )
    webhook = {"headers": SIGNED, "body": b"x"}
    calls = {
        "Replicate": (replicate.Replicate, {}),
        "AsyncReplicate": (replicate.AsyncReplicate, {}),
        "Timeout": (replicate.Timeout, {}),
        "AbortSignal.timeout": (replicate.AbortSignal.timeout, {"seconds": 1}),
        "ModelVersionIdentifier": (replicate.ModelVersionIdentifier, {"owner": "a", "name": "b"}),
        "ModelVersionIdentifier.parse": (replicate.ModelVersionIdentifier.parse, {"ref": "a/b"}),
        "Request": (replicate.Request, {"method": "GET", "url": "https://example.com"}),
        "Response": (replicate.Response, {}),
        "ServerSentEvent": (replicate.ServerSentEvent, {"event": "output", "data": "x"}),
        "EventDecoder": (EventDecoder, {}),
        "EventDecoder.feed": (decoder.feed, {"bytes": b""}),
        "SeenWebhooks": (replicate.SeenWebhooks, {}),
        "SeenWebhooks.settle": (seen.settle, {"id": "x", "succeeded": True}),
        "SeenWebhooks.is_settled": (seen.is_settled, {"id": "x"}),
        "SeenWebhooks()": (seen.__call__, {"id": "x"}),
        "WebhookVerifier": (replicate.WebhookVerifier, {"secrets": SECRET}),
        "WebhookVerifier.verify": (verifier.verify, webhook),
        "WebhookVerifier.read": (verifier.read, webhook),
        "WebhookVerifier.unwrap": (verifier.unwrap, webhook),
        "WebhookVerifier.verify_many": (verifier.verify_many, {"webhooks": []}),
        "validate_webhook": (replicate.validate_webhook, {"secret": SECRET, **webhook}),
        "avalidate_webhook": (
            replicate.avalidate_webhook,
            {"request": {"headers": SIGNED}, "secret": SECRET, "body": b"x"},
        ),
        "sign_webhook": (
            replicate.sign_webhook,
            {"secret": SECRET, "id": "x", "timestamp": 1, "body": b"x"},
        ),
        "use": (replicate.use, {"ref": "acme/x"}),
        "save_all": (replicate.save_all, {"output": ["data:text/plain,x"], "folder": "x"}),
        "asave_all": (replicate.asave_all, {"output": ["data:text/plain,x"], "folder": "x"}),
        "parse_progress_from_logs": (replicate.parse_progress_from_logs, {"logs": ""}),
    }
    problems = []
    with asyncio.Runner() as runner:
        for path, (function, good) in calls.items():
            problems += found_wrong(path, function, good, finish=finisher(runner))
    for function in (replicate.paginate, replicate.async_paginate):
        problems += _pages(function.__name__, function)
    assert not problems, "\n".join(sorted(set(problems)))
    # Everything public is here, is a client's, or takes anything.
    elsewhere = {
        "Client",
        "AsyncClient",
        "default_client",
        "exceptions",
        "paginate",
        "async_paginate",
        "AbortController",
        "Async",
        "Sync",
    }
    elsewhere |= {
        "Account",
        "Collection",
        "Deployment",
        "File",
        "Hardware",
        "Model",
        "Prediction",
        "SearchResult",
        "Training",
        "Version",
    }
    elsewhere |= {"FileOutput", "Page", "WebhookSigningSecret", "get_path_url"}
    named = {
        name
        for name in replicate.__all__
        if not name.endswith(("Error", "Exception")) and name not in replicate._CLIENT_METHODS
    }
    named -= {"EventTooLarge", "PredictionCanceled", "PredictionTimeout", "StreamInterrupted"}
    assert {path.partition(".")[0].removesuffix("()") for path in calls} - {
        "EventDecoder"
    } == named - elsewhere


def finisher(runner):
    """What carries a call out, in either mode; of a stream, up to its first item."""

    def finish(call):
        async def main():
            result = call()
            if isinstance(result, Stream):
                return next(result)
            if isinstance(result, AsyncStream):
                return await anext(result)
            return await result if inspect.isawaitable(result) else result

        return runner.run(main())

    return finish


def _pages(path, function):
    for value in [*FUNCTION, None]:
        try:
            function(value)
        except TypeError as error:
            if "list_method must be" not in str(error):
                yield f"{path}: {error}"
        else:
            yield f"{path}({value!r}): no error"


# What is taken.


def test_seconds_may_be_a_timedelta_wherever_there_are_seconds(both, wire):
    second, soon = datetime.timedelta(seconds=1), datetime.timedelta(milliseconds=10)
    client = both.client(wire.base_url, timeout=second, poll_interval=soon)
    assert client.poll_interval == 0.01
    client.poll_interval = second
    assert client.poll_interval == 1.0
    timeout = replicate.Timeout(second, total=2 * second, idle=second)
    assert timeout == replicate.Timeout(1.0, total=2.0, idle=1.0)
    both(lambda: client.predictions.get("p1", timeout=second))
    both(
        lambda: client.run(
            "acme/x",
            {},
            timeout=second,
            wait={"mode": "poll", "interval": soon},
            cancel_after=6 * second,
        )
    )
    assert wire.seen[-1].headers["cancel-after"] == "6"
    both(lambda: client.predictions.create("v", {}, wait=5 * second))
    assert wire.seen[-1].headers["prefer"] == "wait=5"
    assert not replicate.AbortSignal.timeout(second).aborted
    assert replicate.AbortSignal.timeout(datetime.timedelta(0)).aborted
    assert (
        repr(replicate.WebhookVerifier(SECRET, 60 * second))
        == "WebhookVerifier([REDACTED], tolerance=60)"
    )
    assert replicate.validate_webhook(
        headers=SIGNED, body=b"x", secret=SECRET, tolerance=datetime.timedelta(days=40_000)
    )
    assert not replicate.validate_webhook(
        headers=SIGNED, body=b"x", secret=SECRET, tolerance=second
    )


@pytest.mark.parametrize(
    "number",
    [decimal.Decimal("0.5"), fractions.Fraction(1, 2), 0.5, datetime.timedelta(seconds=0.5)],
    ids=type,
)
def test_any_kind_of_number_is_seconds(number):
    assert replicate.Timeout(read=number).read == 0.5
    assert replicate.Replicate("r8_x", poll_interval=number).poll_interval == 0.5


def test_a_timeout_has_a_default_for_its_parts():
    timeout = replicate.Timeout(60, connect=5, pool=None)
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool, timeout.total) == (
        5,
        60,
        60,
        None,
        None,
    )
    assert [
        getattr(replicate.Timeout(None), part) for part in ("connect", "read", "write", "pool")
    ] == [None] * 4
    assert replicate.Timeout().read == 30


def test_a_call_s_timeout_may_be_a_timeout():
    assert limit("timeout", replicate.Timeout(60)) == 60
    assert limit("timeout", replicate.Timeout(60, total=5)) == 5
    assert limit("timeout", replicate.Timeout(5, read=60)) == 60
    assert limit("timeout", replicate.Timeout(5, read=None)) is None
    httpx = pytest.importorskip("httpx")
    assert limit("timeout", httpx.Timeout(60)) == 60
    assert limit("timeout", httpx.Timeout(None)) is None
    changed = replicate.Timeout()
    changed.read = "5"
    with pytest.raises(TypeError, match=r"timeout\.read must be a number of seconds"):
        limit("timeout", changed)
    with pytest.raises(TypeError, match=r"timeout\.read must be a number of seconds"):
        replicate.Replicate("r8_x", timeout=changed)


def test_a_call_s_timeout_is_a_limit_over_all_of_it(both):
    with Wire(lambda _: hang) as silent:
        client = both.client(silent.base_url, max_retries=0)
        calls = [
            lambda: client.predictions.list(timeout=replicate.Timeout(30, total=0.05)),
            lambda: client.files.get("f", timeout=replicate.Timeout(0.05)),
            lambda: client.request("/x", timeout=datetime.timedelta(milliseconds=50)),
            lambda: client.predictions.stream("p1", timeout=replicate.Timeout(0.05)),
            lambda: client.text_stream("acme/x", {}, timeout=replicate.Timeout(0.05)),
        ]
        for call in calls:
            with pytest.raises(
                (replicate.APITimeoutError, replicate.PredictionTimeout), match=r"0\.05"
            ):
                both(call)


def test_of_a_controller_its_signal_is_taken(both, wire):
    controller = replicate.AbortController()
    controller.abort("enough")
    client, before = both.client(wire.base_url), len(wire.seen)
    for call in (
        lambda: client.run("acme/x", {}, signal=controller),
        lambda: client.stream("acme/x", {}, signal=controller),
        lambda: client.predictions.get("p1", signal=controller),
        lambda: client.files.create(b"x", signal=controller),
        lambda: client.request("/x", signal=controller),
    ):
        with pytest.raises(replicate.AbortError, match="enough"):
            both(call)
    assert len(wire.seen) == before


def test_an_id_may_be_that_of_an_object(both):
    def answer(seen):
        return reply(body(seen), 200)

    def body(seen):
        return {**prediction(), "slug": "s", "owner": "acme", "name": "x", "results": []}

    with Wire(answer) as wire:
        client = both.client(wire.base_url)
        p1, t1 = (
            kind._of({"id": id}, client._session)
            for kind, id in ((replicate.Prediction, "p1"), (replicate.Training, "t1"))
        )
        file, version = replicate.File(id="f1"), replicate.Version(id="v1")
        model, collection = replicate.Model(owner="acme", name="x"), replicate.Collection(slug="s")
        hardware = replicate.Hardware(sku="gpu")
        signed = {"owner": "o", "expiry": 1, "signature": "s"}
        kept = {"hardware": hardware, "min_instances": 0, "max_instances": 1}
        calls = {
            "GET /v1/predictions/p1": [
                lambda: client.predictions.get(p1),
                lambda: client.predictions.get(prediction_id=p1),
                lambda: client.predictions.wait(p1),
            ],
            "POST /v1/predictions/p1/cancel": [
                lambda: client.predictions.cancel(p1),
                lambda: client.predictions.cancel(id=p1),
                lambda: client.predictions.cancel(prediction_id=p1),
            ],
            "GET /v1/trainings/t1": [
                lambda: client.trainings.get(t1),
                lambda: client.trainings.get(training_id=t1),
            ],
            "POST /v1/trainings/t1/cancel": [
                lambda: client.trainings.cancel(t1),
                lambda: client.trainings.cancel(training_id=t1),
            ],
            "GET /v1/files/f1": [
                lambda: client.files.get(file),
                lambda: client.files.get(file_id=file),
            ],
            "DELETE /v1/files/f1": [lambda: client.files.delete(file)],
            "GET /v1/files/f1/download?owner=o&expiry=1&signature=s": [
                lambda: client.files.download(file, **signed)
            ],
            "GET /v1/collections/s": [
                lambda: client.collections.get(collection),
                lambda: client.collections.get(collection_slug=collection),
            ],
            "GET /v1/models/acme/x/versions/v1": [
                lambda: client.models.versions.get(model, version_id=version),
                lambda: client.models.versions.get("acme", "x", version),
            ],
            "DELETE /v1/models/acme/x/versions/v1": [
                lambda: client.models.versions.delete("acme/x", None, version)
            ],
            "POST /v1/models/acme/x/versions/v1/trainings": [
                lambda: client.trainings.create(model=model, version=version, destination=model),
                lambda: client.trainings.create(model=model, version_id=version, destination=model),
                lambda: client.trainings.create(
                    model="acme/x", version="v1", destination=("acme", "x")
                ),
            ],
        }
        for route, ways in calls.items():
            for way in ways:
                both(way)
                assert wire.routes[-1] == route
        both(lambda: client.predictions.create(version, {}))
        assert json.loads(wire.seen[-1].body)["version"] == "v1"
        both(
            lambda: client.predictions.create(
                replicate.ModelVersionIdentifier("acme", "x", "v1"), {}
            )
        )
        assert json.loads(wire.seen[-1].body)["version"] == "acme/x:v1"
        both(lambda: client.deployments.create("d", model, version, **kept))
        assert json.loads(wire.seen[-1].body) == {
            **kept,
            "name": "d",
            "model": "acme/x",
            "version": "v1",
            "hardware": "gpu",
        }
        both(lambda: client.deployments.update("acme/d", version=version, hardware=hardware))
        assert json.loads(wire.seen[-1].body) == {"version": "v1", "hardware": "gpu"}
        both(lambda: client.models.create("acme", "x", visibility="private", hardware=hardware))
        assert json.loads(wire.seen[-1].body)["hardware"] == "gpu"


def test_an_object_without_an_id_is_no_id(both, wire):
    client, before = both.client(wire.base_url), len(wire.seen)
    for odd in (replicate.Prediction(status="starting"), {"id": "p1"}, 5, None, Named()):
        with pytest.raises(TypeError, match="id"):
            both(lambda odd=odd: client.predictions.cancel(odd))
    assert len(wire.seen) == before


def test_arguments_given_by_position_are_checked_too(both, wire):
    client, before = both.client(wire.base_url), len(wire.seen)
    for call, name in (
        (lambda: client.run("acme/x", {}, True), "progress"),
        (lambda: client.run("acme/x", "text"), "input"),
        (lambda: client.stream(5), "ref"),
        (lambda: client.predictions.stream("p1", "yes"), "use_file_output"),
        (lambda: client.predictions.list(5), "cursor"),
        (lambda: client.models.versions.get("acme", "x", 5), "version_id"),
        (lambda: client.trainings.create("acme/x:v", {}, "me/y", "no url"), "webhook"),
        (lambda: client.trainings.create("acme/x:v", 5, "me/y"), "input"),
        (lambda: client.trainings.create(5, "x", "v"), "model"),
    ):
        with pytest.raises((TypeError, ValueError), match=name):
            both(call)
    assert len(wire.seen) == before


def test_what_a_stream_is_called_with_is_checked_when_it_is_called(both, wire):
    client = both.client(wire.base_url)
    p1 = replicate.Prediction._of(
        prediction("starting", urls={"stream": f"{wire.origin}/s"}), client._session
    )
    for call in (
        lambda: client.stream("acme/x", {}, timeout="5"),
        lambda: client.text_stream("acme/x", {}, signal=5),
        lambda: client.predictions.stream("p1", timeout=-1),
        lambda: p1.stream(cancel_on_exit="no"),
        lambda: p1.async_output_iterator(timeout=math.nan),
        lambda: replicate.FileOutput(f"{wire.origin}/f", client).achunks(signal="x"),
    ):
        with pytest.raises((TypeError, ValueError), match="timeout|signal|cancel_on_exit"):
            call()


def test_events_of_an_iterator_are_sent(both, wire):
    client = both.client(wire.base_url)
    names = (name for name in ("start", "completed"))
    both(
        lambda: client.predictions.create(
            "v", {}, webhook="https://example.com/x", webhook_events_filter=names
        )
    )
    assert json.loads(wire.seen[-1].body)["webhook_events_filter"] == ["start", "completed"]


@pytest.mark.parametrize("setting", ["often", "-1", "nan", "inf"])
def test_a_poll_interval_of_the_environment_is_named(monkeypatch, setting):
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", setting)
    with pytest.raises(ValueError, match="REPLICATE_POLL_INTERVAL must be a number of seconds"):
        replicate.Replicate("r8_x")


def test_what_paginate_is_given_is_a_method():
    client, awaited = replicate.Replicate("r8_x"), replicate.AsyncReplicate("r8_x")
    for wrong in (replicate.Page([]), awaited.predictions.list, client.predictions.async_list):
        with pytest.raises(TypeError, match="list_method must be"):
            client.paginate(wrong)
    for wrong in (replicate.Page([]), client.predictions.list):
        with pytest.raises(TypeError, match="list_method must be"):
            awaited.paginate(wrong)
    with pytest.raises(TypeError, match="what list_method gives must be a Page, not coroutine"):
        client.paginate(lambda: awaited.predictions.list())
    with pytest.raises(TypeError, match="what list_method gives must be a Page, not int"):
        asyncio.run(anext(awaited.paginate(lambda: 5)))


def test_no_message_shows_what_may_be_a_secret():
    secret = "r8_SECRET"
    for options in (
        {"headers": {"Authorization": [secret]}},
        {"headers": {"X": f"{secret}\n"}},
        {"api_token": [secret]},
        {"api_token": f"{secret}\ud800"},
        {"proxy": [secret]},
        {"base_url": [secret]},
        {"cert": [secret]},
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            replicate.Replicate(**options)
        assert secret not in str(caught.value)
