"""`client.predictions`, and its records."""

import copy
import pickle
import threading

import pytest

import replicate_rs as replicate
from replicate_rs import Prediction, exceptions
from replicate_rs.prediction import Progress
from support.wire import Wire, hang, prediction, reply


def test_create_get_cancel_and_list(both, client, local):
    created = both(lambda: client.predictions.create(model="acme/slow", input={}))
    assert (created.status, created.model) == ("starting", "acme/slow")
    fetched = both(lambda: client.predictions.get(created.id))
    assert fetched.id == created.id
    canceled = both(lambda: client.predictions.cancel(created.id))
    assert canceled.status == "canceled"
    page = both(lambda: client.predictions.list())
    assert created.id in [each.id for each in page]
    assert page[0].created_at >= page[-1].created_at


def test_create_takes_all_spellings(both):
    with Wire(lambda _: reply(prediction(), 201)) as wire:
        client = both.client(wire.base_url)
        for given in (
            {"version": "abc", "input": {}},
            {"model": "acme/x", "input": {}},
            {"deployment": "acme/d", "input": {}},
        ):
            both(lambda given=given: client.predictions.create(**given))
        both(lambda: client.predictions.create("abc", {"a": 1}))
        both(lambda: client.predictions.get(prediction_id="p1"))
    expected = [
        "predictions",
        "models/acme/x/predictions",
        "deployments/acme/d/predictions",
        "predictions",
    ]
    assert wire.routes == [*(f"POST /v1/{each}" for each in expected), "GET /v1/predictions/p1"]
    assert wire.seen[3].body == b'{"version":"abc","input":{"a":1}}'


@pytest.mark.parametrize(
    "given", [{}, {"model": "a/b", "version": "c"}, {"deployment": "a/b", "model": "a/b"}]
)
def test_create_takes_exactly_one_of_the_three(both, client, given):
    with pytest.raises(ValueError, match="Exactly one of 'model', 'version', or 'deployment'"):
        both(lambda: client.predictions.create(input={}, **given))


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"wait": True}, "wait"),
        ({"wait": 10}, "wait=10"),
        ({"wait": 0.2}, "wait=1"),
        ({"wait": 90}, "wait=60"),
        ({"wait": False}, None),
        ({"prefer": "wait=5"}, "wait=5"),
    ],
)
def test_wait_becomes_the_prefer_header(both, options, header):
    with Wire(lambda _: reply(prediction(), 201)) as wire:
        both(lambda: both.client(wire.base_url).predictions.create("v", {}, **options))
    assert wire.seen[0].headers.get("prefer") == header


def test_cancel_after_becomes_its_header(both):
    with Wire(lambda _: reply(prediction(), 201)) as wire:
        both(lambda: both.client(wire.base_url).predictions.create("v", {}, cancel_after="1m30s"))
    assert wire.seen[0].headers["cancel-after"] == "1m30s"


@pytest.mark.parametrize(
    "wrong", ["", "example.com/hook", "ftp://x/y", "https://", "https://x/a b", "https://x/\n"]
)
def test_a_malformed_webhook_is_refused_before_anything_is_sent(both, wrong):
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url)
        with pytest.raises(ValueError, match="webhook"):
            both(lambda: client.predictions.create("v", {}, webhook=wrong))
    assert wire.seen == []


def test_webhook_events_are_checked(both, client):
    with pytest.raises(ValueError, match="'finished' is not one of start, output, logs, completed"):
        both(lambda: client.predictions.create("v", {}, webhook_events_filter=["finished"]))
    with pytest.raises(TypeError, match="must be a list"):
        both(lambda: client.predictions.create("v", {}, webhook_events_filter="start"))


def test_an_unknown_keyword_is_refused(both, client):
    with pytest.raises(TypeError, match="nope"):
        both(lambda: client.predictions.get("x", nope=1))


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_an_id_that_names_another_place_is_refused(both, client, id):
    with pytest.raises(ValueError, match="id or name"):
        both(lambda: client.predictions.get(id))


