"""The calls that meet the faults: the same for this library and for `replicate` 1.0.7.

Results are plain data, so that they can be compared across processes.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from chaos.server import OUTPUT, folder, prediction

CONTENT = bytes(range(256)) * 1000
VERSION = "v" * 64
SUM = hashlib.sha256(CONTENT).hexdigest()[:12]
FILE = "/file.bin"


class Call(NamedTuple):
    """One call of one client."""

    client: Any
    finish: Callable[[Callable[[], Any]], Any]
    """Returns the result of a call; of an iterator, a list."""
    argument: Any
    options: dict[str, Any]
    """Options of the call: its timeout."""
    origin: str
    """The origin of the API."""
    is_async: bool = False
    is_ours: bool = True


class Operation(NamedTuple):
    """A call, and its result without a fault."""

    do: Callable[[Call], Any]
    usual: Any
    theirs: bool = True
    """Whether 1.0.7 has it."""


def _plain(prediction: Any) -> list[Any]:
    return [prediction.id, prediction.status, prediction.output]


def _get(call: Call) -> Any:
    return _plain(
        call.finish(lambda: call.client.predictions.get(call.argument or "x", **call.options))
    )


def _get_whole(call: Call) -> Any:
    prediction = call.finish(lambda: call.client.predictions.get("x", **call.options))
    return [prediction.id, prediction.status, prediction.logs, prediction.error]


def _create(call: Call) -> Any:
    create = call.client.predictions.create
    return _plain(
        call.finish(lambda: create(VERSION, input={"text": call.argument or "a"}, **call.options))
    )


def _cancel(call: Call) -> Any:
    return call.finish(
        lambda: call.client.predictions.cancel(call.argument or "p1", **call.options)
    ).id


def _delete(call: Call) -> Any:
    return call.finish(lambda: call.client.files.delete(call.argument or "f1", **call.options)) in (
        True,
        None,
    )


def _update(call: Call) -> Any:
    update = call.client.deployments.update
    if call.is_ours:
        return call.finish(lambda: update("acme/x", min_instances=1, **call.options)).name
    return call.finish(lambda: update("acme", "x", min_instances=1)).name


def _model(call: Call) -> Any:
    owner, name = call.argument or ("acme", "x")
    if call.is_ours:
        return call.finish(lambda: call.client.models.get(owner, name, **call.options)).name
    return call.finish(lambda: call.client.models.get(f"{owner}/{name}")).name


def _deployment(call: Call) -> Any:
    return call.finish(lambda: call.client.deployments.get(call.argument, **call.options)).name


def _collection(call: Call) -> Any:
    return call.finish(lambda: call.client.collections.get(call.argument, **call.options)).slug


def _list(call: Call) -> Any:
    page = call.finish(lambda: call.client.predictions.list(**call.options))
    return [each.id for each in page.results]


def _pages(call: Call) -> Any:
    if call.is_ours:
        pages = call.finish(lambda: call.client.paginate(call.client.predictions.list))
    else:
        pages = call.client.predictions.list(), None
        second = call.client.predictions.list(pages[0].next) if pages[0].next else None
        pages = [each for each in (pages[0], second) if each]
    return [each.id for page in pages for each in page.results]


def _output(output: Any) -> Any:
    return f"file {output}" if hasattr(output, "url") else output


def _run(call: Call) -> Any:
    return _output(
        call.finish(
            lambda: call.client.run(call.argument or "acme/x", input={"text": "a"}, **call.options)
        )
    )


def _read_output(call: Call) -> Any:
    output = call.finish(lambda: call.client.run("acme/x", input={"text": "a"}, **call.options))
    if isinstance(output, str) or output is None:
        return output
    return len(call.finish(output.aread if call.is_async else output.read))


def _wait(call: Call) -> Any:
    prediction = call.finish(lambda: call.client.predictions.get("x"))
    call.finish(lambda: prediction.wait(**call.options))
    return _plain(prediction)


def _reload(call: Call) -> Any:
    prediction = call.finish(lambda: call.client.predictions.get("x"))
    call.finish(prediction.reload)
    return _plain(prediction)


def _stream(call: Call) -> Any:
    events = call.finish(
        lambda: list_of(call, call.client.stream("acme/x", input={"text": "a"}, **call.options))
    )
    return "".join(
        str(event)
        for event in events
        if str(getattr(event.event, "value", event.event)) == "output"
    )


def list_of(call: Call, stream: Any) -> Any:
    return stream if call.is_ours else list(stream)


def _text(call: Call) -> Any:
    text = _stream(call)
    return [len(text), hashlib.sha256(text.encode()).hexdigest()[:12]]


def _upload(call: Call) -> Any:
    content = b"x" * (call.argument or 1000)
    file = content if call.is_ours else io.BytesIO(content)
    return call.finish(lambda: call.client.files.create(file, filename="a.bin", **call.options)).id


def _run_with_file(call: Call) -> Any:
    file = io.BytesIO(b"x" * 1000)
    return call.finish(lambda: call.client.run("acme/x", input={"file": file}, **call.options))


def shrinking(port: int) -> Path:
    """Return the path of the file that the server at this port truncates during the upload."""
    return folder() / f"{port}-shrinking.bin"


def _shrinking(call: Call) -> Any:
    path = shrinking(int(call.origin.rpartition(":")[2]))
    with path.open("wb") as file:
        file.truncate(50_000_000)
    return call.finish(lambda: call.client.files.create(path, **call.options)).id


def _file(call: Call) -> Any:
    url = call.argument or FILE
    url = url if "://" in url else call.origin + url
    if call.is_ours:
        from replicate_rs import FileOutput
    else:
        from replicate.helpers import FileOutput
    return FileOutput(url, call.client)


def _summary(content: bytes) -> list[Any]:
    return [len(content), hashlib.sha256(content).hexdigest()[:12]]


def _download(call: Call) -> Any:
    file = _file(call)
    read = file.aread if call.is_async else file.read
    return _summary(call.finish(lambda: read(**call.options)))


def _save(call: Call) -> Any:
    file = _file(call)
    save = file.asave if call.is_async else file.save
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved")
        try:
            call.finish(lambda: save(path, **call.options))
        except BaseException:
            if left := os.listdir(folder):
                raise AssertionError(f"a failed save left {left}") from None
            raise
        return _summary(path.read_bytes())


OPERATIONS = {
    "get": Operation(_get, ["p1", "succeeded", OUTPUT]),
    "get whole": Operation(_get_whole, ["p1", "succeeded", "", None]),
    "create": Operation(_create, ["p1", "succeeded", OUTPUT]),
    "cancel": Operation(_cancel, "p1"),
    "delete": Operation(_delete, True),
    "update": Operation(_update, "x"),
    "model": Operation(_model, "x"),
    "deployment": Operation(_deployment, "x"),
    "collection": Operation(_collection, "x"),
    "list": Operation(_list, ["p1"]),
    "pages": Operation(_pages, ["p1", "p2"]),
    "run": Operation(_run, OUTPUT),
    "run with file": Operation(_run_with_file, OUTPUT),
    "run and read": Operation(_read_output, len(CONTENT)),
    "wait": Operation(_wait, ["p1", "succeeded", OUTPUT]),
    "reload": Operation(_reload, ["p1", "succeeded", OUTPUT]),
    "stream": Operation(_stream, "a b c"),
    "stream length": Operation(_text, None),
    "upload": Operation(_upload, "f1"),
    "upload of a shrinking file": Operation(_shrinking, "f1", theirs=False),
    "download": Operation(_download, [len(CONTENT), SUM]),
    "save": Operation(_save, [len(CONTENT), SUM], theirs=False),
}


def deployment(name: str = "x") -> dict[str, Any]:
    """Return a deployment as the API returns it."""
    release = {
        "number": 1,
        "model": "acme/x",
        "version": VERSION,
        "created_at": "2026-01-01T00:00:00Z",
    }
    by = {"type": "user", "username": "acme", "name": "Acme"}
    about = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    return {
        "owner": "acme",
        "name": name,
        "current_release": {**release, "created_by": by, "configuration": about},
    }


def file() -> dict[str, Any]:
    """Return an uploaded file as the API returns it."""
    times = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
    about = {
        "name": "a.bin",
        "content_type": "application/octet-stream",
        "size": 1000,
        "etag": "e",
        "checksums": {},
    }
    return {
        "id": "f1",
        "metadata": {},
        "urls": {"get": "https://api.replicate.com/v1/files/f1"},
        **about,
        **times,
    }


def model(name: str = "x") -> dict[str, Any]:
    """Return a model as the API returns it."""
    nothing = dict.fromkeys(
        (
            "description",
            "github_url",
            "paper_url",
            "license_url",
            "cover_image_url",
            "default_example",
        )
    )
    about = {
        "url": "https://replicate.com/acme/x",
        "visibility": "public",
        "run_count": 0,
        "latest_version": None,
    }
    return {"owner": "acme", "name": name, **nothing, **about}


def page(*ids: str, next: str | None = None) -> dict[str, Any]:
    """Return a page of predictions."""
    return {"results": [prediction(id=each) for each in ids], "next": next, "previous": None}
