"""Faults of TLS: certificates that must not be trusted, and broken handshakes."""

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
    """Create the certificates, once per process."""
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
    """Return a fault of a TLS server; with `trust`, the client trusts the test authority."""
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
    """Send half a ServerHello, then close."""
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00")


def _alert(server, connection):
    """Send the alert "protocol version"."""
    connection.recv(65536)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x46")


FAULTS = [
    fault(
        "tls-good", "no fault: a certificate of a trusted authority, for an IP address", served()
    ),
    fault(
        "tls-good-name",
        "no fault: a certificate of a trusted authority, for a host name",
        served(),
        address=_name,
    ),
    fault(
        "tls-expired",
        "an expired certificate",
        served("expired"),
        expected=refused("(?i)certificate.*expired"),
    ),
    fault(
        "tls-not-yet-valid",
        "a certificate that is not valid yet",
        served("not yet valid"),
        expected=refused("(?i)certificate.*not valid yet"),
    ),
    fault(
        "tls-wrong-name",
        "a certificate for another host name",
        served("wrong name"),
        expected=refused("(?i)certificate.*name"),
    ),
    fault(
        "tls-self-signed",
        "a self-signed certificate",
        served("self-signed"),
        expected=refused("(?i)certificate"),
    ),
    fault(
        "tls-unknown-authority",
        "a certificate of an authority that the client does not trust",
        served("unknown authority"),
        expected=refused("(?i)certificate"),
    ),
    fault(
        "tls-nobody-trusted",
        "a certificate of an authority that is not in the system's trust store",
        served(),
        expected=refused("(?i)certificate"),
        trust=False,
    ),
    fault(
        "tls-create-untrusted",
        "an untrusted certificate; the request is a POST",
        served("unknown authority"),
        operation="create",
        expected=refused("(?i)certificate"),
        posts=0,
    ),
    fault(
        "tls-stalled",
        "the handshake stalls",
        say_nothing,
        expected=Error("APITimeoutError", "connecting"),
        trust=False,
        options={"timeout": Timeout(connect=0.3)},
        lasts=(0.25, 0.6),
    ),
    fault(
        "tls-stalled-deadline",
        "the handshake stalls; the call has a deadline",
        say_nothing,
        trust=False,
        deadline=0.3,
        expected=Error("APITimeoutError", "over all attempts"),
        lasts=(0.2, 0.6),
    ),
    fault(
        "tls-reset",
        "the connection is reset during the handshake",
        take(5),
        trust=False,
        expected=refused("reset|closed|handshake|eof|tls"),
    ),
    fault(
        "tls-closed",
        "the connection is closed during the handshake",
        close_at_once,
        trust=False,
        expected=refused("(?i)reset|closed|handshake|eof|tls|connection"),
    ),
    fault(
        "tls-half-hello",
        "the connection is closed after half a ServerHello",
        _half,
        trust=False,
        expected=refused("(?i)closed|handshake|eof|tls|connection"),
    ),
    fault(
        "tls-alert",
        "a TLS alert instead of a ServerHello",
        _alert,
        trust=False,
        expected=refused("(?i)alert|protocol"),
    ),
    fault(
        "tls-garbage",
        "plain HTTP instead of TLS",
        say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        trust=False,
        expected=refused("(?i)corrupt|invalid|tls|message"),
    ),
    fault(
        "tls-reset-once-create",
        "the first handshake of a POST is reset",
        reset_at_once,
        served(),
        operation="create",
        options={"max_retries": 2},
        posts=1,
    ),
    fault(
        "tls-stalled-body",
        "an encrypted response body stalls",
        served(),
        script=stall(good()[:-5]),
        expected=Error("APITimeoutError", "reading the response body"),
        options={"timeout": Timeout(read=0.3)},
        lasts=(0.25, 0.6),
    ),
    fault(
        "tls-cut-without-notice",
        "an encrypted body without a length is cut off without close_notify",
        served(),
        script=cut(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + good()[-30:], end=None),
        expected=refused("(?i)close|eof|reset|connection"),
    ),
    fault(
        "tls-redirect-to-http",
        "a redirect from https to http",
        served(),
        script=lambda stage, seen: reply(
            status=302, headers=f"Location: {stage.other.origin}/v1/predictions/x\r\n"
        ),
        expected=refused("redirects from https to http"),
        check=lambda stage: not stage.other.seen,
    ),
]
