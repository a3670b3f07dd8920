"""Methods that are called through their class, as subclasses, tracers and mocks do."""

import asyncio
import copy
import functools
import inspect
import pickle
from unittest import mock

import pytest

import replicate_rs as replicate
from replicate_rs._base.streaming import AsyncStream, Stream
from replicate_rs.model import Models
from replicate_rs.prediction import Predictions
from support.wire import Wire, prediction, reply

CLIENTS = {"sync": replicate.Replicate("r8_x"), "async": replicate.AsyncReplicate("r8_x")}


def ends_at_once(seen):
    return reply(prediction("succeeded", output="HI"), 201 if seen.method == "POST" else 200)


def test_through_its_class_a_method_is_what_it_is_through_its_object(both):
    with Wire(ends_at_once) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        created = both(
            lambda: Predictions.create(client.predictions, model="acme/shout", input={"text": "hi"})
        )
        assert created.output == "HI"
        assert both(lambda: Predictions.get(client.predictions, "p1")) == created
        assert both(lambda: both.kind.run(client, "acme/shout", {})) == "HI"
        assert both(lambda: both.kind.wait(client, created)).output == "HI"
        assert both(lambda: both.kind.request(client, "/predictions/p1")).status == 200
        for name in ("reload", "cancel", "wait"):
            created.status = "starting"
            assert both(lambda name=name: getattr(replicate.Prediction, name)(created)) is None
            assert created.status == "succeeded", name


def test_async_twins_are_awaited_whatever_the_client(both):
    with Wire(ends_at_once) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)

        async def call():
            created = await Predictions.async_create(
                client.predictions, model="acme/shout", input={}
            )
            created.status = "starting"
            await replicate.Prediction.async_wait(created)
            return created.status, await both.kind.async_run(client, "acme/shout", {})

        assert asyncio.run(call()) == ("succeeded", "HI")


