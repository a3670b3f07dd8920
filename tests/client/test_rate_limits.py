"""Waiting for a rate limit (429): for how long, in which order, and how a wait ends."""

import asyncio
import itertools
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import AbortController, exceptions
from support.wire import Wire, prediction, reply


def limited(seconds):
    return reply({"detail": "throttled"}, 429, headers=f"Retry-After: {seconds}\r\n")


@pytest.fixture(params=["core", "fetch"])
def connect(request, both):
    """Create a client, without and with a `fetch=` that passes requests on."""

    def connect(wire, **options):
        if request.param == "fetch":

            async def async_fetch(request, send):
                return await send(request)

            options["fetch"] = async_fetch if both.is_async else lambda request, send: send(request)
        return both.client(wire.base_url, poll_interval=0.01, **options)

    return connect


CALLS = {
    "get": lambda client: client.predictions.get("p1"),
    "create": lambda client: client.predictions.create("v", {}),
    "run": lambda client: client.run("acme/x", {}, timeout=60),
    "upload": lambda client: client.files.create(b"abc"),
    "stream": lambda client: client.stream("acme/x", {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_429_does_not_use_up_the_retries(both, connect, name):
    answers = itertools.chain([limited(0.01), limited(0.01)], itertools.repeat(None))

    def respond(seen):
        if (answer := next(answers)) is not None:
            return answer
        if seen.path.endswith("/stream"):
            body = b"event: done\ndata: {}\n\n"
            return reply(body, kind="text/event-stream")
        urls = {"stream": f"{wire.origin}/stream", "get": f"{wire.origin}/file"}
        return reply(prediction(urls=urls, output="x"), 201 if seen.method == "POST" else 200)

    with Wire(respond) as wire:
        client = connect(wire, max_retries=1)
        both(lambda: CALLS[name](client))
        assert len({(each.method, each.path, each.body) for each in wire.seen[:3]}) == 1


@pytest.mark.parametrize("name", ["get", "create", "run"])
def test_without_retries_a_429_is_raised(both, connect, name):
    with Wire(lambda _: limited(0.01)) as wire:
        with pytest.raises(exceptions.RateLimitError) as caught:
            both(lambda: CALLS[name](connect(wire, max_retries=0)))
        assert (caught.value.retry_after, caught.value.is_deadline) == (0.01, False)
        assert len(wire.seen) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda client, **options: client.predictions.get("p1", **options),
        lambda client, **options: client.predictions.create("v", {}, **options),
    ],
    ids=["get", "create"],
)
def test_a_delay_that_ends_after_the_deadline_is_raised_at_once(both, connect, call):
    with Wire(lambda _: limited(50)) as wire:
        client, start = connect(wire), time.monotonic()
        with pytest.raises(exceptions.RateLimitError) as caught:
            both(lambda: call(client, timeout=40))
        assert time.monotonic() - start < 20
        assert (caught.value.retry_after, caught.value.is_deadline) == (50, True)
        assert len(wire.seen) == 1


@pytest.mark.parametrize("name", ["run", "stream"])
@pytest.mark.parametrize("place", ["create", "later"])
def test_a_run_whose_deadline_is_before_the_limit_is_over_ends_at_once(both, connect, name, place):
    def respond(seen):
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.method == "POST" and place == "later":
            urls = {"stream": f"{wire.origin}/stream"}
            return reply(prediction("processing", urls=urls), 201)
        return limited(50)

    with Wire(respond) as wire:
        client, start = connect(wire), time.monotonic()
        with pytest.raises(exceptions.PredictionTimeout, match=r"resets in 50\.0 s") as caught:
            both(lambda: getattr(client, name)("acme/x", {}, timeout=40))
        assert time.monotonic() - start < 20
        error = caught.value
        assert (error.retry_after, type(error.__cause__)) == (50, exceptions.RateLimitError)
        assert getattr(error.prediction, "id", None) == (None if place == "create" else "p1")
        is_created = place == "later"
        wire.until(lambda: wire.routes.count("POST /v1/predictions/p1/cancel") == is_created)
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.retry_after, str(copy)) == (50, str(error))


