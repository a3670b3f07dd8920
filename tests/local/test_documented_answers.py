"""Each of the 37 operations gives each of its documented answers."""

import hashlib
from urllib.parse import parse_qsl, urlsplit

import pytest

from support.local_api import (
    OPERATIONS,
    assert_fits_component,
    new_name,
)
from support.local_models import shout

pytest_plugins = "support.api_fixtures"

# A search of the service may fail; the local one does not.
UNREACHABLE = {("search", "500")}
EXERCISES = {}


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
    assert_fits_component(deployed, "deployment_response")


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
    assert model["description"] == "Return the text in upper case."
    assert_fits_component(model["default_example"], "prediction_response")
    assert_fits_component(model["latest_version"], "version_response")
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
