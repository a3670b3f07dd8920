"""The local server's start and stop, and changes while it runs."""

import contextlib
import gc
import socket
import threading
import warnings

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import LocalReplicate, RateLimits, Settings, app, server_thread, state
from support.conditions import until


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def fails(*_, **__):
    raise OSError("no templates")


def ends(*_, **__):
    raise SystemExit(3)


async def returns(*_, **__):
    pass


# pytest fails a test whose thread ends with an unhandled exception.
@pytest.mark.parametrize(
    ("place", "failing", "error", "says"),
    [
        ((app, "create_api_app"), fails, OSError, "no templates"),
        ((app, "Execution"), fails, OSError, "no templates"),
        ((server_thread.uvicorn, "Config"), fails, OSError, "no templates"),
        ((server_thread.uvicorn.Server, "startup"), fails, OSError, "no templates"),
        (
            (server_thread.uvicorn.Server, "startup"),
            ends,
            RuntimeError,
            "the server ended before it had started: SystemExit",
        ),
        (
            (server_thread.uvicorn.Server, "startup"),
            returns,
            RuntimeError,
            "the server ended before it had started",
        ),
        (
            (server_thread.uvicorn.Server, "serve"),
            returns,
            RuntimeError,
            "the server ended before it had started",
        ),
        ((server_thread.asyncio, "Runner"), fails, OSError, "no templates"),
        ((server_thread.threading.Thread, "start"), fails, OSError, "no templates"),
        ((state.tempfile, "mkdtemp"), fails, OSError, "no templates"),
    ],
)
@pytest.mark.parametrize("way", ["start", "__enter__"])
def test_what_ends_a_server_at_its_start_is_raised_there(
    monkeypatch, place, failing, error, says, way
):
    before = set(threading.enumerate())
    server = LocalReplicate()
    listeners = server.listen()
    ports = [each.getsockname()[1] for each in listeners]
    with monkeypatch.context() as patch:
        patch.setattr(*place, failing)
        patch.setattr(server, "listen", lambda: listeners)
        with pytest.raises(error, match=says):
            getattr(server, way)()
    assert all(is_refused(port) for port in ports)
    assert not [
        each for each in {*threading.enumerate()} - before if each.name == "replicate-local"
    ]
    with pytest.raises(RuntimeError, match="never started"):
        _ = server.requests
    # The failure has no effect on the next start.
    with server:
        assert (
            replicate.Replicate(api_token=server.token, base_url=server.base_url)
            .models.list()
            .results
            == []
        )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_sockets_that_cannot_be_listened_on_are_refused_and_closed(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    with pytest.raises(ValueError, match="two listening sockets"):
        LocalReplicate().start(sockets)
    assert all(each.fileno() == -1 for each in sockets)


def test_connections_accepted_just_before_the_stop_are_closed():
    ports = []
    with contextlib.ExitStack() as connections, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(3):
            server = LocalReplicate().start()
            ports.append(f"{server.port})")

            def connect(port=server.port):
                with contextlib.suppress(OSError):
                    for _ in range(300):
                        connections.enter_context(socket.create_connection(("127.0.0.1", port), 5))

            thread = threading.Thread(target=connect)
            thread.start()
            server.stop()
            thread.join()
        gc.collect()
    messages = [str(each.message) for each in warned]
    # Other tests may have left something.
    assert [each for each in messages if any(port in each for port in ports)] == []


def test_a_server_that_dies_refuses_connections_and_calls(monkeypatch):
    reported = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    server = LocalReplicate()
    alive = threading.Event()

    async def main_loop(self):
        while not alive.is_set():
            await server_thread.asyncio.sleep(0.001)
        raise OSError("too many open files")

    monkeypatch.setattr(server_thread.uvicorn.Server, "main_loop", main_loop)
    with server:
        assert not is_refused(server.port)
        alive.set()
        until(lambda: reported)
        assert is_refused(server.port)
        assert is_refused(server.output_port)
        with pytest.raises(RuntimeError):
            server.advance(seconds=1)
    assert "too many open files" in str(reported[0].exc_value)


@pytest.fixture
def server():
    with LocalReplicate() as server:

        @server.model("acme/shout")
        def shout(text: str = "hi") -> str:
            return text.upper()

        yield server


@pytest.fixture
def client(server):
    return replicate.Replicate(
        api_token=server.token, base_url=server.base_url, poll_interval=0.01, max_retries=0
    )


def test_settings_are_replaced_while_it_runs(server, client):
    assert client.predictions.create(model="acme/shout", input={}, wait=True).status == "processing"
    server.settings = Settings(held="succeeded", webhook_copies=2, rate_limits=RateLimits(create=2))
    prediction = client.predictions.create(
        model="acme/shout", input={}, wait=True, webhook="http://127.0.0.1:9/"
    )
    assert prediction.status == "succeeded"
    until(lambda: len(server.deliveries) == 2)
    client.predictions.create(model="acme/shout", input={})
    with pytest.raises(exceptions.RateLimitError):
        client.predictions.create(model="acme/shout", input={})
    server.settings = Settings()
    assert client.predictions.create(model="acme/shout", input={}, wait=True).status == "processing"


@pytest.mark.parametrize("whole", [False, True])
def test_how_many_models_run_at_once_can_be_changed_while_they_do(server, client, whole):
    gate, running = threading.Event(), []

    @server.model("acme/gated")
    def gated(number: int) -> int:
        running.append(number)
        gate.wait(30)
        return number

    def allow(count):
        if whole:
            server.settings = Settings(concurrency=count)
        else:
            server.settings.concurrency = count

    allow(1)
    made = [client.predictions.create(model="acme/gated", input={"number": n}) for n in range(4)]
    until(lambda: running)
    assert [client.predictions.get(each.id).status for each in made] == [
        "processing",
        "starting",
        "starting",
        "starting",
    ]
    allow(3)
    until(lambda: len(running) == 3)
    assert running == [0, 1, 2]
    assert client.predictions.get(made[3].id).status == "starting"
    gate.set()
    assert [client.wait(each).output for each in made] == [0, 1, 2, 3]


def test_tokens_are_replaced_while_it_runs(server, client):
    server.tokens = ["r8_other"]
    with pytest.raises(exceptions.AuthenticationError):
        client.models.list()
    assert replicate.Replicate(api_token=server.token, base_url=server.base_url).models.list()
    server.tokens = []
    assert client.models.list()


@pytest.mark.parametrize("settings", [{}, None, "strict", Settings])
def test_settings_are_settings(server, settings):
    with pytest.raises(TypeError, match="settings must be a Settings, not"):
        server.settings = settings


def test_a_copy_has_settings_of_its_own(server):
    server.settings.rate_limits = RateLimits()
    copy = server.copy()
    copy.settings.rate_limits.create = 1
    copy.settings.created = 202
    assert (server.settings.rate_limits.create, server.settings.created) == (600, 201)
