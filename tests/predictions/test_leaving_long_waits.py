"""Leaving creates that are held open for long: the list of predictions shows what they created."""

import asyncio
import json
import threading
import time

import pytest

import replicate_rs as replicate
from replicate_rs import AbortController, exceptions
from replicate_rs._base.cleanup import drain
from replicate_rs._base.transport import Suspending
from support.creates import Creates
from support.leaving_creates import (
    BLOCKING,
    CALLS,
    arrival,
    consume,
)
from support.wire import reply

LONG = {
    "version": lambda client, **more: client.predictions.create("v", {"n": 1}, wait=True, **more),
    "model": lambda client, **more: client.models.predictions.create(
        "acme/x", {"n": 1}, wait=60, **more
    ),
    "deployment": lambda client, **more: client.deployments.predictions.create(
        "acme/d", {"n": 1}, prefer="wait=5", **more
    ),
}


def cancel_calls(client, wire, *calls):
    """Begin calls, and cancel their tasks when the server has the requests."""

    async def main():
        before = len(wire.made)
        tasks = [asyncio.create_task(consume(client, call)) for call in calls]
        await asyncio.to_thread(wire.until, lambda: len(wire.made) == before + len(calls))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())


def wait_for_lists(wire, times=2):
    """Wait until the list of predictions was fetched so many times more."""
    before = wire.routes.count("GET /v1/predictions")
    wire.until(lambda: wire.routes.count("GET /v1/predictions") >= before + times)


@pytest.mark.parametrize("name", LONG)
def test_a_long_hold_that_is_left_is_looked_for(name):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        cancel_calls(client, wire, LONG[name])
        wire.until(lambda: wire.cancelled == wire.made, 5)
        wire.assert_all_cancelled(client)


@pytest.mark.parametrize("way", BLOCKING[:2])
def test_a_long_hold_that_is_left_by_blocking_code_is_looked_for(way):
    with Creates() as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        way(wire, client, LONG["model"])
        wire.until(lambda: wire.cancelled == wire.made, 5)
        wire.assert_all_cancelled(client)


def test_equal_creates_that_are_left_together_are_all_found():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        other = [
            lambda client, n=n: client.predictions.create("v", {"n": n}, wait=60)
            for n in range(2, 5)
        ]
        cancel_calls(client, wire, *[LONG["version"]] * 5, *other)
        wire.until(lambda: len(wire.cancelled) == 8, 5)
        # One fetch of the list found all of them.
        assert wire.routes.count("GET /v1/predictions") == 1
        wire.assert_all_cancelled(client)


def test_what_may_be_anothers_is_left_alone():
    """Another program has created an equal prediction: only the answer tells them apart."""
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        cancel_calls(client, wire, LONG["version"])
        wire.listed.append({**wire.listed[0], "id": "q1"})
        wait_for_lists(wire)
        assert wire.cancelled == []
        wire.assert_all_cancelled(client)


def test_one_that_is_still_waited_for_is_left_alone():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)

        async def main():
            kept = asyncio.create_task(LONG["version"](client))
            await arrival(wire)
            task = asyncio.create_task(LONG["version"](client))
            await asyncio.to_thread(wire.until, lambda: len(wire.made) == 2)
            task.cancel()
            await asyncio.to_thread(wait_for_lists, wire)
            assert wire.cancelled == []
            wire.go_on.set()
            made = await kept
            assert await drain(client._core, Suspending, 5) == 0
            return made.id

        id = asyncio.run(main())
        assert wire.cancelled == ["predictions/p2" if id == "p1" else "predictions/p1"]
        client.close()


@pytest.mark.parametrize(
    "change",
    [
        {"created_at": "2023-09-08T16:19:34.765994Z"},
        {"input": {"n": 2}},
        {"version": "w"},
        {"deployment": "acme/d"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_not_the_same_is_left_alone(change):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        scripted = wire._described
        wire._described = lambda id, seen: scripted(id, seen) | change
        cancel_calls(client, wire, LONG["version"])
        wait_for_lists(wire)
        assert wire.cancelled == []
        wire.assert_all_cancelled(client)


@pytest.mark.parametrize(
    "answer",
    [reply({"detail": "no"}, 500), reply(b"<html>"), reply({"next": None, "results": []}), None],
)
def test_a_list_that_tells_nothing_leaves_it_to_the_answer(answer):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        scripted = wire.script
        wire.script = lambda seen: answer if seen.method == "GET" else scripted(seen)
        cancel_calls(client, wire, LONG["version"])
        wait_for_lists(wire)
        assert wire.cancelled == []
        wire.assert_all_cancelled(client)


def test_a_short_hold_is_not_looked_for():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        cancel_calls(client, wire, CALLS["run"], CALLS["create with a hold"])
        time.sleep(1.5)
        wire.assert_all_cancelled(client)
        assert "GET /v1/predictions" not in wire.routes


def test_a_long_hold_of_what_is_to_go_on_is_not_looked_for():
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        cancel_calls(client, wire, lambda client: LONG["version"](client, cancel_on_exit=False))
        time.sleep(1.5)
        wire.assert_kept(client)
        assert "GET /v1/predictions" not in wire.routes


# Against the local server


@pytest.mark.parametrize("tenth", [1, 3, 5, 7, 9, 10, 11, 13])
def test_runs_that_are_left_at_every_tenth_of_their_hold(both, local, tenth):
    """The create is held open for a second; the model takes 30."""
    about = {"seconds": 30.0, "steps": 1000 + tenth}

    client = both.client(local.base_url, poll_interval=0.05)
    controller = AbortController()
    timer = threading.Timer(tenth / 10, controller.abort)
    timer.start()
    with pytest.raises(exceptions.AbortError):
        both(lambda: client.run("acme/slow", about, wait=1, signal=controller.signal))
    timer.join()
    assert both(lambda: client.aclose(5) if both.is_async else client.close(5)) == 0
    watcher = replicate.Replicate("r8_secret", base_url=local.base_url)
    found = [each for each in watcher.predictions.list().results if each.input == about]
    assert [each.status for each in found[:1]] == ["canceled"], json.dumps(
        [each.dict() for each in found]
    )


def test_a_long_hold_of_the_local_server_that_is_left(both, local):
    about = {"seconds": 30.0, "steps": 2000 + both.is_async}
    client = both.client(local.base_url)
    controller = AbortController()
    timer = threading.Timer(0.5, controller.abort)
    timer.start()
    with pytest.raises(exceptions.AbortError):
        both(
            lambda: client.models.predictions.create(
                "acme/slow", about, wait=60, signal=controller.signal
            )
        )
    timer.join()
    assert both(lambda: client.aclose(5) if both.is_async else client.close(5)) == 0
    watcher = replicate.Replicate("r8_secret", base_url=local.base_url)
    found = [each for each in watcher.predictions.list().results if each.input == about]
    assert [each.status for each in found] == ["canceled"]
