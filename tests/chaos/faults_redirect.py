"""Faults of redirects: forbidden targets, loops, and secrets that must stay at their origin."""

from __future__ import annotations

from chaos.fault import USUAL, Error, Fault
from chaos.operations import CONTENT
from chaos.server import good, raw
from support.wire import reply

NONE = {"max_retries": 0}
REFUSED = Error("APIConnectionError", "redirect")


def to(target: str, status: int = 302) -> bytes:
    return reply(status=status, headers=f"Location: {target}\r\n")


def leading(name: str, what: str, target: str, expected=REFUSED, **more) -> Fault:
    return Fault(
        f"redirect-{name}", f"a redirect {what}", to(target), expected, **{"options": NONE, **more}
    )


def moved(status: int):
    """Return a script that redirects to a prediction at another origin."""

    def script(stage, seen):
        return good() if seen.path == "/moved" else to(f"{stage.other.origin}/moved", status)

    return script


def file_moved(status: int):
    def script(stage, seen):
        return (
            reply(CONTENT, kind="image/png")
            if seen.path == "/moved"
            else to(f"{stage.other.origin}/moved", status)
        )

    return script


def renamed(stage, seen):
    return good() if seen.path.endswith("/y") else to("y")


def spaced(stage, seen):
    return good() if "y" in seen.path else to("a y?b c")


def only_other_get(stage) -> bool:
    return [each.method for each in stage.other.seen] == [
        "GET"
    ] and "authorization" not in stage.other.seen[0].headers


FAULTS = [
    Fault("redirect-relative", "a redirect to a relative URL", renamed),
    Fault(
        "redirect-with-spaces",
        "a redirect to a URL with spaces",
        spaced,
        (USUAL, REFUSED),
        options=NONE,
    ),
    leading(
        "circle",
        "to itself",
        "/v1/predictions/x",
        Error("APIConnectionError", "more than 10 redirects"),
    ),
    Fault(
        "redirect-two-in-a-circle",
        "two URLs that redirect to each other",
        lambda stage, seen: to(
            f"{stage.other.base_url}/predictions/y"
            if seen.path.endswith("x")
            else f"{stage.home.base_url}/predictions/x"
        ),
        Error("APIConnectionError", "more than 10 redirects"),
        options=NONE,
    ),
    Fault(
        "redirect-without-end",
        "endless redirects",
        lambda stage, seen: to(f"{seen.path}x"),
        Error("APIConnectionError", "more than 10 redirects"),
        options=NONE,
        check=lambda stage: len(stage.home.seen) <= 11,
    ),
    leading("to-file", "to a file: URL", "file:///etc/passwd"),
    leading("to-ftp", "to an ftp: URL", "ftp://127.0.0.1/x"),
    leading("to-data", "to a data: URL", "data:application/json,{}"),
    leading("to-javascript", "to a javascript: URL", "javascript:alert(1)"),
    leading("to-gopher", "to a gopher: URL", "gopher://127.0.0.1/"),
    leading(
        "to-nothing", "to an empty URL", "", (REFUSED, Error("APIConnectionError", "redirect"))
    ),
    leading("to-no-host", "to a URL without a host", "http://"),
    leading("to-bad-port", "to an invalid port", "http://127.0.0.1:99999/"),
    Fault(
        "redirect-without-location",
        "302 without a Location",
        reply(status=302),
        Error("APIConnectionError", "without a Location"),
        options=NONE,
    ),
    Fault(
        "redirect-two-locations",
        "302 with two Location headers",
        lambda stage, seen: (
            good()
            if seen.path.endswith("/y")
            else raw("HTTP/1.1 302 X\nLocation: y\nLocation: z\nContent-Length: 0")
        ),
        (USUAL, REFUSED),
        options=NONE,
    ),
    Fault(
        "redirect-300",
        "300, which leaves the choice to the reader",
        reply(status=300, headers="Location: y\r\n"),
        Error("APIError", "300|empty"),
        options=NONE,
    ),
    Fault(
        "redirect-large-body",
        "a redirect with a large body",
        lambda stage, seen: (
            good()
            if seen.path.endswith("/y")
            else reply(b"x" * 1_000_000, 302, headers="Location: y\r\n")
        ),
    ),
    *(
        Fault(
            f"redirect-{status}-elsewhere",
            f"{status} to another origin, followed without the token",
            moved(status),
            check=only_other_get,
        )
        for status in (301, 302, 303, 307, 308)
    ),
    *(
        Fault(
            f"redirect-{status}-of-create",
            f"{status} of a POST to another origin",
            moved(status),
            Error("APIConnectionError", "redirects a POST"),
            "create",
            posts=1,
            check=lambda stage: not stage.other.seen,
        )
        for status in (301, 302, 303, 307, 308)
    ),
    Fault(
        "redirect-of-delete",
        "307 of a DELETE",
        to("/v1/files/f2", 307),
        Error("APIConnectionError", "redirects a DELETE"),
        "delete",
        options=NONE,
    ),
    Fault(
        "redirect-of-upload",
        "307 of an upload to another origin",
        moved(307),
        Error("APIConnectionError", "redirects a POST"),
        "upload",
        check=lambda stage: not stage.other.seen,
    ),
    *(
        Fault(
            f"redirect-{status}-of-file",
            f"{status} of a file to another origin, followed without the token",
            file_moved(status),
            operation="download",
            check=only_other_get,
        )
        for status in (301, 302, 307, 308)
    ),
]
