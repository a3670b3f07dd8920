"""The local server against the API's own document: each answer fits it, and nothing makes the
server fail.
"""

import base64
import contextlib
import dataclasses
import hashlib
import http.client
import itertools
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from replicate_rs.local import Input, LocalReplicate, RateLimits, Settings, sleep
from support.wire import Wire, reply

PROBLEM = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "status": {"type": "integer"},
        "retry_after": {"type": "integer"},
        "invalid_fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    name: {"type": "string"} for name in ("type", "field", "description")
                },
                "required": ["type", "field", "description"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["detail", "status"],
    "additionalProperties": False,
}
UNTITLED = (404, 413, 429)
# The search that fails is not ours.
UNREACHABLE = {("search", "500")}
PNG = bytes.fromhex("89504e470d0a1a0a")


def as_json_schema(value):
    """The document says 3.1, but has the `nullable` of 3.0."""
    if isinstance(value, list):
        return [as_json_schema(each) for each in value]
    if not isinstance(value, dict):
        return value
    schema = {key: as_json_schema(each) for key, each in value.items() if key != "nullable"}
    if value.get("nullable") is True:
        schema["type"] = [schema["type"], "null"]
    return schema


class Operation(NamedTuple):
    method: str
    path: str
    responses: dict[str, Any]

    @property
    def places(self) -> int:
        return self.path.count("{")

    def at(self, *names: str) -> str:
        rest = iter(names)
        return re.sub(r"\{\w+\}", lambda _: quote(next(rest), safe=""), self.path)


