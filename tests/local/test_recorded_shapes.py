"""Predictions in the shapes recorded from the service, blocking creates, and deadlines."""

import json
from datetime import datetime

import pytest

from support.conditions import until

pytest_plugins = "support.api_fixtures"

ALWAYS = {"id", "model", "version", "input", "logs", "error", "status", "created_at", "urls"}
LATE = {"output", "started_at", "completed_at", "metrics", "webhook_completed"}


def raw(api, method, path, **options):
    """Return an answer that is not checked against the document."""
    return api.send(method, f"/v1{path}", **options).json


def hold(api, model, prefer, **given):
    answer = api.send(
        "POST", f"/v1/models/{model}/predictions", json.dumps({"input": given}), Prefer=prefer
    )
    assert answer.headers["preference-applied"] == prefer
    return answer.json


def test_an_edge_prediction_lacks_what_is_not_set(api):
    api.server.settings.shape = "edge"
    made = raw(api, "POST", "/models/acme/cold/predictions", body='{"input": {}}')
    assert set(made) & (ALWAYS | LATE) == ALWAYS
    assert (made["logs"], made["error"], made["status"]) == ("", None, "starting")
    run = raw(api, "POST", "/models/acme/slow/predictions", body='{"input": {}}')
    while "output" not in (running := raw(api, "GET", f"/predictions/{run['id']}")):
        assert set(running) & LATE <= {"started_at"}
    assert set(running) & LATE == {"output", "started_at"}
    ended = raw(api, "POST", f"/predictions/{run['id']}/cancel")
    assert set(ended) & LATE == {"output", "started_at", "completed_at", "metrics"}


def test_an_edge_training_says_that_it_is_a_prediction(api):
    api.server.settings.shape = "edge"
    body = json.dumps({"destination": "acme/tuned", "input": {"seconds": 30.0}})
    made = raw(
        api,
        "POST",
        f"/models/acme/tunable/versions/{api.server.version('acme/tunable')}/trainings",
        body=body,
    )
    assert set(made) & (ALWAYS | LATE) == ALWAYS
    own = f"{api.server.base_url}/predictions/{made['id']}"
    assert (made["urls"]["get"], made["urls"]["cancel"], "stream" in made["urls"]) == (
        own,
        f"{own}/cancel",
        False,
    )
    assert raw(api, "POST", f"/predictions/{made['id']}/cancel")["status"] == "canceled"


def test_a_web_prediction_has_null_for_what_is_not_set(api):
    api.server.settings.shape = "web"
    made = raw(api, "POST", "/models/acme/cold/predictions", body='{"input": {}}')
    ended = raw(api, "POST", f"/predictions/{made['id']}/cancel")
    for each in (made, ended):
        assert set(each) >= ALWAYS | LATE
        assert "data_removed" not in each
        assert list(each) == sorted(each)
        assert [
            each[name] for name in ("logs", "output", "started_at", "webhook_completed", "error")
        ] == [None] * 5
    assert (made["metrics"], made["completed_at"], made["status"]) == ({}, None, "starting")
    assert set(ended["metrics"]) == {"total_time"}
    assert (ended["completed_at"] > made["created_at"], ended["status"]) == (True, "canceled")


UNSET = {
    "documented": {"output": None, "logs": "", "data_removed": False},
    "edge": {"logs": "", "data_removed": False},
    "web": {
        "output": None,
        "logs": None,
        "started_at": None,
        "completed_at": None,
        "metrics": {},
        "webhook_completed": None,
    },
}


@pytest.mark.parametrize("held", ["processing", "succeeded", "empty"])
@pytest.mark.parametrize("shape", ["documented", "edge", "web"])
def test_a_held_create_answers_as_its_settings_say(api, shape, held):
    api.server.settings.shape, api.server.settings.held = shape, held
    answer = hold(api, "acme/story", "wait=10", text="a b")
    assert answer["status"] == ("succeeded" if held == "succeeded" else "processing")
    if held == "succeeded":
        assert LATE - {"webhook_completed"} <= set(answer)
    else:
        output = {} if held == "empty" else {"output": ["a", "b"]}
        known = {"data_removed", "logs"} | LATE
        assert {name: answer[name] for name in answer if name in known} == UNSET[shape] | {
            "logs": "a\nb\n"
        } | output
    assert raw(api, "GET", f"/predictions/{answer['id']}")["status"] == "succeeded"


@pytest.mark.parametrize("shape", ["documented", "edge", "web"])
def test_a_wait_that_ran_out_answers_starting(api, shape, monkeypatch):
    monkeypatch.setattr("replicate_rs.local.api.predictions.MAX_WAIT", 0.2)
    api.server.settings.shape = shape
    answer = hold(api, "acme/slow", "wait=60")
    assert answer["status"] == "starting"
    assert {
        name: answer[name] for name in answer if name in {"data_removed", "logs"} | LATE
    } == UNSET[shape]
    path = f"/predictions/{answer['id']}"
    until(lambda: raw(api, "GET", path).get("output") == ["first"])
    raw(api, "POST", f"/predictions/{answer['id']}/cancel")


@pytest.mark.parametrize("model", ["acme/fail", "acme/shout"])
def test_a_held_create_is_202_if_the_settings_say_so(api, model):
    api.server.settings.created = 202
    given = {"text": "hi"} if model == "acme/shout" else {}
    made = api.predict(model, status=202, headers={"Prefer": "wait"}, **given)
    assert made["status"] == ("failed" if model == "acme/fail" else "processing")


@pytest.mark.parametrize(
    "prefer", ["wait=0", "wait=", "wait=100", "respond-async", "wait; n=1", "WAIT", "wait=1\xb2"]
)
def test_a_preference_that_is_none_is_not_applied(api, prefer):
    body = '{"input": {"text": "hi"}}'
    answer = api.ask("models.predictions.create", "acme", "shout", body=body, Prefer=prefer)
    assert (answer.status, answer.json["status"], "preference-applied" in answer.headers) == (
        201,
        "starting",
        False,
    )


@pytest.mark.parametrize(
    "life",
    ["", "4", "4s", "86401", "25h", "1d", "s", "1s1m", "-5", "5.0", "5 s", "1\xb2s", "9" * 500],
)
def test_a_life_that_is_none_is_refused(api, life):
    api.predict("acme/shout", text="hi", status=422, headers={"Cancel_After": life})


@pytest.mark.parametrize(
    ("life", "seconds"),
    [("5", 5), ("30s", 30), ("5m", 300), ("2h30m", 9000), ("1h30m45s", 5445), ("24h", 86400)],
)
def test_a_life_is_told_as_a_deadline(api, life, seconds):
    made = api.predict("acme/shout", text="hi", headers={"Cancel_After": life})
    created, deadline = (datetime.fromisoformat(made[name]) for name in ("created_at", "deadline"))
    assert abs((deadline - created).total_seconds() - seconds) < 0.001
