"""Leaving a call before its create is answered: what it creates is cancelled, exactly once.

Each call is left in each way, before the answer, in its head and in its body.
"""

import asyncio

import pytest

import replicate_rs as replicate
from replicate_rs import exceptions
from support.creates import MOMENTS, Creates
from support.leaving import MAX_WAIT
from support.leaving_creates import (
    AWAITED,
    BLOCKING,
    CALLS,
    SPANNING,
    TAKES_OPTIONS,
    abort,
    abort_from_a_thread,
    cancel,
    close_the_coroutine,
    consume_blocking,
    leave_at_the_loops_end,
    press_ctrl_c,
    take,
    unfinished,
)


@pytest.mark.parametrize("way", AWAITED)
@pytest.mark.parametrize("name", CALLS)
def test_an_awaited_create_that_is_left_is_cancelled(name, way):
    if way is abort and name not in TAKES_OPTIONS:
        pytest.skip("takes no signal")
    for moment in MOMENTS:
        with Creates(moment) as wire:
            client = replicate.AsyncReplicate(
                "r8_secret", base_url=wire.base_url, poll_interval=0.01
            )
            with asyncio.Runner() as runner:
                runner.run(asyncio.wait_for(way(wire, client, CALLS[name]), MAX_WAIT / 2))
            unfinished.clear()
            wire.assert_all_cancelled(client)
            assert len(wire.made) == 1


@pytest.mark.parametrize("way", BLOCKING)
@pytest.mark.parametrize("name", CALLS)
def test_a_blocking_create_that_is_left_is_cancelled(name, way):
    if way is abort_from_a_thread and name not in TAKES_OPTIONS:
        pytest.skip("takes no signal")
    for moment in MOMENTS:
        with Creates(moment) as wire:
            client = replicate.Replicate("r8_secret", base_url=wire.base_url, poll_interval=0.01)
            way(wire, client, CALLS[name])
            wire.assert_all_cancelled(client)
            assert len(wire.made) == 1


@pytest.mark.parametrize("name", TAKES_OPTIONS)
def test_a_create_that_has_no_answer_at_the_deadline_is_cancelled(both, name):
    expected = exceptions.PredictionTimeout if name in SPANNING else exceptions.APITimeoutError
    for moment in MOMENTS:
        with Creates(moment) as wire:
            client = both.client(wire.base_url)
            with pytest.raises(expected) as caught:
                take(both, client, CALLS[name], timeout=0.1)
            if name in SPANNING:
                assert (
                    str(caught.value)
                    == "the create has no answer after 0.1 s: what it makes is cancelled as soon as"
                    " there is one"
                )
            assert caught.value.prediction is None
            wire.assert_all_cancelled(client)
            assert len(wire.made) == 1


@pytest.mark.parametrize("name", sorted(SPANNING))
def test_a_deadline_just_before_the_answer_names_the_prediction(name):
    """A blocking caller waits a little longer for the answer, and raises in any case."""
    with Creates(pause=0.2) as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        with pytest.raises(exceptions.PredictionTimeout) as caught:
            consume_blocking(client, CALLS[name], timeout=0.1)
        assert caught.value.prediction.id == "p1"
        assert str(caught.value) == "the prediction p1 is still processing after 0.1 s"
        wire.assert_all_cancelled(client)


@pytest.mark.parametrize("name", CALLS)
def test_what_ended_within_the_create_is_not_cancelled(name):
    with Creates(ended=True) as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(cancel(wire, client, CALLS[name]))
        wire.go_on.set()
        client.close(1)
        wire.until(lambda: wire.open_now == 0, 5)
        assert (len(wire.made), wire.cancelled) == (1, [])


# Calls whose predictions are not cancelled.
KEPT = {
    "run": lambda client, **more: client.run("acme/x", {}, cancel_on_exit=False, **more),
    "stream": lambda client, **more: client.stream("acme/x", {}, cancel_on_exit=False, **more),
    "text_stream": lambda client, **more: client.text_stream(
        "acme/x", {}, cancel_on_exit=False, **more
    ),
    "relay": lambda client, **more: client.relay("acme/x", {}, cancel_on_exit=False, **more),
    "create": lambda client, **more: client.predictions.create(
        "v", {}, cancel_on_exit=False, **more
    ),
    "create of a deployment": lambda client, **more: client.deployments.predictions.create(
        "acme/d", {}, cancel_on_exit=False, **more
    ),
    "create of a model": lambda client, **more: client.models.predictions.create(
        "acme/x", {}, cancel_on_exit=False, **more
    ),
}


@pytest.mark.parametrize("way", [cancel, close_the_coroutine, abort, leave_at_the_loops_end])
@pytest.mark.parametrize("name", KEPT)
def test_an_awaited_create_of_what_is_to_go_on_is_finished(name, way):
    with Creates() as wire:
        client = replicate.AsyncReplicate("r8_secret", base_url=wire.base_url)
        asyncio.run(way(wire, client, KEPT[name]))
        unfinished.clear()
        wire.assert_kept(client)


@pytest.mark.parametrize("way", [abort_from_a_thread, press_ctrl_c])
@pytest.mark.parametrize("name", KEPT)
def test_a_blocking_create_of_what_is_to_go_on_is_finished(name, way):
    with Creates() as wire:
        client = replicate.Replicate("r8_secret", base_url=wire.base_url)
        way(wire, client, KEPT[name])
        wire.assert_kept(client)


def test_the_deadline_of_what_is_to_go_on_says_so(both):
    with Creates() as wire:
        client = both.client(wire.base_url)
        with pytest.raises(exceptions.PredictionTimeout, match="goes on, as was asked for"):
            both(lambda: client.run("acme/x", {}, cancel_on_exit=False, timeout=0.1))
        wire.assert_kept(client)
