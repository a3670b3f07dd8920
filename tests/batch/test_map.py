"""Many inputs: results, order, failures, options, and leaving before the end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import FileOutput, ModelError, PredictionTimeout
from replicate_rs._batch import outage
from replicate_rs.exceptions import (
    AuthenticationError,
    ClientClosedError,
    NotFoundError,
    TooManyFailures,
)
from support.conditions import until
from support.mapping import by_index, collect, fill, no_threads, outputs, take, texts

pytest_plugins = ["support.map_fixtures"]


@pytest.fixture
def client(map_client):
    return map_client


# Results.


def test_each_input_has_a_result(both, client, server):
    results = collect(both, client.map("acme/shout", texts(300)))
    assert outputs(results) == [f"T{number}" for number in range(300)]
    assert server.creates == 300
    one = by_index(results)[7]
    assert (one.index, one.status, one.succeeded, one.error, one.attempts) == (
        7,
        "succeeded",
        True,
        None,
        1,
    )
    assert one.input == {"text": "t7"}
    assert one.files is None
    assert one.from_journal is False
    assert one.predict_time >= 0
    assert len(one.key) == 32
    assert len({each.key for each in results}) == 300
    assert {each.prediction for each in results} == {each.id for each in server.predictions()}
    assert "index=7" in repr(one)
    no_threads()


def test_no_inputs(both, client, server):
    assert collect(both, client.map("acme/shout", [])) == []
    assert collect(both, client.map("acme/shout", iter(()))) == []
    assert server.requests == []


def test_results_are_awaited_as_a_list(server):
    async def run():
        async with replicate.AsyncReplicate("r8_secret", base_url=server.base_url) as client:
            return await client.map("acme/shout", texts(3), ordered=True)

    assert [each.output for each in asyncio.run(run())] == ["T0", "T1", "T2"]


def test_the_module_has_map(server, monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
    results = replicate.map("acme/shout", texts(3), ordered=True)
    assert [each.output for each in results] == ["T0", "T1", "T2"]


def test_a_sync_client_in_an_event_loop_and_the_reverse(server):
    client = replicate.Replicate("r8_secret", base_url=server.base_url)

    async def run():
        return [each.output async for each in client.map("acme/shout", texts(2), ordered=True)]

    assert asyncio.run(run()) == ["T0", "T1"]
    client = replicate.AsyncReplicate("r8_secret", base_url=server.base_url)
    assert outputs(list(client.map("acme/shout", texts(2)))) == ["T0", "T1"]


def test_nothing_is_sent_before_the_first_result_is_asked_for(both, client, server):
    taken = []
    inputs = (taken.append(each) or each for each in texts(3))
    results = client.map("acme/shout", inputs)
    assert repr(results) == "<Results of acme/shout: not begun>"
    results.close()
    assert (taken, server.requests) == ([], [])
    with pytest.raises(RuntimeError, match="closed"):
        collect(both, results)


def test_results_come_as_they_end(both, client, server):
    inputs = [{"text": "wait"}, *texts(10)]
    results = client.map("acme/some", inputs)
    taken = take(both, results, 10, server.gate.set)
    assert sorted(each.index for each in taken) == [*range(1, 11)]


def test_results_in_order_wait_for_the_first(both, client, server):
    threading.Timer(0.3, server.gate.set).start()
    results = collect(both, client.map("acme/some", [{"text": "wait"}, *texts(30)], ordered=True))
    assert [each.index for each in results] == [*range(31)]


def test_a_slow_first_input_stops_the_taking_of_ordered_ones(both, client, server):
    taken = []

    def inputs():
        for number in range(100):
            taken.append(number)
            yield {"text": "wait" if number == 0 else f"t{number}"}

    def open_the_gate():
        until(lambda: server.calls.total() >= 8)
        time.sleep(0.3)
        counted.append(len(taken))
        server.gate.set()

    counted = []
    opener = threading.Thread(target=open_the_gate)
    opener.start()
    results = collect(both, client.map("acme/some", inputs(), ordered=True, concurrency=4))
    opener.join()
    assert [each.index for each in results] == [*range(100)]
    assert counted[0] <= 16


def test_inputs_are_taken_as_results_are(both, client, server):
    taken = []

    def inputs():
        for number in range(10_000):
            taken.append(number)
            yield {"text": f"t{number}"}

    def see():
        # Nothing more is taken while the consumer is busy.
        until(lambda: server.creates >= 8)
        time.sleep(0.2)

    take(both, client.map("acme/shout", inputs(), concurrency=4), 1, see)
    # Twice the runs in flight wait, and one reading of inputs is ahead of them.
    assert len(taken) <= 16
    no_threads()


@pytest.mark.parametrize("concurrency", [1, 3])
def test_at_most_so_many_run_at_once(both, client, server, concurrency):
    most = []

    def see():
        until(lambda: server.running == concurrency)
        time.sleep(0.1)
        most.append(server.running)
        server.gate.set()

    thread = threading.Thread(target=see)
    thread.start()
    results = collect(both, client.map("acme/gated", texts(10), concurrency=concurrency))
    thread.join()
    assert len(results) == 10
    assert most == [concurrency]


# Keys and equal inputs.


def test_keys_of_the_caller(both, client, server):
    inputs = [("a", {"text": "x"}), ("b", {"text": "x"}), (7, {"text": "y"})]
    results = by_index(collect(both, client.map("acme/shout", inputs)))
    assert [each.key for each in results] == ["a", "b", "7"]
    assert outputs(results) == ["X", "X", "Y"]
    # Equal inputs with keys of their own are two.
    assert server.creates == 3


@pytest.mark.parametrize("ordered", [False, True])
def test_equal_inputs_without_keys_run_once(both, client, server, ordered):
    inputs = [{"text": "x", "seed": 1}, {"seed": 1, "text": "x"}, {"text": "y"}] * 20
    server.gate.set()
    results = collect(both, client.map("acme/shout", inputs, ordered=ordered))
    assert len(results) == 60
    assert outputs(results) == ["X", "X", "Y"] * 20
    assert len({each.key for each in results}) == 2
    assert server.creates == 2


def test_a_key_twice_with_different_inputs_names_both(both, client, server):
    inputs = [("a", {"text": "x"}), ("a", {"text": "y"}), ("a", {"text": "x"})]
    first, second, third = by_index(collect(both, client.map("acme/shout", inputs)))
    assert (first.output, third.output) == ("X", "X")
    assert second.status == "failed"
    assert "'a'" in second.error
    assert "inputs[1]" in second.error
    assert "inputs[0]" in second.error
    assert server.creates == 1


# Failures.


def test_a_model_that_fails_is_a_result(both, client, server):
    results = by_index(collect(both, client.map("acme/picky", [{"text": "bad"}, {"text": "x"}])))
    bad, good = results
    assert (bad.status, bad.error, bad.output, bad.succeeded) == ("failed", "OOM", None, False)
    assert (good.status, good.output) == ("succeeded", "X")
    assert server.creates == 2


def test_on_error_raise(both, client, server):
    items = []
    inputs = [*texts(5), {"text": "bad"}]
    with pytest.raises(ModelError, match="OOM") as caught:
        fill(both, items, client.map("acme/picky", inputs, on_error="raise", concurrency=1))
    assert caught.value.prediction.status == "failed"
    assert [each.output for each in items] == [*(f"T{number}" for number in range(5)), None]
    no_threads()


def test_on_error_raise_of_an_input_that_cannot_be_sent(both, client, server):
    with pytest.raises(TypeError, match=r"inputs\[1\]"):
        collect(
            both, client.map("acme/picky", [{"text": "x"}, {"text": object()}], on_error="raise")
        )


def test_retries(both, client, server):
    inputs = [{"text": "a", "failures": 2}, {"text": "b", "failures": 3}]
    results = by_index(collect(both, client.map("acme/flaky", inputs, retries=2)))
    assert [(each.status, each.output, each.attempts) for each in results] == [
        ("succeeded", "A", 3),
        ("failed", None, 3),
    ]
    assert server.creates == 6


def test_retry_if(both, client, server):
    asked = []

    def retry_if(result):
        asked.append((result.status, result.error, result.input["text"]))
        return result.input["text"] == "a"

    results = collect(
        both, client.map("acme/flaky", [{"text": "a"}, {"text": "b"}], retries=5, retry_if=retry_if)
    )
    assert [(each.status, each.attempts) for each in by_index(results)] == [
        ("succeeded", 2),
        ("failed", 1),
    ]
    assert sorted(asked) == [("failed", "try again", "a"), ("failed", "try again", "b")]


@pytest.mark.parametrize("where", ["retry_if", "progress"])
def test_an_error_in_a_function_of_the_caller_is_raised(both, client, server, where):
    def function(_):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        collect(both, client.map("acme/flaky", texts(3), retries=1, **{where: function}))
    no_threads()


def test_max_failures_as_a_number(both, client, server):
    items = []
    with pytest.raises(TooManyFailures, match="3 inputs failed, more than max_failures=2"):
        fill(
            both,
            items,
            client.map("acme/picky", texts(500, "bad"), max_failures=2, concurrency=1),
        )
    assert len(items) == 3
    assert server.creates <= 5


def test_max_failures_as_a_share(both, client, server):
    inputs = [{"text": f"bad{number}" if number % 10 == 0 else f"{number}"} for number in range(60)]
    results = collect(both, client.map("acme/picky", inputs, max_failures=0.2, concurrency=1))
    assert sum(not each.succeeded for each in results) == 6
    with pytest.raises(TooManyFailures, match="5 inputs failed, more than max_failures=20% of 20"):
        collect(both, client.map("acme/picky", texts(500, "bad"), max_failures=0.2, concurrency=1))


def test_no_failure_is_allowed(both, client, server):
    with pytest.raises(TooManyFailures, match="max_failures=0"):
        collect(both, client.map("acme/picky", texts(50, "bad"), max_failures=0))
    assert len(collect(both, client.map("acme/picky", texts(5), max_failures=0))) == 5


def test_a_model_that_does_not_exist_ends_the_run(both, client, server):
    with pytest.raises(NotFoundError):
        collect(both, client.map("acme/nothing", texts(5)))
    no_threads()


def test_a_wrong_token_ends_the_run(both, server):
    client = both.client(server.base_url, api_token="r8_wrong")
    with pytest.raises(AuthenticationError) as caught:
        collect(both, client.map("acme/shout", texts(5)))
    assert "r8_wrong" not in repr(caught.value) + str(getattr(caught.value, "__notes__", ""))


def test_an_input_that_the_api_refuses_is_a_result(both, client, server):
    server.fault("POST /models/acme/shout/predictions", status=422, body='{"detail": "no"}')
    results = collect(both, client.map("acme/shout", texts(4), concurrency=1))
    assert sorted(each.status for each in results) == ["failed", *["succeeded"] * 3]
    (failed,) = [each for each in results if not each.succeeded]
    assert "no" in failed.error
    assert failed.prediction is None


def test_a_prediction_that_is_gone_while_it_is_polled(both, client, server):
    server.fault("GET /predictions/*", status=404)
    threading.Timer(0.3, server.gate.set).start()
    (result,) = collect(both, client.map("acme/gated", texts(1), wait=False))
    assert result.status == "failed"
    assert "NotFoundError" in result.error
    assert result.prediction is not None


def test_timeout(both, client, server):
    items = []
    with pytest.raises(PredictionTimeout, match=r"within 0\.5 s: 2 inputs are done"):
        fill(
            both,
            items,
            client.map("acme/some", [*texts(2), {"text": "wait"}], timeout=0.5),
        )
    assert outputs(items) == ["T0", "T1"]
    until(lambda: server.running == 0)
    assert len(collect(both, client.map("acme/shout", texts(2), timeout=timedelta(minutes=1)))) == 2


# Options.


def test_options_of_creates_pass_through(both, client, server):
    results = collect(
        both,
        client.map(
            "acme/shout",
            texts(3),
            webhook="https://example.com/hook",
            webhook_events_filter=["completed"],
            wait=3,
            cancel_after=60,
            extra_headers={"X-Mine": "yes"},
        ),
    )
    assert len(results) == 3
    creates = [each for each in server.requests if each.method == "POST"]
    for each in creates:
        assert each.headers["prefer"] == "wait=3"
        assert each.headers["cancel-after"].startswith("60")
        assert each.headers["x-mine"] == "yes"
        assert b"https://example.com/hook" in each.body


@pytest.mark.parametrize("spelling", ["option", "object", "tuple"])
def test_a_deployment(both, client, server, spelling):
    model = both(lambda: client.models.get("acme/shout"))
    deployment = both(
        lambda: client.deployments.create(
            name="loud",
            model="acme/shout",
            version=model.latest_version.id,
            hardware="cpu",
            min_instances=0,
            max_instances=1,
        )
    )
    name = f"{deployment.owner}/loud"
    ref, option = {
        "option": (None, name),
        "object": (deployment, None),
        "tuple": (None, (deployment.owner, "loud")),
    }[spelling]
    results = client.map(ref, texts(3), deployment=option)
    assert repr(results) == f"<Results of deployment {name}: not begun>"
    assert outputs(collect(both, results)) == ["T0", "T1", "T2"]
    assert server.count("POST", f"/deployments/{name}/predictions") == 3


def test_a_version_and_a_model_object(both, client, server):
    model = both(lambda: client.models.get("acme/shout"))
    version = model.latest_version
    for ref in (model, version, version.id, f"acme/shout:{version.id}"):
        assert outputs(collect(both, client.map(ref, texts(2)))) == ["T0", "T1"]


def test_files_of_outputs(both, client, server):
    (result,) = collect(both, client.map("acme/paint", texts(1)))
    assert isinstance(result.output, FileOutput)
    assert both(result.output.read) if both.is_async else result.output.read()
    (result,) = collect(both, client.map("acme/paint", texts(1), use_file_output=False))
    assert type(result.output) is str
    kept = client.with_options(use_file_output=False)
    (result,) = collect(both, kept.map("acme/paint", texts(1)))
    assert type(result.output) is str


def test_until_when_files_can_be_had(both, client, server):
    (result,) = collect(both, client.map("acme/paint", texts(1)))
    left = result.available_until - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1, seconds=1)
    (result,) = collect(both, client.map("acme/picky", [{"text": "bad"}]))
    assert result.available_until is None


def test_progress(both, client, server):
    seen = []
    inputs = [*texts(9), {"text": "bad"}]
    collect(both, client.map("acme/picky", inputs, progress=seen.append))
    last = seen[-1]
    assert (last.total, last.done, last.failed, last.running) == (10, 10, 1, 0)
    assert last.per_minute > 0
    assert last.predict_seconds >= 0
    assert last.seconds_left == 0


def test_progress_of_a_generator_has_no_total(both, client, server):
    seen = []
    collect(both, client.map("acme/shout", iter(texts(2)), progress=seen.append))
    assert (seen[-1].total, seen[-1].seconds_left, seen[-1].done) == (None, None, 2)


# Inputs that come slowly, fail or never end.


async def slowly(items, pause=0.0):
    for each in items:
        await asyncio.sleep(pause)
        yield each


def test_async_iterables(both, client, server):
    results = collect(both, client.map("acme/shout", slowly(texts(20))))
    assert outputs(results) == [f"T{number}" for number in range(20)]


def test_an_async_iterable_runs_on_its_callers_loop(server):
    async def run():
        loop = asyncio.get_running_loop()
        seen = []

        async def inputs():
            for each in texts(5):
                seen.append(asyncio.get_running_loop() is loop)
                yield each

        async with replicate.AsyncReplicate("r8_secret", base_url=server.base_url) as client:
            results = await client.map("acme/shout", inputs())
        return results, seen

    results, seen = asyncio.run(run())
    assert len(results) == 5
    assert seen == [True] * 5


def test_a_slow_input_does_not_hold_up_those_before_it(both, client, server):
    go_on = threading.Event()

    def inputs():
        yield {"text": "a"}
        go_on.wait(20)
        yield {"text": "b"}

    first, second = [], []
    results = client.map("acme/shout", inputs())
    if both.is_async:

        async def run():
            async for each in results:
                (second if first else first).append(each.output)
                go_on.set()

        both(run)
    else:
        for each in results:
            (second if first else first).append(each.output)
            go_on.set()
    assert (first, second) == (["A"], ["B"])


def test_a_generator_that_raises(both, client, server):
    def inputs():
        yield from texts(3)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        collect(both, client.map("acme/shout", inputs()))
    until(lambda: server.running == 0)
    no_threads()


def test_an_async_generator_that_raises(both, client, server):
    async def inputs():
        for each in texts(3):
            yield each
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        collect(both, client.map("acme/shout", inputs()))
    until(lambda: server.running == 0)
    no_threads()


def test_a_generator_is_closed_when_its_caller_leaves(both, client, server):
    closed = threading.Event()

    def inputs():
        try:
            number = 0
            while True:
                number += 1
                yield {"text": f"{number}"}
        finally:
            closed.set()

    assert len(take(both, client.map("acme/shout", inputs()), 5)) == 5
    assert closed.wait(5)
    no_threads()


def test_an_async_generator_is_closed_when_its_caller_leaves(both, client, server):
    closed = threading.Event()

    async def inputs():
        try:
            number = 0
            while True:
                number += 1
                yield {"text": f"{number}"}
        finally:
            closed.set()

    # Held here, so that it is not closed for being garbage.
    kept = inputs()
    assert len(take(both, client.map("acme/shout", kept), 5)) == 5
    assert closed.wait(5)
    no_threads()


def test_a_generator_that_blocks_does_not_hold_up_a_caller_who_leaves(both, client, server):
    go_on = threading.Event()

    def inputs():
        yield {"text": "a"}
        go_on.wait(20)
        yield {"text": "b"}

    begun = time.monotonic()
    try:
        assert len(take(both, client.map("acme/shout", inputs()), 1)) == 1
        no_threads()
        assert time.monotonic() - begun < 10
    finally:
        go_on.set()


def test_an_open_file_stays_open(both, client, server, tmp_path):
    path = tmp_path / "lines"
    path.write_text("a\nb\n")
    with path.open() as file:
        inputs = ({"text": line.strip()} for line in file)
        assert outputs(collect(both, client.map("acme/shout", inputs))) == ["A", "B"]
        assert not file.closed


# Leaving.


def prepare(both, client, server, tmp_path, journal, on_exit):
    """Return results of which ten are done and three run, and whether these are to be cancelled."""
    options = {"journal": tmp_path / "runs.db"} if journal else {}
    if on_exit is not None:
        options["on_exit"] = on_exit
    inputs = [*texts(10), *texts(3, "wait")]
    is_cancelled = on_exit == "cancel" or (on_exit is None and not journal)
    return client.map("acme/some", inputs, **options), is_cancelled


EXITS = [(False, None), (False, "cancel"), (True, None), (True, "leave"), (True, "cancel")]


def assert_left(both, client, server, tmp_path, *, is_cancelled, journal):
    """Assert that what ran is cancelled, or that it is collected with the journal."""
    no_threads()
    made = server.creates
    if is_cancelled:
        until(lambda: server.running == 0)
    else:
        assert server.running == 3
        assert server.count("POST", "/cancel") == 0
    server.gate.set()
    if not journal:
        return
    inputs = [*texts(10), *texts(3, "wait")]
    results = collect(both, client.map("acme/some", inputs, journal=tmp_path / "runs.db"))
    assert len(results) == 13
    assert server.creates == made == 13
    assert [each.status for each in by_index(results)[:10]] == ["succeeded"] * 10
    assert {each.status for each in by_index(results)[10:]} == {
        "canceled" if is_cancelled else "succeeded"
    }


@pytest.mark.parametrize(("journal", "on_exit"), EXITS)
def test_leaving_by_break(both, client, server, tmp_path, journal, on_exit):
    results, is_cancelled = prepare(both, client, server, tmp_path, journal, on_exit)
    take(both, results, 10, lambda: until(lambda: server.calls.total() == 13))
    assert_left(both, client, server, tmp_path, is_cancelled=is_cancelled, journal=journal)


@pytest.mark.parametrize(("journal", "on_exit"), EXITS)
def test_leaving_by_an_exception(both, client, server, tmp_path, journal, on_exit):
    results, is_cancelled = prepare(both, client, server, tmp_path, journal, on_exit)

    def fail():
        until(lambda: server.calls.total() == 13)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take(both, results, 10, fail)
    del results
    gc.collect()
    if both.is_async:
        both(lambda: asyncio.sleep(0.05))
    assert_left(both, client, server, tmp_path, is_cancelled=is_cancelled, journal=journal)


@pytest.mark.parametrize(("journal", "on_exit"), EXITS)
def test_leaving_a_with_statement(both, client, server, tmp_path, journal, on_exit):
    results, is_cancelled = prepare(both, client, server, tmp_path, journal, on_exit)

    async def leave_async():
        async with results:
            async for each in results:
                taken.append(each)
                if len(taken) == 10:
                    until(lambda: server.calls.total() == 13)
                    raise ZeroDivisionError

    def leave():
        with results:
            for each in results:
                taken.append(each)
                if len(taken) == 10:
                    until(lambda: server.calls.total() == 13)
                    raise ZeroDivisionError

    taken = []
    with pytest.raises(ZeroDivisionError) as caught:
        both(leave_async if both.is_async else leave)
    (note,) = caught.value.__notes__
    assert "10 inputs done" in note
    assert "journal=" in note
    assert (str(tmp_path / "runs.db") in note) == journal
    assert_left(both, client, server, tmp_path, is_cancelled=is_cancelled, journal=journal)


@pytest.mark.parametrize("journal", [False, True])
def test_an_error_before_anything_ran_has_no_note(tmp_path, journal):
    # Nothing is sent: there is no token for it.
    client = replicate.Replicate()
    path = tmp_path / "runs.db" if journal else None
    with pytest.raises(replicate.exceptions.MissingTokenError) as caught:
        list(client.map("acme/painter", [{"prompt": "x"}], journal=path))
    assert not getattr(caught.value, "__notes__", None)


@pytest.mark.parametrize(("journal", "on_exit"), EXITS)
def test_leaving_by_cancelling_the_task(server, tmp_path, journal, on_exit):
    async def run():
        async with replicate.AsyncReplicate(
            "r8_secret", base_url=server.base_url, poll_interval=0.01
        ) as client:
            options = {"journal": tmp_path / "runs.db"} if journal else {}
            if on_exit is not None:
                options["on_exit"] = on_exit
            task = asyncio.ensure_future(
                _list(client.map("acme/some", [*texts(10), *texts(3, "wait")], **options))
            )
            await asyncio.to_thread(until, lambda: server.calls.total() == 13)
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            no_threads()

    asyncio.run(run())
    if on_exit == "cancel" or not journal:
        until(lambda: server.running == 0)
    else:
        assert server.running == 3


async def _list(results):
    return [each async for each in results]


def test_closing_twice_and_from_another_thread(both, client, server):
    results = client.map("acme/gated", texts(5))
    items = []
    consumer = threading.Thread(target=lambda: fill(both, items, results))
    consumer.start()
    until(lambda: server.calls.total() == 5)
    results.close()
    results.close()
    consumer.join(10)
    assert not consumer.is_alive()
    assert items == []
    until(lambda: server.running == 0)


def test_results_that_are_dropped_end(both, client, server):
    if both.is_async:
        return
    iterator = iter(client.map("acme/some", [*texts(1), *texts(3, "wait")]))
    assert next(iterator).output == "T0"
    del iterator
    gc.collect()
    no_threads()
    until(lambda: server.running == 0)


def test_the_client_is_closed_meanwhile(both, client, server):
    results = client.map("acme/gated", texts(5))

    def close():
        until(lambda: server.calls.total() == 5)
        if both.is_async:
            asyncio.run(client.aclose())
        else:
            client.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(ClientClosedError):
        collect(both, results)
    closer.join(10)
    until(lambda: server.running == 0)
    no_threads()


def test_several_maps_at_once_in_threads(server):
    client = replicate.Replicate("r8_secret", base_url=server.base_url)
    found = {}

    def run(name):
        found[name] = outputs(list(client.map("acme/shout", texts(50, name))))

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert found == {name: [f"{name.upper()}{n}" for n in range(50)] for name in "abcd"}


def test_several_threads_share_the_results(server):
    client = replicate.Replicate("r8_secret", base_url=server.base_url)
    results = client.map("acme/shout", texts(60))
    found = []
    threads = [threading.Thread(target=lambda: found.extend(results)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert sorted(each.index for each in found) == [*range(60)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_results_belong_to_their_process(server):
    code = """
    import os, sys
    import replicate_rs as replicate
    client = replicate.Replicate()
    results = client.map("acme/some", [{"text": "a"}, {"text": "wait"}])
    iterator = iter(results)
    assert next(iterator).output == "A"
    child = os.fork()
    if not child:
        for use in (lambda: next(iterator), lambda: next(iter(results))):
            try:
                use()
            except replicate.ForkedError:
                print("refused")
        results.close()
        # A new one works.
        print([each.output for each in client.map("acme/shout", [{"text": "b"}])])
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    iterator.close()
    print("closed")
    """
    env = {
        **os.environ,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_API_TOKEN": "r8_secret",
    }
    done = script(code, env=env, forks_with_threads=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["refused", "refused", "['B']", "closed"]
    until(lambda: server.running == 0)


INTERRUPTED = """
import sys
import replicate_rs as replicate
inputs = [{"text": f"t{n}"} for n in range(10)] + [{"text": f"wait{n}"} for n in range(3)]
options = {"journal": sys.argv[1]} if sys.argv[1:] else {}
count = 0
for result in replicate.map("acme/some", inputs, **options):
    count += 1
    if count == 10:
        print("ten", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("journal", [False, True])
def test_ctrl_c(server, tmp_path, journal):
    path = str(tmp_path / "runs.db")
    env = {
        **os.environ,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_API_TOKEN": "r8_secret",
        "REPLICATE_POLL_INTERVAL": "0.01",
    }
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", INTERRUPTED, *([path] * journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    with process:
        assert process.stdout.readline() == "ten\n"
        until(lambda: server.calls.total() == 13)
        # The loop's body ends, and the next result is waited for.
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        _, error = process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGINT, 130)
    assert time.monotonic() - begun < 5
    assert "KeyboardInterrupt" in error
    assert "map was left with 10 inputs done" in error
    assert "Exception ignored" not in error
    if journal:
        assert f"journal={path!r} to go on" in error
        assert server.running == 3
    else:
        until(lambda: server.running == 0)


