"""The pace of `map`: refusals, limits, failures of the server, and creates without an answer."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from replicate_rs._batch import pace as pace_module
from replicate_rs._batch import rate as rate_module
from replicate_rs._batch.pace import Pace
from replicate_rs._batch.rate import CreateRate
from replicate_rs._batch.shared_pace import TURNS_TIME
from replicate_rs.exceptions import InsufficientCreditError
from replicate_rs.local import sleep
from replicate_rs.local.settings import RateLimits
from support.conditions import until
from support.mapping import collect, no_threads, outputs, texts

pytest_plugins = ["support.map_fixtures"]

CREATE = "POST /models/acme/shout/predictions"


@pytest.fixture
def client(map_client):
    return map_client


# Over sockets.


def test_refusals_are_waited_for(both, client, server):
    server.fault(CREATE, status=429, retry_after=1, times=1)
    begun = time.monotonic()
    results = collect(both, client.map("acme/shout", texts(10)))
    assert outputs(results) == [f"T{n}" for n in range(10)]
    assert [each.attempts for each in results] == [1] * 10
    assert time.monotonic() - begun >= 1
    assert server.creates == 10


def test_a_refusal_that_outlasts_the_clients_own_retries(both, client, server):
    """A client gives up after a few; `map` waits as long as its caller does."""
    server.fault(CREATE, status=429, times=4, body="{}")
    client = client.with_options(max_retries=1)
    (result,) = collect(both, client.map("acme/shout", texts(1)))
    assert (result.output, server.creates) == ("T0", 1)


def test_the_local_limit_is_kept(both, client, server):
    server.settings.rate_limits = RateLimits(create=600)
    # The server accepts a burst of a minute's creates before it refuses one.
    results = collect(both, client.map("acme/shout", texts(60)))
    assert len(results) == 60
    assert not [each for each in server.requests if each.status == 429]


def test_the_callers_rate(both, client, server):
    begun = time.monotonic()
    assert len(collect(both, client.map("acme/shout", texts(11), rate=1200))) == 11
    # Ten intervals of 50 ms.
    assert time.monotonic() - begun >= 0.5
    sent = [each.time for each in server.requests if each.method == "POST"]
    assert len(sent) == 11


def test_the_callers_rate_is_kept_when_more_may_be_in_flight(both, client, server):
    """At first, only few are: those that wait for it save up no turns."""

    @server.model("acme/second")
    def second(text: str) -> str:
        sleep(1)
        return text

    assert len(collect(both, client.map("acme/second", texts(40), rate=900))) == 40
    sent = sorted(each.time for each in server.requests if each.method == "POST")
    # 12 intervals take 0.8 s; a quarter of that is left to a server that is busy.
    assert min(late - early for early, late in zip(sent, sent[12:], strict=False)) > 0.6


def test_turns_that_are_taken_a_little_late_keep_the_rate():
    """A worker takes its next ten when it has used the last ones, and a journal needs time."""
    rate, now, times = CreateRate(next_at=100.0), 100.0, []
    for _ in range(60):
        first = rate.take(now, 100.0, 10, late=TURNS_TIME)
        times += [max(now, first + at / 100) for at in range(10)]
        now = times[-1] + 0.03
    assert 599 / (times[-1] - times[0]) == pytest.approx(100, rel=0.01)
    # What is later than that is lost.
    first = rate.take(now + 60, 100.0, 10, late=TURNS_TIME)
    assert first >= now + 60 - TURNS_TIME


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_failures_of_the_server_are_looked_up_before_another_create(both, client, server, status):
    server.fault(CREATE, status=status, times=3)
    results = collect(both, client.map("acme/shout", texts(5)))
    assert outputs(results) == [f"T{n}" for n in range(5)]
    assert server.count("GET", "/predictions") >= 1
    assert server.creates == 5


def test_creates_whose_answers_are_lost_are_not_paid_for_twice(both, client, server):
    server.fault(CREATE, reset="after", times=10)
    results = collect(both, client.map("acme/shout", texts(20)))
    assert outputs(results) == [f"T{n}" for n in range(20)]
    assert {each.prediction for each in results} == {each.id for each in server.predictions()}
    assert server.creates == 20


def test_creates_whose_answers_are_cut_are_not_paid_for_twice(both, client, server):
    server.fault(CREATE, truncate=10, times=10)
    results = collect(both, client.map("acme/shout", texts(20)))
    assert outputs(results) == [f"T{n}" for n in range(20)]
    assert server.creates == 20


def test_connections_that_are_reset_before_a_create(both, client, server):
    server.fault(CREATE, reset=True, times=10)
    results = collect(both, client.map("acme/shout", texts(20)))
    assert outputs(results) == [f"T{n}" for n in range(20)]
    assert server.creates == 20


def test_polls_that_fail(both, client, server):
    server.fault("GET /predictions/*", status=500, times=5)
    server.fault("GET /predictions/*", reset=True, times=5)
    client = client.with_options(max_retries=0)
    assert len(collect(both, client.map("acme/shout", texts(20)))) == 20
    assert server.creates == 20


def test_no_credit_ends_the_run(both, client, server):
    server.fault(CREATE, status=402, times=None)
    with pytest.raises(InsufficientCreditError):
        collect(both, client.map("acme/shout", texts(20)))
    no_threads()
    assert server.count("POST", "/predictions") <= 8
    server.faults.clear()


def test_an_answer_that_is_no_json(both, client, server):
    server.fault(CREATE, bad_json=True, times=1)
    results = collect(both, client.map("acme/shout", texts(5)))
    assert outputs(results) == [f"T{n}" for n in range(5)]


def test_a_server_that_is_down_at_first(both, server):
    """Nothing was sent, so nothing is looked up."""
    server.stop()
    # Bound, and not listening: it refuses connections, and nobody else gets its port.
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    client = both.client(f"http://127.0.0.1:{bound.getsockname()[1]}/v1", max_retries=0)
    found = []
    results = client.map("acme/shout", texts(3))
    thread = threading.Thread(target=lambda: found.extend(collect(both, results)))
    thread.start()
    until(
        lambda: (
            results._runner is not None and results._runner._sender.outage.failing_since is not None
        )
    )
    bound.listen(128)
    server.start([bound, socket.create_server(("127.0.0.1", 0))])
    thread.join(20)
    assert outputs(found) == ["T0", "T1", "T2"]
    assert server.count("GET", "/predictions") == 0


# With a clock of its own.


class Clock:
    """A clock that a test moves, in place of time itself."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(pace_module, "monotonic", lambda: self.now)
        monkeypatch.setattr(pace_module.asyncio, "sleep", self.sleep)
        self.waiting = asyncio.sleep

    async def sleep(self, seconds):
        self.now += max(seconds, 0.0)


