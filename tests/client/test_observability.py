"""What can be seen of a client at work: log lines, numbers, and the request's id in errors."""

import asyncio
import contextvars
import logging
import os
import subprocess
import sys

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import exceptions
from replicate_rs._core import Expect
from support.engine import forget_simultaneous_calls
from support.hosts import sending, until
from support.wire import Wire, prediction, reply


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def lines():
    """What is logged, as it comes."""
    kept = Kept()
    logger = logging.getLogger("replicate_rs")
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept.records
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


def flaky(fault, times=1):
    """Answers with the fault first."""
    left = [fault] * times
    return Wire(lambda seen: left.pop() if left else reply(prediction()))


def test_one_line_per_attempt(both, lines):
    """Section 3, 11: hooks without monkeypatching."""
    with flaky(reply({"detail": "later"}, 503)) as wire:
        both(lambda: both.client(wire.base_url).predictions.get("p1"))
    first, second = lines
    said = first.args
    assert (said["method"], said["url"], said["outcome"], said["attempt"]) == (
        "GET",
        f"{wire.base_url}/predictions/p1",
        "503",
        1,
    )
    assert said["wait"] >= 0
    assert said["milliseconds"] > 0
    assert first.levelname == "INFO"
    assert "(attempt 2, " in second.getMessage()
    assert second.args["wait"] is None
    assert second.levelname == "DEBUG"


def test_a_failure_is_a_line_too(both, lines):
    with Wire(lambda seen: None) as wire, pytest.raises(exceptions.APIConnectionError):
        both(lambda: both.client(wire.base_url, max_retries=0).predictions.get("p1"))
    assert "connection" in lines[0].getMessage()


def test_no_line_holds_a_secret(both, lines):
    with Wire(lambda seen: reply({"next": None, "results": []})) as wire:
        client = both.client(wire.base_url, headers={"X-Key": "gate_secret"})
        both(lambda: client.request("/predictions", params={"cursor": "signature_secret"}))
        both(lambda: client.predictions.list())
    assert lines
    assert not any("secret" in record.getMessage() for record in lines)


def test_a_line_comes_in_the_caller_s_own_thread_and_context(local, lines):
    request = contextvars.ContextVar("request")
    seen = []

    class Note(logging.Filter):
        def filter(self, record):
            seen.append((request.get(None), record.threadName))
            return True

    async def ask(client, number):
        request.set(number)
        await client.accounts.current()

    async def main():
        client = replicate.AsyncReplicate("r8_secret", base_url=local.base_url)
        await asyncio.gather(*(ask(client, number) for number in range(5)))

    note = Note()
    logging.getLogger("replicate_rs").addFilter(note)
    try:
        asyncio.run(main())
    finally:
        logging.getLogger("replicate_rs").removeFilter(note)
    assert sorted(number for number, _ in seen) == [0, 1, 2, 3, 4]
    assert {thread for _, thread in seen} == {"MainThread"}


def test_a_retry_is_told_of_while_it_waits(lines):
    """A call that has to wait long is when its lines are wanted."""
    with Wire(lambda seen: reply({"detail": "later"}, 429, headers="Retry-After: 30\r\n")) as wire:

        async def main():
            client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
            task = asyncio.ensure_future(client.accounts.current())
            await asyncio.to_thread(until, lambda: lines)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
    assert "again in 3" in lines[0].getMessage()


def test_a_line_that_nobody_takes_is_written_from_another_thread(lines):
    """A loop that is busy with something else has its lines all the same."""

    async def main():
        client = replicate.AsyncReplicate("r8_x", base_url=wire.base_url)
        pending = client._core.send("GET", ("x",), Expect.STATUS)
        pending.add_done_callback(lambda _: None)
        # In this thread nothing else runs meanwhile.
        until(lambda: lines)
        assert lines[0].threadName != "MainThread"
        assert await pending == 200

    with Wire(lambda seen: reply(prediction())) as wire:
        asyncio.run(main())
    assert len(lines) == 1


@pytest.mark.parametrize("kind", ["awaited", "blocking"])
def test_a_line_that_was_written_leaves_nothing_behind(kind, local):
    """Neither a timer nor, when it rings, a thread for what is written already."""
    code = """
        import asyncio, logging, os, sys, time
        import replicate_rs as replicate
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
        logging.getLogger("asyncio").setLevel(logging.WARNING)
        client = replicate.Replicate("r8_secret", base_url=sys.argv[1])
        async def main():
            for _ in range(20):
                await client.accounts.async_current()
        def some():
            asyncio.run(main()) if sys.argv[2] == "awaited" else [client.accounts.current()
                for _ in range(20)]
        # What a process makes once is there before anything is counted.
        some()
        before = len(os.listdir("/proc/self/task"))
        some()
        # Longer than lines wait for somebody who takes them.
        time.sleep(0.3)
        client.accounts.current()
        time.sleep(0.1)
        assert len(os.listdir("/proc/self/task")) <= before, os.listdir("/proc/self/task")
    """
    done = script(code, local.base_url, kind)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.count("200 (attempt 1") == 41


