"""`run` and `wait`: when a run is done, how it ends, and what cancels it."""

import asyncio
import itertools
import threading
import time

import pytest

import replicate_rs as replicate
from replicate_rs import AbortController, AbortSignal, exceptions
from support.wire import Wire, hang, prediction, reply


def scripted(*states, create=None):
    """Return a server whose prediction goes through `states`, one per poll."""
    polls = iter(states)

    def script(seen):
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        if seen.method == "POST":
            return reply(create or prediction("starting"), 201)
        return reply(next(polls))

    return Wire(script)


def running_forever():
    return scripted(*[prediction("processing")] * 10_000)


def test_block_mode_asks_once_and_returns_the_output(both, client, local):
    before = len(local.requests)
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
    (request,) = local.requests[before:]
    assert (request.path, request.headers["prefer"]) == (
        "/v1/models/acme/shout/predictions",
        "wait=3",
    )


@pytest.mark.parametrize(
    ("options", "prefer"),
    [
        ({"wait": True}, "wait=3"),
        ({"wait": 2}, "wait=2"),
        ({"wait": 30}, "wait=3"),
        ({"wait": 0.5}, None),
        ({"wait": False}, None),
        ({"wait": {}}, "wait=3"),
        ({"wait": {"mode": "block"}}, "wait=3"),
        ({"wait": {"timeout": 2}}, "wait=2"),
        ({"wait": {"mode": "poll"}}, None),
        ({"wait": {"mode": "poll", "timeout": 2}}, None),
        ({"prefer": "wait"}, "wait=3"),
        ({"prefer": "wait=2"}, "wait=2"),
        ({"timeout": 30}, "wait=3"),
        # The create must be answered before the deadline.
        ({"timeout": 3.5}, "wait=2"),
        ({"timeout": 2}, "wait=1"),
        ({"timeout": 1.9}, None),
        ({"progress": lambda _: None}, None),
    ],
)
def test_for_how_long_a_create_is_held_open(both, options, prefer):
    with scripted(create=prediction("succeeded", output="x")) as wire:
        assert both(lambda: both.client(wire.base_url).run("acme/x", {}, **options)) == "x"
    assert wire.seen[0].headers.get("prefer") == prefer


def test_a_version_is_run_through_its_own_endpoint(both, client, local):
    version = local.version("acme/shout")
    assert both(lambda: client.run(f"acme/shout:{version}", {"text": "hi"})) == "HI"
    assert local.requests[-1].path == "/v1/predictions"


def test_a_model_object_is_a_reference(both, client):
    class Model:
        owner, name = "acme", "shout"

    assert both(lambda: client.run(Model(), {"text": "hi"})) == "HI"


def test_poll_mode_polls_at_its_interval_and_reports_progress(both, client, local):
    seen = []
    before = len(local.requests)
    wait = {"mode": "poll", "interval": 0.02}
    assert (
        both(
            lambda: client.run(
                "acme/slow", {"seconds": 0.2, "steps": 2}, wait=wait, progress=seen.append
            )
        )
        == "done"
    )
    assert "prefer" not in local.requests[before].headers
    assert (seen[0].status, seen[-1].status) == ("starting", "succeeded")
    assert seen[-1].progress.percentage == 1.0
    assert len(seen) == len(local.requests) - before


def test_progress_may_be_async_on_an_async_client(local):
    seen = []

    async def progress(prediction):
        await asyncio.sleep(0)
        seen.append(prediction.status)

    client = replicate.AsyncReplicate(base_url=local.base_url, api_token="r8_secret")
    asyncio.run(client.run("acme/shout", {"text": "hi"}, progress))
    assert seen[0] in ("starting", "processing")
    assert seen[-1] == "succeeded"
    assert seen.count("succeeded") == 1


def test_an_iterator_s_output_is_a_list(both, client):
    assert both(lambda: client.run("acme/tokens", {"text": "a b c"})) == ["a ", "b ", "c "]


def test_processing_without_output_is_not_done(both):
    create = prediction("processing")
    with scripted(
        prediction("processing", output=["a"]),
        prediction("succeeded", output=["a", "b"]),
        create=create,
    ) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {})) == ["a", "b"]
    assert len(wire.seen) == 3


def test_processing_with_output_is_done_only_while_the_hold_lasted(both):
    create = prediction("processing", output=["a"])

    def late(seen):
        if seen.method == "POST":
            time.sleep(1.05)
            return reply(create, 201)
        return reply(prediction("succeeded", output=["a", "b"]))

    with scripted(create=create) as wire:
        assert both(lambda: both.client(wire.base_url).run("acme/x", {})) == ["a"]
    with Wire(late) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {}, wait=1)) == ["a", "b"]


def test_processing_with_output_is_not_done_in_poll_mode(both):
    with scripted(
        prediction("succeeded", output=["a", "b"]), create=prediction("processing", output=["a"])
    ) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {}, wait=False)) == ["a", "b"]


@pytest.mark.parametrize("status", ["starting", "processing"])
def test_completed_at_does_not_end_what_is_known_to_run(both, status):
    running = prediction(status, output="x", completed_at="2026-01-01T00:00:00Z")
    with scripted(running, running, prediction("succeeded", output="xy")) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {}, wait=False)) == "xy"


