"""Every wait ends at its limit, with an error that says what was waited for."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from replicate_rs import AbortSignal, FileOutput, Prediction, Timeout, exceptions
from replicate_rs._base.session import Async, Sync
from replicate_rs._core import Expect
from support.leaving import LARGE, Unread, full_port
from support.wire import HEAD, Wire, hang, output, prediction, reply

SECONDS = 0.1
# A pause that no limit is as short as.
PAUSE = 0.02


@contextlib.contextmanager
def on_time(seconds: float = SECONDS):
    """What is done takes as long as this; machines are noisy, and no call ends early."""
    start = time.monotonic()
    yield
    assert seconds - 0.02 <= time.monotonic() - start <= seconds + 4


def dripping(first: bytes, again: bytes, times: int = 1000):
    """Send something, and then something again and again."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(first)
        for _ in range(times):
            time.sleep(PAUSE)
            connection.sendall(again)

    return drip


# Faults: each is a server, what is asked of it, and what is waited for


class Fault(NamedTuple):
    base_url: str
    ask: Callable[..., Any]
    options: dict[str, Any]


def get(client, **options):
    return client.predictions.get("p1", **options)


def send(client, **options):
    return client.predictions.create("v", {"text": "x" * LARGE}, **options)


def upload(client, **options):
    return client.files.create(bytes(LARGE), **options)


@contextlib.contextmanager
def answering(answer, ask=get, **options):
    with Wire(lambda _: answer) as wire:
        yield Fault(wire.base_url, ask, options)
        # What timed out is not held on to.
        wire.until(lambda: wire.open_now == 0)


def never():
    return answering(hang)


def slow_head():
    return answering(dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"))


def endless_interim_answers():
    return answering(dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"))


def silent_body():
    return answering(
        lambda connection: (connection.sendall(reply(b'{"id"', length=100)), hang(connection))[1]
    )


def dripping_body():
    return answering(dripping(reply(b'{"id"', length=100_000), b" "))


@contextlib.contextmanager
def busy_connections():
    def ask(client, **options):
        held.append(client._core.send("GET", ("held",), Expect.STATUS, read=10, total=10))
        held[0].begin()
        wire.until(lambda: len(wire.seen) == 1)
        return get(client, **options)

    held = []
    with Wire(lambda _: hang) as wire:
        yield Fault(wire.base_url, ask, {"max_connections": 1})
        held[0].give_up()
        wire.until(lambda: wire.open_now == 0)


@contextlib.contextmanager
def full_backlog():
    port, sockets = full_port()
    with contextlib.ExitStack() as stack:
        for each in sockets:
            stack.enter_context(each)
        yield Fault(f"http://127.0.0.1:{port}", get, {})


@contextlib.contextmanager
def silent_handshake():
    with Wire(lambda _: None) as wire:
        yield Fault(wire.base_url.replace("http:", "https:"), get, {})
        wire.until(lambda: wire.open_now == 0)


@contextlib.contextmanager
def unread(ask):
    with Unread(lambda _: hang, lambda: None) as wire:
        wire.leaves_unread = True
        yield Fault(wire.base_url, ask, {})
        wire.read_on.set()


def unread_upload():
    return unread(upload)


def unread_input():
    return unread(send)


KEEPIDLE = socket.IPPROTO_TCP, socket.TCP_KEEPIDLE

# What each is waiting for, and the limit of its own.
FAULTS = {
    never: ("waiting for the response", "read"),
    slow_head: ("waiting for the response", "read"),
    endless_interim_answers: ("waiting for the response", "read"),
    silent_body: ("reading the response body", "read"),
    dripping_body: ("reading the response body", None),
    busy_connections: ("waiting for a free connection", "pool"),
    full_backlog: ("connecting", "connect"),
    silent_handshake: ("connecting", "connect"),
    unread_upload: ("sending", "write"),
    unread_input: ("sending", "write"),
}
OWN = [
    pytest.param(fault, name, phase, id=fault.__name__)
    for fault, (phase, name) in FAULTS.items()
    if name
]
ALL = [pytest.param(fault, phase, id=fault.__name__) for fault, (phase, _) in FAULTS.items()]


def fails(both, fault, phase, of_client=None, **options):
    with fault() as what:
        client = both.client(what.base_url, timeout=of_client, max_retries=0, **what.options)
        # What is made once for all requests is not a request's time.
        client._core.sleep(0).wait()
        with (
            on_time(),
            pytest.raises(
                exceptions.APITimeoutError, match=rf"after 0\.[01]\d* s.*{phase}"
            ) as caught,
        ):
            both(lambda: what.ask(client, **options))
    assert isinstance(caught.value, TimeoutError)
    assert what.base_url in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("fault", "name", "phase"), OWN)
def test_each_part_ends_at_its_own_limit(both, fault, name, phase):
    assert not fails(both, fault, phase, Timeout(**{name: SECONDS})).is_deadline


@pytest.mark.parametrize("ask", [get, upload])
def test_making_a_connection_has_a_limit_of_its_own(both, ask):
    with full_backlog() as what:
        client = both.client(
            what.base_url, timeout=Timeout(connect=0.4, read=SECONDS, write=SECONDS), max_retries=0
        )
        with (
            on_time(0.4),
            pytest.raises(exceptions.APITimeoutError, match=r"after 0\.4 s, connecting"),
        ):
            both(lambda: ask(client))


def test_a_connection_tells_of_itself_while_it_waits(both):
    """A router forgets a connection on which nothing happens for minutes."""
    kept = []

    def script(_):
        for name in os.listdir("/proc/self/fd"):
            with (
                contextlib.suppress(OSError),
                socket.fromfd(int(name), socket.AF_INET, socket.SOCK_STREAM) as each,
            ):
                if each.getpeername() == ("127.0.0.1", int(wire.origin.rpartition(":")[2])):
                    kept.append(
                        (
                            each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                            each.getsockopt(*KEEPIDLE),
                        )
                    )
        return reply(prediction())

    with Wire(script) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get("x"))
    assert kept == [(1, 15)]


