"""Values that arguments accept in several forms: seconds, ids, timeouts, events."""

import asyncio
import datetime
import decimal
import fractions
import json
import math

import pytest

import replicate_rs as replicate
from replicate_rs._base.checks import limit
from support.wire import Wire, hang, prediction, reply
from support.wrong_values import (
    SECRET,
    SIGNED,
    Named,
)


@pytest.fixture(scope="module")
def wire():
    with Wire(lambda _: reply(prediction())) as wire:
        yield wire


# What is taken.


def test_seconds_may_be_a_timedelta_wherever_there_are_seconds(both, wire):
    second, soon = datetime.timedelta(seconds=1), datetime.timedelta(milliseconds=10)
    client = both.client(wire.base_url, timeout=second, poll_interval=soon)
    assert client.poll_interval == 0.01
    client.poll_interval = second
    assert client.poll_interval == 1.0
    timeout = replicate.Timeout(second, total=2 * second, idle=second)
    assert timeout == replicate.Timeout(1.0, total=2.0, idle=1.0)
    both(lambda: client.predictions.get("p1", timeout=second))
    both(
        lambda: client.run(
            "acme/x",
            {},
            timeout=second,
            wait={"mode": "poll", "interval": soon},
            cancel_after=6 * second,
        )
    )
    assert wire.seen[-1].headers["cancel-after"] == "6"
    both(lambda: client.predictions.create("v", {}, wait=5 * second))
    assert wire.seen[-1].headers["prefer"] == "wait=5"
    assert not replicate.AbortSignal.timeout(second).aborted
    assert replicate.AbortSignal.timeout(datetime.timedelta(0)).aborted
    assert (
        repr(replicate.WebhookVerifier(SECRET, 60 * second))
        == "WebhookVerifier([REDACTED], tolerance=60)"
    )
    assert replicate.validate_webhook(
        headers=SIGNED, body=b"x", secret=SECRET, tolerance=datetime.timedelta(days=40_000)
    )
    assert not replicate.validate_webhook(
        headers=SIGNED, body=b"x", secret=SECRET, tolerance=second
    )


@pytest.mark.parametrize(
    "number",
    [decimal.Decimal("0.5"), fractions.Fraction(1, 2), 0.5, datetime.timedelta(seconds=0.5)],
    ids=type,
)
def test_any_kind_of_number_is_seconds(number):
    assert replicate.Timeout(read=number).read == 0.5
    assert replicate.Replicate("r8_x", poll_interval=number).poll_interval == 0.5


def test_a_timeout_has_a_default_for_its_parts():
    timeout = replicate.Timeout(60, connect=5, pool=None)
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool, timeout.total) == (
        5,
        60,
        60,
        None,
        None,
    )
    assert [
        getattr(replicate.Timeout(None), part) for part in ("connect", "read", "write", "pool")
    ] == [None] * 4
    assert replicate.Timeout().read == 30


def test_a_call_s_timeout_may_be_a_timeout():
    assert limit("timeout", replicate.Timeout(60)) == 60
    assert limit("timeout", replicate.Timeout(60, total=5)) == 5
    assert limit("timeout", replicate.Timeout(5, read=60)) == 60
    assert limit("timeout", replicate.Timeout(5, read=None)) is None
    httpx = pytest.importorskip("httpx")
    assert limit("timeout", httpx.Timeout(60)) == 60
    assert limit("timeout", httpx.Timeout(None)) is None
    changed = replicate.Timeout()
    changed.read = "5"
    with pytest.raises(TypeError, match=r"timeout\.read must be a number of seconds"):
        limit("timeout", changed)
    with pytest.raises(TypeError, match=r"timeout\.read must be a number of seconds"):
        replicate.Replicate("r8_x", timeout=changed)


def test_a_call_s_timeout_is_a_limit_over_all_of_it(both):
    with Wire(lambda _: hang) as silent:
        client = both.client(silent.base_url, max_retries=0)
        calls = [
            lambda: client.predictions.list(timeout=replicate.Timeout(30, total=0.05)),
            lambda: client.files.get("f", timeout=replicate.Timeout(0.05)),
            lambda: client.request("/x", timeout=datetime.timedelta(milliseconds=50)),
            lambda: client.predictions.stream("p1", timeout=replicate.Timeout(0.05)),
            lambda: client.text_stream("acme/x", {}, timeout=replicate.Timeout(0.05)),
        ]
        for call in calls:
            with pytest.raises(
                (replicate.APITimeoutError, replicate.PredictionTimeout), match=r"0\.05"
            ):
                both(call)