def test_completed_at_is_an_end_where_nobody_knows_the_status(both):
    done = prediction("dreamt", output="x", completed_at="2026-01-01T00:00:00Z")
    with scripted(prediction("dreaming"), done) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {}, wait=False)) == "x"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("failed", exceptions.ModelError),
        ("canceled", exceptions.PredictionCanceled),
        ("aborted", exceptions.PredictionCanceled),
    ],
)
def test_a_prediction_that_did_not_succeed_raises_and_is_not_cancelled_again(both, status, kind):
    with scripted(prediction(status, error="OOM" if status == "failed" else None)) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        with pytest.raises(
            exceptions.ModelError, match="OOM" if status == "failed" else status
        ) as caught:
            both(lambda: client.run("acme/x", {}, wait=False))
    assert type(caught.value) is kind
    assert caught.value.prediction.id == "p1"
    assert wire.routes[-1] == "GET /v1/predictions/p1"


def test_wait_returns_the_prediction_or_raises(both, client):
    one = both(lambda: client.predictions.create(model="acme/slow", input={"seconds": 0.05}))
    assert both(lambda: client.wait(one)).output == "done"
    assert one.status == "starting"
    failing = both(lambda: client.predictions.create(model="acme/fail", input={}))
    with pytest.raises(replicate.ModelError, match="OOM"):
        both(lambda: client.wait(failing, interval=0.01))


def test_the_deadline_is_over_everything_and_cancels(both):
    with running_forever() as wire:
        client = both.client(wire.base_url, poll_interval=0.01)
        with pytest.raises(
            replicate.PredictionTimeout, match="p1 is still processing after 0.2 s"
        ) as caught:
            both(lambda: client.run("acme/x", {}, wait=False, timeout=0.2))
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.prediction.id == "p1"
        wire.until(lambda: wire.routes.count("POST /v1/predictions/p1/cancel") == 1)


@pytest.mark.parametrize("stuck", ["POST", "GET"])
def test_the_deadline_ends_a_request_that_is_never_answered(both, stuck):
    with Wire(
        lambda seen: (
            hang
            if seen.method == stuck and "cancel" not in seen.path
            else reply(prediction("starting"))
        )
    ) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        with pytest.raises(replicate.PredictionTimeout) as caught:
            both(lambda: client.run("acme/x", {}, timeout=0.2))
    assert (caught.value.prediction is None) == (stuck == "POST")
    assert (
        "the create has no answer after 0.2 s"
        if stuck == "POST"
        else "p1 is still starting after 0.2 s"
    ) in str(caught.value)


def test_the_client_s_limit_for_a_request_is_not_a_deadline_for_the_run(both):
    with Wire(lambda _: hang) as wire:
        client = both.client(wire.base_url, timeout=replicate.Timeout(total=0.2), max_retries=0)
        with pytest.raises(replicate.APITimeoutError):
            both(lambda: client.run("acme/x", {}, wait=False))


def test_the_deadline_ends_an_upload_too(both):
    with Wire(lambda _: hang) as wire:
        with pytest.raises(
            replicate.PredictionTimeout, match="the prediction was not created after 0.2 s"
        ):
            both(lambda: both.client(wire.base_url).run("acme/x", {"file": b"x"}, timeout=0.2))
        assert wire.routes == ["POST /v1/files"]


def test_a_signal_aborted_beforehand_sends_nothing(both):
    with running_forever() as wire:
        with pytest.raises(replicate.AbortError, match="no reason to go on"):
            both(
                lambda: both.client(wire.base_url).run(
                    "acme/x", {}, signal=AbortSignal.abort("no reason to go on")
                )
            )
        assert wire.seen == []


def test_an_aborted_signal_ends_the_run_and_cancels_once(both):
    controller = AbortController()
    with running_forever() as wire:
        threading.Thread(
            target=lambda: (wire.until(lambda: len(wire.seen) > 3), controller.abort())
        ).start()
        client = both.client(wire.base_url, poll_interval=0.01)
        with pytest.raises(replicate.AbortError):
            both(lambda: client.run("acme/x", {}, wait=False, signal=controller.signal))
        both(client.aclose if both.is_async else client.close)
        assert wire.routes.count("POST /v1/predictions/p1/cancel") == 1


def test_a_signal_interrupts_a_long_interval(both):
    with running_forever() as wire:
        client = both.client(wire.base_url, poll_interval=60)
        with pytest.raises(replicate.AbortError) as caught:
            both(lambda: client.run("acme/x", {}, wait=False, signal=AbortSignal.timeout(0.1)))
        assert "GET /v1/predictions/p1" not in wire.routes
        assert isinstance(caught.value.reason, TimeoutError)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"signal": lambda: AbortSignal.timeout(0.3)}, replicate.AbortError),
        ({"timeout": lambda: 0.3}, replicate.PredictionTimeout),
    ],
)
def test_a_pause_that_the_server_asks_for_ends_with_the_call(both, options, error):
    """The rate limit is used up for a minute."""
    used_up = "ratelimit-remaining: 0\r\nratelimit-reset: 60\r\n"
    with Wire(lambda seen: reply(prediction("processing"), headers=used_up)) as wire:
        with pytest.raises(error):
            both(
                lambda: both.client(wire.base_url).run(
                    "acme/x", {}, wait=False, **{name: of() for name, of in options.items()}
                )
            )
        assert wire.routes.count("GET /v1/predictions/p1") == 1


