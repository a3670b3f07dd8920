"""Records: the API's objects as Python objects, in all the places where users put them."""

import copy
import json
import pickle
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated

import pytest

import replicate_rs as replicate
from replicate_rs import Collection, Deployment, Model, Prediction, Training, Version
from support.asgi import send_request
from support.wire import Wire, prediction, reply

WHOLE = prediction(
    "succeeded",
    output={"text": "hi", "files": ["https://x/y.png"]},
    created_at="2023-08-16T19:33:27.07526337Z",
    started_at="2023-11-16T11:46:16.0649Z",
    completed_at="2023-11-16T11:46:22Z",
    metrics={"predict_time": 5.5},
    priority={"added": "yesterday"},
)


@pytest.fixture(params=["made", "fetched"])
def record(request):
    if request.param == "made":
        yield Prediction(**copy.deepcopy(WHOLE))
        return
    with Wire(lambda _: reply(WHOLE)) as wire:
        yield replicate.Replicate("r8_secret", base_url=wire.base_url).predictions.get("p1")


def test_fields_known_and_unknown_are_attributes(record):
    assert (record.id, record.status, record.metrics["predict_time"]) == ("p1", "succeeded", 5.5)
    assert record.priority == {"added": "yesterday"}
    assert record.deployment is None
    with pytest.raises(AttributeError, match="this Prediction has no field 'prioriti'"):
        record.prioriti


def test_times_are_text_and_datetimes_beside_it(record):
    assert record.created_at == "2023-08-16T19:33:27.07526337Z"
    assert record.created == datetime(2023, 8, 16, 19, 33, 27, 75263, UTC)
    assert record.started == datetime(2023, 11, 16, 11, 46, 16, 64900, UTC)
    assert record.completed == datetime(2023, 11, 16, 11, 46, 22, tzinfo=UTC)
    assert record.due is None
    assert Prediction(created_at="soon").created is None


def test_every_way_to_a_dict_and_back(record):
    assert dict(record) == record.dict() == record.model_dump() == WHOLE
    assert json.loads(record.json()) == json.loads(json.dumps(record.dict())) == WHOLE
    assert Prediction.parse_obj(record.dict()) == record
    assert Prediction.model_validate(WHOLE) == record


def test_copies_are_equal_and_independent(record):
    for twin in (pickle.loads(pickle.dumps(record)), copy.deepcopy(record), record.copy()):
        assert twin == record
        assert type(twin) is Prediction
        twin.output["text"] = "changed"
        assert record.output["text"] == "hi"
    assert record.copy(update={"status": "failed"}).status == "failed"
    assert "r8_secret" not in repr(record) + str(pickle.dumps(record))


def test_a_status_can_be_matched(record):
    match record.status:
        case "starting" | "processing":
            raise AssertionError
        case "succeeded":
            pass
    match record:
        case Prediction(status="succeeded", id=id):
            assert id == "p1"
        case _:
            raise AssertionError


def test_missing_fields_nulls_and_unknown_statuses_are_borne():
    record = Prediction(id="p", status="paused", urls=None, logs=None)
    assert (record.status, record.is_done, record.progress, record.output, record.input) == (
        "paused",
        False,
        None,
        None,
        None,
    )
    assert Prediction(status="aborted").is_done
    for kind in (
        Prediction,
        Training,
        Model,
        Version,
        Deployment,
        Collection,
        replicate.File,
        replicate.Account,
    ):
        empty = kind()
        assert empty.dict() == {}
        for name in dir(kind):
            if isinstance(getattr(kind, name), property) and name not in (
                "id",
                "model",
                "username",
            ):
                getattr(empty, name)


def test_a_fastapi_response_model_without_this_package_importing_pydantic(record):
    import fastapi

    app = fastapi.FastAPI()

    @app.get("/one")
    def one() -> Prediction:
        return record

    @app.get("/many", response_model=list[Prediction])
    def many():
        return [record, record.dict()]

    @app.post("/echo", response_model=Prediction)
    def echo(given: Annotated[Prediction, fastapi.Body()]):
        assert isinstance(given, Prediction)
        return given

    assert send_request(app, "GET", "/one") == (200, WHOLE)
    assert send_request(app, "GET", "/many") == (200, [WHOLE, WHOLE])
    assert send_request(app, "POST", "/echo", WHOLE) == (200, WHOLE)
    assert send_request(app, "POST", "/echo", [1])[0] == 422
    assert "Prediction" in json.dumps(send_request(app, "GET", "/openapi.json")[1])


def test_a_pydantic_model_may_hold_records(record):
    import pydantic

    class Order(pydantic.BaseModel):
        prediction: Prediction
        others: list[Prediction] = []

    order = Order(prediction=record, others=[WHOLE])
    assert order.others[0].id == "p1"
    assert order.model_dump() == {"prediction": WHOLE, "others": [WHOLE]}
    assert Order.model_validate_json(order.model_dump_json()) == order