def test_a_listener_that_fails_does_not_cost_the_answer(both, monkeypatch, lines):
    def fail(*args):
        raise RuntimeError("a bad filter")

    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    monkeypatch.setattr(logging.getLogger("replicate_rs"), "debug", fail)
    with Wire(lambda seen: reply(prediction())) as wire:
        assert both(lambda: both.client(wire.base_url).predictions.get("p1")).id == "p1"
    assert "a bad filter" in str(told[0].exc_value)


def test_nothing_is_written_unless_it_is_asked_for(both, capfd, local):
    both(lambda: both.client(local.base_url).accounts.current())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("level", "written"), [("debug", True), ("DEBUG", True), ("info", False), ("", False)]
)
def test_the_environment_turns_it_on(level, written, local):
    code = (
        "import replicate_rs, sys; replicate_rs.Replicate('r8_secret',"
        " base_url=sys.argv[1]).accounts.current()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, local.base_url],
        env={**os.environ, "REPLICATE_LOG": level},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (
        f"DEBUG replicate_rs: GET {local.base_url}/account: 200 (attempt 1, " in done.stderr
    ) == written
    assert (done.stderr == "") != written
    assert "r8_secret" not in done.stderr


def test_a_level_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("REPLICATE_LOG", "loud")
    with pytest.raises(
        ValueError, match="REPLICATE_LOG must be one of debug, info, warning, error, not 'loud'"
    ):
        replicate.Replicate("r8_x")


def test_a_client_counts_what_it_does(both):
    forget_simultaneous_calls()
    with flaky(reply({"detail": "later"}, 503)) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get("p1"))
        both(lambda: client.predictions.get("p1"))
        stats = client.stats()
        assert stats.connections == wire.opened == 1
    assert (stats.requests, stats.in_flight, stats.failures, stats.retries) == (2, 0, 0, 1)
    expected = (
        f"Stats(connections={wire.opened}, failures=0, in_flight=0, predictions=0, requests=2,"
        " retries=1, streams=0)"
    )
    assert repr(stats) == expected


def test_a_failure_and_one_that_is_under_way_are_counted():
    with Wire(
        lambda seen: sending(b"", hang_up=False) if "slow" in seen.path else reply({}, 404)
    ) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        with pytest.raises(exceptions.NotFoundError):
            client.predictions.get("p1")

        async def main():
            task = asyncio.ensure_future(client.predictions.async_get("slow"))
            await asyncio.to_thread(wire.until, lambda: len(wire.seen) == 2)
            under_way = client.stats()
            task.cancel()
            await asyncio.wait([task])
            return under_way

        under_way = asyncio.run(main())
        assert (under_way.requests, under_way.in_flight, under_way.failures) == (2, 1, 1)
        # It is dropped by another thread.
        until(lambda: client.stats().in_flight == 0)


def test_a_derived_client_shares_connections_and_counts(both):
    """Cheap clients for many tenants."""
    forget_simultaneous_calls()
    with Wire(lambda seen: reply({"type": "user", "username": "x"})) as wire:
        client = both.client(wire.base_url)
        other = client.with_options(api_token="r8_other", max_retries=1)
        both(lambda: client.accounts.current())
        both(lambda: other.accounts.current())
        assert [seen.headers["authorization"] for seen in wire.seen] == [
            "Bearer r8_secret",
            "Bearer r8_other",
        ]
        assert wire.opened == 1
        assert client.stats().requests == 2
        # Closing one leaves the other its connections.
        other.close()
        with pytest.raises(RuntimeError, match="closed"):
            both(lambda: other.accounts.current())
        both(lambda: client.accounts.current())
        assert wire.opened == 1
        client.close()
        wire.until(lambda: wire.open_now == 0)


def test_a_derived_client_with_another_network_has_its_own_connections(both):
    forget_simultaneous_calls()
    with Wire(lambda seen: reply({"type": "user", "username": "x"})) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.accounts.current())
        for change in ({"max_connections": 3}, {"timeout": 3}, {"verify": False}):
            other = client.with_options(**change)
            both(lambda other=other: other.accounts.current())
            assert other.stats().requests == 1
        assert wire.opened == 4


@pytest.mark.parametrize("id_header", ["x-request-id", "cf-ray"])
def test_every_error_after_a_head_has_the_request_s_id(both, id_header):
    more = f"{id_header}: abc\r\n"
    answers = {
        "status": reply({"detail": "no"}, 422, headers=more),
        "half": reply(prediction(), headers=more, length=9999),
        "not-json": reply(b"<html>", headers=more),
        "large": reply(b" " * 2000, headers=more),
    }

    def script(seen):
        name = seen.path.rpartition("/")[2]
        return sending(answers[name], hang_up=True) if name == "half" else answers[name]

    with Wire(script) as wire:
        client = both.client(wire.base_url, max_retries=0, max_response_bytes=1000)
        for name in answers:
            with pytest.raises(exceptions.APIError) as caught:
                both(lambda name=name: client.predictions.get(name))
            assert caught.value.request_id == "abc", name
