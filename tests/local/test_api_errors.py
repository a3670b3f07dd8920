"""Errors of the API, in the words recorded from the service."""

import re

import pytest

from replicate_rs.local import RateLimits
from support.local_api import OPERATIONS, assert_is_problem

pytest_plugins = "support.api_fixtures"

GUARDED = sorted(set(OPERATIONS) - {"files.download"})


@pytest.mark.parametrize("name", GUARDED)
def test_without_a_token_an_operation_is_refused(api, name):
    place = ["x"] * OPERATIONS[name].parameter_count
    for refused in (
        {"token": None},
        {"token": "wrong"},
        {"token": ""},
        {"Authorization": "Basic r8_local"},
    ):
        answer = api.ask(name, *place, **refused)
        detail = "You did not pass a valid authentication token"
        assert answer.json == {"title": "Unauthenticated", "detail": detail, "status": 401}
        assert "ratelimit-remaining" not in answer.headers


def test_the_older_authorization_scheme_and_the_address_without_a_version_work(api):
    for target in ("/v1/account", "/account"):
        assert api.send("GET", target, Authorization="Token r8_local").status == 200


@pytest.mark.parametrize(
    "name", [name for name, operation in OPERATIONS.items() if operation.parameter_count]
)
def test_what_is_not_there_is_not_found(api, name):
    operation = OPERATIONS[name]
    detail = (
        "File not found"
        if name.startswith("files.")
        else "The requested resource could not be found."
    )
    for each in ("nobody", "..", "%2e\n\u2028é"):
        assert api(name, *[each] * operation.parameter_count, status=404) == {
            "detail": detail,
            "status": 404,
        }
    if "{version_id}" in operation.path:
        assert api(name, "acme", "shout", "0" * 64, status=404) == {"detail": detail, "status": 404}


@pytest.mark.parametrize(
    "path", ["/v1x", "/v1/nothing", "/v1/predictions/", "/v1/models/acme", "/v1/models/acme/shout/"]
)
def test_an_unknown_path_is_not_found(api, path):
    answer = api.send("GET", path)
    assert_is_problem(answer)
    assert answer.json == {"detail": "The requested resource could not be found.", "status": 404}


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS.values()}))
def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(api, path):
    answer = api.send("PUT", "/v1" + re.sub(r"\{\w+\}", "x", path))
    assert_is_problem(answer)
    assert (answer.status, answer.json["detail"]) == (405, 'Method "PUT" not allowed.')
    methods = {operation.method for operation in OPERATIONS.values() if operation.path == path}
    assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == methods


def test_an_input_that_does_not_fit_is_refused_in_the_recorded_words(api):
    assert api.predict("acme/draw", num_inference_steps=5, status=422) == {
        "detail": (
            "- input: prompt is required\n- input.num_inference_steps: Must be less than or equal"
            " to 4\n"
        ),
        "status": 422,
        "title": "Input validation failed",
        "invalid_fields": [
            {"type": "required", "field": "input", "description": "prompt is required"},
            {
                "type": "number_lte",
                "field": "input.num_inference_steps",
                "description": "Must be less than or equal to 4",
            },
        ],
    }
    (field,) = api.predict("acme/draw", prompt="x", format="gif", status=422)["invalid_fields"]
    assert field["type"] == "enum"
    assert field["description"].endswith('must be one of the following: "jpg", "png"')


@pytest.mark.parametrize(
    ("body", "kind", "description"),
    [
        (
            {"model": "x"},
            "additional_property_not_allowed",
            "Additional property model is not allowed",
        ),
        ({"version": None}, "required", "version is required"),
        ({"\ud800": 1}, "additional_property_not_allowed", "Additional property ? is not allowed"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_in_the_recorded_words(api, body, kind, description):
    body = {"version": "acme/echo", "input": {}} | body
    body = {name: value for name, value in body.items() if value is not None}
    answer = api("predictions.create", body=body, status=422)
    assert answer["invalid_fields"] == [{"type": kind, "field": "", "description": description}]
    assert answer["detail"] == f"- {description}\n"


def test_other_refusals_have_the_recorded_words(api):
    body = {"version": "0" * 64, "input": {}}
    assert api("predictions.create", body=body, status=422) == {
        "title": "Invalid version or not permitted",
        "detail": (
            "The specified version does not exist (or perhaps you don't have permission to use it?)"
        ),
        "status": 422,
    }
    place = ("acme", "tunable", api.server.version("acme/tunable"))
    refused = api(
        "trainings.create", *place, body={"destination": "acme/nothing", "input": {}}, status=404
    )
    assert refused == {"detail": "The specified training destination does not exist", "status": 404}
    place = ("acme", "shout", api.server.version("acme/shout"))
    api("trainings.create", *place, body={"destination": "acme/tuned", "input": {}}, status=400)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"version": ', 400),
        (b"\xff\xfe\xff", 400),
        (b'{"version": "acme/echo", "input": {"value": NaN}}', 400),
        (b'{"version": "acme/echo", "input": {"value": -1e400}}', 400),
        (b'{"version": "acme/echo", "input": {"value": %s}}' % (b"9" * 5000), 400),
        (b'{"version": "acme/echo", "input": {"value": %s}}' % (b"[" * 300 + b"]" * 300), 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"version": "acme/echo", "input": []}', 422),
        (b'{"version": "acme/echo", "input": {"value": %s}}' % (b"[" * 250 + b"]" * 250), 201),
    ],
)
def test_a_body_is_json_that_can_be_written_again_or_refused(api, body, status):
    answer = api("predictions.create", body=body, status=status)
    if status == 201:
        api.end(answer)
        api("predictions.list")


def test_a_body_that_is_too_large_is_refused(api):
    api.server.settings.max_body = 100
    api("predictions.create", body=b" " * 101, status=413)


def test_a_request_over_the_limit_is_told_when_to_come_back(api):
    api.server.settings.rate_limits = RateLimits(other=1)
    answers = [api.ask("account.get") for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    refused = answers[1]
    assert (
        int(refused.headers["retry-after"])
        == refused.json["retry_after"]
        == int(refused.headers["ratelimit-reset"])
    )
    assert 55 <= refused.json["retry_after"] <= 60
    assert refused.headers["ratelimit-remaining"] == "0"


def test_answers_say_what_is_left_of_each_recorded_limit(api):
    run = api.predict("acme/shout", text="hi")
    for name, place, left in (
        ("predictions.get", (run["id"],), "59999"),
        ("account.get", (), "2999"),
        ("files.list", (), None),
    ):
        assert api.ask(name, *place).headers.get("ratelimit-remaining") == left
    made = api.ask("models.predictions.create", "acme", "shout", body={"input": {"text": "hi"}})
    assert (made.headers["ratelimit-remaining"], made.headers["ratelimit-reset"]) == ("599", "1")
