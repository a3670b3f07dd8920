"""anyio's scopes and task groups around every kind of call: each handles its own cancellation."""

import asyncio
import threading

import anyio
import anyio.lowlevel
import pytest
import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse
from starlette.routing import Route

import replicate_rs as replicate
from replicate_rs import FileOutput
from support.wire import HEAD, Wire, hang, output, prediction, reply

MAX_WAIT = 10
SOON = 0.05
CANCELLED = "POST /v1/predictions/p1/cancel"


def answer(seen):
    """A prediction that never ends, whose stream is silent after its first event, and a file that
    is never whole.
    """
    if seen.path.endswith("/cancel"):
        return reply(prediction("canceled"))
    if seen.path == "/stream":
        return lambda connection: (connection.sendall(HEAD + output("a")), hang(connection))[1]
    if seen.path == "/file":
        return lambda connection: (
            connection.sendall(reply(bytes(100_000), length=200_000)),
            hang(connection),
        )[1]
    if "cursor" in seen.path or seen.path.endswith("/files"):
        return hang
    if seen.method == "GET" and seen.path.endswith("/predictions"):
        return reply(
            {
                "results": [prediction()],
                "next": f"{HERE[0].base_url}/predictions?cursor=2",
                "previous": None,
            }
        )
    urls = {"stream": f"{HERE[0].origin}/stream"}
    return reply(prediction("processing", urls=urls), 201 if seen.method == "POST" else 200)


HERE = []


@pytest.fixture
def wire():
    with Wire(answer) as wire:
        HERE[:] = [wire]
        yield wire


async def run(client, _):
    await client.run("acme/x", {}, wait=False)


async def stream(client, _):
    async for _ in client.stream("acme/x", {}):
        pass


async def text_stream(client, _):
    async for _ in client.text_stream("acme/x", {}):
        pass


async def read(client, _):
    await FileOutput(f"{HERE[0].origin}/file", client).aread()


async def chunks(client, _):
    async for _ in FileOutput(f"{HERE[0].origin}/file", client):
        pass


async def save(client, folder):
    await FileOutput(f"{HERE[0].origin}/file", client).asave(folder / "file")


async def upload(client, _):
    await client.files.create(b"x" * 1000, filename="x")


async def pages(client, _):
    async for _ in (await client.predictions.list()).auto():
        pass


async def wait(client, _):
    await client.wait(await client.predictions.get("p1"))


CALLS = [run, stream, text_stream, read, chunks, save, upload, pages, wait]
STARTS_ONE = {run, stream, text_stream}


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request):
    kind = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=kind) as runner:
        yield runner.run


async def soon():
    """Wait until the first request has arrived, and a little longer."""
    while not HERE[0].seen:  # noqa: ASYNC110 - of a server on other threads
        await anyio.sleep(0.005)
    await anyio.sleep(SOON)


async def move_on_after(work):
    with anyio.move_on_after(SOON) as scope:
        await work()
    assert scope.cancelled_caught


async def fail_after(work):
    with pytest.raises(TimeoutError):
        with anyio.fail_after(SOON):
            await work()


async def cancelled_beforehand(work):
    with anyio.CancelScope() as scope:
        scope.cancel()
        await work()
    assert scope.cancelled_caught


async def cancelled_from_another_task(work):
    async def cancel(scope):
        await soon()
        scope.cancel()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel, scope)
            await work()
        assert scope.cancelled_caught


async def in_a_group_that_is_cancelled(work):
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await soon()
        group.cancel_scope.cancel()


async def in_a_group_whose_host_waits(work):
    async def fail():
        await soon()
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group raises
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await work()
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]


async def nested(work):
    with anyio.move_on_after(MAX_WAIT) as outer:
        with anyio.move_on_after(SOON) as inner:
            await work()
        # The outer one goes on.
        await anyio.lowlevel.checkpoint()
    assert inner.cancelled_caught
    assert not outer.cancelled_caught


WAYS = [
    move_on_after,
    fail_after,
    cancelled_beforehand,
    cancelled_from_another_task,
    in_a_group_that_is_cancelled,
    in_a_group_whose_host_waits,
    nested,
]
# Of others, the time may be over before the first request is sent.
BEGINS = {cancelled_from_another_task, in_a_group_that_is_cancelled, in_a_group_whose_host_waits}


@pytest.mark.parametrize("call", CALLS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)
def test_a_scope_knows_its_own_cancellation(way, call, on_loop, wire, tmp_path):
    async def main():
        client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url, poll_interval=0.01)
        with anyio.fail_after(MAX_WAIT):
            await way(lambda: call(client, tmp_path))
        assert asyncio.current_task().cancelling() == 0
        # The task can wait as before.
        await anyio.lowlevel.checkpoint()
        assert (await client.predictions.get("p1")).id == "p1"
        await client.aclose()

    on_loop(main())
    assert list(tmp_path.iterdir()) == []
    created = sum(
        each == "POST /v1/models/acme/x/predictions" or each == "POST /v1/predictions"
        for each in wire.routes
    )
    if call in STARTS_ONE:
        assert created == 1 or way not in BEGINS
        wire.until(lambda: wire.routes.count(CANCELLED) == created)
    assert wire.routes.count(CANCELLED) <= 1


async def reader(app):
    """Ask an app for a page, leave after its first part, and return what came."""
    first, sent = asyncio.Event(), []
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        for message in asked:
            return message
        await first.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message.get("body"):
            first.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "http_version": "1.1",
    }
    await app(scope, receive, send)
    return b"".join(each.get("body", b"") for each in sent)


def test_an_app_behind_a_middleware_survives_its_readers(wire):
    """`BaseHTTPMiddleware` has a task group whose host waits for the app, and cancels it when the
    reader leaves.
    """
    problems = []

    async def tokens(request):
        async def texts():
            async for text in client.text_stream("acme/x", {}):
                yield text

        return StreamingResponse(texts())

    async def through(request, call_next):
        return await call_next(request)

    client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
    app = Starlette(
        routes=[Route("/", tokens)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=through)]
    )

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context)
        )
        async with asyncio.timeout(MAX_WAIT):
            assert await asyncio.gather(*(reader(app) for _ in range(20))) == [b"a"] * 20
        await client.aclose()

    asyncio.run(main())
    assert problems == []
    wire.until(lambda: wire.routes.count(CANCELLED) == 20)


def test_a_call_in_a_worker_thread_of_anyio(wire):
    """A blocking call does not know of the scope, and ends by its own limits."""

    async def main():
        with anyio.fail_after(MAX_WAIT):
            client = replicate.Replicate("r8_x", base_url=wire.base_url)
            assert (await anyio.to_thread.run_sync(client.predictions.get, "p1")).id == "p1"
            assert threading.current_thread() is threading.main_thread()

    asyncio.run(main())