def test_an_id_is_one_segment_whatever_it_holds(both):
    with Wire(lambda _: reply(prediction())) as wire:
        client = both.client(wire.base_url)
        for id in ("../models?x=1", "a/b#c", "é ü", "a\nb"):
            both(lambda id=id: client.predictions.get(id))
    assert [each.path for each in wire.seen] == [
        "/v1/predictions/..%2Fmodels%3Fx%3D1",
        "/v1/predictions/a%2Fb%23c",
        "/v1/predictions/%C3%A9%20%C3%BC",
        "/v1/predictions/a%0Ab",
    ]


def test_an_id_that_is_not_text_is_refused(both, client):
    with pytest.raises(TypeError, match="int"):
        both(lambda: client.predictions.get(5))


def test_list_follows_cursors_and_refuses_none(both):
    def script(seen):
        if "cursor" in seen.path:
            return reply({"results": [prediction(id="p2")], "next": None, "previous": None})
        return reply(
            {
                "results": [prediction()],
                "next": f"{wire.base_url}/predictions?cursor=2",
                "previous": None,
            }
        )

    with Wire(script) as wire:
        client = both.client(wire.base_url)
        first = both(lambda: client.predictions.list(source="web"))
        second = both(lambda: client.predictions.list(first.next))
        assert [each.id for each in (*first, *second)] == ["p1", "p2"]
        assert wire.seen[0].path == "/v1/predictions?source=web"
        with pytest.raises(ValueError, match="cursor cannot be None"):
            both(lambda: client.predictions.list(second.next))


def test_a_prediction_waits_reloads_and_cancels_itself(both, client):
    running = both(
        lambda: client.predictions.create(model="acme/slow", input={"seconds": 0.05, "steps": 2})
    )
    both(running.wait if not both.is_async else running.async_wait)
    assert (running.status, running.output) == ("succeeded", "done")
    other = both(lambda: client.predictions.create(model="acme/slow", input={}))
    both(other.cancel if not both.is_async else other.async_cancel)
    assert other.status == "canceled"
    both(other.reload if not both.is_async else other.async_reload)
    assert other.is_done


def test_a_record_keeps_what_it_does_not_know():
    record = Prediction(id="x", status="dreaming", added_yesterday={"a": 1})
    assert record.added_yesterday == {"a": 1}  # type: ignore[attr-defined]
    assert record.status == "dreaming"
    assert not record.is_done
    assert record.output is None
    with pytest.raises(AttributeError, match="no field 'nope'"):
        record.nope  # type: ignore[attr-defined]


def test_a_record_behaves_like_the_dict_it_views():
    data = prediction(output=["a"])
    record = Prediction(**data)
    assert dict(record) == record.dict() == record.model_dump() == data
    assert Prediction.parse_obj(data) == record
    assert record.copy(update={"status": "failed"}).status == "failed"
    assert record.status == "succeeded"
    assert pickle.loads(pickle.dumps(record)) == record
    assert copy.deepcopy(record) == record
    assert record.json().startswith('{"id": "p1"')
    assert "id='p1'" in repr(record)
    record.status = "canceled"
    assert record.dict()["status"] == "canceled"


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        (None, None),
        ("", None),
        ("no bar", None),
        (" 50%|#####     | 5/10 [00:02<00:02]", Progress(0.5, 5, 10)),
        ("10%|#| 1/10 [x]\r20%|##| 2/10 [x]\nloading", Progress(0.2, 2, 10)),
        ("12.5%|#| 1/8", None),
        ("label: 40%|#| 2/5", None),
        ("100%|##########| 4/4", Progress(1.0, 4, 4)),
        ("50%||1/2", None),
    ],
)
def test_progress_is_read_from_logs(logs, expected):
    assert replicate.parse_progress_from_logs(logs) == expected
    assert Prediction(id="x", logs=logs).progress == expected


def test_a_reference_is_read_or_refused():
    parse = replicate.ModelVersionIdentifier.parse
    assert parse("a/b-1.0:abc") == ("a", "b-1.0", "abc")
    assert str(parse("a/b")) == "a/b"
    assert pickle.loads(pickle.dumps(parse("a/b"))) == parse("a/b")
    for wrong in ("", "invalid", "a/b/c", "/b", "a/", "a/b:", "a b/c", "a/..", "owner:abc"):
        with pytest.raises(ValueError, match="Expected format"):
            parse(wrong)


