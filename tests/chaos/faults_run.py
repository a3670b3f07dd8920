"""Faults during a run: unusual statuses, outputs and responses to polls."""

from __future__ import annotations

from chaos.fault import USUAL, Error, Fault, Value
from chaos.operations import CONTENT
from chaos.server import OUTPUT, cut, good, reset
from support.wire import prediction, reply

NONE = {"max_retries": 0}
FAST = {"poll_interval": 0.01}
STARTING = reply(prediction("starting"), 201)
DONE = good()


def run(name: str, what: str, *answers, expected=USUAL, operation="run", **more) -> Fault:
    """Return a fault of a run whose requests get these responses in turn."""
    return Fault(f"run-{name}", what, answers, expected, operation, **{"options": FAST, **more})


def ended(status: str, **more) -> bytes:
    return reply(prediction(status, **more))


def canceled(words: str) -> Error:
    return Error("PredictionCanceled", words, lambda error: error.prediction.id == "p1")


def failed(words: str) -> Error:
    return Error("ModelError", words, lambda error: error.prediction.id == "p1")


def elsewhere(stage, seen):
    """Answer with a prediction with URLs at another origin, which must not receive the token."""
    urls = dict.fromkeys(("get", "cancel", "stream"), f"{stage.other.base_url}/predictions/p1")
    return reply(
        prediction(
            "starting" if seen.method == "POST" else "succeeded",
            output=OUTPUT if seen.method == "GET" else None,
            urls=urls,
        )
    )


def file_elsewhere(stage, seen):
    if seen.path == "/file.png":
        return reply(CONTENT, kind="image/png")
    return reply(prediction(output=f"{stage.other.origin}/file.png"))


def created(output) -> bytes:
    return reply(prediction(output=output), 201)


