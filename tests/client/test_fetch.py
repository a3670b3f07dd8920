"""A caller's own function around every request."""

import asyncio
import json

import pytest

import replicate_rs as replicate
from replicate_rs import Request, Response, exceptions
from support.wire import Wire, hang, prediction, reply


def fetching(both, local_base, fetch, **options):
    """A client with `fetch`, which is written once, as a plain function, for both kinds."""
    if not both.is_async:
        return both.client(local_base, fetch=fetch, **options)

    async def wrapped(request, send):
        # The plain function gives a response, or what to send.
        answer = fetch(request, lambda request: request)
        return await send(answer) if isinstance(answer, Request) else answer

    return both.client(local_base, fetch=wrapped, **options)


def test_every_request_passes_through(both, local, tmp_path):
    seen = []

    def fetch(request, send):
        seen.append((request.method, request.url.removeprefix(local.base_url).partition("?")[0]))
        return send(request)

    client = fetching(both, local.base_url, fetch)
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
    output = both(lambda: client.run("acme/reverse", {"file": b"abc"}))
    assert both(output.read if not both.is_async else output.aread) == b"cba"
    both(lambda: output.save(tmp_path / "a") if not both.is_async else output.asave(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"cba"
    events = both(lambda: client.stream("acme/tokens", {"text": "a b"}))
    assert "".join(map(str, events)) == "a b "
    assert [method for method, _ in seen] == ["POST", "POST", "POST", "GET", "GET", "POST", "GET"]
    assert seen[0] == ("POST", "/models/acme/shout/predictions")
    assert seen[1] == ("POST", "/files")


def test_a_request_can_be_changed(both):
    def fetch(request, send):
        request.headers["X-Trace"] = "1"
        request.url += "?added=1"
        if request.body is not None:
            request.body = json.dumps(json.loads(request.body) | {"input": {"b": 2}}).encode()
        return send(request)

    with Wire(lambda seen: reply(prediction(), 201 if seen.method == "POST" else 200)) as wire:
        client = fetching(both, wire.base_url, fetch)
        both(lambda: client.predictions.create(model="a/b", input={"a": 1}))
        (seen,) = wire.seen
        assert json.loads(seen.body)["input"] == {"b": 2}
        assert (seen.headers["x-trace"], seen.headers["content-type"]) == ("1", "application/json")
        assert seen.path.endswith("?added=1")
        assert seen.headers["authorization"] == "Bearer r8_secret"


def test_the_token_is_not_shown_and_goes_nowhere_else(both):
    def fetch(request, send):
        assert "r8_secret" not in repr(request) + str(request.headers)
        request.url = f"{other.base_url}/predictions/p1"
        return send(request)

    with Wire(lambda _: reply(prediction())) as other:
        client = fetching(both, "http://127.0.0.1:1", fetch)
        assert both(lambda: client.predictions.get("p1")).id == "p1"
        assert "authorization" not in other.seen[0].headers


def test_a_function_can_answer_by_itself(both, tmp_path):
    answers = {
        "/predictions": Response(
            201, body=json.dumps(prediction(output="https://x/y.png")).encode()
        ),
        "/hardware": Response(body=b'[{"name": "CPU", "sku": "cpu"}]'),
        "/models/a/b/readme": Response(body="# é".encode()),
        "/y.png": Response(body=b"png", headers={"content-type": "image/png"}),
        "/files/f": Response(204),
    }

    def fetch(request, send):
        path = request.url.removeprefix("http://127.0.0.1:1/v1").removeprefix("https://x")
        return answers[path]

    client = fetching(both, "http://127.0.0.1:1", fetch)
    output = both(lambda: client.run("0" * 64, {}))
    assert both(output.read if not both.is_async else output.aread) == b"png"
    assert b"".join(both(output.chunks if not both.is_async else output.achunks)) == b"png"
    both(lambda: output.save(tmp_path / "y") if not both.is_async else output.asave(tmp_path / "y"))
    assert (tmp_path / "y").read_bytes() == b"png"
    assert both(lambda: client.hardware.list())[0].sku == "cpu"
    assert both(lambda: client.models.readme.get("a/b")) == "# é"
    assert both(lambda: client.files.delete("f")) is True


def test_a_file_may_be_larger_than_any_other_answer(both):
    with Wire(lambda _: reply(b"x" * 5000, kind="image/png")) as wire:
        client = fetching(
            both, wire.base_url, lambda request, send: send(request), max_response_bytes=1000
        )
        output = replicate.FileOutput(f"{wire.origin}/big.png", client)
        assert len(both(output.read if not both.is_async else output.aread)) == 5000
        assert wire.seen[0].headers["accept-encoding"] == "identity"


def test_a_stream_can_be_answered_too(both):
    created = Response(
        201,
        body=json.dumps(prediction("starting", urls={"stream": "http://127.0.0.1:1/s"})).encode(),
    )
    events = Response(body=b"id: 1\nevent: output\ndata: a\n\nevent: done\ndata: {}\n\n")

    def fetch(request, send):
        return events if request.method == "GET" else created

    got = both(lambda: fetching(both, "http://127.0.0.1:1", fetch).stream("a/b", {}))
    assert [(event.event, event.data) for event in got] == [("output", "a"), ("done", "{}")]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Response(404, body=b'{"detail": "gone"}'), exceptions.NotFoundError, "gone"),
        (Response(body=b"<html>"), exceptions.APIResponseValidationError, "is not JSON"),
        (Response(body=b"[]"), exceptions.APIResponseValidationError, "not an object"),
        ("text", TypeError, "must return a replicate_rs.Response, not str"),
        (None, TypeError, "must return a replicate_rs.Response, not NoneType"),
    ],
)
def test_what_cannot_be_an_answer_is_an_error(both, answer, error, says):
    client = fetching(both, "http://127.0.0.1:1", lambda request, send: answer)
    with pytest.raises(error, match=says):
        both(lambda: client.predictions.get("p1"))


