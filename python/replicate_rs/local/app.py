"""The HTTP API, as an ASGI application."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .._core import read_data_uri
from .._typing import is_array, is_object
from .files import Stored
from .models import Model, as_file
from .predictions import Run, now
from .webhooks import Webhooks

# Bytes, the API's own limit.
MOST_UPLOADED = 100_000_000
# Seconds a blocking create may hold at the most.
LONGEST_HOLD = 60.0


class Problem(Exception):
    """An error of the API, as a problem document."""

    def __init__(self, status: int, detail: str, *, title: str | None = None, **more: Any) -> None:
        self.body = {"detail": detail, "status": status} | ({"title": title} if title else {}) | more
        self.status = status


class Api:
    """The server's state and its endpoints."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.base_url = ""
        self.models: dict[str, Model] = {}
        self.runs: dict[str, Run] = {}
        self.files: dict[str, tuple[Stored, dict[str, Any]]] = {}
        self.made: dict[str, Stored] = {}
        self.webhooks = Webhooks()
        self.executor = ThreadPoolExecutor(512, thread_name_prefix="replicate-local")
        self.app = Starlette(
            routes=[
                Route("/v1/predictions", self.create, methods=["POST"]),
                Route("/v1/predictions", self.list, methods=["GET"]),
                Route("/v1/predictions/{id}", self.get, methods=["GET"]),
                Route("/v1/predictions/{id}/cancel", self.cancel, methods=["POST"]),
                Route("/v1/models/{owner}/{name}/predictions", self.create, methods=["POST"]),
                Route("/v1/streams/{id}", self.stream, methods=["GET"]),
                Route("/v1/files", self.upload, methods=["POST"]),
                Route("/v1/files/{id}", self.file, methods=["GET"]),
                Route("/v1/files/{id}", self.delete_file, methods=["DELETE"]),
                Route("/v1/webhooks/default/secret", self.secret, methods=["GET"]),
                Route("/output/{id}/{name}", self.output, methods=["GET"]),
            ],
            exception_handlers={Problem: _problem, HTTPException: _unknown, Exception: _broken},
        )

    def authorize(self, request: Request) -> None:
        """Refuse a request without the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        good = scheme.lower() in ("bearer", "token") and secrets.compare_digest(token.encode(), (self.token or "").encode())
        if self.token is not None and not good:
            raise Problem(401, "You did not pass a valid authentication token", title="Unauthenticated")

    def find(self, request: Request) -> Run:
        """Give the prediction that a path names."""
        self.authorize(request)
        try:
            return self.runs[request.path_params["id"]]
        except KeyError:
            raise _not_found() from None

    def model_of(self, request: Request, body: dict[str, Any]) -> Model:
        """Give the model that a request names, in whichever way."""
        if "owner" in request.path_params:
            model = self.models.get("{owner}/{name}".format(**request.path_params))
            if model is None:
                raise _not_found()
            return model
        if "version" not in body:
            fields = [{"type": "required", "field": "", "description": "version is required"}]
            raise Problem(422, "- version is required\n", title="Input validation failed", invalid_fields=fields)
        name, _, version = str(body["version"]).rpartition(":")
        for model in self.models.values():
            if body["version"] in (model.version, model.full_name) or (name, version) == (model.full_name, model.version):
                return model
        detail = "The specified version does not exist (or perhaps you don't have permission to use it?)"
        raise Problem(422, detail, title="Invalid version or not permitted")

    async def create(self, request: Request) -> Response:
        """Start a prediction; with `Prefer: wait`, hold until there is output."""
        self.authorize(request)
        body = await _object(request)
        model = self.model_of(request, body)
        given: object = body.get("input", {})
        if not is_object(given):
            raise Problem(422, "- input: must be an object\n", title="Input validation failed", invalid_fields=[])
        if problems := model.problems(given):
            detail = "".join(f"- {each['field']}: {each['description']}\n" for each in problems)
            raise Problem(422, detail, title="Input validation failed", invalid_fields=problems)
        run = self.start(model, body, given)
        prefer = request.headers.get("prefer", "")
        headers: dict[str, str] = {}
        answer = dict(run.data)
        if prefer.startswith("wait"):
            headers["Preference-Applied"] = prefer
            _, _, seconds = prefer.partition("=")
            try:
                await asyncio.wait_for(run.done(), min(float(seconds or LONGEST_HOLD), LONGEST_HOLD))
            except TimeoutError:
                pass
            else:
                answer = dict(run.data)
                if answer["status"] == "succeeded":
                    # Recorded answers are not committed yet when they are sent.
                    answer |= {"status": "processing"}
                    for name in ("completed_at", "metrics"):
                        answer.pop(name, None)
        return JSONResponse(answer, 201, headers)

    def start(self, model: Model, body: dict[str, Any], given: dict[str, Any]) -> Run:
        """Make a prediction and let it run."""
        id = secrets.token_hex(13)
        url = f"{self.base_url}/predictions/{id}"
        data: dict[str, Any] = {
            "id": id,
            "model": model.full_name,
            "version": model.version,
            "input": given,
            "logs": "",
            "error": None,
            "data_removed": False,
            "status": "starting",
            "created_at": now(),
            "urls": {"get": url, "cancel": f"{url}/cancel", "stream": f"{self.base_url}/streams/{id}"},
        }
        data |= {name: body[name] for name in ("webhook", "webhook_events_filter") if name in body}
        run = self.runs[id] = Run(model, body, data, self.webhooks.tell)
        arguments = {name: self.fetch(model, name, value) for name, value in given.items()}
        run.task = asyncio.get_running_loop().create_task(run.execute(self.executor, arguments, self.store))
        return run

    def fetch(self, model: Model, name: str, value: Any) -> Any:
        """Give a file input as the bytes or the path that the function asks for."""
        hint = model.hints.get(name)
        if hint not in (bytes, Path) or not isinstance(value, str):
            return value
        if value.startswith("data:"):
            content, short = read_data_uri(value)[1], "input"
        else:
            stored = self.files.get(value.rpartition("/")[2])
            if stored is None:
                raise Problem(422, f"- input.{name}: Does not match format 'uri'\n", title="Input validation failed")
            content, short = stored[0].content, stored[0].name
        if hint is bytes:
            return content
        import tempfile

        path = Path(tempfile.mkdtemp(prefix="replicate-local-")) / (Path(short).name or "input")
        path.write_bytes(content)
        return path

    def store(self, output: object) -> Any:
        """Give an output as JSON: files become URLs."""
        if is_array(output):
            return [self.store(each) for each in output]
        if is_object(output):
            return {key: self.store(each) for key, each in output.items()}
        file = as_file(output)
        if file is None:
            json.dumps(output)
            return output
        stored = Stored(*file)
        self.made[stored.id] = stored
        return f"{self.base_url.removesuffix('/v1')}/output/{stored.id}/{stored.name}"

    async def get(self, request: Request) -> Response:
        """Give a prediction's present state."""
        return JSONResponse(self.find(request).data)

    async def cancel(self, request: Request) -> Response:
        """Stop a prediction."""
        run = self.find(request)
        run.cancel()
        return JSONResponse(run.data)

    async def list(self, request: Request) -> Response:
        """Give predictions, newest first, 100 to a page."""
        self.authorize(request)
        start = int(request.query_params.get("cursor", "0"))
        newest = [run.data for run in reversed(self.runs.values())]

        def link(at: int) -> str | None:
            return f"{self.base_url}/predictions?cursor={at}" if 0 <= at < len(newest) else None

        page = {"previous": link(start - 100), "next": link(start + 100), "results": newest[start : start + 100]}
        return JSONResponse(page)

    async def stream(self, request: Request) -> Response:
        """Give a prediction's events, from the start or after `Last-Event-ID`."""
        run = self.runs.get(request.path_params["id"])
        if run is None:
            raise _not_found()
        stamp = int(run.began)
        last = request.headers.get("last-event-id", "").rpartition(":")[2]
        first = int(last) + 1 if last.isdigit() else 0

        async def events() -> AsyncIterator[str]:
            yield ": hi\n\n"
            at = first
            while True:
                while at < len(run.events):
                    name, data = run.events[at]
                    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
                    yield f"id: {stamp}:{at}\nevent: {name}\n{lines}\n"
                    at += 1
                if run.is_done:
                    return
                await run.changed()

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def upload(self, request: Request) -> Response:
        """Take a file."""
        self.authorize(request)
        async with request.form() as form:
            content = form.get("content")
            if not isinstance(content, UploadFile):
                raise Problem(422, "content is required")
            data = await content.read()
            if len(data) > MOST_UPLOADED:
                raise Problem(413, "Files must be less than 100MB in size")
            metadata = form.get("metadata", "{}")
            text = await metadata.read() if isinstance(metadata, UploadFile) else metadata
            stored = Stored(content.filename or "file", data, content.content_type)
        self.files[stored.id] = stored, json.loads(text)
        return JSONResponse(stored.describe(self.base_url, self.files[stored.id][1]), 201)

    async def file(self, request: Request) -> Response:
        """Describe an uploaded file."""
        self.authorize(request)
        stored = self.files.get(request.path_params["id"])
        if stored is None:
            raise Problem(404, "File not found")
        return JSONResponse(stored[0].describe(self.base_url, stored[1]))

    async def delete_file(self, request: Request) -> Response:
        """Forget an uploaded file."""
        self.authorize(request)
        if self.files.pop(request.path_params["id"], None) is None:
            raise Problem(404, "File not found")
        return Response(status_code=204)

    async def secret(self, request: Request) -> Response:
        """Give the secret that webhooks are signed with."""
        self.authorize(request)
        return JSONResponse({"key": self.webhooks.secret})

    async def output(self, request: Request) -> Response:
        """Give a file that a model made."""
        stored = self.made.get(request.path_params["id"])
        if stored is None:
            raise _not_found()
        return Response(stored.content, media_type=stored.content_type)


def _not_found() -> Problem:
    return Problem(404, "The requested resource could not be found.")


async def _object(request: Request) -> dict[str, Any]:
    try:
        body: object = await request.json()
    except ValueError:
        raise Problem(400, "The request body is not JSON.") from None
    if not is_object(body):
        raise Problem(422, "The request body must be an object.")
    return body


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - the handler's own registration
    return JSONResponse(error.body, error.status, media_type="application/problem+json")


async def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler's own registration
    body = {"detail": "The requested resource could not be found." if error.status_code == 404 else error.detail}
    return JSONResponse(
        body | {"status": error.status_code}, error.status_code, error.headers, media_type="application/problem+json"
    )


async def _broken(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"{type(error).__name__}: {error}", "status": 500}, 500, media_type="application/problem+json")