DOCUMENT = as_json_schema(
    json.loads((Path(__file__).parents[1] / "support" / "openapi.json").read_text())
)
OPERATIONS = {
    operation["operationId"]: Operation(method.upper(), path, operation["responses"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
GUARDED = sorted(set(OPERATIONS) - {"files.download"})
EXERCISES = {}
NUMBERS = itertools.count()


def fits(value, schema):
    checker = Draft202012Validator(
        schema | {"components": DOCUMENT["components"]}, validate_formats=True
    )
    assert not [f"{each.instance_path}: {each.message}" for each in checker.iter_errors(value)]


def fits_component(value, name):
    fits(value, {"$ref": f"#/components/schemas/schemas_{name}"})


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Api:
    """Speaks plain HTTP with a server, and holds every answer against the document."""

    def __init__(self, server):
        self.server = server
        self.seen = defaultdict(set)

    def send(self, method, target, body=None, token="r8_local", port=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        connection = http.client.HTTPConnection("127.0.0.1", port or self.server.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )

    def ask(self, name, *place, body=None, query=None, **options):
        operation = OPERATIONS[name]
        target = f"/v1{operation.at(*place)}" + (f"?{urlencode(query)}" if query else "")
        content = json.dumps(body) if isinstance(body, dict) else body
        answer = self.send(operation.method, target, content, **options)
        self.check(name, answer)
        return answer

    def __call__(self, name, *place, status=None, **options):
        answer = self.ask(name, *place, **options)
        assert answer.status == (status or int(min(OPERATIONS[name].responses))), answer.content
        return answer.json if answer.kind.endswith("json") else answer.content

    def check(self, name, answer):
        status = str(answer.status)
        documented = OPERATIONS[name].responses.get(status)
        if documented is not None:
            self.seen[name].add(status)
        if documented is None or (answer.status >= 400 and "content" not in documented):
            is_problem(answer)
        elif "content" not in documented:
            assert answer.content == b""
        else:
            assert answer.kind in documented["content"]
            if answer.kind.endswith("json"):
                fits(answer.json, documented["content"][answer.kind]["schema"])

    def predict(self, model, *, status=201, headers=None, **given):
        return self(
            "models.predictions.create",
            *model.split("/"),
            body={"input": given},
            status=status,
            **(headers or {}),
        )

    def until(self, condition, id, kind="predictions"):
        for _ in range(1000):
            run = self(f"{kind}.get", id)
            if condition(run):
                return run
            time.sleep(0.01)
        raise AssertionError(run)

    def end(self, run, kind="predictions"):
        return self.until(
            lambda run: run["status"] not in ("starting", "processing"), run["id"], kind
        )

    def deploy(self, **more):
        body = {
            "name": new_name(),
            "model": "acme/shout",
            "version": self.server.version("acme/shout"),
            "hardware": "cpu",
        }
        return self(
            "deployments.create", body=body | {"min_instances": 0, "max_instances": 1} | more
        )

    def upload(self, content=b"hello", *more, status=201, name="hello.txt"):
        return self(
            "files.create",
            status=status,
            **form((f'name="content"; filename="{name}"', content), *more),
        )

    def train(self, **given):
        place = ("acme", "tunable", self.server.version("acme/tunable"))
        return self("trainings.create", *place, body={"destination": "acme/tuned", "input": given})


def new_name():
    return f"made-{next(NUMBERS)}"


def is_problem(answer):
    assert answer.kind == "application/problem+json"
    problem = answer.json
    fits(problem, PROBLEM)
    assert problem["status"] == answer.status
    assert ("title" in problem) == (answer.status not in UNTITLED)


def form(*parts, boundary="edge"):
    encoded = (
        each if isinstance(each, bytes) else each.encode() for part in parts for each in part
    )
    lines = (
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (boundary.encode(), name, content)
        for name, content in zip(encoded, encoded, strict=True)
    )
    body = b"".join(lines) + b"--%b--\r\n" % boundary.encode()
    return {"body": body, "Content_Type": f"multipart/form-data; boundary={boundary}"}


def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


def echo(**given: Any) -> Any:
    return given.get("value")


def split(text: str) -> list[str]:
    return text.split()


def words(text: str) -> Iterator[str]:
    yield from text.split()


def story(text: str) -> Iterator[str]:
    for word in text.split():
        print(word)
        yield word


def paint(size: Annotated[int, Input(ge=1, le=4)] = 1) -> bytes:
    return PNG * size


def frames() -> Iterator[bytes]:
    yield from (PNG, PNG)


def size(file: bytes) -> int:
    return len(file)


def suffix(file: Path) -> str:
    return file.suffix


def draw(
    prompt: str,
    format: Annotated[str, Input(choices=["jpg", "png"])] = "png",
    num_inference_steps: Annotated[int, Input(le=4)] = 4,
) -> str:
    return f"{prompt}.{format}"


def fail() -> str:
    raise RuntimeError("OOM")


def slow(seconds: float = 30.0) -> Iterator[str]:
    yield "first"
    sleep(seconds)


def cold() -> str:
    return "warm"


def tunable(text: str, replicate_weights: bytes | None = None) -> str:
    return text


def tune(steps: int = 1, seconds: float = 0.0) -> bytes:
    sleep(seconds)
    return b"weights" * steps


def replicate():
    server = LocalReplicate()
    server.model(
        "acme/shout", readme="# Shout\n", examples=[{"input": {"text": "hi"}, "output": "HI"}]
    )(shout)
    server.model("acme/echo", visibility="private")(echo)
    server.model("acme/story", stream=True)(story)
    server.model("acme/cold", cold_start=3600.0)(cold)
    for each in (split, words, paint, frames, size, suffix, draw, fail, slow, tunable):
        server.model(f"acme/{each.__name__}")(each)
    server.model("acme/tuned")(tunable)
    server.training("acme/tunable")(tune)
    server.collection("loud", ["acme/shout"], description="Models that raise their voice")
    return server


@pytest.fixture(scope="module")
def server():
    with replicate() as server:
        yield server


@pytest.fixture
def api(server):
    yield Api(server)
    for field in dataclasses.fields(Settings):
        setattr(server.settings, field.name, getattr(Settings(), field.name))


def exercise(name):
    def register(function):
        assert EXERCISES.setdefault(name, function) is function
        return function

    return register


def test_the_document_s_37_operations_are_the_exercised_ones():
    assert len(OPERATIONS) == 37
    assert set(EXERCISES) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_documented_answer_of_an_operation_is_given_as_documented(api, name):
    EXERCISES[name](api)
    assert {(name, status) for status in OPERATIONS[name].responses} - UNREACHABLE == {
        (name, status) for status in api.seen[name]
    }


@exercise("account.get")
def _(api):
    account = api("account.get")
    assert (account["type"], account["username"]) == ("user", "local")


@exercise("hardware.list")
def _(api):
    assert {"name": "CPU", "sku": "cpu"} in api("hardware.list")


@exercise("collections.list")
def _(api):
    item = {"name": "Loud", "slug": "loud", "description": "Models that raise their voice"}
    assert api("collections.list") == {"previous": None, "next": None, "results": [item]}


@exercise("collections.get")
def _(api):
    assert [model["name"] for model in api("collections.get", "loud")["models"]] == ["shout"]


@exercise("webhooks.default.secret.get")
def _(api):
    assert api("webhooks.default.secret.get") == {"key": api.server.webhook_secret}


@exercise("search")
def _(api):
    found = api("search", query={"query": "shout", "limit": 1})
    assert [each["model"]["name"] for each in found["models"]] == ["shout"]
    assert [each["slug"] for each in api("search", query={"query": "voice"})["collections"]] == [
        "loud"
    ]
    assert api("search", status=400) == {"detail": 'Query parameter "query" is required'}
    for limit in ("0", "51", "-1", "ten", "", "²", "000000050" + "0" * 5000):
        api("search", query={"query": "shout", "limit": limit}, status=400)


@exercise("deployments.create")
def _(api):
    deployed = api.deploy(min_instances=5, max_instances=20)
    assert deployed["current_release"]["number"] == 1
    assert deployed["current_release"]["model"] == "acme/shout"
    assert deployed["current_release"]["configuration"] == {
        "hardware": "cpu",
        "min_instances": 5,
        "max_instances": 20,
    }
    fits_component(deployed, "deployment_response")


@exercise("deployments.list")
def _(api):
    deployed = api.deploy()
    assert deployed in api("deployments.list")["results"]


@exercise("deployments.get")
def _(api):
    deployed = api.deploy()
    assert api("deployments.get", "local", deployed["name"]) == deployed


@exercise("deployments.update")
def _(api):
    name = api.deploy()["name"]
    release = api(
        "deployments.update", "local", name, body={"min_instances": 1, "hardware": "gpu-t4"}
    )["current_release"]
    assert release["number"] == 2
    assert release["configuration"] == {
        "hardware": "gpu-t4",
        "min_instances": 1,
        "max_instances": 1,
    }


@exercise("deployments.delete")
def _(api):
    name = api.deploy(min_instances=1)["name"]
    api("deployments.delete", "local", name, status=400)
    api("deployments.update", "local", name, body={"min_instances": 0})
    api("deployments.delete", "local", name)
    api("deployments.get", "local", name, status=404)


@exercise("deployments.predictions.create")
def _(api):
    name = api.deploy()["name"]
    for status in (201, 202):
        api.server.settings.created = status
        made = api(
            "deployments.predictions.create",
            "local",
            name,
            body={"input": {"text": "hi"}},
            status=status,
        )
        assert made["deployment"] == f"local/{name}"


@exercise("files.create")
def _(api):
    content = b"\x00\xff" * 100
    fields = (
        ('name="filename"', "a.bin"),
        ('name="type"', "image/png"),
        ('name="metadata"', '{"customer": 7}'),
    )
    stored = api.upload(content, *fields)
    assert (stored["name"], stored["content_type"], stored["size"]) == ("a.bin", "image/png", 200)
    assert stored["checksums"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content).hexdigest(),
    }
    assert (stored["etag"], stored["metadata"]) == (stored["checksums"]["md5"], {"customer": 7})
    assert stored["urls"]["get"] == f"{api.server.base_url}/files/{stored['id']}"
    assert api.upload(b"", ('name="metadata[a][b]"', "1"))["metadata"] == {"a": {"b": "1"}}
    api.server.settings.max_upload = 1_000_000
    refused = api.upload(b"x" * 1_000_001, status=413)
    assert refused == {"detail": "Files must be less than 1MB in size", "status": 413}


@exercise("files.list")
def _(api):
    stored = api.upload()
    assert stored in api("files.list")["results"]


@exercise("files.get")
def _(api):
    stored = api.upload()
    assert api("files.get", stored["id"]) == stored
    api("files.get", "nothing", status=404)


@exercise("files.delete")
def _(api):
    stored = api.upload()
    answer = api.ask("files.delete", stored["id"])
    assert (answer.status, answer.headers["content-type"]) == (204, "text/plain; charset=UTF-8")
    api("files.delete", stored["id"], status=404)
    assert stored not in api("files.list")["results"]


@exercise("files.download")
def _(api):
    id = api.upload(b"content")["id"]
    good = api.server.signed_download(id)
    assert api("files.download", id, query=good, token=None) == b"content"
    for wrong in (
        {"signature": "wrong"},
        {"owner": "somebody"},
        {"expiry": "99999999999"},
        {"expiry": "now"},
    ):
        api("files.download", id, query=good | wrong, status=404)
    api("files.download", id, query=api.server.signed_download(id, seconds=-1), status=404)
    api("files.download", id, status=404)


@exercise("models.create")
def _(api):
    body = {
        "owner": "local",
        "name": new_name(),
        "visibility": "private",
        "hardware": "cpu",
        "description": "Mine",
    }
    made = api("models.create", body=body | {"github_url": "https://github.com/me/mine"})
    assert (made["description"], made["github_url"], made["run_count"]) == (
        "Mine",
        "https://github.com/me/mine",
        0,
    )
    unset = ("paper_url", "license_url", "cover_image_url", "default_example", "latest_version")
    assert [made[name] for name in unset] == [None] * 5


@exercise("models.list")
def _(api):
    for _ in range(26):
        body = {"owner": "local", "name": new_name(), "visibility": "private", "hardware": "cpu"}
        name = api("models.create", body=body)["name"]
    newest = api("models.list", query={"sort_by": "model_created_at"})
    assert (newest["results"][0]["name"], len(newest["results"]), newest["previous"]) == (
        name,
        25,
        None,
    )
    assert newest["next"].startswith(
        f"{api.server.base_url}/models?sort_by=model_created_at&cursor="
    )
    second = api("models.list", query=query_of(newest["next"]))
    assert second["previous"] is not None
    assert api("models.list", query=query_of(second["previous"])) == newest
    assert (
        api("models.list", query={"sort_by": "model_created_at", "sort_direction": "asc"})[
            "results"
        ][0]["name"]
        == "shout"
    )
    api("models.list", query={"sort_by": "name"}, status=422)


@exercise("models.search")
def _(api):
    for text in ("shout", '"shout"'):
        assert [
            each["name"]
            for each in api("models.search", body=text, Content_Type="text/plain")["results"]
        ] == ["shout"]
    assert api("models.search", body="no such thing")["results"] == []


@exercise("models.get")
def _(api):
    model = api("models.get", "acme", "shout")
    assert model["description"] == "Say it louder."
    fits_component(model["default_example"], "prediction_response")
    fits_component(model["latest_version"], "version_response")
    assert api("models.get", "acme", "words")["default_example"] is None


@exercise("models.update")
def _(api):
    model = api(
        "models.update",
        "acme",
        "echo",
        body={"description": "Say it again", "weights_url": "https://example.com/w"},
    )
    assert (model["description"], model["weights_url"]) == ("Say it again", "https://example.com/w")
    api("models.update", "acme", "echo", body={"readme": "# Echo\n"})
    assert api("models.readme.get", "acme", "echo") == b"# Echo\n"


@exercise("models.delete")
def _(api):
    name = new_name()
    api(
        "models.create",
        body={"owner": "local", "name": name, "visibility": "private", "hardware": "cpu"},
    )
    api("models.delete", "local", name)
    api("models.get", "local", name, status=404)
    api("models.delete", "acme", "shout", status=400)


@exercise("models.examples.list")
def _(api):
    (only,) = api("models.examples.list", "acme", "shout")["results"]
    assert (only["input"], only["output"], only["status"]) == ({"text": "hi"}, "HI", "succeeded")
    assert only == api("models.get", "acme", "shout")["default_example"]


@exercise("models.predictions.create")
def _(api):
    for status in (201, 202):
        api.server.settings.created = status
        assert api.predict("acme/shout", text="hi", status=status)["status"] == "starting"


@exercise("models.readme.get")
def _(api):
    answer = api.ask("models.readme.get", "acme", "shout")
    assert (answer.status, answer.content) == (200, b"# Shout\n")
    api("models.readme.get", "acme", "words", status=404)


@exercise("models.versions.list")
def _(api):
    ids = [each["id"] for each in api("models.versions.list", "acme", "shout")["results"]]
    assert ids == [api.server.version("acme/shout")]


@exercise("models.versions.get")
def _(api):
    version = api("models.versions.get", "acme", "shout", api.server.version("acme/shout"))
    assert version["openapi_schema"]["components"]["schemas"]["Output"]["type"] == "string"


@exercise("models.versions.delete")
def _(api):
    api.server.model("acme/gone", visibility="private")(shout)
    place = ("acme", "gone", api.server.version("acme/gone"))
    assert api("models.versions.delete", *place) == b""
    api("models.versions.get", *place, status=404)
    assert api("models.get", "acme", "gone")["latest_version"] is None
    api("models.versions.delete", "acme", "shout", api.server.version("acme/shout"), status=400)


@exercise("predictions.create")
def _(api):
    version = api.server.version("acme/shout")
    for status, reference in ((201, version), (202, f"acme/shout:{version}"), (201, "acme/shout")):
        api.server.settings.created = status
        made = api(
            "predictions.create",
            body={"version": reference, "input": {"text": "hi"}, "stream": True},
            status=status,
        )
        assert (made["version"], made["model"]) == (version, "acme/shout")


@exercise("predictions.get")
def _(api):
    run = api.end(api.predict("acme/shout", text="hi"))
    assert (run["status"], run["output"], run["data_removed"]) == ("succeeded", "HI", False)


@exercise("predictions.list")
def _(api):
    first = api.predict("acme/shout", text="hi")
    second = api.predict("acme/shout", text="ho")
    listed = [each["id"] for each in api("predictions.list")["results"]]
    assert listed[:2] == [second["id"], first["id"]]
    before = api("predictions.list", query={"created_before": second["created_at"]})["results"]
    assert first["id"] in [each["id"] for each in before]
    assert second["id"] not in [each["id"] for each in before]
    after = api("predictions.list", query={"created_after": second["created_at"]})["results"]
    assert [each["id"] for each in after] == [second["id"]]
    assert api("predictions.list", query={"source": "web"})["results"] == []
    api("predictions.list", query={"created_after": "yesterday"}, status=422)


@exercise("predictions.cancel")
def _(api):
    made = api.predict("acme/slow")
    canceled = api("predictions.cancel", made["id"])
    assert canceled["status"] == "canceled"
    assert api("predictions.cancel", made["id"]) == canceled


@exercise("trainings.create")
def _(api):
    training = api.end(api.train(steps=2), "trainings")
    name, _, id = training["output"]["version"].partition(":")
    assert name == "acme/tuned"
    assert api("models.get", "acme", "tuned")["latest_version"]["id"] == id
    weights = urlsplit(training["output"]["weights"])
    assert api.send("GET", weights.path, port=weights.port).content == b"weightsweights"


@exercise("trainings.list")
def _(api):
    made = api.train(), api.train()
    assert [each["id"] for each in api("trainings.list")["results"]][:2] == [
        made[1]["id"],
        made[0]["id"],
    ]


@exercise("trainings.get")
def _(api):
    made = api.train()
    assert api.end(made, "trainings")["status"] == "succeeded"
    api("trainings.get", api.predict("acme/shout", text="hi")["id"], status=404)


@exercise("trainings.cancel")
def _(api):
    made = api.train(seconds=30.0)
    assert api("trainings.cancel", made["id"])["status"] == "canceled"


def query_of(url):
    return dict(parse_qsl(urlsplit(url).query))


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


def test_a_prediction_that_is_canceled_while_its_file_is_fetched_stays_so(api):
    gone = threading.Event()
    with Wire(lambda _: reply(b"four") if gone.wait(10) else None) as wire:
        made = api.predict("acme/size", file=f"{wire.origin}/slow.bin")
        wire.until(lambda: bool(wire.seen))
        canceled = api("predictions.cancel", made["id"])
        assert (canceled["status"], canceled.get("started_at")) == ("canceled", None)
        gone.set()
        time.sleep(0.1)
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


# Errors


@pytest.mark.parametrize("name", GUARDED)
def test_without_a_token_an_operation_is_refused(api, name):
    place = ["x"] * OPERATIONS[name].places
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
    "name", [name for name, operation in OPERATIONS.items() if operation.places]
)
def test_what_is_not_there_is_not_found(api, name):
    operation = OPERATIONS[name]
    detail = (
        "File not found"
        if name.startswith("files.")
        else "The requested resource could not be found."
    )
    for each in ("nobody", "..", "%2e\n\u2028é"):
        assert api(name, *[each] * operation.places, status=404) == {
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
    is_problem(answer)
    assert answer.json == {"detail": "The requested resource could not be found.", "status": 404}


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS.values()}))
def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(api, path):
    answer = api.send("PUT", "/v1" + re.sub(r"\{\w+\}", "x", path))
    is_problem(answer)
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


# The two recorded shapes

ALWAYS = {"id", "model", "version", "input", "logs", "error", "status", "created_at", "urls"}
LATE = {"output", "started_at", "completed_at", "metrics", "webhook_completed"}


def raw(api, method, path, **options):
    """Recorded shapes are not those of the document."""
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
    while raw(api, "GET", f"/predictions/{answer['id']}").get("output") != ["first"]:
        time.sleep(0.01)
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


# What nobody would send

KNOWN = "known"


def with_errors(document):
    """The document, with the errors of every operation that it leaves out, and with names that lead
    somewhere.
    """
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
# A method that a path does not have has no operation whose answers are documented.
SCHEMA.config.phases.coverage.unexpected_methods = set()
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def fuzzed():
    with replicate() as server:
        yield Api(server)


@pytest.fixture(scope="module")
def known(fuzzed):
    """What there is for the names in paths."""
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
    deadline=None,
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
# All that h11 and http.client let through.
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
    assert (answer.status, answer.kind) == (200, "text/event-stream")
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
