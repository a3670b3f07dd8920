"""`WebhookVerifier` and `SeenWebhooks`: unwrapping, many at once, replays, threads."""

import contextlib
import copy
import gc
import json
import pickle
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from replicate_rs import Prediction, SeenWebhooks, Training, WebhookVerifier
from replicate_rs.webhook import (
    InvalidSecretKeyError,
    InvalidSignatureError,
    InvalidTimestampError,
    InvalidWebhookBodyError,
    MissingWebhookHeaderError,
    ReplayedWebhookError,
)
from support.webhooks import SECRET, signed

SECOND = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PREDICTION = {
    "id": "p1",
    "status": "succeeded",
    "output": "HI",
    "urls": {"get": "https://api.replicate.com/v1/predictions/p1"},
}
TRAINING = {
    "id": "t1",
    "status": "succeeded",
    "output": {"version": "acme/new:1", "weights": "https://x/y"},
}
TRAINING["urls"] = {"get": "https://api.replicate.com/v1/trainings/t1"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PREDICTION, Prediction),
        (TRAINING, Training),
        (TRAINING | {"output": None}, Training),
        (TRAINING | {"urls": PREDICTION["urls"]}, Training),
        (PREDICTION | {"output": {"version": "1", "weights": []}}, Prediction),
        ({"urls": None}, Prediction),
        ({}, Prediction),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        str,
        str.encode,
        lambda text: bytearray(text.encode()),
        lambda text: memoryview(text.encode()),
    ],
)
def test_a_webhook_is_unwrapped_to_what_it_tells_of(data, kind, form):
    body = form(json.dumps(data))
    told = WebhookVerifier(SECRET).unwrap(signed(body), body)
    assert type(told) is kind
    assert told.dict() == data


def test_a_record_from_elsewhere_takes_any_key():
    data = {"id": "p1", "self": 1, "cls": 2}
    body = json.dumps(data)
    for told in (
        WebhookVerifier(SECRET).unwrap(signed(body), body),
        Prediction.parse_obj(data),
        Prediction.parse_obj(data).copy(),
    ):
        assert told.dict() == data