@pytest.mark.parametrize("name", ["get", "run"])
def test_a_deadline_ends_a_wait_without_a_named_delay(both, connect, name):
    with Wire(lambda _: reply({}, 429)) as wire:
        client = connect(wire)
        if name == "get":
            with pytest.raises(exceptions.APITimeoutError, match="last answer: 429"):
                both(lambda: client.predictions.get("p1", timeout=0.7))
        else:
            with pytest.raises(exceptions.PredictionTimeout, match="last answer: 429"):
                both(lambda: client.run("acme/x", {}, timeout=0.7))


def wait_until_limited(client, count):
    """Wait until so many requests wait to be repeated."""
    end = time.monotonic() + 20
    while client.stats().retries < count:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_thread_that_waits_ends_at_once(end):
    with Wire(lambda _: limited(50)) as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        controller = AbortController()
        with ThreadPoolExecutor() as pool:
            calls = [
                pool.submit(client.run, "acme/x", {}, signal=controller.signal) for _ in range(4)
            ]
            wait_until_limited(client, 4)
            start = time.monotonic()
            client.close() if end == "close" else controller.abort()
            errors = [call.exception() for call in calls]
        kind = exceptions.ClientClosedError if end == "close" else exceptions.AbortError
        assert [type(each) for each in errors] == [kind] * 4
        assert time.monotonic() - start < 20
        assert len(wire.seen) == 4
        client.close()


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_a_task_that_waits_ends_at_once_and_gives_its_turn_to_others(end):
    answers = itertools.chain([limited(1)] * 4, itertools.repeat(reply(prediction(), 201)))

    async def main():
        tasks = [asyncio.create_task(client.predictions.create("v", {})) for _ in range(4)]
        await asyncio.to_thread(wait_until_limited, client, 4)
        start = time.monotonic()
        if end == "close":
            await client.aclose()
        else:
            for task in tasks[:3]:
                task.cancel()
            await asyncio.wait(tasks[:3])
        assert time.monotonic() - start < 0.9
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [type(each).__name__ for each in results]

    with Wire(lambda _: next(answers)) as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        names = asyncio.run(main())
        if end == "close":
            assert names == ["ClientClosedError"] * 4
        else:
            assert names == ["CancelledError"] * 3 + ["Prediction"]
        assert len(wire.seen) == 4 + (end == "cancel")


def test_a_program_that_ends_does_not_wait_for_the_limit():
    code = """
        import sys, threading
        import replicate_rs as replicate

        client = replicate.Replicate("r8_secret", base_url=sys.argv[1])
        for _ in range(3):
            threading.Thread(target=client.run, args=("acme/x", {}), daemon=True).start()
        sys.stdin.readline()
    """
    seen = threading.Semaphore(0)

    def respond(_):
        seen.release()
        return limited(50)

    with Wire(respond) as wire:
        start = time.monotonic()
        done = script(code, wire.base_url, input="\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert time.monotonic() - start < 25


class Bucket:
    """A server that accepts creates at a rate, after a burst, as the API does."""

    def __init__(self, burst, per_second):
        self.lock = threading.Lock()
        self.burst, self.per_second = burst, per_second
        self.tokens, self.time = float(burst), time.monotonic()
        self.refused = 0

    def __call__(self, seen):
        if seen.method == "GET":
            return reply(prediction())
        with self.lock:
            now = time.monotonic()
            self.tokens += (now - self.time) * self.per_second
            self.tokens, self.time = min(self.tokens, self.burst), now
            if self.tokens < 1:
                self.refused += 1
                return limited(1)
            self.tokens -= 1
            return reply(prediction(), 201)


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
def test_many_that_were_refused_return_in_turns(is_async):
    """All of them succeed with one retry, and few are refused a second time."""
    bucket = Bucket(burst=10, per_second=5)
    with Wire(bucket) as wire:
        options = {"base_url": wire.base_url, "max_retries": 1}
        if is_async:

            async def main():
                client = replicate.AsyncReplicate("r8_secret", **options)
                runs = (client.run("acme/x", {}, timeout=60) for _ in range(30))
                return await asyncio.gather(*runs)

            outputs = asyncio.run(main())
        else:
            client = replicate.Replicate("r8_secret", **options)
            with ThreadPoolExecutor(30) as pool:
                outputs = [*pool.map(lambda _: client.run("acme/x", {}, timeout=60), range(30))]
    assert outputs == [None] * 30
    # 20 are refused at first. Without turns, the others would be refused 60 times more.
    assert bucket.refused <= 40