def test_nested_objects_are_records():
    model = Model(
        owner="a",
        name="b",
        latest_version={
            "id": "v",
            "openapi_schema": {
                "components": {
                    "schemas": {
                        "Output": {
                            "x-cog-array-type": "iterator",
                            "x-cog-array-display": "concatenate",
                        }
                    }
                }
            },
        },
        default_example=WHOLE,
    )
    assert (model.id, model.username, model.latest_version.is_text, model.default_example.id) == (
        "a/b",
        "a",
        True,
        "p1",
    )
    assert Model(owner="a", name="b").latest_version is None
    collection = Collection(slug="s", name="S", models=[model.dict()])
    assert [each.id for each in collection] == ["a/b"]
    assert (len(collection), collection[0].name, collection.id) == (1, "b", "s")
    deployment = Deployment(
        owner="a",
        name="d",
        current_release={
            "number": 2,
            "configuration": {"hardware": "cpu"},
            "created_by": {"username": "u"},
        },
    )
    release = deployment.current_release
    assert (release.number, release.configuration.hardware, release.created_by.username) == (
        2,
        "cpu",
        "u",
    )
    assert Training(output={"version": "a/b:v", "weights": "https://x"}).destination == "a/b"


def test_models_and_versions_are_reloaded_and_walked(both, local):
    client = both.client(local.base_url)
    model = both(lambda: client.models.get("acme/shout"))
    both(model.async_reload if both.is_async else model.reload)
    listed = both(model.versions.async_list if both.is_async else model.versions.list)
    one = both(
        lambda: (model.versions.async_get if both.is_async else model.versions.get)(listed[0].id)
    )
    assert one == listed[0] == model.latest_version
    for ref in (
        model,
        one,
        f"acme/shout:{one.id}",
        one.id,
        replicate.ModelVersionIdentifier("acme", "shout"),
    ):
        assert both(lambda ref=ref: client.run(ref, {"text": "hi"})) == "HI"


def test_trainings_end_and_can_be_waited_for(both):
    states = iter(["starting", "processing", "succeeded"])

    def script(seen):
        if seen.method == "POST":
            return reply(prediction("starting", id="t1"), 201)
        return reply(prediction(next(states), id="t1", output={"version": "a/b:v"}))

    with Wire(script) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        training = both(lambda: client.trainings.create("a/x:v", {}, "a/b"))
        both(training.async_wait if both.is_async else training.wait)
        assert (training.status, training.destination) == ("succeeded", "a/b")
        assert set(wire.routes[1:]) == {"GET /v1/trainings/t1"}


def test_an_output_that_grows_is_given_bit_by_bit(both):
    outputs = iter([["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"]])

    def script(seen):
        output = next(outputs)
        return reply(prediction("succeeded" if len(output) == 3 else "processing", output=output))

    with Wire(script) as wire:
        client = both.client(wire.base_url, poll_interval=0.001)
        first = both(lambda: client.predictions.get("p1"))
        items = both(first.async_output_iterator if both.is_async else first.output_iterator)
        assert items == ["b", "c"]


def test_a_prediction_s_own_stream(both, local):
    client = both.client(local.base_url)
    made = both(lambda: client.predictions.create(model="acme/tokens", input={"text": "a b"}))
    events = both(made.async_stream if both.is_async else made.stream)
    assert "".join(map(str, events)) == "a b "


def test_a_repr_cuts_what_is_long():
    uri = "data:image/png;base64," + "A" * 10_000_000
    deep = list = []
    for _ in range(2000):
        list.append([])
        list = list[0]
    itself = {"a": 1}
    itself["itself"] = itself
    made = replicate.Prediction(
        id="p1",
        input={"image": uri, "pairs": [[uri] * 100] * 100},
        output=[uri] * 1000,
        logs="é\n" * 10**6,
        deep=deep,
        cycle=itself,
    )
    page = replicate.Page([made])
    for shown in (
        repr(made),
        repr(page),
        repr(replicate.Training(input={uri: uri})),
        repr(replicate.Model(owner=b"x" * 10**6)),
    ):
        assert len(shown) < 15_000
    assert repr(made).startswith("Prediction(id='p1', input={'image': 'data:image/png;base64,AAA")
    event = replicate.ServerSentEvent("output", "é" * 10**6, "1:0")
    assert len(repr(event)) < 300
    assert repr(event).startswith("ServerSentEvent(event='output', data='ééé")
    assert repr(event).endswith("id='1:0', retry=None)")
    assert "… (10,000,022 characters)" in repr(made)
    assert "… (1,000 in all)" in repr(replicate.Prediction(output=[0] * 1000))
    # What is short is whole.
    fields = {
        "id": "p1",
        "input": {"a": [1, None, True, 1.5, {"b": []}], "t": (1, "x")},
        "output": "x" * 200,
    }
    assert (
        repr(replicate.Prediction(**fields))
        == f"Prediction({', '.join(f'{name}={value!r}' for name, value in fields.items())})"
    )


def test_threads_find_every_field_while_another_updates():
    def update():
        for n in range(100_000):
            record._update({"id": "p1", "status": "processing", f"field {n % 3}": n})

    def read():
        while updating.is_alive():
            seen.add((record.id, record.status is None))

    record, seen = Prediction(id="p1", status="starting"), set()
    updating = threading.Thread(target=update)
    threads = [updating, *(threading.Thread(target=read) for _ in range(4))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen <= {("p1", False)}
    assert record.dict() == {"id": "p1", "status": "processing", "field 0": 99_999}