class Limiter:
    """A token bucket as the local server's, that starts empty: the caller has used it up."""

    def __init__(self, clock, limit, tokens):
        self.clock, self.limit, self.tokens = clock, limit, tokens
        self.filled_at = clock.now
        self.refused = 0

    def take(self):
        now = self.clock.now
        self.tokens = min(self.limit, self.tokens + (now - self.filled_at) * self.limit / 60)
        self.filled_at = now
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        return True


@pytest.mark.parametrize("tokens", [0, 100, 600])
@pytest.mark.parametrize("total", [300, 3000])
def test_few_requests_are_refused(monkeypatch, tokens, total):
    """300 that wait at 600 creates a minute: at most 5 % of the requests are refused."""
    monkeypatch.setattr(rate_module, "DEFAULT_PAUSE", 1.0)
    monkeypatch.setattr(pace_module, "DEFAULT_PAUSE", 1.0)
    clock = Clock(monkeypatch)

    async def run():
        pace, limiter, sent = Pace(300), Limiter(clock, 600, tokens), 0
        left = total
        while left:
            await pace.wait_turn()
            clock.now += 0.001
            sent += 1
            if limiter.take():
                pace.accepted()
                left -= 1
            else:
                pace.refused(1.0)
        return sent, limiter.refused, clock.now - 1000

    sent, refused, seconds = asyncio.run(run())
    assert refused <= 0.05 * sent
    if tokens:
        # It is not slow either: the server would have accepted all in half of this time.
        assert seconds <= 2 * max(total - tokens, 0) / 10 + 10


def test_the_rate_is_found_again_after_a_spell_of_refusals(monkeypatch):
    clock = Clock(monkeypatch)

    async def run():
        pace = Pace(64)
        for _ in range(50):
            clock.now += 5
            pace.refused(1.0)
        lowest = pace.rate
        begun = clock.now
        while pace.rate < 10:
            await pace.wait_turn()
            pace.accepted()
        return lowest, clock.now - begun

    lowest, seconds = asyncio.run(run())
    assert lowest == rate_module.MIN_RATE
    assert seconds < 15 * 60


def test_the_window_grows_and_shrinks(monkeypatch):
    monkeypatch.setattr(rate_module, "DEFAULT_PAUSE", 1.0)
    monkeypatch.setattr(pace_module, "DEFAULT_PAUSE", 1.0)
    clock = Clock(monkeypatch)

    async def run():
        pace = Pace(64)
        first = pace.window
        for _ in range(100):
            pace.accepted()
        assert (first, pace.window) == (8, 64)
        pace.failed(0)
        # Failures of what was sent before count once.
        pace.failed(0)
        assert pace.window == 32
        for _ in range(20):
            clock.now += 2
            pace.failed(0)
        assert pace.window == 1
        pace.accepted()
        assert pace.window == 2

    asyncio.run(run())


def test_a_cancelled_wait_keeps_no_place():
    async def run():
        pace = Pace(1)
        await pace.enter()
        waiting = [asyncio.ensure_future(pace.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        pace.leave()
        # Admitted and cancelled in the same turn of the loop.
        waiting[1].cancel()
        await asyncio.wait(waiting[:2])
        await asyncio.wait_for(waiting[2], 1)
        assert pace.in_flight == 1
        pace.leave()
        assert pace.in_flight == 0

    asyncio.run(run())
