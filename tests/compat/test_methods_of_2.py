"""Each method of the 2.0 client is called with each of its keywords, against the local server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replicate_rs.local import LocalReplicate, sleep

# Keywords of every method that sends one request.
REQUEST = ("extra_headers", "extra_query", "extra_body", "timeout")
MODEL = ("model_owner", "model_name")
DEPLOYMENT = ("deployment_owner", "deployment_name")
PREDICTION = ("stream", "webhook", "webhook_events_filter", "cancel_after", "prefer")

# The methods of `replicate.Replicate` in 2.0.0b1 to 2.0.0b4: required and optional keywords.
METHODS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "account.get": ((), REQUEST),
    "collections.get": (("collection_slug",), REQUEST),
    "collections.list": ((), REQUEST),
    "deployments.create": (
        ("hardware", "max_instances", "min_instances", "model", "name", "version"),
        REQUEST,
    ),
    "deployments.delete": (DEPLOYMENT, REQUEST),
    "deployments.get": (DEPLOYMENT, REQUEST),
    "deployments.list": ((), REQUEST),
    "deployments.predictions.create": ((*DEPLOYMENT, "input"), (*PREDICTION, *REQUEST)),
    "deployments.update": (
        DEPLOYMENT,
        ("hardware", "max_instances", "min_instances", "version", *REQUEST),
    ),
    "files.create": (("content",), ("filename", "metadata", "type", *REQUEST)),
    "files.delete": (("file_id",), REQUEST),
    "files.download": (("file_id", "expiry", "owner", "signature"), REQUEST),
    "files.get": (("file_id",), REQUEST),
    "files.list": ((), REQUEST),
    "hardware.list": ((), REQUEST),
    "models.create": (
        ("hardware", "name", "owner", "visibility"),
        ("cover_image_url", "description", "github_url", "license_url", "paper_url", *REQUEST),
    ),
    "models.delete": (MODEL, REQUEST),
    "models.examples.list": (MODEL, REQUEST),
    "models.get": (MODEL, REQUEST),
    "models.list": ((), ("sort_by", "sort_direction", *REQUEST)),
    "models.predictions.create": (
        (*MODEL, "input"),
        (*PREDICTION, "file_encoding_strategy", *REQUEST),
    ),
    "models.readme.get": (MODEL, REQUEST),
    "models.search": (("body",), REQUEST),
    "models.update": (
        MODEL,
        (
            "description",
            "github_url",
            "license_url",
            "paper_url",
            "readme",
            "weights_url",
            *REQUEST,
        ),
    ),
    "models.versions.delete": ((*MODEL, "version_id"), REQUEST),
    "models.versions.get": ((*MODEL, "version_id"), REQUEST),
    "models.versions.list": (MODEL, REQUEST),
    "predictions.cancel": (("prediction_id",), REQUEST),
    "predictions.create": (("input", "version"), (*PREDICTION, "file_encoding_strategy", *REQUEST)),
    "predictions.get": (("prediction_id",), REQUEST),
    "predictions.list": ((), ("created_after", "created_before", *REQUEST)),
    "predictions.wait": (("prediction_id",), ()),
    "run": (("ref",), ("input", *PREDICTION, "file_encoding_strategy", "use_file_output", "wait")),
    "search": (("query",), ("limit", *REQUEST)),
    "stream": (("ref", "input"), ()),
    "trainings.cancel": (("training_id",), REQUEST),
    "trainings.create": (
        (*MODEL, "version_id", "destination", "input"),
        ("webhook", "webhook_events_filter", *REQUEST),
    ),
    "trainings.get": (("training_id",), REQUEST),
    "trainings.list": ((), REQUEST),
    "use": (("ref",), ("hint", "streaming")),
    "webhooks.default.secret.get": ((), REQUEST),
}


def hint(*, text: str) -> str:
    """Describe the signature of a model."""
    return text


# A value for each optional keyword.
OPTIONAL: dict[str, Any] = {
    "extra_headers": {"X-Extra": "header"},
    "extra_query": {"extra": "query"},
    "extra_body": {"extra": "body"},
    "timeout": httpx.Timeout(30.0),
    "stream": True,
    # No server listens there.
    "webhook": "http://127.0.0.1:9/hook",
    "webhook_events_filter": ["start", "completed"],
    "cancel_after": "1h30m",
    "prefer": "wait=5",
    "file_encoding_strategy": "base64",
    "use_file_output": False,
    "wait": 5,
    "input": {"text": "hi"},
    "filename": "renamed.txt",
    "metadata": {"a": 1},
    "type": "text/markdown",
    "cover_image_url": "https://example.com/cover.png",
    "description": "what it does",
    "github_url": "https://example.com/code",
    "license_url": "https://example.com/license",
    "paper_url": "https://example.com/paper",
    "weights_url": "https://example.com/weights",
    "readme": "# About",
    "sort_by": "model_created_at",
    "sort_direction": "asc",
    "created_after": "2024-01-01T00:00:00Z",
    "created_before": "2099-01-01T00:00:00Z",
    "limit": 3,
    "hint": hint,
    "streaming": True,
    "hardware": "gpu-a100-large",
    "max_instances": 3,
    "min_instances": 0,
}


def calls() -> Iterator[Any]:
    """Yield each method alone, with each optional keyword, and with all of them."""
    for method, (_, optional) in METHODS.items():
        yield method, ()
        yield from ((method, (name,)) for name in optional)
        # `wait` and `prefer` exclude each other.
        together = tuple(name for name in optional if name != "wait")
        if len(together) > 1:
            yield method, together


@pytest.fixture(scope="module")
def server() -> Iterator[LocalReplicate]:
    server = LocalReplicate(token="r8_secret", username="acme")

    @server.model(
        "acme/shout", readme="# Shout", examples=[{"input": {"text": "hi"}, "output": "HI"}]
    )
    def shout(text: str) -> str:
        return text.upper()

    @server.model("acme/words", stream=True)
    def words(text: str) -> Iterator[str]:
        yield from text.split()

    @server.model("acme/slow")
    def slow(text: str = "") -> str:
        sleep(60)
        return text

    @server.training("acme/slow")
    def train(text: str) -> bytes:
        sleep(60)
        return text.encode()

    server.collection("loud", ["acme/shout"])
    with server:
        yield server


class Objects:
    """Creates the objects that methods are called on; new ones, as some calls delete them."""

    def __init__(self, server: LocalReplicate) -> None:
        self.server = server
        self.http = httpx.Client(
            base_url=f"{server.base_url}/",
            headers={"Authorization": "Bearer r8_secret"},
            trust_env=False,
        )
        self.count = 0

    def new(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def name(self) -> str:
        self.count += 1
        return f"object-{len(self.server.requests)}-{self.count}"

    def model(self) -> dict[str, str]:
        name = self.name()
        self.new("models", owner="acme", name=name, visibility="private", hardware="cpu")
        return {"model_owner": "acme", "model_name": name}

    def private_version(self) -> dict[str, str]:
        name = self.name()

        @self.server.model(f"acme/{name}", visibility="private")
        def model(text: str) -> str:
            return text

        return {
            "model_owner": "acme",
            "model_name": name,
            "version_id": self.server.version(f"acme/{name}"),
        }

    def deployment(self) -> dict[str, str]:
        about = {
            "model": "acme/shout",
            "version": self.server.version("acme/shout"),
            "hardware": "cpu",
        }
        name = self.new("deployments", name=self.name(), min_instances=0, max_instances=1, **about)[
            "name"
        ]
        return {"deployment_owner": "acme", "deployment_name": name}

    def file(self) -> dict[str, str]:
        return {
            "file_id": self.http.post("files", files={"content": ("a.txt", b"abc")}).json()["id"]
        }

    def download(self) -> dict[str, Any]:
        file = self.file()
        signed: dict[str, Any] = self.server.signed_download(file["file_id"])
        return {**file, **signed, "expiry": int(signed["expiry"])}

    def prediction(self, model: str = "shout") -> dict[str, str]:
        return {
            "prediction_id": self.new(f"models/acme/{model}/predictions", input={"text": "hi"})[
                "id"
            ]
        }

    def slow(self) -> dict[str, str]:
        return {
            "model_owner": "acme",
            "model_name": "slow",
            "version_id": self.server.version("acme/slow"),
        }

    def training(self) -> dict[str, str]:
        path = f"models/acme/slow/versions/{self.server.version('acme/slow')}/trainings"
        return {"training_id": self.new(path, destination="acme/shout", input={"text": "hi"})["id"]}

    def required(self, method: str) -> dict[str, Any]:
        """Return values for the required keywords of a method."""
        text = {"text": "hi there"}
        version = self.server.version("acme/shout")
        shout = {"model_owner": "acme", "model_name": "shout"}
        about = {"hardware": "cpu", "model": "acme/shout", "version": version}
        values: dict[str, Callable[[], dict[str, Any]]] = {
            "collections.get": lambda: {"collection_slug": "loud"},
            "deployments.create": lambda: {
                **about,
                "max_instances": 1,
                "min_instances": 0,
                "name": self.name(),
            },
            "deployments.delete": self.deployment,
            "deployments.get": self.deployment,
            "deployments.predictions.create": lambda: {**self.deployment(), "input": text},
            "deployments.update": self.deployment,
            "files.create": lambda: {"content": b"abc"},
            "files.delete": self.file,
            "files.download": self.download,
            "files.get": self.file,
            "models.create": lambda: {
                "hardware": "cpu",
                "name": self.name(),
                "owner": "acme",
                "visibility": "private",
            },
            "models.delete": self.model,
            "models.examples.list": lambda: shout,
            "models.get": lambda: shout,
            "models.predictions.create": lambda: {**shout, "input": text},
            "models.readme.get": lambda: shout,
            "models.search": lambda: {"body": "shout"},
            "models.update": self.model,
            "models.versions.delete": self.private_version,
            "models.versions.get": lambda: {**shout, "version_id": version},
            "models.versions.list": lambda: shout,
            "predictions.cancel": lambda: self.prediction("slow"),
            "predictions.create": lambda: {"input": text, "version": version},
            "predictions.get": self.prediction,
            "predictions.wait": self.prediction,
            "run": lambda: {"ref": "acme/shout", "input": text},
            "search": lambda: {"query": "shout"},
            "stream": lambda: {"ref": "acme/words", "input": text},
            "trainings.cancel": self.training,
            "trainings.create": lambda: {**self.slow(), "destination": "acme/shout", "input": text},
            "trainings.get": self.training,
            "use": lambda: {"ref": "acme/words"},
        }
        required = values[method]() if method in values else {}
        assert set(METHODS[method][0]) <= set(required)
        return required


@pytest.fixture(scope="module")
def objects(server: LocalReplicate) -> Iterator[Objects]:
    objects = Objects(server)
    with objects.http:
        yield objects


def optional(server: LocalReplicate, method: str, name: str) -> Any:
    if name == "version":
        return server.version("acme/shout")
    if method.endswith("predictions.create") and name == "extra_body":
        # The API refuses unknown fields.
        return {"stream": False}
    return OPTIONAL[name]


@pytest.mark.parametrize(
    ("method", "names"),
    [*calls()],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_each_method_of_2_takes_each_of_its_keywords(both, server, objects, method, names):
    client = both.client(server.base_url, poll_interval=0.01)
    function = client
    for name in method.split("."):
        function = getattr(function, name)
    keywords = {name: optional(server, method, name) for name in names}
    arguments = {**objects.required(method), **keywords}
    before = len(server.requests)
    result = both(lambda: function(**arguments))
    if method == "use":
        function = result
        result = both(lambda: function(text="hi there"))
        if "streaming" in names:
            result = both(lambda: aiter(result) if both.is_async else iter(result))
        assert result == (["hi", "there"] if "streaming" in names else "hithere")
        return
    sent = server.requests[before]
    if "extra_headers" in names:
        assert sent.headers["x-extra"] == "header"
    if "extra_query" in names:
        assert "extra=query" in sent.query
    if "extra_body" in names:
        # Of a body that an endpoint does not read, the server logs the length only.
        field = next(iter(arguments["extra_body"]))
        assert field.encode() in sent.body or (
            sent.method in ("GET", "DELETE") or sent.path.endswith("/cancel")
        )
        assert int(sent.headers["content-length"]) > len(field)
