"""Every operation of the API's document, through both clients: the request fits the document, the
answer becomes a record.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import jsonschema_rs
import pytest

import replicate_rs as replicate
from replicate_rs import (
    Account,
    Collection,
    Deployment,
    File,
    Model,
    Page,
    Prediction,
    Training,
    Version,
    WebhookSigningSecret,
    exceptions,
)
from replicate_rs._client.search import SearchResult
from replicate_rs.local import LocalReplicate, sleep
from support.wire import Wire, reply

DOCUMENT = json.loads((Path(__file__).parents[1] / "support" / "openapi.json").read_text())
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if "operationId" in operation
}


@pytest.fixture(scope="module")
def server():
    server = LocalReplicate(token="r8_secret", username="acme")
    shown = [{"input": {"text": "hi"}, "output": "HI"}]

    @server.model("acme/shout", readme="# Shout", examples=shown)
    def shout(text: str = "hi", replicate_weights: str = "") -> str:
        """Say it louder."""
        return text.upper()

    @server.model("acme/slow")
    def slow() -> Iterator[str]:
        sleep(60)
        yield "late"

    @server.training("acme/shout")
    def train(steps: int = 1) -> bytes:
        return b"weights"

    server.collection("loud", ["acme/shout"], name="Loud models", description="They shout.")
    with server:
        yield server


class Journey:
    """What the operations need of each other, made when it is asked for."""

    def __init__(self, both, server):
        self.both = both
        self.server = server
        self.client = both.client(server.base_url)

    def __getattr__(self, name):
        return getattr(self.client, name)

    @property
    def version(self):
        return self.server.version("acme/shout")

    def made(self, call):
        return self.both(call)

    def prediction(self):
        return self.made(lambda: self.predictions.create(model="acme/slow", input={}))

    def file(self):
        return self.made(lambda: self.files.create(b"abc", filename="a.txt"))

    def model(self):
        return self.made(
            lambda: self.models.create("acme", "new", visibility="private", hardware="cpu")
        )

    def training(self):
        self.model()
        given = {"input": {"steps": 2}, "destination": "acme/new"}
        return self.made(
            lambda: self.trainings.create(model="acme/shout", version=self.version, **given)
        )

    def trained(self):
        training = self.training()
        self.made(training.async_wait if self.both.is_async else training.wait)
        return training.output["version"].partition(":")[2]

    def deployment(self):
        config = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
        return self.made(
            lambda: self.deployments.create("shouter", "acme/shout", self.version, **config)
        )


# For each operation: what to make first, the call in each of its spellings, and what it gives.
CALLS = {
    "account.get": (
        None,
        [lambda j, _: j.accounts.current(), lambda j, _: j.account.get()],
        Account,
    ),
    "collections.list": (None, [lambda j, _: j.collections.list()], Page),
    "collections.get": (
        None,
        [
            lambda j, _: j.collections.get("loud"),
            lambda j, _: j.collections.get(collection_slug="loud"),
        ],
        Collection,
    ),
    "deployments.list": (Journey.deployment, [lambda j, _: j.deployments.list()], Page),
    "deployments.create": (
        None,
        [
            lambda j, _: j.deployments.create(
                name="acme/a",
                model="acme/shout",
                version=j.version,
                hardware="cpu",
                min_instances=0,
                max_instances=1,
            )
        ],
        Deployment,
    ),
    "deployments.get": (
        Journey.deployment,
        [
            lambda j, _: j.deployments.get("acme/shouter"),
            lambda j, _: j.deployments.get("acme", "shouter"),
            lambda j, _: j.deployments.get(("acme", "shouter")),
            lambda j, _: j.deployments.get(deployment_owner="acme", deployment_name="shouter"),
        ],
        Deployment,
    ),
    "deployments.update": (
        Journey.deployment,
        [
            lambda j, _: j.deployments.update("acme", "shouter", max_instances=3),
            lambda j, _: j.deployments.update(
                deployment_owner="acme", deployment_name="shouter", hardware="gpu-t4"
            ),
        ],
        Deployment,
    ),
    "deployments.delete": (
        Journey.deployment,
        [lambda j, _: j.deployments.delete("acme/shouter")],
        bool,
    ),
    "deployments.predictions.create": (
        Journey.deployment,
        [
            lambda j, _: j.deployments.predictions.create("acme/shouter", {"text": "a"}),
            lambda j, d: j.deployments.predictions.create(d, {"text": "a"}, wait=5),
            lambda j, d: (d.predictions.async_create if j.both.is_async else d.predictions.create)(
                {"text": "a"}
            ),
            lambda j, _: j.predictions.create(
                deployment="acme/shouter", input={"text": "a"}, cancel_after="1m"
            ),
            lambda j, _: j.deployments.predictions.create(
                deployment_owner="acme", deployment_name="shouter", input={}, prefer="wait=3"
            ),
        ],
        Prediction,
    ),
    "files.list": (Journey.file, [lambda j, _: j.files.list()], Page),
    "files.create": (
        None,
        [
            lambda j, _: j.files.create(b"abc", filename="a.txt", metadata={"a": 1}),
            lambda j, _: j.files.create(content=b"abc", filename="a.txt", type="text/plain"),
        ],
        File,
    ),
    "files.get": (
        Journey.file,
        [lambda j, f: j.files.get(f.id), lambda j, f: j.files.get(file_id=f.id)],
        File,
    ),
    "files.delete": (Journey.file, [lambda j, f: j.files.delete(f.id)], bool),
    "files.download": (
        Journey.file,
        [lambda j, f: j.files.download(f.id, **j.server.signed_download(f.id))],
        bytes,
    ),
    "hardware.list": (None, [lambda j, _: j.hardware.list()], list),
    "models.list": (
        None,
        [
            lambda j, _: j.models.list(),
            lambda j, _: j.models.list(sort_by="model_created_at", sort_direction="asc"),
        ],
        Page,
    ),
    "models.create": (
        None,
        [
            lambda j, _: j.models.create(
                "acme",
                "made",
                visibility="private",
                hardware="cpu",
                description="d",
                github_url="https://github.com/a",
            )
        ],
        Model,
    ),
    "models.search": (
        None,
        [lambda j, _: j.models.search("shout"), lambda j, _: j.models.search(body="louder")],
        Page,
    ),
    "models.get": (
        None,
        [
            lambda j, _: j.models.get("acme/shout"),
            lambda j, _: j.models.get("acme", "shout"),
            lambda j, _: j.models.get(owner="acme", name="shout"),
            lambda j, _: j.models.get(key="acme/shout"),
            lambda j, _: j.models.get(model_owner="acme", model_name="shout"),
        ],
        Model,
    ),
    "models.update": (
        None,
        [lambda j, _: j.models.update("acme/shout", description="new", readme="# New")],
        Model,
    ),
    "models.delete": (Journey.model, [lambda j, m: j.models.delete(m.owner, m.name)], bool),
    "models.examples.list": (None, [lambda j, _: j.models.examples.list("acme/shout")], Page),
    "models.predictions.create": (
        None,
        [
            lambda j, _: j.models.predictions.create("acme/shout", {"text": "a"}),
            lambda j, _: j.models.predictions.create(
                ("acme", "shout"), input={"text": "a"}, wait=True
            ),
            lambda j, _: j.models.predictions.create(
                model_owner="acme", model_name="shout", input={}
            ),
            lambda j, _: j.predictions.create(
                model="acme/shout", input={"text": "a"}, webhook_events_filter=["start"]
            ),
        ],
        Prediction,
    ),
    "models.readme.get": (None, [lambda j, _: j.models.readme.get("acme", "shout")], str),
    "models.versions.list": (None, [lambda j, _: j.models.versions.list("acme", "shout")], Page),
    "models.versions.get": (
        None,
        [
            lambda j, _: j.models.versions.get("acme", "shout", j.version),
            lambda j, _: j.models.versions.get("acme/shout", version_id=j.version),
        ],
        Version,
    ),
    "models.versions.delete": (
        Journey.trained,
        [lambda j, id: j.models.versions.delete("acme", "new", id)],
        bool,
    ),
    "predictions.list": (
        Journey.prediction,
        [
            lambda j, _: j.predictions.list(),
            lambda j, _: j.predictions.list(
                created_after=datetime(2020, 1, 1), created_before="2040-01-01", source="web"
            ),
        ],
        Page,
    ),
    "predictions.create": (
        None,
        [
            lambda j, _: j.predictions.create(j.version, {"text": "a"}),
            lambda j, _: j.predictions.create(
                version=f"acme/shout:{j.version}", input={}, stream=True
            ),
            lambda j, _: j.predictions.create(
                "acme/shout", input={}, webhook="http://127.0.0.1:1/hook"
            ),
        ],
        Prediction,
    ),
    "predictions.get": (
        Journey.prediction,
        [
            lambda j, p: j.predictions.get(p.id),
            lambda j, p: j.predictions.get(id=p.id),
            lambda j, p: j.predictions.get(prediction_id=p.id),
        ],
        Prediction,
    ),
    "predictions.cancel": (
        Journey.prediction,
        [
            lambda j, p: j.predictions.cancel(p.id),
            lambda j, p: (p.async_cancel if j.both.is_async else p.cancel)(),
        ],
        (Prediction, type(None)),
    ),
    "search": (
        None,
        [lambda j, _: j.search("shout", limit=3), lambda j, _: j.search(query="louder")],
        SearchResult,
    ),
    "trainings.create": (
        Journey.model,
        [
            lambda j, _: j.trainings.create(
                "acme", "shout", j.version, destination="acme/new", input={"steps": 1}
            ),
            lambda j, _: j.trainings.create(f"acme/shout:{j.version}", {"steps": 1}, "acme/new"),
            lambda j, m: j.trainings.create(
                version=f"acme/shout:{j.version}", input={}, destination=m
            ),
            lambda j, _: j.trainings.create(
                model_owner="acme",
                model_name="shout",
                version_id=j.version,
                destination="acme/new",
                input={},
                webhook="http://127.0.0.1:1/",
                webhook_events_filter=["completed"],
            ),
        ],
        Training,
    ),
    "trainings.list": (Journey.training, [lambda j, _: j.trainings.list()], Page),
    "trainings.get": (
        Journey.training,
        [lambda j, t: j.trainings.get(t.id), lambda j, t: j.trainings.get(training_id=t.id)],
        Training,
    ),
    "trainings.cancel": (Journey.training, [lambda j, t: j.trainings.cancel(t.id)], Training),
    "webhooks.default.secret.get": (
        None,
        [lambda j, _: j.webhooks.default.secret.get(), lambda j, _: j.webhooks.default.secret()],
        WebhookSigningSecret,
    ),
}


def test_no_operation_is_forgotten():
    assert set(CALLS) == set(OPERATIONS)
    assert len(CALLS) == 37


# What is made under a name can be made once.
ONCE = (Journey.deployment, Journey.model, Journey.training, Journey.trained)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_operation_in_each_spelling(both, server, name):
    first, calls, kind = CALLS[name]
    for call in calls:
        if first in ONCE or name in ("deployments.create", "models.create"):
            restart(server)
        journey = Journey(both, server)
        needed = first(journey) if first else None
        before = len(server.requests)
        answer = both(lambda call=call, journey=journey, needed=needed: call(journey, needed))
        assert isinstance(answer, kind)
        if isinstance(answer, Page):
            assert all(isinstance(each.dict(), dict) for each in answer)
        (request,) = server.requests[before:]
        fits(request, name)


def restart(server):
    server.stop()
    server.port = server.output_port = 0
    server.start()


def fits(request, name):
    """The request is what the document says: method, path, query, headers, body."""
    method, path, operation = OPERATIONS[name]
    assert request.method == method
    assert re.fullmatch("/v1" + re.sub(r"\{\w+\}", "[^/]+", path), request.path)
    assert request.headers["authorization"] == "Bearer r8_secret"
    parameters = [resolved(each) for each in operation.get("parameters", [])]
    query = {part.partition("=")[0] for part in request.query.split("&") if part}
    assert query <= {each["name"] for each in parameters if each["in"] == "query"}
    for each in parameters:
        value = request.headers.get(each["name"].lower())
        if each["in"] == "header" and value is not None:
            assert re.search(each["schema"].get("pattern", ""), value)
    content = operation.get("requestBody", {}).get("content")
    if content is None:
        assert request.body == b""
        return
    (kind,) = content
    assert request.headers["content-type"].partition(";")[0] == kind
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": DOCUMENT["components"]}
        jsonschema_rs.Draft4Validator(schema).validate(json.loads(request.body))


def resolved(parameter):
    if "$ref" not in parameter:
        return parameter
    found = DOCUMENT
    for part in parameter["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


ODD = ["a/b", "a?b", "a#b", "a b", "ä", "a%2Fb", "a\tb", "a:b", "a&b=c", "😀"]


@pytest.mark.parametrize("id", ODD)
def test_an_odd_id_stays_one_segment_of_the_path(both, server, id):
    client = both.client(server.base_url)
    for call in (
        client.predictions.get,
        client.trainings.get,
        client.files.get,
        client.collections.get,
    ):
        with pytest.raises(exceptions.NotFoundError):
            both(lambda call=call: call(id))
    # The server's log has paths decoded; what holds a slash could not be told apart there.
    if "/" not in id and "%" not in id:
        assert server.requests[-4].path == f"/v1/predictions/{id}"


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_an_id_that_would_be_another_path_is_refused(both, server, id):
    client, before = both.client(server.base_url), len(server.requests)
    for call in (
        client.predictions.get,
        client.predictions.cancel,
        client.trainings.get,
        client.files.delete,
        client.collections.get,
        lambda id: client.models.get("acme", id),
        lambda id: client.models.versions.get("acme", "shout", id),
    ):
        with pytest.raises(ValueError, match="segment|empty|must"):
            both(lambda call=call: call(id))
    assert len(server.requests) == before


@pytest.mark.parametrize(
    "given", [{}, {"version": "v", "model": "a/b"}, {"model": "a/b", "deployment": "a/b"}]
)
def test_exactly_one_of_version_model_and_deployment(both, server, given):
    client = both.client(server.base_url)
    with pytest.raises(ValueError, match="Exactly one of 'model', 'version', or 'deployment'"):
        both(lambda: client.predictions.create(input={}, **given))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c: c.models.get("acme"), "owner/name"),
        (lambda c: c.models.get(), "which model"),
        (lambda c: c.models.get("acme/x", model_owner="acme"), "once"),
        (lambda c: c.models.get("acme/x:1"), "without a version"),
        (lambda c: c.deployments.get("acme"), "owner/name"),
        (lambda c: c.predictions.create(model="acme", input={}), "owner/name"),
        (lambda c: c.trainings.create("v1", {}, "a/b"), "owner/name:version"),
        (lambda c: c.trainings.create("a/b:v1", {}), "A destination must be provided"),
        (lambda c: c.predictions.list(None), "cursor cannot be None"),
        pytest.param(
            lambda c: c.models.search(), "argument: 'query'", id="<lambda>-query= or body="
        ),
        (lambda c: c.predictions.get("x", nonsense=1), "unexpected keyword argument 'nonsense'"),
        (
            lambda c: c.predictions.create(model="a/b", input={}, nonsense=1),
            "unexpected keyword argument 'nonsense'",
        ),
        (
            lambda c: c.predictions.create(model="a/b", input={}, wait=5, prefer="wait"),
            "cannot mix and match",
        ),
    ],
)
def test_a_caller_s_mistake_is_named_and_nothing_is_sent(both, server, call, says):
    client, before = both.client(server.base_url), len(server.requests)
    with pytest.raises((TypeError, ValueError), match=says):
        both(lambda: call(client))
    assert len(server.requests) == before


def test_request_reaches_what_has_no_method(both, server):
    client = both.client(server.base_url)
    response = both(
        lambda: client.request("/models", params={"sort_by": "model_created_at", "nothing": None})
    )
    assert (response.status, len(response.json()["results"]) > 1) == (200, True)
    assert server.requests[-1].query == "sort_by=model_created_at"
    both(
        lambda: client.request(
            "models", method="QUERY", data="shout", headers={"Content-Type": "text/plain"}
        )
    )
    assert (server.requests[-1].body, server.requests[-1].headers["content-type"]) == (
        b"shout",
        "text/plain",
    )
    body = {"input": {"text": "a"}}
    made = both(
        lambda: client.request(
            "/models/acme/shout/predictions", method="POST", data=body, headers={"Prefer": "wait"}
        )
    )
    assert (made.status, made.headers["preference-applied"]) == (201, "wait")
    again = both(lambda: client.request(made.json()["urls"]["get"]))
    assert again.json()["id"] == made.json()["id"]
    with pytest.raises(exceptions.NotFoundError):
        both(lambda: client.request("/nowhere"))


def test_every_operation_takes_extra_headers_query_and_body(both, server):
    client = both.client(server.base_url)
    both(
        lambda: client.models.get(
            "acme/shout", extra_headers={"X-A": "1"}, extra_query={"b": [1, 2], "c": True}
        )
    )
    assert server.requests[-1].headers["x-a"] == "1"
    assert server.requests[-1].query == "b=1%2C2&c=true"
    both(lambda: client.models.update("acme/shout", extra_body={"description": "more"}))
    assert json.loads(server.requests[-1].body) == {"description": "more"}


@pytest.mark.parametrize("destination", ["<invalid>", "", "acme", "acme/x:1", "a/b/c"])
def test_a_training_s_destination_is_for_the_api_to_check(both, server, destination):
    client, before = both.client(server.base_url), len(server.requests)
    version = server.version("acme/shout")
    for named in (
        {"version": f"acme/shout:{version}"},
        {"model": "acme/shout", "version": version},
    ):
        with pytest.raises(exceptions.ReplicateError) as caught:
            both(
                lambda named=named: client.trainings.create(
                    **named, input={"steps": 1}, destination=destination
                )
            )
        assert caught.value.status == 404
        assert "destination" in str(caught.value)
    assert [json.loads(each.body)["destination"] for each in server.requests[before:]] == [
        destination
    ] * 2


def test_a_deployment_s_model_is_sent_with_its_update(both, server):
    with Wire(lambda seen: reply({"owner": "acme", "name": "d"})) as wire:
        client = both.client(wire.base_url)
        model = replicate.Model(owner="acme", name="x")
        for given in ("acme/x", ("acme", "x"), model):
            both(
                lambda given=given: client.deployments.update(
                    "acme", "d", model=given, version="v2"
                )
            )
        assert {each.body for each in wire.seen} == {b'{"model":"acme/x","version":"v2"}'}
        with pytest.raises(ValueError, match="the model is 'owner/name', without a version"):
            both(lambda: client.deployments.update("acme/d", model="acme/x:v2"))
        assert len(wire.seen) == 3