@pytest.mark.parametrize(("fault", "name", "phase"), OWN)
def test_each_limit_of_httpx_is_understood(both, fault, name, phase):
    """Programs written for 1.0.7 and 2.0 have these."""
    limits = {"connect": 10, "read": 10, "write": 10, "pool": 10} | {name: SECONDS}
    fails(both, fault, phase, httpx.Timeout(**limits))


@pytest.mark.parametrize(("fault", "name", "phase"), OWN)
def test_a_number_is_a_limit_of_each_part(both, fault, name, phase):
    """The client's own timeout always applies."""
    fails(both, fault, phase, SECONDS)


@pytest.mark.parametrize(("fault", "phase"), ALL)
def test_all_of_a_request_ends_at_the_limit_of_the_client(both, fault, phase):
    assert fails(both, fault, phase, Timeout(total=SECONDS)).is_deadline


@pytest.mark.parametrize(("fault", "phase"), ALL)
def test_all_of_a_request_ends_at_the_limit_of_the_call(both, fault, phase):
    assert fails(both, fault, phase, timeout=SECONDS).is_deadline


def test_a_number_does_not_limit_an_answer_that_keeps_coming(both):
    body = reply(b'{"id": "p1"}' + b" " * 30)
    with Wire(
        lambda _: lambda connection: (dripping(body[:-15], b" ", 15)(connection), b"")[1]
    ) as wire:
        assert (
            both(lambda: both.client(wire.base_url, timeout=0.2).predictions.get("p1")).id == "p1"
        )


def test_an_upload_that_is_taken_slowly_has_no_limit_but_the_total(both):
    """Row 1: `write` is for one piece."""
    with Slow(lambda _: reply({"id": "f1"})) as wire:
        client = both.client(wire.base_url, timeout=Timeout(write=0.3, read=10), max_retries=0)
        start = time.monotonic()
        assert both(lambda: client.files.create(bytes(4 * LARGE))).id == "f1"
        assert time.monotonic() - start > 0.6


class Slow(Wire):
    """Takes the first parts of what it is sent with pauses."""

    def _serve(self, connection):
        super()._serve(Paused(connection, 30))


class Paused:
    """A connection whose first reads take long."""

    def __init__(self, connection, times):
        self._connection = connection
        self._times = times

    def recv(self, size):
        if self._times > 0:
            self._times -= 1
            time.sleep(PAUSE)
        return self._connection.recv(size)

    def __enter__(self):
        return self._connection.__enter__()

    def __exit__(self, *error):
        return self._connection.__exit__(*error)

    def __getattr__(self, name):
        return getattr(self._connection, name)


# Holds


def late(seconds):
    """The answer to a create that is held."""

    def answer(_):
        time.sleep(seconds)
        return reply(prediction(), 201)

    return Wire(answer)


@pytest.mark.parametrize("timeout", [SECONDS, httpx.Timeout(SECONDS)])
def test_a_hold_raises_the_limit_of_the_answer(both, timeout):
    with late(2 * SECONDS) as wire:
        client = both.client(wire.base_url, timeout=timeout)
        assert both(lambda: client.predictions.create("v", {}, wait=1)).id == "p1"
        assert both(lambda: client.run("acme/x", {}, wait=1)) is None
        with pytest.raises(exceptions.APITimeoutError, match="waiting for the response"):
            both(lambda: client.predictions.create("v", {}))