FAULTS = [
    run("aborted", "aborted before it started", ended("aborted"), expected=canceled("aborted|p1")),
    run(
        "aborted-later",
        "aborted while the client waits",
        STARTING,
        ended("aborted"),
        expected=canceled("aborted|p1"),
    ),
    run(
        "canceled",
        "canceled by another client",
        STARTING,
        ended("canceled"),
        expected=canceled("canceled|p1"),
    ),
    run(
        "failed",
        "a failed prediction",
        STARTING,
        ended("failed", error="CUDA out of memory"),
        expected=failed("CUDA out of memory"),
    ),
    run(
        "failed-without-word",
        "a failed prediction without an error text",
        STARTING,
        ended("failed"),
        expected=failed("p1 failed"),
    ),
    run(
        "failed-with-escapes",
        "a failed prediction with terminal escapes in its error",
        ended("failed", error="bad \x1b[2Jnews"),
        expected=failed("bad.*news"),
    ),
    run(
        "failed-with-object",
        "a failed prediction with an object as its error",
        ended("failed", error={"code": 7}),
        expected=failed("code"),
    ),
    run(
        "unknown-status",
        "an unknown status, then success",
        STARTING,
        ended("queued"),
        DONE,
    ),
    run("null-status", "the status null, then success", STARTING, ended(None), DONE),
    run(
        "completed-unknown",
        "an unknown status with completed_at",
        STARTING,
        ended("finished", output=OUTPUT, completed_at="2026-01-01T00:00:00Z"),
    ),
    run(
        "processing-without-output",
        "processing without output, then success",
        ended("processing"),
        DONE,
    ),
    run(
        "null-output", "success without output", STARTING, ended("succeeded"), expected=Value(None)
    ),
    run(
        "missing-id",
        "a prediction without an id",
        reply({"status": "starting"}, 201),
        DONE,
        expected=Error("APIResponseValidationError", "id"),
        posts=1,
    ),
    run(
        "no-status",
        "a prediction without a status, then success",
        reply({"id": "p1"}, 201),
        DONE,
    ),
    run(
        "no-urls", "a prediction without urls", reply({"id": "p1", "status": "starting"}, 201), DONE
    ),
    run(
        "urls-of-garbage",
        "urls that are not an object",
        reply(prediction("starting", urls="x"), 201),
        DONE,
    ),
    Fault(
        "run-urls-elsewhere",
        "urls at another origin",
        elsewhere,
        operation="run",
        options=FAST,
        check=lambda stage: not stage.other.seen,
    ),
    run(
        "other-id",
        "a poll answered with another prediction",
        STARTING,
        good(id="p2", output="not mine"),
        expected=(Error("APIResponseValidationError", "p2|id"), Value("not mine")),
    ),
    run("poll-reset", "a poll whose connection is reset", STARTING, reset, DONE),
    run("poll-closed", "a poll without a response", STARTING, None, DONE),
    run("poll-half-body", "a poll with half of a response body", STARTING, cut(DONE, -20), DONE),
    run(
        "poll-half-head", "a poll with half of a response head", STARTING, cut(DONE, 20, None), DONE
    ),
    run("poll-500", "500 to a poll", STARTING, reply({}, 500), DONE),
    run(
        "poll-502-html",
        "502 with the web page of a gateway, to a poll",
        STARTING,
        reply(b"<html>", 502, kind="text/html"),
        DONE,
    ),
    run("poll-429", "429 to a poll", STARTING, reply({"retry_after": 0.05}, 429), DONE),
    run(
        "poll-404",
        "404 to a poll",
        STARTING,
        reply({"detail": "gone"}, 404),
        expected=Error("NotFoundError", "gone", lambda error: error.prediction.id == "p1"),
    ),
    run(
        "poll-500-always",
        "500 to every poll; the error carries the prediction",
        STARTING,
        reply({"detail": "broken"}, 500),
        expected=Error("InternalServerError", "broken", lambda error: error.prediction.id == "p1"),
        options={**FAST, "max_retries": 1},
    ),
    run(
        "poll-html",
        "a web page as a success, to a poll",
        STARTING,
        reply(b"<html>", kind="text/html"),
        expected=Error(
            "APIResponseValidationError", "is not JSON", lambda error: error.prediction.id == "p1"
        ),
    ),
    run(
        "create-500",
        "500 to the create",
        reply({"detail": "broken"}, 500),
        expected=Error("InternalServerError", "broken"),
        posts=1,
    ),
    run(
        "create-lost",
        "no response to the create",
        None,
        expected=Error("APIConnectionError", "may have taken this request"),
        posts=1,
    ),
    run(
        "create-429",
        "429 to the create, then success",
        reply({"retry_after": 0.05}, 429),
        STARTING,
        DONE,
        posts=2,
    ),
    run(
        "wait-reset",
        "a poll of `wait` whose connection is reset",
        ended("starting"),
        reset,
        DONE,
        operation="wait",
    ),
    run(
        "wait-500",
        "500 to a poll of `wait`",
        ended("starting"),
        reply({}, 500),
        DONE,
        operation="wait",
    ),
    run(
        "wait-aborted",
        "aborted while `wait` waits",
        ended("starting"),
        ended("aborted"),
        operation="wait",
        expected=Value(["p1", "aborted", None]),
    ),
    run(
        "output-http",
        "an output that is an http: URL of another host: a string",
        created("http://example.invalid/a.png"),
        expected=Value("http://example.invalid/a.png"),
        operation="run and read",
    ),
    run(
        "output-file",
        "an output that is a file: URL: a string",
        created("file:///etc/passwd"),
        expected=Value("file:///etc/passwd"),
        operation="run and read",
    ),
    run(
        "output-javascript",
        "an output that is a javascript: URL: a string",
        created("javascript:alert(1)"),
        expected=Value("javascript:alert(1)"),
        operation="run and read",
    ),
    Fault(
        "run-output-private",
        "an output file at a private address, with block_private_addresses=True",
        lambda stage, seen: created(f"{stage.other.origin.replace('http', 'https')}/a.png"),
        Error("APIConnectionError", "private"),
        "run and read",
        options={**NONE, "block_private_addresses": True},
        check=lambda stage: not stage.other.opened,
    ),
    Fault(
        "run-output-private-name",
        "an output file at a host name with a private address, with block_private_addresses=True",
        lambda stage, seen: created(
            f"{stage.other.origin.replace('http://127.0.0.1', 'https://localhost')}/a.png"
        ),
        Error("APIConnectionError", "private"),
        "run and read",
        options={**NONE, "block_private_addresses": True},
        check=lambda stage: not stage.other.opened,
    ),
    Fault(
        "run-output-moves-to-private",
        "an output file that redirects to a private address, with block_private_addresses=True",
        lambda stage, seen: (
            reply(status=302, headers=f"Location: {stage.other.origin}/a.png\r\n")
            if seen.path == "/a.png"
            else created(f"{stage.home.origin}/a.png")
        ),
        Error("APIConnectionError", "private|not fetched"),
        "run and read",
        options={**NONE, "block_private_addresses": True},
        check=lambda stage: not stage.other.opened,
    ),
    run(
        "output-text-like-url",
        "text that begins like a URL: a string",
        created("https://example.invalid is down"),
        expected=Value("https://example.invalid is down"),
        operation="run and read",
    ),
    Fault(
        "run-file-elsewhere",
        "an output file at another origin, fetched without the token",
        file_elsewhere,
        operation="run and read",
        check=lambda stage: len(stage.other.seen) == 1,
    ),
]
