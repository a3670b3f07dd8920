"""The time of a verification: the system clock, a given time, or a changed Python clock."""

import asyncio
import datetime
import gc
import threading
import weakref
from unittest import mock

import freezegun
import pytest
import time_machine

import replicate_rs as replicate
from conftest import script
from replicate_rs import WebhookVerifier
from replicate_rs.local import LocalReplicate
from replicate_rs.webhook import InvalidTimestampError
from support.webhooks import SECRET, Receiver

STAMP = 1_600_000_000
BODY = b'{"id": "p1"}'
HEADERS = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(STAMP),
    "webhook-signature": replicate.sign_webhook(SECRET, "msg_1", STAMP, BODY),
}
LARGE = b"x" * 100_000
LARGE_HEADERS = HEADERS | {
    "webhook-signature": replicate.sign_webhook(SECRET, "msg_1", STAMP, LARGE)
}


def checks(**options):
    """Yield for every way to verify the webhook whether it was accepted."""
    verifier = WebhookVerifier(SECRET)

    def accepted(call, *arguments):
        try:
            call(*arguments, **options)
        except InvalidTimestampError:
            return False
        return True

    yield accepted(verifier.verify, HEADERS, BODY)
    yield accepted(verifier.verify, LARGE_HEADERS, LARGE)
    yield accepted(verifier.read, HEADERS, BODY)
    yield accepted(verifier.unwrap, HEADERS, BODY)
    (outcome,) = set(map(type, verifier.verify_many([(HEADERS, BODY)] * 300, **options)))
    yield outcome is type(None)
    yield replicate.validate_webhook(headers=HEADERS, body=BODY, secret=SECRET, **options)
    yield asyncio.run(
        replicate.avalidate_webhook({"headers": HEADERS}, SECRET, body=BODY, **options)
    )
    yield accepted(WebhookVerifier(SECRET, **options).verify, HEADERS, BODY)


