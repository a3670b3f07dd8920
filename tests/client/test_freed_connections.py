"""A call that begins to make a connection and then is given one that another call has left: its
limits hold, and its error says where it was. It takes a handshake that is slower than the other
call."""

import asyncio
import contextlib
import threading
import time

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs._core import Expect
from support.certificates import Certificates, SecureWire
from support.wire import Wire, hang, reply

MAX_WAIT = 10
SIZE = 300_000


class SlowHandshake(SecureWire):
    """Shakes hands on its first connection only; on others when it is told to.

    The end of `/held` waits for such another one.
    """

    def __init__(self, context):
        self.waits = threading.Event()
        self.shake = threading.Event()
        super().__init__(self._answer, context)

    def _answer(self, seen):
        if seen.path.endswith("/held"):

            def held(connection):
                content = bytes(SIZE)
                whole = reply(content, kind="application/octet-stream")
                connection.sendall(whole[:-100])
                self.waits.wait(MAX_WAIT)
                # The call that waits for the handshake has to be waiting.
                time.sleep(0.1)
                return whole[-100:]

            return held
        return hang

    def _serve(self, connection):
        if self.opened > 1:
            self.waits.set()
            self.shake.wait(MAX_WAIT)
        super()._serve(connection)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def wire(certificates):
    with SlowHandshake(certificates.server()) as wire:
        yield wire
        wire.shake.set()


def client(certificates, wire, **limits):
    timeout = replicate.Timeout(**{"connect": MAX_WAIT, "read": None, "total": None, **limits})
    return replicate.Replicate(
        "r8_x",
        base_url=wire.base_url,
        ssl_cert_file=certificates.authority,
        max_retries=0,
        timeout=timeout,
    )


def get(client):
    return client.request("/slow")


def post(client):
    return client.predictions.create("v", {})


LIMITS = {"read": {"read": 0.5}, "total": {"total": 1.0}}


def check(error, method):
    said = str(error)
    assert "connecting" not in said
    assert "waiting for the response" in said
    if method == "POST":
        assert "may have" in said


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("driver", ["threads", "tasks"])
def test_a_limit_holds_on_a_connection_that_another_call_has_left(
    driver, method, limit, certificates, wire
):
    made = client(certificates, wire, **LIMITS[limit])
    held = made._core.send("GET", ("held",), Expect.RESPONSE)
    held.begin()
    wire.until(lambda: len(wire.seen) == 1)
    if driver == "threads":
        # While another thread has the engine, calls are on the runtime, where the held one is.
        with a_busy_engine(), pytest.raises(exceptions.APITimeoutError) as caught:
            post(made) if method == "POST" else get(made)
    else:

        async def main():
            with pytest.raises(exceptions.APITimeoutError) as caught:
                await (
                    made.predictions.async_create("v", {})
                    if method == "POST"
                    else made.async_request("/slow")
                )
            return caught

        caught = asyncio.run(main())
    wire.until(lambda: [each.method for each in wire.seen] == ["GET", method])
    assert wire.opened == 2
    check(caught.value, method)


@contextlib.contextmanager
def a_busy_engine():
    controller = replicate.AbortController()
    with (
        Wire(lambda _: hang) as other,
        replicate.Replicate("r8_x", base_url=other.base_url) as client,
    ):

        def call():
            with pytest.raises(replicate.AbortError):
                client.request("/x", signal=controller.signal)

        thread = threading.Thread(target=call)
        thread.start()
        other.until(lambda: len(other.seen) == 1)
        yield
        controller.abort()
        thread.join()