def test_a_prediction_that_ended_is_left_alone_when_its_client_is_closed(both):
    with scripted(prediction("processing"), prediction("succeeded", output="x")) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {}, wait=False)) == "x"
        both(client.aclose if both.is_async else client.close)
    assert not any("cancel" in route for route in wire.routes)


def test_a_cancelled_task_cancels_its_prediction_once():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url, poll_interval=0.01)
        task = asyncio.create_task(client.run("acme/x", {}, wait=False))
        await asyncio.to_thread(wire.until, lambda: len(wire.seen) > 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.aclose()
        assert wire.routes.count("POST /v1/predictions/p1/cancel") == 1

    with running_forever() as wire:
        asyncio.run(main(wire))


def test_cancel_on_exit_can_be_turned_off(both):
    with running_forever() as wire:
        client = both.client(wire.base_url, poll_interval=0.01)
        with pytest.raises(replicate.PredictionTimeout):
            both(lambda: client.run("acme/x", {}, wait=False, timeout=0.1, cancel_on_exit=False))
        both(client.aclose if both.is_async else client.close)
        assert "POST /v1/predictions/p1/cancel" not in wire.routes


def test_a_lost_poll_does_not_lose_the_run(both):
    count = itertools.count()

    def script(seen):
        if seen.method == "POST":
            return reply(prediction("starting"), 201)
        return [None, reply(status=503), reply(prediction("succeeded", output="x"))][next(count)]

    with Wire(script) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        assert both(lambda: client.run("acme/x", {}, wait=False)) == "x"


def test_a_server_that_stays_broken_raises_with_the_prediction_and_leaves_it_running(both):
    with Wire(
        lambda seen: (
            reply(prediction("starting"), 201) if seen.method == "POST" else reply(status=500)
        )
    ) as wire:
        client = both.client(wire.base_url, poll_interval=0.001, max_retries=1)
        with pytest.raises(exceptions.InternalServerError) as caught:
            both(lambda: client.run("acme/x", {}, wait=False))
    assert caught.value.prediction.id == "p1"
    assert "POST /v1/predictions/p1/cancel" not in wire.routes


@pytest.mark.parametrize("ref", ["shout", "a/b/c", "", "a/b:", 5, None])
def test_a_malformed_reference_is_refused_before_anything_is_sent(both, ref):
    with running_forever() as wire:
        with pytest.raises((ValueError, TypeError), match="ref"):
            both(lambda: both.client(wire.base_url).run(ref, {}))
    assert wire.seen == []


@pytest.mark.parametrize(
    ("wait", "error", "match"),
    [
        ({"mode": "sleep"}, ValueError, "'block' or 'poll'"),
        ({"intervall": 1}, TypeError, "'intervall'"),
        (-1, ValueError, "above 0"),
        ("yes", TypeError, "not str"),
        ({"mode": "poll", "interval": -1}, ValueError, "interval"),
    ],
)
def test_a_malformed_wait_is_refused_before_anything_is_sent(both, wait, error, match):
    with running_forever() as wire:
        with pytest.raises(error, match=match):
            both(lambda: both.client(wire.base_url).run("acme/x", {}, wait=wait))
    assert wire.seen == []


@pytest.mark.parametrize("mode", ["block", "poll"])
def test_the_interval_of_a_wait_comes_before_the_client_s(both, mode):
    with scripted(prediction("processing"), prediction("succeeded", output="x")) as wire:
        client = both.client(wire.base_url, poll_interval=60)
        assert (
            both(
                lambda: client.run("acme/x", {}, wait={"mode": mode, "interval": 0.01}, timeout=30)
            )
            == "x"
        )


def test_prefer_and_wait_are_not_taken_together(both):
    with running_forever() as wire:
        with pytest.raises(TypeError, match="prefer and wait"):
            both(lambda: both.client(wire.base_url).run("acme/x", {}, wait=1, prefer="wait"))
    assert wire.seen == []


def test_the_async_twins_of_a_sync_client(local):
    client = replicate.Replicate(base_url=local.base_url, api_token="r8_secret")

    async def main():
        one = await client.predictions.async_create(model="acme/shout", input={"text": "a"})
        await one.async_wait()
        return (
            one.output,
            await client.async_run("acme/shout", {"text": "b"}),
            (await client.async_wait(one)).status,
        )

    assert asyncio.run(main()) == ("A", "B", "succeeded")


def test_bad_inputs_are_the_api_s_own_error(both, client):
    with pytest.raises(exceptions.UnprocessableEntityError, match="text is required") as caught:
        both(lambda: client.run("acme/shout", {"txt": "hi"}))
    assert caught.value.status == 422
    assert caught.value.title == "Input validation failed"
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.run("acme/nobody", {}))
