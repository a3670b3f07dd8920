"""Objects of the public API that can be pickled, and descriptions to compare them by.

As a program, ``python tests/support/pickled.py FOLDER`` writes their pickles and descriptions.
Those in ``tests/compat/pickles/`` were written before modules were moved into packages, and stay
as they are: what users have stored must load in every later version.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import RateLimits, Settings
from replicate_rs.use import AsyncFunction, Function, Run

BASE_URL = "https://api.example.com/v1"
TOKEN = "r8_not_pickled"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PROTOCOLS = (2, 5)
PREDICTION = {
    "id": "p1",
    "status": "failed",
    "error": "out of memory",
    "input": {"prompt": "an iguana"},
    "output": None,
    "model": "acme/x",
    "version": "v1",
    "logs": "50%|█████     | 5/10 [00:05<00:05,  1.00it/s]",
    "unknown": {"kept": [1, 2.5, None]},
    "urls": {"get": f"{BASE_URL}/predictions/p1"},
}
VERSION = {"id": "v1", "created_at": "2024-01-01T00:00:00Z", "cog_version": "0.9"}
MODEL = {"owner": "acme", "name": "x", "visibility": "public", "latest_version": VERSION}
RECORDS: dict[str, dict[str, Any]] = {
    "Account": {"type": "organization", "username": "acme", "name": "Acme", "github_url": "x"},
    "Collection": {"name": "Loud", "slug": "loud", "description": "loud ones", "models": [MODEL]},
    "Deployment": {"owner": "acme", "name": "d", "current_release": {"number": 1, "model": "a/x"}},
    "File": {"id": "f1", "name": "a.txt", "content_type": "text/plain", "size": 3},
    "Hardware": {"name": "CPU", "sku": "cpu"},
    "Model": MODEL,
    "Prediction": PREDICTION,
    "SearchResult": {"query": "x", "models": [{"model": MODEL}], "collections": []},
    "Training": {**PREDICTION, "id": "t1"},
    "Version": VERSION,
    "WebhookSigningSecret": {"key": SECRET},
}
STATUSES = (400, 401, 402, 403, 404, 409, 413, 418, 422, 429, 500)


def answer(request: Any) -> Any:
    """Answer a request as the API would, without a network."""
    path = request.url.partition("/v1/")[2].partition("?")[0]
    kind, _, name = path.partition("/")
    if kind == "collections" and name.isdecimal():
        problem = {"title": "a title", "status": int(name), "detail": "what is wrong"}
        headers = {"x-request-id": "r1", "retry-after": "7"}
        return replicate.Response(int(name), headers=headers, body=to_json(problem))
    bodies = {
        "account": RECORDS["Account"],
        "collections/loud": RECORDS["Collection"],
        "deployments/acme/d": RECORDS["Deployment"],
        "collections": ["not a page"],
        "files": {"next": None, "results": [RECORDS["File"]]},
        "files/f1": RECORDS["File"],
        "hardware": [RECORDS["Hardware"]],
        "models/acme/x": MODEL,
        "models/acme/x/versions/v1": VERSION,
        "predictions": {"next": f"{BASE_URL}/predictions?cursor=c", "results": [PREDICTION]},
        "predictions/p1": PREDICTION,
        "search": RECORDS["SearchResult"],
        "trainings/t1": RECORDS["Training"],
        "webhooks/default/secret": RECORDS["WebhookSigningSecret"],
    }
    return replicate.Response(200, body=to_json(bodies[path]))


# How a client gets each record.
CALLS: dict[str, Callable[[Any], Any]] = {
    "Account": lambda client: client.accounts.current(),
    "Collection": lambda client: client.collections.get("loud"),
    "Deployment": lambda client: client.deployments.get("acme/d"),
    "File": lambda client: client.files.get("f1"),
    "Hardware": lambda client: client.hardware.list()[0],
    "Model": lambda client: client.models.get("acme/x"),
    "Prediction": lambda client: client.predictions.get("p1"),
    "SearchResult": lambda client: client.search("x"),
    "Training": lambda client: client.trainings.get("t1"),
    "Version": lambda client: client.models.versions.get("acme", "x", "v1"),
    "WebhookSigningSecret": lambda client: client.webhooks.default.secret.get(),
}


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def client(*, is_async: bool = False, **options: Any) -> Any:
    """Return a client that sends nothing."""

    async def async_fetch(request: Any, _send: Any) -> Any:
        return answer(request)

    kind = replicate.AsyncReplicate if is_async else replicate.Replicate
    fetch: Any = async_fetch if is_async else lambda request, _send: answer(request)
    return kind(**{"api_token": TOKEN, "base_url": BASE_URL, "fetch": fetch, **options})


def result(call: Callable[[], Any]) -> Any:
    """Return what a call of either client returns."""
    value = call()
    return asyncio.run(to_coroutine(value)) if inspect.isawaitable(value) else value


async def to_coroutine(value: Any) -> Any:
    return await value


def raised(call: Callable[[], Any]) -> BaseException:
    """Return the exception that a call raises."""
    try:
        result(call)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def call_closed_client() -> Any:
    closed = client(fetch=None)
    closed.close()
    return closed.predictions.get("p1")


def bound_record(name: str) -> Any:
    """Return a record of a client that has its token from the environment."""
    return CALLS[name](client(api_token=None, base_url="https://gateway.example.com/v1"))


def default_file(url: str) -> Any:
    return replicate.FileOutput(url, replicate.default_client)


def seen_webhooks() -> Any:
    seen = replicate.SeenWebhooks(5)
    seen("m1")
    seen.settle("m1", succeeded=True)
    return seen


def error(kind: Any) -> BaseException:
    """Return an exception with what exceptions of its class usually carry."""
    prediction = replicate.Prediction(**PREDICTION)
    if issubclass(kind, exceptions.ModelError):
        return kind(prediction)
    if issubclass(kind, exceptions.StreamInterrupted):
        return kind("the stream broke off", prediction, "5:0")
    if issubclass(kind, (exceptions.PredictionTimeout, exceptions.StreamError)):
        return kind("what is wrong", prediction)
    if issubclass(kind, exceptions.AbortError):
        return kind("the reason")
    if issubclass(kind, (exceptions.ClientClosedError, exceptions.ForkedError)):
        return kind("what is wrong")
    if not issubclass(kind, exceptions.ReplicateError):
        return kind("what is wrong")
    failure = kind(detail="what is wrong")
    failure.request_id, failure.prediction = "r1", prediction
    if isinstance(failure, exceptions.APIError):
        failure.method, failure.url, failure.body = "GET", BASE_URL, b"{}"
    return failure


def samples() -> dict[str, Any]:
    """Return one object of each kind, by a name for it."""
    records = {}
    for name, data in RECORDS.items():
        records[f"record {name}"] = getattr(replicate, name)(**data)
        records[f"record {name} of a client"] = bound_record(name)
    return {
        **records,
        **{f"sync {name}": value for name, value in objects_of_client(is_async=False).items()},
        **{f"async {name}": value for name, value in objects_of_client(is_async=True).items()},
        **values(),
        **errors(),
        **{f"name {name}": value for name, value in public_names().items()},
    }


def objects_of_client(*, is_async: bool) -> dict[str, Any]:
    def make(**options: Any) -> Any:
        return client(is_async=is_async, **options)

    owner, plain = make(), make(fetch=None)
    prediction = result(lambda: owner.predictions.get("p1"))
    options = {"timeout": replicate.Timeout(7, total=60), "max_retries": 1, "poll_interval": 3}
    secrets = {"proxy": "http://user:password@127.0.0.1:9", "headers": {"X-Key": "key"}}
    return {
        "client": make(fetch=None, **options),
        "client of the environment": make(fetch=None, api_token=None, base_url=None),
        "client with a proxy": make(fetch=None, **secrets),
        "prediction": prediction,
        "model": result(lambda: owner.models.get("acme/x")),
        "page": result(lambda: make(user_agent="mine").predictions.list(timeout=9)),
        "namespace": plain.models.versions,
        "method": plain.predictions.get,
        "run": plain.run,
        "function": plain.use("acme/x:v1"),
        "streaming function": plain.use("acme/x", streaming=True),
        "file": replicate.FileOutput(f"{BASE_URL}/files/f1", owner),
        "model error": exceptions.ModelError(prediction),
    }


def values() -> dict[str, Any]:
    event = replicate.ServerSentEvent
    deployment = replicate.Deployment(**RECORDS["Deployment"])
    prediction = replicate.Prediction(**PREDICTION)
    return {
        "page": replicate.Page([prediction], next="next"),
        "function": replicate.use("acme/x"),
        "file": default_file("https://api.replicate.com/v1/files/f1"),
        "file in a data URI": default_file("data:text/plain;base64,YWJj"),
        "event": event(event="output", data="x", id="1", retry=5),
        "event with a file": event(event="output", data=default_file("https://example.com/a")),
        "type of an event": event.EventType.OUTPUT,
        "timeout": replicate.Timeout(7, connect=None, total=60),
        "identifier": replicate.ModelVersionIdentifier.parse("acme/x:v1"),
        "identifier without a version": replicate.ModelVersionIdentifier("acme", "x"),
        "verifier": replicate.WebhookVerifier(SECRET, seen=seen_webhooks(), tolerance=60),
        "seen webhooks": seen_webhooks(),
        "progress": prediction.progress,
        "request": replicate.Request("POST", f"{BASE_URL}/x", {"a": "b"}, b"body"),
        "statistics": client(fetch=None).stats(),
        "release of a deployment": deployment.current_release,
        "found model": replicate.SearchResult(**RECORDS["SearchResult"]).models[0],
        "page of files": client().files.list(),
        "run of a function": Run(replicate.use("acme/x"), prediction),
        "settings of the local server": Settings(shape="edge", rate_limits=RateLimits(create=5)),
        "module": replicate,
    }


def public_names() -> dict[str, Any]:
    """Return functions, classes, and methods of the default client, which are pickled by name."""
    names = sorted({*replicate.__all__, *exceptions.__all__} - {"exceptions"})
    return {
        name: getattr(replicate, name) if hasattr(replicate, name) else getattr(exceptions, name)
        for name in names
    }


def errors() -> dict[str, BaseException]:
    """Return an error of each class, and errors as calls raise them."""
    found = {}
    for name, kind in public_names().items():
        if not isinstance(kind, type):
            continue
        if issubclass(kind, (replicate.ReplicateException, replicate.WebhookValidationError)):
            found[f"error {name}"] = error(kind)
    for status in STATUSES:
        failing = client(max_retries=0).collections
        found[f"error of status {status}"] = raised(lambda: failing.get(str(status)))
    plain = client(fetch=None)
    anonymous = client(fetch=None, api_token=None)
    verifier = replicate.WebhookVerifier(SECRET)
    webhook = {"webhook-id": "i", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    signal = replicate.AbortSignal.abort("stop")
    return {
        **found,
        "error of a webhook": raised(lambda: verifier.verify(webhook, b"{}", now=1)),
        "error of an answer": raised(lambda: client().collections.list()),
        "error of a file": raised(lambda: plain.files.create(Path("/nowhere/a.txt"))),
        "error of a token": raised(lambda: anonymous.predictions.get("p1")),
        "error of a closed client": raised(call_closed_client),
        "error of a signal": raised(lambda: plain.predictions.get("p1", signal=signal)),
    }


OPTIONS = (
    *("base_url", "timeout", "max_retries", "max_connections", "max_response_bytes"),
    *("user_agent", "poll_interval", "file_encoding_strategy", "use_file_output"),
    *("block_private_addresses", "proxy", "verify", "ssl_cert_file", "cert"),
)
NAMESPACES = ("accounts", "models", "predictions", "webhooks")


def describe(value: Any) -> Any:
    """Describe an object by what a user sees of it, as JSON."""
    if value is None or isinstance(value, (bool, int, float)) or type(value) is str:
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return [describe(each) for each in value]
    if isinstance(value, dict):
        return {str(key): describe(each) for key, each in value.items()}
    if value is replicate:
        return "the module"
    if inspect.isclass(value) or inspect.isroutine(value):
        about = getattr(value, "__self__", None)
        is_bound = not (about is None or inspect.isclass(about) or inspect.ismodule(about))
        return [value.__qualname__, describe(about) if is_bound else None]
    described = {"class": type(value).__qualname__, **described_parts(value)}
    if isinstance(value, replicate.WebhookVerifier):
        # It is of a class without a public name, since it has no secret.
        described["class"] = "WebhookVerifier"
    elif not isinstance(value, BaseException) and " object at " not in repr(value):
        described["repr"] = repr(value)
    return described


def described_parts(value: Any) -> dict[str, Any]:
    """Describe the parts of an instance of one of this package's classes."""
    for kind, parts in PARTS:
        if isinstance(value, kind):
            return describe(parts(value))
    if hasattr(value, "parse_obj"):
        return describe({"fields": value.dict(), "call": call_of(getattr(value, "reload", None))})
    # Namespaces have no public class.
    model = ["acme/x"] if type(value).__name__ == "Versions" else []
    for name in ("list", "get", "current"):
        if callable(call := getattr(value, name, None)):
            return {"call": call_of(lambda call=call: call(*model))}
    if hasattr(value, "default"):
        return {"call": call_of(value.default.secret.get)}
    return {}