def test_errors_are_picklable():
    error = exceptions.ModelError(Prediction(**prediction("failed", error="OOM")))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.prediction.id) == ("OOM", "p1")


@pytest.mark.parametrize("held", ["the first request", "the polls", "a poll"])
def test_wait_by_id_takes_a_signal_and_a_timeout(both, held):
    """Both limit the first fetch and the polls together."""
    started = threading.Event()

    def answer(seen):
        if held == "the first request" or (held == "a poll" and len(wire.seen) > 1):
            started.set()
            return hang
        if len(wire.seen) > 1:
            started.set()
        return reply(prediction("processing"))

    with Wire(answer) as wire:
        client = both.client(wire.base_url, poll_interval=0.01, max_retries=0)
        with pytest.raises((replicate.PredictionTimeout, replicate.APITimeoutError)):
            both(lambda: client.predictions.wait("p1", timeout=0.2))
        wire.seen.clear()
        started.clear()
        controller = replicate.AbortController()
        aborting = threading.Thread(target=lambda: (started.wait(10), controller.abort("enough")))
        aborting.start()
        with pytest.raises(replicate.AbortError, match="enough"):
            both(lambda: client.predictions.wait("p1", signal=controller.signal))
        aborting.join()


@pytest.mark.parametrize("use_file_output", [True, False])
def test_increments_of_an_output_are_files_unless_that_is_turned_off(both, use_file_output):
    url = "https://replicate.delivery/a.png"
    with Wire(lambda _: reply(prediction(output=[url]))) as wire:
        client = both.client(wire.base_url, poll_interval=0.001, use_file_output=use_file_output)
        begun = Prediction._of(prediction("processing"), client._session)
        (increment,) = both(begun.async_output_iterator if both.is_async else begun.output_iterator)
    assert isinstance(increment, replicate.FileOutput) is use_file_output
    assert str(increment) == url


def test_a_prediction_s_own_methods_take_a_signal_and_a_timeout(both, client):
    running = both(lambda: client.predictions.create(model="acme/slow", input={}))
    wait, reload, cancel = (
        getattr(running, f"async_{name}" if both.is_async else name)
        for name in ("wait", "reload", "cancel")
    )
    with pytest.raises(replicate.PredictionTimeout):
        both(lambda: wait(timeout=0.05))
    for call in (wait, reload, cancel):
        with pytest.raises(replicate.AbortError):
            both(lambda call=call: call(signal=replicate.AbortSignal.abort()))
    both(lambda: cancel(timeout=5))
    assert running.status == "canceled"


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ("10%|# | 1/10\r 20%|##| 2/10\rwarming | up\n50% of memory\n", (0.2, 2, 10)),
        ("100%|#| 3/3 [00:01<00:00]\r\n" + "a | b 7% c\n" * 5, (1.0, 3, 3)),
        (" 5% |█▌ | 1/20 ", (0.05, 1, 20)),
        ("10%|#| 1/10 20%|#| 2/10", (0.1, 1, 10)),
        ("10%|#| 1/10\n|\n||%||\n%|#| 1/2\n5%|#|\n5%|#| 1/x", (0.1, 1, 10)),
        ("10%|#| 1/10\x0b20%|#| 2/10\u2028", (0.1, 1, 10)),
        ("| | | %\n" * 3, None),
        ("", None),
        (None, None),
    ],
)
def test_the_last_bar_counts(logs, expected):
    progress = replicate.Prediction(logs=logs).progress
    assert (progress and (progress.percentage, progress.current, progress.total)) == expected


def test_logs_of_any_size_are_read_from_their_end():
    class Counted(str):
        """Text that counts how much of it is copied."""

        copied = 0

        def __getitem__(self, part):
            found = str.__getitem__(self, part)
            Counted.copied += len(found)
            return found

    logs = Counted("50%|##| 1/2\n" + "a line\r" * 10**6 + "60%|###| 3/5 [00:01]\rthe end\n")
    assert replicate.Prediction(logs=logs).progress.current == 3
    assert Counted.copied < 100