def test_errors_of_the_api_come_out_of_send(both, local):
    seen = []

    def plain(request, send):
        try:
            return send(request)
        except exceptions.NotFoundError as error:
            seen.append(error.status)
            raise

    async def awaited(request, send):
        try:
            return await send(request)
        except exceptions.NotFoundError as error:
            seen.append(error.status)
            raise

    client = both.client(local.base_url, fetch=awaited if both.is_async else plain)
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.predictions.get("nope"))
    assert seen == [404]


def test_an_async_function_on_a_blocking_client_is_refused():
    async def fetch(request, send):
        return await send(request)

    with pytest.raises(TypeError, match="an async fetch= needs an AsyncReplicate"):
        replicate.Replicate("r8_x", base_url="http://127.0.0.1:1", fetch=fetch).predictions.get(
            "p1"
        )


def test_a_cancelled_call_cancels_the_prediction_through_it():
    seen = []

    async def main(wire):
        polling = asyncio.Event()

        async def fetch(request, send):
            seen.append(f"{request.method} {request.url.rpartition('/v1')[2]}")
            if request.method == "GET":
                polling.set()
            return await send(request)

        client = replicate.AsyncReplicate(
            "r8_x", base_url=wire.base_url, fetch=fetch, poll_interval=0.01
        )
        task = asyncio.ensure_future(client.run("a/b", {}, wait=False))
        await polling.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wire.until, lambda: "POST /v1/predictions/p1/cancel" in wire.routes)

    with Wire(
        lambda seen: hang if seen.method == "GET" else reply(prediction("starting"), 201)
    ) as wire:
        asyncio.run(main(wire))
    assert seen[-1] == "POST /predictions/p1/cancel"


def test_without_it_nothing_of_the_kind_runs(local):
    client = replicate.Replicate("r8_secret", base_url=local.base_url)
    assert type(client._core).__module__ == "replicate_rs._core"


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("token", ["r8_secret", lambda: "r8_secret"], ids=["text", "function"])
def test_an_echoed_token_is_in_no_error(both, token, status):
    """Through a `fetch=` too: as it came from the core, and as the caller's function changed it."""

    def changed(response):
        return Response(status, body=response.body, headers={"x-echo": "r8_secret"})

    async def fetch_async(request, send):
        return changed(await send(request))

    def fetch(request, send):
        return changed(send(request))

    with Wire(
        lambda seen: reply(f"<p>{seen.headers['authorization']}</p>".encode(), kind="text/html")
    ) as wire:
        client = both.client(
            wire.base_url,
            api_token=token,
            max_retries=0,
            fetch=fetch_async if both.is_async else fetch,
        )
        with pytest.raises(exceptions.APIError) as caught:
            both(lambda: client.predictions.get("x"))
    error = caught.value
    assert "r8_secret" not in f"{error} {error!r} {error.body} {error.headers} {error.args}"
    assert b"[REDACTED]" in error.body


def test_a_file_that_is_refused_leaves_nothing_open(both):
    with Wire(lambda _: reply("no", 404)) as wire:
        client = fetching(both, "http://127.0.0.1:1", lambda request, send: send(request))
        output = replicate.FileOutput(f"{wire.origin}/x.png", client)
        with pytest.raises(exceptions.NotFoundError) as caught:
            both(output.aread if both.is_async else output.read)
        # The error, and with it the frames that raised it, is still there.
        assert caught.value.__traceback__ is not None
        assert client.stats().streams == 0


def test_a_function_can_answer_for_a_host_that_fails():
    def fetch(request, send):
        try:
            return send(request)
        except exceptions.NotFoundError:
            return Response(body=b"kept", headers={"content-type": "image/png"})

    with Wire(lambda _: reply("no", 404)) as wire:
        client = replicate.Replicate("r8_secret", base_url="http://127.0.0.1:1", fetch=fetch)
        output = replicate.FileOutput(f"{wire.origin}/x.png", client)
        assert output.read() == b"kept"
        assert b"".join(output.chunks()) == b"kept"
        assert client.stats().streams == 0


@pytest.mark.parametrize("end", ["closed", "cancelled"])
def test_a_cancel_is_sent_although_its_task_ends_before_it_begins(end):
    """A loop that is closed drops its tasks; `asyncio.run` cancels them before that."""

    async def fetch(request, send):
        return await send(request)

    with Wire(lambda seen: reply({})) as wire:
        client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url, fetch=fetch)
        loop = asyncio.new_event_loop()

        def leave():
            loop.stop()
            client._core.detach("POST", ("predictions", "p1", "cancel"), 5)
            if end == "cancelled":
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                loop.call_soon(loop.stop)

        loop.call_soon(leave)
        loop.run_forever()
        if end == "cancelled":
            loop.run_forever()
        loop.close()
        wire.until(lambda: wire.routes == ["POST /v1/predictions/p1/cancel"])
        wire.until(lambda: client._core.unattended == 0)