def test_of_a_controller_its_signal_is_taken(both, wire):
    controller = replicate.AbortController()
    controller.abort("enough")
    client, before = both.client(wire.base_url), len(wire.seen)
    for call in (
        lambda: client.run("acme/x", {}, signal=controller),
        lambda: client.stream("acme/x", {}, signal=controller),
        lambda: client.predictions.get("p1", signal=controller),
        lambda: client.files.create(b"x", signal=controller),
        lambda: client.request("/x", signal=controller),
    ):
        with pytest.raises(replicate.AbortError, match="enough"):
            both(call)
    assert len(wire.seen) == before


def test_an_id_may_be_that_of_an_object(both):
    def answer(seen):
        return reply(body(seen), 200)

    def body(seen):
        return {**prediction(), "slug": "s", "owner": "acme", "name": "x", "results": []}

    with Wire(answer) as wire:
        client = both.client(wire.base_url)
        p1, t1 = (
            kind._of({"id": id}, client._session)
            for kind, id in ((replicate.Prediction, "p1"), (replicate.Training, "t1"))
        )
        file, version = replicate.File(id="f1"), replicate.Version(id="v1")
        model, collection = replicate.Model(owner="acme", name="x"), replicate.Collection(slug="s")
        hardware = replicate.Hardware(sku="gpu")
        signed = {"owner": "o", "expiry": 1, "signature": "s"}
        kept = {"hardware": hardware, "min_instances": 0, "max_instances": 1}
        calls = {
            "GET /v1/predictions/p1": [
                lambda: client.predictions.get(p1),
                lambda: client.predictions.get(prediction_id=p1),
                lambda: client.predictions.wait(p1),
            ],
            "POST /v1/predictions/p1/cancel": [
                lambda: client.predictions.cancel(p1),
                lambda: client.predictions.cancel(id=p1),
                lambda: client.predictions.cancel(prediction_id=p1),
            ],
            "GET /v1/trainings/t1": [
                lambda: client.trainings.get(t1),
                lambda: client.trainings.get(training_id=t1),
            ],
            "POST /v1/trainings/t1/cancel": [
                lambda: client.trainings.cancel(t1),
                lambda: client.trainings.cancel(training_id=t1),
            ],
            "GET /v1/files/f1": [
                lambda: client.files.get(file),
                lambda: client.files.get(file_id=file),
            ],
            "DELETE /v1/files/f1": [lambda: client.files.delete(file)],
            "GET /v1/files/f1/download?owner=o&expiry=1&signature=s": [
                lambda: client.files.download(file, **signed)
            ],
            "GET /v1/collections/s": [
                lambda: client.collections.get(collection),
                lambda: client.collections.get(collection_slug=collection),
            ],
            "GET /v1/models/acme/x/versions/v1": [
                lambda: client.models.versions.get(model, version_id=version),
                lambda: client.models.versions.get("acme", "x", version),
            ],
            "DELETE /v1/models/acme/x/versions/v1": [
                lambda: client.models.versions.delete("acme/x", None, version)
            ],
            "POST /v1/models/acme/x/versions/v1/trainings": [
                lambda: client.trainings.create(model=model, version=version, destination=model),
                lambda: client.trainings.create(model=model, version_id=version, destination=model),
                lambda: client.trainings.create(
                    model="acme/x", version="v1", destination=("acme", "x")
                ),
            ],
        }
        for route, ways in calls.items():
            for way in ways:
                both(way)
                assert wire.routes[-1] == route
        both(lambda: client.predictions.create(version, {}))
        assert json.loads(wire.seen[-1].body)["version"] == "v1"
        both(
            lambda: client.predictions.create(
                replicate.ModelVersionIdentifier("acme", "x", "v1"), {}
            )
        )
        assert json.loads(wire.seen[-1].body)["version"] == "acme/x:v1"
        both(lambda: client.deployments.create("d", model, version, **kept))
        assert json.loads(wire.seen[-1].body) == {
            **kept,
            "name": "d",
            "model": "acme/x",
            "version": "v1",
            "hardware": "gpu",
        }
        both(lambda: client.deployments.update("acme/d", version=version, hardware=hardware))
        assert json.loads(wire.seen[-1].body) == {"version": "v1", "hardware": "gpu"}
        both(lambda: client.models.create("acme", "x", visibility="private", hardware=hardware))
        assert json.loads(wire.seen[-1].body)["hardware"] == "gpu"


