"""Faults of uploads: lost connections, and errors while the file is sent."""

from __future__ import annotations

import os
import socket

from chaos.fault import USUAL, Error, Fault
from chaos.operations import file, shrinking
from chaos.server import OUTPUT, Server, reset, take
from support.wire import prediction, reply

MAYBE = Error("APIConnectionError", "may have taken this request")
LARGE = 20_000_000
TOO_LARGE = reply({"detail": "too large"}, 413, headers="Connection: close\r\n")


def upload(name: str, what: str, *answers, expected=MAYBE, argument=1000, **more) -> Fault:
    return Fault(
        f"upload-{name}",
        what,
        answers or (reply(file(), 201),),
        expected,
        "upload",
        argument,
        **{"posts": 1, **more},
    )


def answering(answer: bytes, *, read: bool):
    """Answer while the body is being sent, then read the rest of the body or not."""

    def opening(server: Server, connection) -> None:
        def finish(connection) -> None:
            connection.sendall(answer)
            while read and connection.recv(1 << 20):
                pass

        return take(then=finish)(server, connection)

    return opening


def _shrink(connection: socket.socket) -> None:
    os.truncate(shrinking(connection.getsockname()[1]), 10)
    while connection.recv(1 << 20):
        pass


def with_file(*uploads):
    """Return a script for a run with a file as input."""

    def script(stage, seen):
        if seen.path.endswith("/files"):
            return uploads[
                min(sum(each.path.endswith("/files") for each in stage.home.seen), len(uploads)) - 1
            ]
        return reply(prediction(output=OUTPUT), 201)

    return script


def run(name: str, what: str, *uploads, expected=USUAL, posts=2) -> Fault:
    return Fault(
        f"run-with-file-{name}", what, with_file(*uploads), expected, "run with file", posts=posts
    )


FAULTS = [
    upload("good", "no fault", expected=USUAL),
    upload(
        "reset-in-body",
        "the connection is reset while the file is sent",
        openings=(take(then=reset), None),
        argument=LARGE,
    ),
    upload(
        "closed-in-body",
        "the connection is closed while the file is sent",
        openings=(take(until=b"xxxx", then=lambda connection: None), None),
        argument=LARGE,
    ),
    upload("lost", "no response", None),
    upload(
        "413",
        "413 while the file is sent; the server reads the rest",
        openings=(answering(TOO_LARGE, read=True),),
        argument=LARGE,
        expected=Error("PayloadTooLargeError", "too large"),
    ),
    upload(
        "413-closed",
        "413 while the file is sent; the server does not read the rest",
        openings=(answering(TOO_LARGE, read=False),),
        argument=LARGE,
        expected=(Error("PayloadTooLargeError", "too large"), MAYBE),
    ),
    upload(
        "401",
        "401 to the upload",
        reply({"detail": "who?"}, 401),
        expected=Error("AuthenticationError", "who"),
    ),
    upload(
        "500",
        "500 to the upload",
        reply({"detail": "broken"}, 500),
        expected=Error("InternalServerError", "broken"),
    ),
    upload(
        "429",
        "429, then success",
        reply({"retry_after": 0}, 429),
        reply(file(), 201),
        expected=USUAL,
        posts=2,
    ),
    upload(
        "html",
        "a web page as a success",
        reply(b"<html>", kind="text/html"),
        expected=Error("APIResponseValidationError", "is not JSON"),
    ),
    upload(
        "without-id",
        "an uploaded file without an id",
        reply({"name": "a.bin"}, 201),
        expected=Error("APIResponseValidationError", "id"),
    ),
    Fault(
        "upload-truncated",
        "the file shrinks while it is sent",
        reply(file(), 201),
        Error("FileError", "shrinking.bin"),
        "upload of a shrinking file",
        openings=(take(then=_shrink),),
    ),
    run("good", "no fault: a run with a file", reply(file(), 201)),
    run("500", "500 to the upload: the file is sent inline", reply({}, 500)),
    run("lost", "no response to the upload: the file is sent inline", None),
    run(
        "400",
        "400 to the upload: no prediction is created",
        reply({"detail": "bad file"}, 400),
        expected=Error("BadRequestError", "bad file"),
        posts=1,
    ),
    run(
        "401",
        "401 to the upload: no prediction is created",
        reply({"detail": "who?"}, 401),
        expected=Error("AuthenticationError", "who"),
        posts=1,
    ),
    run(
        "without-url",
        "an uploaded file without a URL",
        reply({"id": "f1"}, 201),
        expected=Error("ReplicateException", "(?i)url|get|address"),
        posts=1,
    ),
]
