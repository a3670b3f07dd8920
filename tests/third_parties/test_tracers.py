"""Functions wrapped with wrapt, as tracers do; its wrappers equal the functions that they wrap."""

from __future__ import annotations

import asyncio

import pytest
import replicate
from wrapt import FunctionWrapper, wrap_function_wrapper

import replicate_rs


@pytest.fixture
def seen():
    return []


@pytest.fixture
def note(seen):
    """Return a wrapper that records calls and makes them."""

    def note(wrapped, instance, args, kwargs):
        seen.append(wrapped.__name__)
        return wrapped(*args, **kwargs)

    return note


@pytest.mark.parametrize("module", [replicate, replicate_rs])
@pytest.mark.parametrize(
    "name", ["run", "stream", "async_run", "predictions.create", "models.get", "files.list"]
)
def test_functions_of_the_module(server, monkeypatch, seen, note, module, name):
    vars(replicate_rs).pop("default_client", None)
    *path, last = name.split(".")
    owner = getattr(module, path[0]) if path else module
    # Restores the function after the test.
    monkeypatch.setattr(owner, last, getattr(owner, last))
    wrap_function_wrapper(module, name, note)
    calls = {
        "run": lambda: module.run("acme/shout", input={"prompt": "hi"}),
        "stream": lambda: "".join(map(str, module.stream("acme/llama", input={"prompt": "hi"}))),
        "async_run": lambda: asyncio.run(module.async_run("acme/shout", input={"prompt": "hi"})),
        "predictions.create": lambda: (
            module.predictions.create("acme/shout", {"prompt": "hi"}).wait() or "hi"
        ),
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
@pytest.mark.parametrize(
    "name",
    ["Client.run", "Client.stream", "prediction.Predictions.create", "prediction.Prediction.wait"],
)
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


# respan-instrumentation-replicate replaces methods of classes by plain functions that call them.
BLOCKING = [
    "Client.run",
    "Client.stream",
    "Predictions.create",
    "Predictions.get",
    "Predictions.list",
    "Predictions.cancel",
]
BLOCKING += ["Prediction.wait", "Prediction.stream"]
AWAITED = [
    "Client.async_run",
    "Client.async_stream",
    "Predictions.async_create",
    "Predictions.async_get",
    "Predictions.async_list",
]
AWAITED += ["Predictions.async_cancel", "Prediction.async_wait", "Prediction.async_stream"]


@pytest.fixture(params=[replicate, replicate_rs], ids=["replicate", "replicate_rs"])
def patched(request, server, monkeypatch, seen):
    """Return a client whose classes have replaced methods."""
    module = request.param
    classes = {
        "Client": module.Client,
        "Predictions": module.prediction.Predictions,
        "Prediction": module.prediction.Prediction,
    }

    def patch(owner, name, label):
        original = getattr(owner, name)

        def blocking(self, *args, **kwargs):
            seen.append(label)
            return original(self, *args, **kwargs)

        async def awaited(self, *args, **kwargs):
            seen.append(label)
            return await original(self, *args, **kwargs)

        async def streamed(self):
            seen.append(label)
            async for event in original(self):
                yield event

        if label == "Prediction.async_stream":
            awaited = streamed
        # Restores the class's own attribute after the test.
        monkeypatch.setattr(owner, name, vars(owner).get(name, original), raising=False)
        setattr(owner, name, awaited if name.startswith("async_") else blocking)

    for label in BLOCKING + AWAITED:
        kind, _, name = label.partition(".")
        patch(classes[kind], name, label)
    return module.Client()


def test_replaced_methods_that_block(server, patched, seen):
    assert patched.run("acme/shout", input={"prompt": "hi"}) == "HI"
    assert "".join(map(str, patched.stream("acme/llama", input={"prompt": "hi"}))) == "hi "
    prediction = patched.predictions.create(
        version=server.version("acme/llama"), input={"prompt": "to be"}, stream=True
    )
    assert "".join(map(str, prediction.stream())) == "to be "
    prediction.wait()
    assert prediction.output == ["to ", "be "]
    assert patched.predictions.get(prediction.id).status == "succeeded"
    assert len(patched.predictions.list().results) == 3
    talker = patched.predictions.create("acme/talker", {"prompt": "la"})
    assert patched.predictions.cancel(talker.id).id == talker.id
    assert {*BLOCKING} == {*seen}
    assert seen.count("Client.run") == seen.count("Client.stream") == 1
    assert len(server.created) == 4
    assert len(server.cancelled) == 1


def test_replaced_methods_that_are_awaited(server, patched, seen):
    async def main():
        assert await patched.async_run("acme/shout", input={"prompt": "hi"}) == "HI"
        stream = await patched.async_stream("acme/llama", input={"prompt": "hi"})
        assert "".join([str(event) async for event in stream]) == "hi "
        predictions = patched.predictions
        prediction = await predictions.async_create(
            version=server.version("acme/llama"), input={"prompt": "to be"}, stream=True
        )
        assert "".join([str(event) async for event in prediction.async_stream()]) == "to be "
        await prediction.async_wait()
        assert prediction.output == ["to ", "be "]
        assert (await predictions.async_get(prediction.id)).status == "succeeded"
        assert len((await predictions.async_list()).results) == 3
        talker = await predictions.async_create("acme/talker", {"prompt": "la"})
        assert (await predictions.async_cancel(talker.id)).id == talker.id

    asyncio.run(main())
    assert {*AWAITED} <= {*seen}
    assert len(server.created) == 4
    assert len(server.cancelled) == 1