@pytest.mark.parametrize("ends", ["iterator = None", "pass", "sys.exit(0)", "raise SystemExit"])
def test_a_program_that_ends_meanwhile_cancels_what_runs(server, ends):
    code = f"""
    import sys
    import replicate_rs as replicate
    inputs = [{{"text": "a"}}, {{"text": "wait"}}]
    iterator = iter(replicate.map("acme/some", inputs))
    assert next(iterator).output == "A"
    {ends}
    """
    env = {
        **os.environ,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_API_TOKEN": "r8_secret",
    }
    done = script(code, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: server.running == 0)


def test_an_outage_is_counted_from_its_own_beginning(both, client, server, monkeypatch):
    """Failures long apart, with successes between, are no outage."""
    monkeypatch.setattr(outage, "MAX_OUTAGE", 0.4)
    monkeypatch.setattr(outage, "MAX_BACKOFF", 0.01)
    options = {"max_retries": 0}
    client = client.with_options(**options)

    def fail_twice():
        until(lambda: server.calls.total() == 1)
        for _ in range(2):
            fault = server.fault("GET /predictions/*", status=500)
            until(lambda fault=fault: fault.hits)
            time.sleep(0.6)
        server.gate.set()

    thread = threading.Thread(target=fail_twice)
    thread.start()
    (result,) = collect(both, client.map("acme/gated", texts(1), wait=False))
    thread.join()
    assert result.output == "T0"