def test_streams_through_their_class(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    stream = both.kind.stream(client, "acme/tokens", {"text": "a b"})
    assert type(stream) is (AsyncStream if both.is_async else Stream)
    assert "".join(map(str, both(lambda: stream))) == "a b "
    created = both(lambda: client.predictions.create(model="acme/tokens", input={"text": "a b"}))
    assert "".join(map(str, both(lambda: replicate.Prediction.stream(created)))) == "a b "
    assert (
        "".join(map(str, both(lambda: Predictions.stream(client.predictions, created.id))))
        == "a b "
    )
    file = both(lambda: client.run("acme/reverse", {"file": b"abc"}))
    assert both(lambda: replicate.FileOutput.read(file)) == b"cba"
    assert b"".join(both(lambda: replicate.FileOutput.chunks(file))) == b"cba"

    async def read():
        stream = both.kind.async_stream(client, "acme/tokens", {"text": "a b"})
        return "".join([str(event) async for event in stream])

    assert asyncio.run(read()) == "a b "


def test_subclasses_call_what_they_replace(both, local):
    refs = []

    class Mine(both.kind):
        def run(self, ref, *args, **kwargs):
            refs.append(ref)
            return super().run(ref, *args, **kwargs)

        def stream(self, ref, *args, **kwargs):
            refs.append(ref)
            return both.kind.stream(self, ref, *args, **kwargs)

    client = Mine("r8_secret", base_url=local.base_url, poll_interval=0.01)
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
    assert (
        "".join(map(str, both(lambda: client.stream("acme/tokens", input={"text": "a b"}))))
        == "a b "
    )
    assert refs == ["acme/shout", "acme/tokens"]
    # Other methods are unchanged.
    assert asyncio.run(client.async_run("acme/shout", {"text": "hi"})) == "HI"


def test_arguments_are_checked_through_the_class_too(both):
    client = both.client("http://127.0.0.1:9")
    for call in (
        lambda: Predictions.create(client.predictions, input=5, version="v"),
        lambda: both.kind.run(client, 5),
        lambda: replicate.Prediction.wait(_record(client), timeout="long"),
    ):
        with pytest.raises(TypeError, match="must be"):
            both(call)
    for wrong in ((), (5,), (replicate.Replicate,)):
        with pytest.raises(
            TypeError, match=r"the first argument of Predictions\.create must be the object"
        ):
            Predictions.create(*wrong)


def _record(client):
    return replicate.Prediction._of({"id": "p1", "status": "starting"}, client._session)


def test_they_are_functions_that_tools_can_look_into():
    for function in (
        Predictions.create,
        replicate.Replicate.stream,
        replicate.Prediction.wait,
        Models.get,
        replicate.Client.run,
    ):
        assert inspect.isfunction(function)
        assert not inspect.iscoroutinefunction(function)
        assert pickle.loads(pickle.dumps(function)) is function
        assert next(iter(inspect.signature(function).parameters)) in ("self", "client")
    for function in (
        replicate.AsyncReplicate.run,
        replicate.AsyncReplicate.wait,
        Predictions.async_create,
    ):
        assert inspect.iscoroutinefunction(function)
        assert pickle.loads(pickle.dumps(function)) is function
    assert inspect.iscoroutinefunction(replicate.Replicate.async_run)
    assert replicate.Replicate.run is replicate.Replicate.run
    assert replicate.Replicate.run.__qualname__ == "Replicate.run"
    assert Predictions.create.__qualname__ == "Predictions.create"


def spied(function, seen):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        seen.append(function.__qualname__)
        return function(*args, **kwargs)

    return wrapper


def test_tracers_that_replace_what_the_class_gives(both, local, monkeypatch):
    seen = []
    for kind, name in (
        (Predictions, "create"),
        (both.kind, "run"),
        (both.kind, "stream"),
        (replicate.Prediction, "reload"),
    ):
        monkeypatch.setattr(kind, name, spied(getattr(kind, name), seen))
    client = both.client(local.base_url, poll_interval=0.01)
    created = both(lambda: client.predictions.create(model="acme/shout", input={"text": "hi"}))
    both(created.reload)
    assert both(lambda: client.run("acme/shout", input={"text": "hi"})) == "HI"
    assert (
        "".join(map(str, both(lambda: client.stream("acme/tokens", input={"text": "a b"}))))
        == "a b "
    )
    kind = both.kind.__name__
    create = "Predictions.create"
    assert seen == [create, "Job.reload", f"{kind}.run", create, f"{kind}.stream", create]


def test_wrapt_can_wrap_them(both, local, monkeypatch):
    wrapt = pytest.importorskip("wrapt")
    seen = []

    def wrapper(wrapped, instance, args, kwargs):
        seen.append((type(instance).__name__, args))
        return wrapped(*args, **kwargs)

    for kind, name in (
        (Predictions, "create"),
        (both.kind, "run"),
        (replicate.Prediction, "reload"),
    ):
        # `monkeypatch` restores the attribute that `wrapt` replaces.
        monkeypatch.setattr(kind, name, vars(kind).get(name, getattr(kind, name)))
        wrapt.wrap_function_wrapper(kind, name, wrapper)
    client = both.client(local.base_url, poll_interval=0.01)
    created = both(lambda: client.predictions.create(model="acme/shout", input={"text": "hi"}))
    both(created.reload)
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
    assert seen[0][0] == "Predictions"
    assert [kind for kind, _ in seen[1:3]] == ["Prediction", both.kind.__name__]
    assert both(lambda: Predictions.get(client.predictions, created.id)).output == "HI"


def wrapped_by_wrapt(method, seen):
    def wrapper(wrapped, instance, args, kwargs):
        seen.append(method.__name__)
        return wrapped(*args, **kwargs)

    return pytest.importorskip("wrapt").FunctionWrapper(method, wrapper)


def test_a_run_is_one_call_for_a_tracer(both, local):
    seen = []
    client = both.client(local.base_url, poll_interval=0.01)
    own = client.predictions.create
    client.predictions.create = wrapped_by_wrapt(own, seen)
    client.run = wrapped_by_wrapt(client.run, seen)
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
    assert seen == ["run"]
    both(lambda: client.predictions.create(model="acme/shout", input={"text": "hi"}))
    assert seen == ["run", "create"]
    client.predictions.create = own
    both(lambda: client.predictions.create(model="acme/shout", input={"text": "hi"}))
    assert seen == ["run", "create"]


def test_run_goes_through_a_proxy_of_a_namespace(both, local):
    class Proxy(pytest.importorskip("wrapt").ObjectProxy):
        def create(self, *args, **kwargs):
            seen.append(kwargs["model"])
            return self.__wrapped__.create(*args, **kwargs)

    seen = []
    client = both.client(local.base_url, poll_interval=0.01)
    own = client.predictions
    client.predictions = Proxy(own)
    for each in (client, copy.copy(client), copy.deepcopy(client)):
        assert both(lambda each=each: each.run("acme/shout", {"text": "hi"})) == "HI"
    assert seen == ["acme/shout"] * 3
    client.predictions = own
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
    assert seen == ["acme/shout"] * 3


def test_run_goes_through_an_object_in_a_namespace_s_place(both):
    class Predictions:
        def create(self, **options):
            return {"id": "p1", "status": "succeeded", "output": options["input"]["text"] * 2}

    client = both.client("http://127.0.0.1:9")
    client.predictions = Predictions()
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "hihi"


def test_mocks_with_a_specification():
    client = mock.create_autospec(replicate.Client, instance=True)
    client.run.return_value = "HI"
    assert client.run("acme/shout", input={"text": "hi"}) == "HI"
    client.run.assert_called_once_with("acme/shout", input={"text": "hi"})
    with pytest.raises(TypeError, match="missing a required argument: 'ref'"):
        client.run()
    assert list(mock.create_autospec(replicate.Client)("r8_x").stream("a/b")) == []
    namespace = mock.create_autospec(Predictions, instance=True)
    namespace.get("p1")
    with pytest.raises(TypeError, match="too many positional"):
        namespace.get("p1", "p2")
    record = mock.create_autospec(replicate.Prediction, instance=True)
    assert not inspect.isawaitable(record.wait())

    awaited = mock.create_autospec(replicate.AsyncClient, instance=True)
    awaited.run.return_value = "HI"
    assert asyncio.run(awaited.run("acme/shout")) == "HI"
    assert isinstance(client.async_run, mock.AsyncMock)
    for kind, client in CLIENTS.items():
        bound = mock.create_autospec(client.predictions.create)
        assert isinstance(bound, mock.AsyncMock) is False
        assert inspect.iscoroutinefunction(client.predictions.create) is (kind == "async")


def test_patched_methods_are_put_back(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    with mock.patch.object(both.kind, "run", autospec=True) as run:
        run.return_value = "mocked"
        assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "mocked"
        run.assert_called_once_with(client, "acme/shout", {"text": "hi"})
    assert both(lambda: client.run("acme/shout", {"text": "hi"})) == "HI"
