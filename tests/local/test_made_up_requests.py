"""Any request, however unlikely, is answered as documented."""

import base64
import json
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.local_api import (
    DOCUMENT,
    OPERATIONS,
    PROBLEM,
    form,
)

pytest_plugins = "support.api_fixtures"

KNOWN = "known"


def with_errors(document):
    """Return the document with the undocumented errors of all operations, and existing names."""
    refused = {
        "description": "A problem",
        "content": {"application/problem+json": {"schema": PROBLEM}},
    }
    document = json.loads(json.dumps(document).replace("https://example.com", "http://127.0.0.1:1"))
    for methods in document["paths"].values():
        for operation in methods.values():
            for status in ("400", "401", "404", "413", "422", "429"):
                if "content" not in operation["responses"].get(status, {}):
                    operation["responses"][status] = refused
            for parameter in (
                each for each in operation.get("parameters", []) if each.get("in") == "path"
            ):
                parameter["schema"] = {"anyOf": [{"const": KNOWN}, parameter["schema"]]}
    for name, field, value in (
        ("version_prediction", "version", "acme/shout"),
        ("training", "destination", "acme/tuned"),
    ):
        fields = document["components"]["schemas"][f"schemas_{name}_request"]["properties"]
        fields[field] = {"anyOf": [{"const": value}, fields[field]]}
    return document


SCHEMA = schemathesis.openapi.from_dict(with_errors(DOCUMENT))
SCHEMA.config.generation.update(
    deterministic=True, database="none", max_examples=12, with_security_parameters=False
)
# Answers to methods that a path does not have are not documented.
SCHEMA.config.phases.coverage.unexpected_methods = set()
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def known(fuzzed):
    """A function that returns existing values for the parameters of paths."""
    version = fuzzed.server.version("acme/tunable")
    model = {"model_owner": "acme", "model_name": "tunable", "version_id": version}
    deployment = {
        "deployment_owner": "local",
        "deployment_name": fuzzed.deploy(min_instances=1)["name"],
    }
    runs = {"prediction_id": fuzzed.predict("acme/slow")["id"], "training_id": fuzzed.train()["id"]}
    return lambda: (
        model | deployment | runs | {"collection_slug": "loud", "file_id": fuzzed.upload()["id"]}
    )


@pytest.fixture(scope="module")
def streamed(fuzzed):
    return fuzzed.end(fuzzed.predict("acme/words", text="a b"))


@SCHEMA.parametrize()
def test_whatever_the_document_says_or_forbids_gets_a_documented_answer(case, fuzzed, known):
    if KNOWN in case.path_parameters.values():
        names = known()
        case.path_parameters = {name: names[name] for name in case.path_parameters}
    case.call_and_validate(
        base_url=fuzzed.server.base_url, headers={"Authorization": "Bearer r8_local"}, checks=CHECKS
    )


def test_no_operation_is_left_out_of_what_is_made_up():
    made_up = {result.ok().definition.raw["operationId"] for result in SCHEMA.get_all_operations()}
    assert made_up == set(OPERATIONS)


often = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
LETTERS = st.characters(exclude_categories=())
TEXT = st.text(LETTERS, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
INPUTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("text", "value", "prompt", "num_inference_steps", "format"), JSON)
)
REQUESTS = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["acme/echo", "acme/shout", "acme/story", "acme/draw"]),
        "input": INPUTS,
    },
    optional={
        "webhook": JSON,
        "webhook_events_filter": JSON,
        "stream": st.booleans(),
        "webhook_completed": JSON,
    },
)
BODIES = st.binary() | st.one_of(JSON, REQUESTS, REQUESTS).map(json.dumps).map(str.encode)
# All characters that h11 and http.client allow.
HEADERS = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30
).map(str.strip)


@often
@given(body=BODIES)
@example(body=b'{"version": "acme/echo", "input": {"value": 1e400}}')
@example(body=b'{"version": "acme/echo", "input": {"value": %s}}' % (b"[" * 960 + b"]" * 960))
@example(body=b'{"version": "acme/echo", "input": {}, "\\ud800": 1}')
@example(body=b'{"version": "acme/shout", "input": {"text": "\\ud800"}}')
def test_any_body_of_a_prediction_is_answered(fuzzed, body):
    answer = fuzzed.ask("predictions.create", body=body)
    assert answer.status in (201, 400, 422)
    if answer.status == 201:
        run = fuzzed.end(answer.json)
        stream = run["urls"].get("stream")
        if stream is not None:
            events = fuzzed.send(
                "GET", urlsplit(stream).path, port=fuzzed.server.output_port
            ).content.decode()
            assert events.count("event: output\n") == len(run["output"])
            assert events.endswith("event: done\ndata: {}\n\n")


def test_what_any_body_has_made_can_be_listed(fuzzed):
    for name in (
        "predictions.list",
        "trainings.list",
        "models.list",
        "deployments.list",
        "files.list",
    ):
        fuzzed(name)


@often
@given(
    name=st.sampled_from(
        ["Prefer", "Cancel-After", "Authorization", "Content-Type", "Accept-Encoding", "Range"]
    ),
    value=HEADERS
    | st.from_regex(
        r"wait=?[0-9]{0,3}|([0-9]{1,6}[hms]?){0,3}|Bearer [!-~]?|bytes=-?[0-9]*-?", fullmatch=True
    ),
)
def test_any_header_of_a_prediction_is_answered(fuzzed, name, value):
    body = '{"input": {"text": "hi"}}'
    answer = fuzzed.ask("models.predictions.create", "acme", "shout", body=body, **{name: value})
    assert answer.status in (201, 401, 422)