@pytest.mark.parametrize("timeout", [10, Timeout(read=10), Timeout(read=None)])
def test_a_hold_never_lowers_the_limit_of_the_answer(both, timeout, monkeypatch):
    monkeypatch.setattr("replicate_rs.prediction.MAX_WAIT", 0.05)
    monkeypatch.setattr("replicate_rs.prediction.WAIT_MARGIN", 0.05)
    with late(0.4) as wire:
        assert (
            both(
                lambda: both.client(wire.base_url, timeout=timeout).predictions.create(
                    "v", {}, wait=True
                )
            ).id
            == "p1"
        )


# Operations of several requests


def known(both, client):
    return Prediction._of(prediction("processing"), client._session)._in(
        Async if both.is_async else Sync
    )


LONG = {
    "run": lambda both, client, **options: client.run("acme/x", {}, **options),
    "run without a hold": lambda both, client, **options: client.run(
        "acme/x", {}, wait=False, **options
    ),
    "wait": lambda both, client, **options: client.wait(known(both, client), **options),
    "wait by the prediction": lambda both, client, **options: known(both, client).wait(**options),
    "stream": lambda both, client, **options: client.stream("acme/x", {}, **options),
    "text_stream": lambda both, client, **options: client.text_stream("acme/x", {}, **options),
    "relay": lambda both, client, **options: client.relay("acme/x", {}, **options),
}


def created(wire):
    return reply(prediction("processing", urls={"stream": f"{wire.origin}/stream"}), 201)


def stuck_at(place):
    """A server that answers up to some point, and then no more."""

    def script(seen):
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.path == "/stream" and place == "event":
            return lambda connection: (connection.sendall(HEAD + output("a")), hang(connection))[1]
        if seen.method == "POST":
            return hang if place == "create" else created(wire)
        if place == "backoff":
            return reply(b"", 503, headers="Retry-After: 30\r\n")
        return reply(prediction("processing")) if place == "poll" else hang

    wire = Wire(script)
    return wire


@pytest.mark.parametrize("place", ["create", "answer", "backoff", "poll", "event"])
@pytest.mark.parametrize("name", LONG)
def test_a_deadline_is_over_all_of_an_operation(both, name, place):
    """The prediction is in the error, as soon as there is one."""
    if (place == "create" and "wait" in name) or (
        place in ("poll", "event") and ("stream" in name or name == "relay")
    ):
        pytest.skip("elsewhere")
    with stuck_at(place) as wire:
        client = both.client(wire.base_url, poll_interval=0.03)
        with (
            on_time(),
            pytest.raises(exceptions.PredictionTimeout, match=f"after {SECONDS} s") as caught,
        ):
            both(lambda: LONG[name](both, client, timeout=SECONDS))
        assert getattr(caught.value.prediction, "id", None) == (None if place == "create" else "p1")
        is_cancelled = place != "create" and "wait" not in name
        wire.until(lambda: wire.routes.count("POST /v1/predictions/p1/cancel") == is_cancelled)
        client.close()
        wire.until(lambda: wire.open_now == 0)


@pytest.mark.parametrize("name", ["stream", "text_stream"])
def test_a_deadline_ends_a_stream_that_is_silent(both, name):
    """Rows 1, 12."""
    given = []
    with stuck_at("event") as wire:
        client = both.client(wire.base_url)
        with on_time(), pytest.raises(exceptions.PredictionTimeout) as caught:
            both.fill(given, lambda: LONG[name](both, client, timeout=SECONDS))
        assert (caught.value.prediction.id, list(map(str, given))) == ("p1", ["a"])
        wire.until(lambda: "POST /v1/predictions/p1/cancel" in wire.routes)


@pytest.mark.parametrize("name", ["read", "save", "chunks"])
@pytest.mark.parametrize("fault", [never, silent_body, dripping_body])
def test_a_deadline_ends_a_download(both, name, fault, tmp_path):
    """And there is no file."""
    arguments = [tmp_path / "file"] if name == "save" else []
    with fault() as what:
        client = both.client("https://x.test")
        file = FileOutput(what.base_url, client)
        method = getattr(file, f"a{name}" if both.is_async else name)
        with on_time(), pytest.raises(exceptions.APITimeoutError, match=FAULTS[fault][0]):
            both(lambda: method(*arguments, timeout=SECONDS))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_signal_with_a_time_ends_a_request(both, fault):
    """Rows 1, 7."""
    with fault() as what:
        client = both.client(what.base_url, max_retries=0, **what.options)
        with on_time(), pytest.raises(exceptions.AbortError, match="timed out"):
            both(lambda: what.ask(client, signal=AbortSignal.timeout(SECONDS)))
