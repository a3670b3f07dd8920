"""Functions that are wrapped as tracers do it, with wrapt, whose wrappers are equal to what they wrap."""

from __future__ import annotations

import asyncio

import pytest
import replicate
import replicate_rs
from wrapt import FunctionWrapper, wrap_function_wrapper


@pytest.fixture
def seen():
    return []


@pytest.fixture
def note(seen):
    """A wrapper that notes the calls that it passes on."""

    def note(wrapped, instance, args, kwargs):
        seen.append(wrapped.__name__)
        return wrapped(*args, **kwargs)

    return note


@pytest.mark.parametrize("module", [replicate, replicate_rs])
@pytest.mark.parametrize("name", ["run", "stream", "async_run", "predictions.create", "models.get", "files.list"])
def test_functions_of_the_module(server, monkeypatch, seen, note, module, name):
    vars(replicate_rs).pop("default_client", None)
    *path, last = name.split(".")
    owner = getattr(module, path[0]) if path else module
    # It is put back after the test.
    monkeypatch.setattr(owner, last, getattr(owner, last))
    wrap_function_wrapper(module, name, note)
    calls = {
        "run": lambda: module.run("acme/shout", input={"prompt": "hi"}),
        "stream": lambda: "".join(map(str, module.stream("acme/llama", input={"prompt": "hi"}))),
        "async_run": lambda: asyncio.run(module.async_run("acme/shout", input={"prompt": "hi"})),
        "predictions.create": lambda: module.predictions.create("acme/shout", {"prompt": "hi"}).wait() or "hi",
        "models.get": lambda: module.models.get("acme/shout").name,
        "files.list": lambda: str(len(module.files.list().results)),
    }
    assert calls[name]().strip().lower() in {"hi", "shout", "0"}
    assert seen == [last] or (last.endswith(("run", "stream")) and len(seen) == 1)


@pytest.mark.parametrize("module", [replicate, replicate_rs])
def test_functions_of_a_client(server, seen, note, module):
    client = module.Client()
    client.predictions.create = FunctionWrapper(client.predictions.create, note)
    client.predictions.create("acme/shout", {"prompt": "hi"})
    assert seen == ["create"]
    client.run = FunctionWrapper(client.run, note)
    assert client.run("acme/shout", input={"prompt": "hi"}) == "HI"
    assert len(seen) == 2


@pytest.mark.parametrize("module", [replicate, replicate_rs])
@pytest.mark.parametrize("name", ["Client.run", "Client.stream", "prediction.Predictions.create", "prediction.Prediction.wait"])
def test_functions_of_a_class(server, monkeypatch, seen, note, module, name):
    client = module.Client()
    *path, last = name.split(".")
    owner = module
    for each in path:
        owner = getattr(owner, each)
    monkeypatch.setattr(owner, last, vars(owner).get(last) or getattr(owner, last), raising=False)
    wrap_function_wrapper(module, name, note)
    prediction = client.predictions.create("acme/shout", {"prompt": "hi"})
    assert client.run("acme/shout", input={"prompt": "hi"}) == "HI"
    assert "".join(map(str, client.stream("acme/llama", input={"prompt": "hi"}))) == "hi "
    prediction.wait()
    assert prediction.output == "HI"
    assert len(seen) >= 1