@often
@given(
    last=HEADERS
    | st.from_regex(r"[0-9]{1,40}:[0-9]{1,40}", fullmatch=True)
    | st.integers(-2, 9).map(lambda n: f"%d:{n}")
)
def test_any_last_event_is_answered_with_a_stream_that_ends(fuzzed, streamed, last):
    last = last.replace("%d", str(int(datetime.fromisoformat(streamed["created_at"]).timestamp())))
    stream = urlsplit(streamed["urls"]["stream"]).path
    answer = fuzzed.send("GET", stream, port=fuzzed.server.output_port, Last_Event_ID=last)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert answer.content.startswith(b": hi\n\n")


PAGES = [
    "collections.list",
    "deployments.list",
    "files.list",
    "models.list",
    "predictions.list",
    "trainings.list",
]
CURSORS = st.text(max_size=20) | (
    st.binary(max_size=20)
    | st.lists(st.tuples(st.sampled_from("pr"), st.text(max_size=9)), max_size=2)
    .map(urlencode)
    .map(str.encode)
).map(base64.b64encode)


@often
@given(name=st.sampled_from(PAGES), cursor=CURSORS)
@example(name="predictions.list", cursor=base64.b64encode(b"p="))
def test_any_cursor_is_answered(fuzzed, name, cursor):
    assert fuzzed.ask(name, query={"cursor": cursor}).status in (200, 400)


MOMENTS = st.text(max_size=20) | st.datetimes(timezones=st.none() | st.timezones()).map(
    datetime.isoformat
)


@often
@given(
    query=st.fixed_dictionaries(
        {},
        optional={
            "created_after": MOMENTS,
            "created_before": MOMENTS,
            "source": st.text() | st.just("web"),
        },
    )
)
@example(
    query={
        "created_after": "0001-01-01T00:00:00+23:59",
        "created_before": "9999-12-31T23:59:59-23:59",
    }
)
def test_any_time_is_answered(fuzzed, query):
    assert fuzzed.ask("predictions.list", query=query).status in (200, 422)


@often
@given(query=st.text(), limit=st.text(max_size=9) | st.integers())
@example(query="a", limit="000000050" + "0" * 5000)
def test_any_search_is_answered(fuzzed, query, limit):
    assert fuzzed.ask("search", query={"query": query, "limit": limit}).status in (200, 400)
    assert fuzzed.ask("models.search", body=query.encode()).status == 200


@often
@given(content=st.binary())
def test_any_bytes_are_a_search(fuzzed, content):
    assert fuzzed.ask("models.search", body=content).status == 200


FIELD = st.text().map(lambda text: text.encode(errors="replace")) | st.binary()
METADATA = JSON.map(json.dumps) | FIELD


@often
@given(
    metadata=METADATA,
    place=st.lists(st.text("ab[]\u0663é", max_size=5), max_size=4).map(
        lambda keys: "".join(f"[{key}]" for key in keys)
    ),
    name=FIELD,
    kind=FIELD,
    charset=st.sampled_from(
        ["", "; charset=utf-8", "; charset=utf-16", "; charset=idna", "; charset=none-such"]
    )
    | HEADERS,
)
@example(metadata=b"[" * 960 + b"]" * 960, place="", name=b"", kind=b"", charset="")
@example(
    metadata=b'{"a": %s}' % (b"[" * 960 + b"]" * 960), place="", name=b"", kind=b"", charset=""
)
@example(metadata=b'{"a": 1e400}', place="", name=b"", kind=b"", charset="")
@example(metadata=b"x", place="[a]" * 1000, name=b"", kind=b"", charset="")
@example(metadata=b"\xff", place="", name=b"", kind=b"", charset="; charset=undefined")
def test_any_metadata_and_name_of_a_file_is_answered(fuzzed, metadata, place, name, kind, charset):
    parts = (f'name="metadata{place}"', metadata), ('name="filename"', name), ('name="type"', kind)
    options = form(('name="content"; filename="f"', b"content"), *parts)
    options["Content_Type"] += charset
    answer = fuzzed.ask("files.create", **options)
    assert answer.status in (201, 400, 422)
    if answer.status == 201:
        id = answer.json["id"]
        assert fuzzed("files.download", id, query=fuzzed.server.signed_download(id)) == b"content"


@often
@given(content=st.binary(), disposition=HEADERS, boundary=HEADERS)
def test_any_form_is_answered(fuzzed, content, disposition, boundary):
    options = form((disposition.encode("latin-1"), content))
    options["Content_Type"] = options["Content_Type"].replace("edge", f"{boundary}; boundary=edge")
    assert fuzzed.ask("files.create", **options).status in (201, 400, 422)


@often
@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    body=BODIES,
    place=st.lists(st.text(), min_size=3, max_size=3),
)
def test_any_name_and_body_of_any_operation_is_answered(fuzzed, name, body, place):
    assert fuzzed.ask(name, *place, body=body).status < 500


@often
@given(
    method=st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "QUERY", "TRACE", "X"]),
    path=st.binary(),
)
def test_any_path_is_answered(fuzzed, method, path):
    answer = fuzzed.send(method, f"/v1/{quote(path)}")
    assert answer.status < 500