def test_what_was_unwrapped_belongs_to_the_default_client(local, monkeypatch):
    monkeypatch.setenv("REPLICATE_BASE_URL", local.base_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", local.token)
    made = replicate.predictions.create(model="acme/shout", input={"text": "hi"}, wait=True)
    body = json.dumps({**made.dict(), "status": "starting"})
    told = WebhookVerifier(SECRET).unwrap(signed(body), body)
    assert isinstance(told, Prediction)
    assert not told.is_done
    told.reload()
    assert told.output == "HI"


@pytest.mark.parametrize(
    "body", ["[]", "5", "null", "{", "", b"\xff", "{'a': 1}", "NaN", "[" * 100_000]
)
def test_what_was_signed_but_is_no_object_is_refused(body):
    with pytest.raises(
        InvalidWebhookBodyError,
        match="The webhook is genuine, but its body is (not JSON|JSON, but not an object)",
    ):
        WebhookVerifier(SECRET).unwrap(signed(body), body)


def test_a_body_is_parsed_as_it_was_verified():
    """A buffer that another thread changes must not pass unverified bytes."""
    genuine, forged = (json.dumps({**PREDICTION, "id": id}).encode() for id in ("good", "evil"))
    verifier, headers, body, stop = (
        WebhookVerifier(SECRET),
        signed(genuine),
        bytearray(genuine),
        threading.Event(),
    )

    def change():
        while not stop.is_set():
            body[:] = forged
            body[:] = genuine

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(5_000):
            with contextlib.suppress(InvalidSignatureError):
                assert verifier.unwrap(headers, body).id == "good"
    finally:
        stop.set()
        changing.join()


def test_many_are_verified_at_once_in_their_order():
    verifier = WebhookVerifier([SECRET, SECOND])
    bodies = [b"%d" % n * (100_000 if n % 100 == 0 else 1) for n in range(1_000)]
    webhooks = [
        (signed(body, secret=(SECRET, SECOND)[n % 2]), body) for n, body in enumerate(bodies)
    ]
    webhooks[3] = (webhooks[3][0], b"other")
    webhooks[300] = ({}, b"x")
    webhooks[999] = (signed(b"old", age=999), b"old")
    outcomes = verifier.verify_many(webhooks)
    assert {n: type(outcome) for n, outcome in enumerate(outcomes) if outcome} == {
        3: InvalidSignatureError,
        300: MissingWebhookHeaderError,
        999: InvalidTimestampError,
    }
    assert len(outcomes) == 1_000
    assert verifier.verify_many(iter(webhooks[:3])) == [None, None, None]
    assert verifier.verify_many([]) == []
    for bad in (["xyz"], [5], [({}, b"", 1)]):
        with pytest.raises(TypeError, match="pairs of headers and body"):
            verifier.verify_many(bad)


def test_a_replay_is_refused_and_a_forgery_is_not_remembered():
    asked = []
    verifier = WebhookVerifier(SECRET, seen=lambda id: asked.append(id) or asked.count(id) > 1)
    headers = signed(b"x")
    for forged in (signed(b"y"), signed(b"x", age=999), signed(b"x", secret=SECOND)):
        with pytest.raises((InvalidSignatureError, InvalidTimestampError)):
            verifier.verify(forged, b"x")
    assert asked == []
    verifier.verify(headers, b"x")
    with pytest.raises(ReplayedWebhookError):
        verifier.verify(headers, b"x")
    assert asked == ["msg_1", "msg_1"]
    outcomes = verifier.verify_many([(headers, b"x"), (signed(b"x", id="msg_2"), b"x")] * 2)
    assert [type(outcome) for outcome in outcomes] == [
        ReplayedWebhookError,
        type(None),
        ReplayedWebhookError,
        ReplayedWebhookError,
    ]


def test_what_is_no_object_is_not_remembered():
    """It was not handled, so it must be accepted when it is sent again."""
    seen = SeenWebhooks()
    for _ in range(2):
        with pytest.raises(InvalidWebhookBodyError):
            WebhookVerifier(SECRET, seen=seen).unwrap(signed("[]"), "[]")
    assert len(seen) == 0


def test_many_are_remembered_only_when_all_are_verified():
    verifier = WebhookVerifier(SECRET, seen=SeenWebhooks())
    webhooks = [(signed(b"x", id=str(n)), b"x") for n in range(1_000)]

    def broken():
        yield from webhooks
        raise OSError("the queue is gone")

    with pytest.raises(OSError, match="the queue is gone"):
        verifier.verify_many(broken())
    with pytest.raises(TypeError, match="pairs"):
        verifier.verify_many([*webhooks, "x"])
    assert verifier.verify_many(webhooks) == [None] * 1_000


def test_what_the_guard_raises_is_raised():
    def down(id):
        raise ConnectionError("the store is down")

    with pytest.raises(ConnectionError, match="the store is down"):
        WebhookVerifier(SECRET, seen=down).verify(signed(b"x"), b"x")


def test_the_latest_ones_are_remembered():
    seen = SeenWebhooks(3)
    assert [seen(id) for id in "abcab"] == [False, False, False, True, True]
    assert not seen("d")
    assert len(seen) == 3
    assert [seen(id) for id in "bcd"] == [True, True, True]
    assert not seen("a"), "the oldest was forgotten"
    with pytest.raises(ValueError, match="1 or more"):
        SeenWebhooks(0)


def test_what_failed_may_come_again_and_what_succeeded_may_not():
    seen = SeenWebhooks(3)
    assert not seen("a")
    assert not seen.is_settled("a"), "it is being handled"
    seen.settle("a", succeeded=False)
    assert not seen("a")
    seen.settle("a", succeeded=True)
    assert seen("a")
    assert seen.is_settled("a")
    for succeeded in (True, False):
        seen.settle("never seen", succeeded=succeeded)
    assert not seen.is_settled("never seen")
    assert len(seen) == 1


def test_of_threads_that_get_the_same_webhook_one_accepts_it():
    verifier = WebhookVerifier(SECRET, seen=SeenWebhooks(100))
    webhooks = [(signed(b"x" * 70_000, id=str(n)), b"x" * 70_000) for n in range(50)]
    accepted = []

    def work():
        for headers, body in webhooks:
            try:
                verifier.verify(headers, body)
                accepted.append(headers["webhook-id"])
            except ReplayedWebhookError:
                pass

    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(work) for _ in range(8)]:
            each.result()
    assert sorted(accepted, key=int) == [str(n) for n in range(50)]


def test_other_threads_run_while_much_is_hashed():
    body = bytes(20_000_000)
    headers, verifier = signed(body), WebhookVerifier(SECRET)

    def runs_meanwhile():
        moments = []
        hashing = threading.Thread(
            target=lambda: (verifier.verify(headers, body), moments.append("hashed"))
        )
        hashing.start()
        # This thread runs only because the other one released the GIL: the switch interval is
        # longer than the test.
        moments.append("meanwhile")
        hashing.join()
        return moments == ["meanwhile", "hashed"]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(30)
    try:
        # On a busy machine this thread may sometimes be too late.
        assert any(runs_meanwhile() for _ in range(20))
    finally:
        sys.setswitchinterval(interval)


def test_a_verifier_is_pickled_without_its_secret():
    seen = SeenWebhooks(10)
    seen("m1")
    verifier = WebhookVerifier(SECRET, 30, seen=seen)
    assert SECRET.removeprefix("whsec_").encode() not in pickle.dumps(verifier)
    again = pickle.loads(pickle.dumps(verifier))
    assert isinstance(again, WebhookVerifier)
    assert "tolerance=30" in repr(again)
    for call in (again.verify, again.read, again.unwrap):
        with pytest.raises(InvalidSecretKeyError, match="unpickled"):
            call({}, b"{}")
    with pytest.raises(InvalidSecretKeyError, match="unpickled"):
        again.verify_many([])
    assert copy.copy(verifier) is copy.deepcopy(verifier) is verifier
    assert pickle.loads(pickle.dumps(seen))("m1")
    assert not hasattr(verifier, "__dict__")


def test_a_service_that_is_its_verifier_s_guard_is_freed():
    class Service:
        def __init__(self):
            self.verifier = WebhookVerifier(SECRET, seen=self.seen)

        def seen(self, id):
            return False

    gone = weakref.ref(Service())
    gc.collect()
    assert gone() is None
