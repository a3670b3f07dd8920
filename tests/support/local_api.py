"""A client of the local server that checks each answer against the API's OpenAPI document."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from jsonschema_rs import Draft202012Validator

from replicate_rs.local import LocalReplicate

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
# Statuses of problems without a title.
UNTITLED = (404, 413, 429)


def to_json_schema(value):
    """Replace `nullable` of OpenAPI 3.0, which the 3.1 document still has."""
    if isinstance(value, list):
        return [to_json_schema(each) for each in value]
    if not isinstance(value, dict):
        return value
    schema = {key: to_json_schema(each) for key, each in value.items() if key != "nullable"}
    if value.get("nullable") is True:
        schema["type"] = [schema["type"], "null"]
    return schema


class Operation(NamedTuple):
    method: str
    path: str
    responses: dict[str, Any]

    @property
    def parameter_count(self) -> int:
        return self.path.count("{")

    def fill_path(self, *values: str) -> str:
        """Return the path with these values for its parameters."""
        remaining = iter(values)
        return re.sub(r"\{\w+\}", lambda _: quote(next(remaining), safe=""), self.path)


DOCUMENT = to_json_schema(json.loads(Path(__file__).with_name("openapi.json").read_text()))
OPERATIONS = {
    operation["operationId"]: Operation(method.upper(), path, operation["responses"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
_numbers = itertools.count()


def new_name() -> str:
    """Return a name that no other test uses."""
    return f"made-{next(_numbers)}"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.content)


def assert_fits(value, schema):
    validator = Draft202012Validator(
        schema | {"components": DOCUMENT["components"]}, validate_formats=True
    )
    assert not [f"{each.instance_path}: {each.message}" for each in validator.iter_errors(value)]


def assert_fits_component(value, name):
    assert_fits(value, {"$ref": f"#/components/schemas/schemas_{name}"})


def assert_is_problem(answer: Answer) -> None:
    assert answer.content_type == "application/problem+json"
    problem = answer.json
    assert_fits(problem, PROBLEM)
    assert problem["status"] == answer.status
    assert ("title" in problem) == (answer.status not in UNTITLED)


class Api:
    """Sends requests to a server, and checks the answers against the document.

    Calling it sends the request of an operation, checks its status (by default the lowest that is
    documented) and returns the content.
    """

    def __init__(self, server: LocalReplicate) -> None:
        self.server = server
        # The documented statuses that were answered, by operation.
        self.seen: dict[str, set[str]] = defaultdict(set)

    def send(self, method, target, body=None, token="r8_local", port=None, **headers) -> Answer:
        """Send a request, and return an unchecked answer."""
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

    def ask(self, name, *values, body=None, query=None, **options) -> Answer:
        """Send the request of an operation, and return its checked answer."""
        operation = OPERATIONS[name]
        target = f"/v1{operation.fill_path(*values)}" + (f"?{urlencode(query)}" if query else "")
        content = json.dumps(body) if isinstance(body, dict) else body
        answer = self.send(operation.method, target, content, **options)
        self.assert_documented(name, answer)
        return answer

    def __call__(self, name, *values, status=None, **options) -> Any:
        answer = self.ask(name, *values, **options)
        assert answer.status == (status or int(min(OPERATIONS[name].responses))), answer.content
        return answer.json if answer.content_type.endswith("json") else answer.content

    def assert_documented(self, name: str, answer: Answer) -> None:
        status = str(answer.status)
        documented = OPERATIONS[name].responses.get(status)
        if documented is not None:
            self.seen[name].add(status)
        if documented is None or (answer.status >= 400 and "content" not in documented):
            assert_is_problem(answer)
        elif "content" not in documented:
            assert answer.content == b""
        else:
            assert answer.content_type in documented["content"]
            if answer.content_type.endswith("json"):
                assert_fits(answer.json, documented["content"][answer.content_type]["schema"])

    def predict(self, model, *, status=201, headers=None, **input) -> Any:
        return self(
            "models.predictions.create",
            *model.split("/"),
            body={"input": input},
            status=status,
            **(headers or {}),
        )

    def until(self, condition, id, kind="predictions") -> Any:
        """Return a prediction or training as soon as it fulfils a condition."""
        end = time.monotonic() + 30
        while not condition(prediction := self(f"{kind}.get", id)):
            assert time.monotonic() < end, prediction
            time.sleep(0.01)
        return prediction

    def end(self, prediction, kind="predictions") -> Any:
        """Return a prediction or training when it has ended."""
        return self.until(
            lambda each: each["status"] not in ("starting", "processing"), prediction["id"], kind
        )

    def deploy(self, **fields) -> Any:
        body = {
            "name": new_name(),
            "model": "acme/shout",
            "version": self.server.version("acme/shout"),
            "hardware": "cpu",
            "min_instances": 0,
            "max_instances": 1,
        }
        return self("deployments.create", body=body | fields)

    def upload(self, content=b"hello", *fields, status=201, name="hello.txt") -> Any:
        return self(
            "files.create",
            status=status,
            **form((f'name="content"; filename="{name}"', content), *fields),
        )

    def train(self, **input) -> Any:
        place = ("acme", "tunable", self.server.version("acme/tunable"))
        return self("trainings.create", *place, body={"destination": "acme/tuned", "input": input})


def form(*fields, boundary="edge") -> dict[str, Any]:
    """Return `body` and `Content_Type` of a multipart form.

    A field is a pair of its Content-Disposition without "form-data", and its content.
    """
    encoded = (
        each if isinstance(each, bytes) else each.encode() for field in fields for each in field
    )
    parts = (
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (boundary.encode(), disposition, content)
        for disposition, content in zip(encoded, encoded, strict=True)
    )
    body = b"".join(parts) + b"--%b--\r\n" % boundary.encode()
    return {"body": body, "Content_Type": f"multipart/form-data; boundary={boundary}"}
