"""The tree of errors, and the errors of arguments in the wrong place."""

import pickle

import pytest

import replicate_rs
from replicate_rs import exceptions, webhook
from support.wire import closed_port


def test_every_exception_can_be_imported_from_the_package():
    for name in exceptions.__all__:
        assert getattr(replicate_rs, name) is getattr(exceptions, name)
        assert name in replicate_rs.__all__
    kinds = [
        kind
        for kind in vars(webhook).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    assert len(kinds) >= 8
    for kind in kinds:
        assert getattr(replicate_rs, kind.__name__) is kind
    assert set(exceptions.__all__) == {
        name
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }


def test_all_errors_but_a_model_s_are_request_errors():
    of_models = {"ReplicateException", "ReplicateError", "ModelError", "PredictionCanceled"}
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        assert issubclass(kind, exceptions.RequestError) == (name not in of_models), name
        assert issubclass(kind, exceptions.ReplicateError) == (name != "ReplicateException"), name


def test_a_connection_that_fails_is_a_connection_error_of_python(both):
    client = both.client(f"http://127.0.0.1:{closed_port()}", max_retries=0)
    with pytest.raises(ConnectionError, match="refused") as caught:
        both(lambda: client.predictions.get("x"))
    error = caught.value
    assert type(error) is replicate_rs.APIConnectionError
    assert (error.errno, error.__cause__.errno) == (111, 111)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
    assert issubclass(replicate_rs.APITimeoutError, (ConnectionError, TimeoutError))


MISPLACED = {
    "an input as a keyword": (
        lambda c: c.run("a/b", text="hi"),
        r"'text': pass a model's inputs as input=\{'text': …\}",
    ),
    "an input as a keyword of a create": (
        lambda c: c.predictions.create("v", text="hi"),
        r"inputs as input=\{'text': …\}",
    ),
    "an input as a keyword of a training": (
        lambda c: c.trainings.create("a/b:v", {}, "a/c", text="hi"),
        r"input=\{'text': …\}",
    ),
    "a prompt as the input": (
        lambda c: c.run("a/b", "hi"),
        r"input must be a dict of the model's inputs, such as \{",
    ),
    "a prompt as the input of a create": (
        lambda c: c.predictions.create("v", "hi"),
        r"input must be a dict of the model's",
    ),
    "a dict of arguments": (
        lambda c: c.predictions.create({"version": "v", "input": {}}),
        r"by name, as in version=…, input=",
    ),
    "a dict of a run": (
        lambda c: c.run({"ref": "a/b"}),
        r"by name, as in ref=…, input=\{…\}, or put \*\* before the dict",
    ),
    "a dict of a model's": (
        lambda c: c.models.predictions.create({"model": "a/b"}),
        r"by name, as in model=…",
    ),
    "a dict of a get": (
        lambda c: c.predictions.get({"id": "x"}),
        r"id must be a str, not a dict: pass arguments by name",
    ),
    "a token": (
        lambda c: c.run("a/b", {}, api_token="r8_not_shown"),
        r"client\.with_options\(api_token=…\)",
    ),
}


@pytest.mark.parametrize("case", MISPLACED)
def test_an_argument_in_the_wrong_place_is_told_where_it_belongs(both, case):
    call, words = MISPLACED[case]
    client = both.client("http://127.0.0.1:9", max_retries=0)
    with pytest.raises(TypeError, match=words) as caught:
        both(lambda: call(client))
    assert "not_shown" not in str(caught.value)


def test_a_stream_tells_it_too(both):
    client = both.client("http://127.0.0.1:9", max_retries=0)
    for call in (
        lambda: client.stream("a/b", text="hi"),
        lambda: client.text_stream("a/b", text="hi"),
    ):
        with pytest.raises(TypeError, match="inputs as input="):
            both(call)