@pytest.mark.parametrize(
    ("away", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
@pytest.mark.parametrize(
    "form",
    [
        int,
        float,
        lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC),
        lambda seconds: datetime.datetime.fromtimestamp(seconds),
        lambda seconds: lambda: seconds,
        lambda seconds: lambda: datetime.datetime.fromtimestamp(seconds, datetime.UTC),
    ],
)
def test_a_webhook_is_judged_at_the_time_that_was_given(form, away, good):
    assert set(checks(now=form(STAMP + away))) == {good}


def test_the_time_of_a_call_comes_before_the_verifier_s():
    verifier = WebhookVerifier(SECRET, now=1)
    with pytest.raises(InvalidTimestampError):
        verifier.verify(HEADERS, BODY)
    verifier.verify(HEADERS, BODY, now=STAMP)
    assert verifier.verify_many([(HEADERS, BODY)], now=STAMP) == [None]


def test_a_verifier_s_function_is_asked_each_time():
    moments = [STAMP, STAMP + 1000, STAMP]
    verifier = WebhookVerifier(SECRET, now=lambda: moments.pop(0))
    verifier.verify(HEADERS, BODY)
    with pytest.raises(InvalidTimestampError):
        verifier.verify(HEADERS, BODY)
    verifier.verify(HEADERS, BODY)


@pytest.mark.parametrize("now", [True, "1600000000", b"1", [], object(), lambda: None, lambda: "x"])
def test_what_is_no_time_is_refused(now):
    with pytest.raises(
        TypeError,
        match=(
            "now must be seconds since 1970, a datetime, or a function that returns one of"
            " these, not"
        ),
    ):
        WebhookVerifier(SECRET).verify(HEADERS, BODY, now=now)


@pytest.mark.parametrize("now", [-1, float("nan"), float("inf"), lambda: -1.5])
def test_a_time_that_cannot_be_is_refused(now):
    with pytest.raises(ValueError, match="now must be seconds since 1970, not"):
        WebhookVerifier(SECRET, tolerance=None).verify(HEADERS, BODY, now=now)


def test_a_verifier_is_not_made_with_what_is_no_time():
    with pytest.raises(TypeError, match="now must be"):
        WebhookVerifier(SECRET, now="today")
    with pytest.raises(ValueError, match="now must be"):
        WebhookVerifier(SECRET, now=-1)


def test_what_a_function_for_the_time_raises_is_passed_on():
    def fail():
        raise OSError("no clock")

    with pytest.raises(OSError, match="no clock"):
        WebhookVerifier(SECRET, now=fail).verify(HEADERS, BODY)


def test_without_a_tolerance_any_time_is_right():
    WebhookVerifier(SECRET, tolerance=None).verify(HEADERS, BODY, now=1)


def frozen():
    return freezegun.freeze_time(
        datetime.datetime.fromtimestamp(STAMP, datetime.UTC).replace(tzinfo=None)
    )


def ticking():
    return freezegun.freeze_time(
        datetime.datetime.fromtimestamp(STAMP, datetime.UTC).replace(tzinfo=None), tick=True
    )


def travelled():
    return time_machine.travel(STAMP)


def standing():
    return time_machine.travel(STAMP, tick=False)


def mocked():
    return mock.patch("time.time", return_value=float(STAMP))


@pytest.mark.parametrize("change", [frozen, ticking, travelled, standing, mocked])
def test_python_s_clock_counts_where_a_test_has_changed_it(change):
    verifier = WebhookVerifier(SECRET)
    with pytest.raises(InvalidTimestampError):
        verifier.verify(HEADERS, BODY)
    with change():
        verifier.verify(HEADERS, BODY)
        verifier.verify(LARGE_HEADERS, LARGE)
        assert verifier.verify_many([(HEADERS, BODY)] * 300) == [None] * 300
        assert replicate.validate_webhook(headers=HEADERS, body=BODY, secret=SECRET)
        assert (
            replicate.webhooks.validate(headers=HEADERS, body=BODY, secret=SECRET, tolerance=300)
            is None
        )
        # The time of the call has precedence.
        with pytest.raises(InvalidTimestampError):
            verifier.verify(HEADERS, BODY, now=STAMP + 301)
    with pytest.raises(InvalidTimestampError):
        verifier.verify(HEADERS, BODY)
    # A verifier that was created under the changed clock is not bound to it.
    with change():
        verifier = WebhookVerifier(SECRET)
    with pytest.raises(InvalidTimestampError):
        verifier.verify(HEADERS, BODY)


def test_time_goes_by_where_it_is_moved_on():
    verifier = WebhookVerifier(SECRET)
    with frozen() as clock:
        clock.tick(300)
        verifier.verify(HEADERS, BODY)
        clock.tick(1)
        with pytest.raises(InvalidTimestampError):
            verifier.verify(HEADERS, BODY)
    with time_machine.travel(STAMP, tick=False) as traveller:
        traveller.shift(300)
        verifier.verify(HEADERS, BODY)
        traveller.shift(1)
        with pytest.raises(InvalidTimestampError):
            verifier.verify(HEADERS, BODY)


def test_a_package_that_is_imported_under_a_changed_clock_is_not_bound_to_it():
    done = script(f"""
    import freezegun
    with freezegun.freeze_time("2020-09-13 12:26:40"):
        from replicate_rs import WebhookVerifier
        verifier = WebhookVerifier({SECRET!r})
        verifier.verify({HEADERS!r}, {BODY!r})
    try:
        verifier.verify({HEADERS!r}, {BODY!r})
    except ValueError as error:
        print(type(error).__name__)
    """)
    assert (done.stdout, done.stderr) == ("InvalidTimestampError\n", "")


def test_a_verifier_and_its_clock_are_collected():
    class Clock:
        def __call__(self):
            return STAMP

    clock = Clock()
    clock.verifier = WebhookVerifier(SECRET, now=clock)
    gone = weakref.ref(clock)
    del clock
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("change", [frozen, travelled])
def test_the_local_server_s_webhooks_are_good_under_a_changed_clock(change):
    """The server goes on, and takes timestamps from the clock of the receiver's process."""
    before = set(threading.enumerate())
    for outside in (False, True):
        server = LocalReplicate()

        @server.model("acme/shout")
        def shout(text: str) -> str:
            return text.upper()

        def run(server=server):
            with Receiver() as receiver:
                client = replicate.Replicate(server.token, base_url=server.base_url)
                assert client.run("acme/shout", {"text": "hi"}, webhook=receiver.url) == "HI"
                _, headers, body = receiver.received.get(timeout=10)
                assert abs(int(headers["webhook-timestamp"]) - STAMP) < 60
                assert replicate.validate_webhook(
                    headers=headers, body=body, secret=server.webhook_secret
                )
                server.advance(hours=2)
                assert client.predictions.list().results[0].data_removed

        if outside:
            with server, change():
                run()
        else:
            with change(), server:
                run()
        started = {*threading.enumerate()} - before
        assert not [thread for thread in started if thread.name == "replicate-local"]
