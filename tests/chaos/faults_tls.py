"""TLS: certificates that must not be trusted, and handshakes that go wrong."""

from __future__ import annotations

from functools import cache

from chaos.fault import USUAL, Error, Fault
from chaos.server import (
    Stage,
    close_at_once,
    cut,
    encrypted,
    folder,
    good,
    reset_at_once,
    say,
    say_nothing,
    stall,
    take,
)
from replicate_rs import Timeout
from support.certificates import Certificates
from support.wire import reply


@cache
def certificates() -> Certificates:
    """Made once, for as long as this process is of use to anybody."""
    return Certificates(folder())


def _secure(stage: Stage) -> str:
    return stage.home.base_url.replace("http:", "https:")


def _name(stage: Stage) -> str:
    return _secure(stage).replace("127.0.0.1", "localhost")


def fault(
    name: str,
    what: str,
    *openings,
    expected=USUAL,
    operation="get",
    script=None,
    address=_secure,
    trust=True,
    **more,
) -> Fault:
    """A server of which the client knows whom to trust for it."""
    options = {
        "max_retries": 0,
        **({"ssl_cert_file": certificates().authority} if trust else {}),
        **more.pop("options", {}),
    }
    script = good() if script is None else script
    return Fault(
        name,
        what,
        script,
        expected,
        operation,
        address=address,
        openings=openings,
        options=options,
        **more,
    )


def served(kind: str = "good"):
    return encrypted(lambda: certificates().server(kind))


def refused(words: str) -> Error:
    return Error("APIConnectionError", words)


def _half(server, connection):
    """Half of a server's hello, and the end."""
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00")


def _alert(server, connection):
    """What a server says that knows no common version."""
    connection.recv(65536)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x46")


FAULTS = [
    fault("tls-good", "a certificate that the client was told to trust", served()),
    fault("tls-good-name", "the same, by name", served(), address=_name),
    fault(
        "tls-expired",
        "an expired certificate",
        served("expired"),
        expected=refused("(?i)certificate.*expired"),
    ),
    fault(
        "tls-not-yet-valid",
        "a certificate of the future",
        served("not yet valid"),
        expected=refused("(?i)certificate.*not valid yet"),
    ),
    fault(
        "tls-wrong-name",
        "a certificate for another name",
        served("wrong name"),
        expected=refused("(?i)certificate.*name"),
    ),
    fault(
        "tls-self-signed",
        "a certificate that vouches for itself",
        served("self-signed"),
        expected=refused("(?i)certificate"),
    ),
    fault(
        "tls-unknown-authority",
        "an authority that nobody knows",
        served("unknown authority"),
        expected=refused("(?i)certificate"),
    ),
    fault(
        "tls-nobody-trusted",
        "an authority that the system does not know",
        served(),
        expected=refused("(?i)certificate"),
        trust=False,
    ),
    fault(
        "tls-create-untrusted",
        "a POST to a server that is not trusted",
        served("unknown authority"),
        operation="create",
        expected=refused("(?i)certificate"),
        posts=0,
    ),
    fault(
        "tls-stalled",
        "a handshake that stalls",
        say_nothing,
        expected=Error("APITimeoutError", "connecting"),
        trust=False,
        options={"timeout": Timeout(connect=0.3)},
        lasts=(0.25, 0.6),
    ),
    fault(
        "tls-stalled-deadline",
        "the same, with a deadline over the call",
        say_nothing,
        trust=False,
        deadline=0.3,
        expected=Error("APITimeoutError", "over all attempts"),
        lasts=(0.2, 0.6),
    ),
    fault(
        "tls-reset",
        "reset in the handshake",
        take(5),
        trust=False,
        expected=refused("reset|closed|handshake|eof|tls"),
    ),
    fault(
        "tls-closed",
        "closed in the handshake",
        close_at_once,
        trust=False,
        expected=refused("(?i)reset|closed|handshake|eof|tls|connection"),
    ),
    fault(
        "tls-half-hello",
        "half of a server's hello",
        _half,
        trust=False,
        expected=refused("(?i)closed|handshake|eof|tls|connection"),
    ),
    fault(
        "tls-alert",
        "an alert instead of a hello",
        _alert,
        trust=False,
        expected=refused("(?i)alert|protocol"),
    ),
    fault(
        "tls-garbage",
        "plain text instead of TLS",
        say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        trust=False,
        expected=refused("(?i)corrupt|invalid|tls|message"),
    ),
    fault(
        "tls-reset-once-create",
        "a POST whose first handshake is reset",
        reset_at_once,
        served(),
        operation="create",
        options={"max_retries": 2},
        posts=1,
    ),
    fault(
        "tls-stalled-body",
        "a body that stalls, encrypted",
        served(),
        script=stall(good()[:-5]),
        expected=Error("APITimeoutError", "reading the response body"),
        options={"timeout": Timeout(read=0.3)},
        lasts=(0.25, 0.6),
    ),
    fault(
        "tls-cut-without-notice",
        "an encrypted body without a length, cut without a farewell",
        served(),
        script=cut(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + good()[-30:], end=None),
        expected=refused("(?i)close|eof|reset|connection"),
    ),
    fault(
        "tls-redirect-to-http",
        "https that leads to http",
        served(),
        script=lambda stage, seen: reply(
            status=302, headers=f"Location: {stage.other.origin}/v1/predictions/x\r\n"
        ),
        expected=refused("redirects from https to http"),
        check=lambda stage: not stage.other.seen,
    ),
]