def client_parts(value: Any) -> dict[str, Any]:
    options = {name: getattr(value, name) for name in OPTIONS}
    return {**options, "call": call_of(lambda: value.predictions.get("p1"))}


def error_parts(value: BaseException) -> dict[str, Any]:
    bases = [each.__name__ for each in type(value).__mro__]
    own = {name: each for name, each in vars(value).items() if not name.startswith("_")}
    text = {"str": str(value), "args": value.args, "bases": bases}
    return {**text, "own": own, "cause": value.__cause__}


def file_parts(value: Any) -> dict[str, Any]:
    return {"url": value.url, "call": call_of(value.read) if "/v1/" in value.url else None}


def function_parts(value: Any) -> dict[str, Any]:
    return {"name": value.name, "streaming": value.streaming, "call": call_of(value)}


def page_parts(value: Any) -> dict[str, Any]:
    parts = {name: getattr(value, name) for name in ("previous", "next", "results")}
    return {**parts, "call": call_of(None if value.next == "next" else value.get_next_page)}


PARTS: list[tuple[Any, Callable[[Any], dict[str, Any]]]] = [
    (BaseException, error_parts),
    ((replicate.Replicate, replicate.AsyncReplicate), client_parts),
    (replicate.Page, page_parts),
    (replicate.FileOutput, file_parts),
    ((Function, AsyncFunction), function_parts),
    (Run, lambda value: {"id": value.prediction.id, "logs": value.logs()}),
    (replicate.WebhookVerifier, lambda value: {"call": call_of(lambda: value.verify({}, b"{}"))}),
    (
        replicate.SeenWebhooks,
        lambda value: {"size": value.size, "is_settled": value.is_settled("m1")},
    ),
    (replicate.Request, lambda value: {"headers": value.headers, "body": value.body}),
]


def call_of(call: Callable[[], Any] | None) -> list[Any]:
    """Describe what becomes of a call without a token, which nothing is sent for."""
    if call is None:
        return []
    error = raised(call)
    hosts = ("api.replicate.com", "api.example.com", "gateway.example.com", "unpickled")
    return [type(error).__name__, [each for each in hosts if each in str(error)]]


def main(folder: Path) -> None:
    """Write the pickles, a line for each protocol and object, and what they are when loaded."""
    described = {}
    lines = []
    for name, sample in samples().items():
        for protocol in PROTOCOLS[-1:] if name.startswith("name ") else PROTOCOLS:
            data = pickle.dumps(sample, protocol)
            assert TOKEN.encode() not in data
            assert SECRET.encode() not in data
            lines.append(f"{name}|{protocol}|{base64.b64encode(data).decode()}\n")
            described[name] = describe(pickle.loads(data))
    (folder / "pickles.txt").write_text("".join(lines))
    rows = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in described.items()
    )
    (folder / "described.json").write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