def test_an_object_without_an_id_is_no_id(both, wire):
    client, before = both.client(wire.base_url), len(wire.seen)
    for odd in (replicate.Prediction(status="starting"), {"id": "p1"}, 5, None, Named()):
        with pytest.raises(TypeError, match="id"):
            both(lambda odd=odd: client.predictions.cancel(odd))
    assert len(wire.seen) == before


def test_arguments_given_by_position_are_checked_too(both, wire):
    client, before = both.client(wire.base_url), len(wire.seen)
    for call, name in (
        (lambda: client.run("acme/x", {}, "yes"), "progress"),
        (lambda: client.run("acme/x", "text"), "input"),
        (lambda: client.stream(5), "ref"),
        (lambda: client.predictions.stream("p1", "yes"), "use_file_output"),
        (lambda: client.predictions.list(5), "cursor"),
        (lambda: client.models.versions.get("acme", "x", 5), "version_id"),
        (lambda: client.trainings.create("acme/x:v", {}, "me/y", "no url"), "webhook"),
        (lambda: client.trainings.create("acme/x:v", 5, "me/y"), "input"),
        (lambda: client.trainings.create(5, "x", "v"), "model"),
    ):
        with pytest.raises((TypeError, ValueError), match=name):
            both(call)
    assert len(wire.seen) == before


def test_what_a_stream_is_called_with_is_checked_when_it_is_called(both, wire):
    client = both.client(wire.base_url)
    p1 = replicate.Prediction._of(
        prediction("starting", urls={"stream": f"{wire.origin}/s"}), client._session
    )
    for call in (
        lambda: client.stream("acme/x", {}, timeout="5"),
        lambda: client.text_stream("acme/x", {}, signal=5),
        lambda: client.predictions.stream("p1", timeout=-1),
        lambda: p1.stream(cancel_on_exit="no"),
        lambda: p1.async_output_iterator(timeout=math.nan),
        lambda: replicate.FileOutput(f"{wire.origin}/f", client).achunks(signal="x"),
    ):
        with pytest.raises((TypeError, ValueError), match="timeout|signal|cancel_on_exit"):
            call()


def test_events_of_an_iterator_are_sent(both, wire):
    client = both.client(wire.base_url)
    names = (name for name in ("start", "completed"))
    both(
        lambda: client.predictions.create(
            "v", {}, webhook="https://example.com/x", webhook_events_filter=names
        )
    )
    assert json.loads(wire.seen[-1].body)["webhook_events_filter"] == ["start", "completed"]


@pytest.mark.parametrize("setting", ["often", "-1", "nan", "inf"])
def test_a_poll_interval_of_the_environment_is_named(monkeypatch, setting):
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", setting)
    with pytest.raises(ValueError, match="REPLICATE_POLL_INTERVAL must be a number of seconds"):
        replicate.Replicate("r8_x")


def test_what_paginate_is_given_is_a_method():
    client, awaited = replicate.Replicate("r8_x"), replicate.AsyncReplicate("r8_x")
    for wrong in (replicate.Page([]), awaited.predictions.list, client.predictions.async_list):
        with pytest.raises(TypeError, match="list_method must be"):
            client.paginate(wrong)
    for wrong in (replicate.Page([]), client.predictions.list):
        with pytest.raises(TypeError, match="list_method must be"):
            awaited.paginate(wrong)
    with pytest.raises(TypeError, match="what list_method gives must be a Page, not coroutine"):
        client.paginate(lambda: awaited.predictions.list())
    with pytest.raises(TypeError, match="what list_method gives must be a Page, not int"):
        asyncio.run(anext(awaited.paginate(lambda: 5)))


def test_no_message_shows_what_may_be_a_secret():
    secret = "r8_SECRET"
    for options in (
        {"headers": {"Authorization": [secret]}},
        {"headers": {"X": f"{secret}\n"}},
        {"api_token": [secret]},
        {"api_token": f"{secret}\ud800"},
        {"proxy": [secret]},
        {"base_url": [secret]},
        {"cert": [secret]},
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            replicate.Replicate(**options)
        assert secret not in str(caught.value)
