"""Predictions and trainings over HTTP: outputs, files, deadlines, removal of data, webhooks."""

import json
import threading
from urllib.parse import urlsplit

import pytest

from support.local_api import Api
from support.local_models import create_server
from support.wire import Wire, reply

pytest_plugins = "support.api_fixtures"


@pytest.mark.parametrize(
    ("model", "given", "output"),
    [
        ("acme/shout", {"text": "hi"}, "HI"),
        ("acme/split", {"text": "a b"}, ["a", "b"]),
        ("acme/words", {"text": "a b"}, ["a", "b"]),
        ("acme/words", {"text": ""}, []),
        ("acme/story", {"text": "a b"}, ["a", "b"]),
        ("acme/echo", {"value": None}, None),
        (
            "acme/echo",
            {"value": {"a": [1, 1.5, True, None, "\ud800", 10**30]}},
            {"a": [1, 1.5, True, None, "\ud800", 10**30]},
        ),
        ("acme/size", {"file": "data:,four"}, 4),
    ],
)
def test_predictions_of_every_kind_are_as_documented_until_their_end(api, model, given, output):
    run = api.end(api.predict(model, **given))
    assert (run["status"], run["output"], run["input"], run["error"]) == (
        "succeeded",
        output,
        given,
        None,
    )
    assert run["logs"] == ("a\nb\n" if model == "acme/story" else "")
    assert run["started_at"] <= run["completed_at"]
    assert set(run["metrics"]) == {"predict_time", "total_time"}
    assert ("stream" in run["urls"]) == (model in ("acme/words", "acme/story"))
    for url in run["urls"]["get"], run["urls"]["web"]:
        assert api.send("GET", urlsplit(url).path).status == 200


@pytest.mark.parametrize(
    ("model", "given", "size"), [("acme/paint", {"size": 2}, 16), ("acme/frames", {}, 8)]
)
def test_output_files_are_on_another_origin_and_need_no_token(api, model, given, size):
    run = api.end(api.predict(model, **given))
    for url in [run["output"]] if model == "acme/paint" else run["output"]:
        assert url.startswith(f"{api.server.output_origin}/pbxt/")
        answer = api.send("GET", urlsplit(url).path, token=None, port=api.server.output_port)
        assert (answer.status, len(answer.content)) == (200, size)
    assert run["urls"]["stream"].startswith(f"{api.server.output_origin}/v1/files/")


def test_a_prediction_that_fails_is_no_http_error(api):
    run = api.end(api.predict("acme/fail"))
    assert (run["status"], run["error"], run["output"]) == ("failed", "OOM", None)
    assert "RuntimeError: OOM" in run["logs"]


@pytest.mark.parametrize(
    "url",
    [
        "data:no-comma",
        "data:;base64,@@@",
        "ftp://x/y",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "http://127.0.0.1:1/",
    ],
)
def test_an_input_file_that_cannot_be_had_fails_its_prediction(api, url):
    run = api.end(api.predict("acme/size", file=url))
    assert run["status"] == "failed"
    assert run["error"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("..", "failed"), ("a\0b", "failed"), ("a/b", "succeeded"), ("é" * 127, "succeeded")],
)
def test_a_prediction_ends_whatever_its_file_is_called(api, name, status):
    url = api.upload(b"four", ('name="filename"', name))["urls"]["get"]
    assert api.end(api.predict("acme/suffix", file=url))["status"] == status
    assert api.end(api.predict("acme/size", file=url))["output"] == 4


def test_a_prediction_that_is_canceled_while_its_file_is_fetched_stays_so():
    is_canceled = threading.Event()
    with (
        create_server() as server,
        Wire(lambda _: reply(b"four") if is_canceled.wait(10) else None) as wire,
    ):
        api = Api(server)
        # One model at a time: the next one starts when the canceled one has ended.
        server.settings.concurrency = 1
        made = api.predict("acme/size", file=f"{wire.origin}/slow.bin")
        wire.until(lambda: bool(wire.seen))
        canceled = api("predictions.cancel", made["id"])
        assert (canceled["status"], canceled.get("started_at")) == ("canceled", None)
        is_canceled.set()
        assert api.end(api.predict("acme/shout", text="hi"))["output"] == "HI"
        assert api("predictions.get", made["id"]) == canceled


@pytest.mark.parametrize(("model", "status"), [("acme/slow", "canceled"), ("acme/cold", "aborted")])
def test_a_deadline_cancels_what_has_started_and_aborts_what_has_not(api, model, status):
    made = api.predict(model, headers={"Cancel_After": "10m5s"})
    assert api.server.running > 0
    if model == "acme/slow":
        api.until(lambda run: run["output"] == ["first"], made["id"])
    api.server.advance(minutes=10)
    assert api("predictions.get", made["id"])["status"] in ("starting", "processing")
    api.server.advance(seconds=5)
    ended = api("predictions.get", made["id"])
    assert (ended["status"], ended["deadline"]) == (status, made["deadline"])
    assert ended["completed_at"] >= ended["deadline"] > ended["created_at"]
    assert set(ended["metrics"]) == (
        {"total_time"} if status == "aborted" else {"predict_time", "total_time"}
    )


def test_data_that_was_removed_leaves_a_documented_prediction(api):
    run = api.end(api.predict("acme/words", text="a b"))
    api.server.advance(hours=1)
    removed = api("predictions.get", run["id"])
    assert (removed["data_removed"], removed["output"], removed["input"], removed["logs"]) == (
        True,
        None,
        {},
        "",
    )
    assert removed["metrics"] == run["metrics"]


def test_a_training_can_be_read_and_canceled_as_the_prediction_that_it_is(api):
    made = api.train(seconds=30.0)
    assert "output" not in made
    assert api("predictions.get", made["id"])["output"] is None
    assert api("predictions.cancel", made["id"])["status"] == "canceled"
    assert made["id"] not in [each["id"] for each in api("predictions.list")["results"]]


def test_webhooks_are_echoed_and_carry_what_a_read_gives(api):
    with Wire(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as wire:
        hook = {"webhook": f"{wire.origin}/hook", "webhook_events_filter": ["completed"]}
        place = ("acme", "tunable", api.server.version("acme/tunable"))
        made = (
            api(
                "models.predictions.create", "acme", "shout", body={"input": {"text": "hi"}} | hook
            ),
            api("trainings.create", *place, body={"destination": "acme/tuned", "input": {}} | hook),
        )
        wire.until(lambda: len(wire.seen) == 2)
        told = {each["id"]: each for each in (json.loads(request.body) for request in wire.seen)}
    for run, kind in zip(made, ("predictions", "trainings"), strict=True):
        assert {name: run[name] for name in hook} == hook
        assert told[run["id"]] == api(f"{kind}.get", run["id"])
