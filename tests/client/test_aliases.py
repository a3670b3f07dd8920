"""The other spellings of arguments: `_base.arguments.ALIASES` and how calls apply it."""

import inspect

import pytest

import replicate_rs as replicate
from replicate_rs import collection, deployment, file, model, prediction, training, version
from replicate_rs._base.arguments import ALIASES, aliases_of
from support.wire import Wire, reply
from support.wire import prediction as prediction_body

MODULES = (collection, deployment, file, model, prediction, training, version)


def get_operation(path):
    name, _, method = path.partition(".")
    (owner,) = {vars(module)[name] for module in MODULES if name in vars(module)}
    return vars(owner)[method]


@pytest.mark.parametrize("path", ALIASES)
def test_signatures_have_the_canonical_names_only(path):
    operation = get_operation(path)
    assert operation.function.__qualname__ == path
    parameters = inspect.signature(operation.function).parameters
    for canonical, names in ALIASES[path]:
        assert set(canonical) <= parameters.keys()
        assert not set(names) & parameters.keys()


def test_other_operations_have_no_other_spellings():
    assert aliases_of(replicate.Replicate.run.__wrapped__) == frozenset()


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {"prediction_id": "p1"}),
        ((None,), {"prediction_id": "p1"}),
        ((), {"id": None, "prediction_id": "p1"}),
        (("p1",), {"prediction_id": None}),
    ],
)
def test_none_is_no_value(both, args, kwargs):
    with Wire(lambda _: reply(prediction_body())) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.predictions.get(*args, **kwargs))
    assert wire.routes == ["GET /v1/predictions/p1"]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.predictions.get("p1", prediction_id="p1"),
        lambda client: client.models.get("a/b", model_name="b"),
        lambda client: client.models.get("a/b", key="a/b"),
        lambda client: client.models.get(key="a/b", model_owner="a", model_name="b"),
        lambda client: client.files.create(b"x", content=b"x"),
        lambda client: client.trainings.create(model="a/b", model_owner="a", version="v"),
    ],
)
def test_an_argument_that_is_given_twice_is_an_error(both, call):
    client = both.client("http://127.0.0.1:9", max_retries=0)
    with pytest.raises(TypeError, match=r"give \w+= .*or \w+=.*, once"):
        both(lambda: call(client))


def test_an_error_names_the_argument_as_the_caller_does(both):
    client = both.client("http://127.0.0.1:9", max_retries=0)
    with pytest.raises(TypeError, match="^prediction_id must be a str"):
        both(lambda: client.predictions.get(prediction_id=5))
    with pytest.raises(TypeError, match="^model_name must be a str"):
        both(lambda: client.models.get(model_owner="a", model_name=5))


def test_headers_are_not_in_the_frames_of_an_error(both):
    client = both.client("http://127.0.0.1:9", max_retries=0)
    with pytest.raises(TypeError, match="once") as caught:
        both(
            lambda: client.predictions.get(
                "p1", prediction_id="p1", extra_headers={"Authorization": "secret"}
            )
        )
    trace = caught.tb
    while trace is not None:
        if "replicate_rs" in trace.tb_frame.f_globals["__name__"]:
            assert "secret" not in repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
