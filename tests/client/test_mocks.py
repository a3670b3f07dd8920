"""Mocks in place of a client's methods and namespaces."""

import asyncio
from unittest import mock

import pytest

import replicate_rs as replicate
from support import option_fixtures
from support.wire import prediction, reply

wire, module = option_fixtures.wire, option_fixtures.module


# Mocks.


def answers(both, value):
    return mock.AsyncMock(return_value=value) if both.is_async else mock.Mock(return_value=value)


NESTED = [
    "models.versions",
    "models.predictions",
    "models.examples",
    "models.readme",
    "deployments.predictions",
]
NESTED += ["webhooks.default", "webhooks.default.secret", "predictions", "models"]


@pytest.mark.parametrize("path", NESTED)
def test_a_mock_on_a_namespace_stays(both, path):
    client = both.client("http://127.0.0.1:1")

    def namespace():
        found = client
        for name in path.split("."):
            found = getattr(found, name)
        return found

    namespace().get = mock.Mock(return_value="mocked")
    assert namespace().get("x") == "mocked"
    assert namespace() is namespace()
    with mock.patch.object(namespace(), "get", return_value="patched"):
        assert namespace().get("x") == "patched"
    assert namespace().get("x") == "mocked"


def test_a_mock_on_a_record_s_namespace_stays(both, wire):
    client = both.client(wire.base_url)
    wire.script = lambda _: reply({"owner": "acme", "name": "x"})
    for record, method in (
        (both(lambda: client.models.get("acme/x")), lambda record: record.versions),
        (both(lambda: client.deployments.get("acme/x")), lambda record: record.predictions),
    ):
        method(record).get = mock.Mock(return_value="mocked")
        assert method(record).get("x") == "mocked"
        record.name = "y"
        assert not isinstance(getattr(method(record), "get", None), mock.Mock)


@pytest.mark.parametrize(
    "stand_in", ["a Prediction", "a dict", "an object", "a Mock", "a bare Mock"]
)
def test_run_sees_a_mocked_create(both, stand_in):
    fields = {"id": "p1", "status": "succeeded", "output": "mocked"}
    made = {
        "a Prediction": replicate.Prediction(**fields),
        "a dict": fields,
        "an object": type("Made", (), fields)(),
        "a Mock": mock.Mock(**fields),
        "a bare Mock": mock.Mock(output="mocked"),
    }[stand_in]
    client = both.client("http://127.0.0.1:1")
    client.predictions.create = answers(both, made)
    for ref, target in (
        ("acme/x", {"model": "acme/x"}),
        (f"acme/x:{'a' * 64}", {"version": "a" * 64}),
    ):
        assert (
            both(lambda ref=ref: client.run(ref, {"a": 1}, webhook="https://x/y", wait=False))
            == "mocked"
        )
        called = client.predictions.create.call_args
        assert (
            called.kwargs.items() >= {"input": {"a": 1}, "webhook": "https://x/y", **target}.items()
        )
    assert both(lambda: client.use("acme/x")(a=1)) == "mocked"
    client.models.predictions.create = answers(both, {**fields, "output": "of models"})
    assert both(lambda: client.run("acme/x", {"a": 1})) == "of models"
    if not both.is_async:
        client.predictions.async_create = mock.AsyncMock(return_value=fields)
        assert asyncio.run(client.async_run("acme/x", {})) == "mocked"


def test_run_sees_a_namespace_that_is_mocked_and_a_class_that_is_patched(both):
    client = both.client("http://127.0.0.1:1")
    done = replicate.Prediction(id="p1", status="succeeded", output="mocked")
    with mock.patch.object(client, "predictions") as predictions:
        predictions.create = answers(both, done)
        assert both(lambda: client.run("acme/x", {})) == "mocked"
        assert client.predictions is predictions
    assert client.predictions is not predictions
    for options in ({}, {"autospec": True}):
        with mock.patch.object(
            replicate.prediction.Predictions, "create", return_value=done, **options
        ) as create:
            assert both(lambda: client.run("acme/x", {})) == "mocked"
            create.assert_called_once()


def test_run_and_wait_see_a_mocked_get(both, wire):
    wire.script = lambda _: reply(prediction("processing"), 201)
    client = both.client(wire.base_url, poll_interval=0.001)
    client.predictions.get = answers(
        both, replicate.Prediction(id="p1", status="succeeded", output="mocked")
    )
    assert both(lambda: client.run("acme/x", {}, wait=False)) == "mocked"
    assert (
        both(lambda: client.wait(replicate.Prediction(id="p1", status="starting"))).output
        == "mocked"
    )


@pytest.mark.parametrize("kind", [replicate.Client, replicate.AsyncClient])
@pytest.mark.parametrize("instance", [True, False])
def test_specs_of_clients_take_right_calls_and_no_others(kind, instance):
    spec = (
        mock.create_autospec(kind, instance=True)
        if instance
        else mock.create_autospec(kind("r8_x"))
    )
    calls = [
        (spec.run, ("a/b",), {"input": {}}),
        (spec.run, ("a/b", {}), {"wait": False, "timeout": 5}),
        (spec.stream, ("a/b",), {"input": {}}),
        (spec.async_run, ("a/b",), {}),
        (spec.async_stream, ("a/b",), {}),
        (spec.use, ("a/b",), {}),
        (spec.wait, (replicate.Prediction(),), {"timeout": 5}),
        (spec.with_options, (), {"timeout": 5}),
        (spec.close, (), {}),
    ]
    for method, args, kwargs in calls:
        answer = method(*args, **kwargs)
        if asyncio.iscoroutine(answer):
            answer.close()
    for wrong in (
        lambda: spec.run(),
        lambda: spec.wait(),
        lambda: spec.use(),
        lambda: spec.run("a/b", {}, None, 5),
    ):
        with pytest.raises(TypeError):
            wrong()
    predictions = mock.create_autospec(replicate.prediction.Predictions, instance=True)
    answer = predictions.get("x")
    if asyncio.iscoroutine(answer):
        answer.close()
    with pytest.raises(TypeError):
        predictions.get("x", "y", "z")
