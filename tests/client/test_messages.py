"""What errors say to those who meet them first, and what help shows."""

import inspect
import itertools
import subprocess
import sys
from datetime import timedelta

import httpx
import pytest

import replicate_rs as replicate
import replicate_rs.local
from replicate_rs import Timeout, exceptions
from replicate_rs.exceptions import ModelError, ReplicateError, from_failure, from_response
from support.wire import Wire, hang, prediction, reply

NOT_FOUND = reply(
    {"detail": "The requested resource could not be found.", "status": 404},
    404,
    kind="application/problem+json",
)


def failure(both, wire, call, **options):
    with pytest.raises(ReplicateError) as caught:
        both(lambda: call(both.client(wire.base_url, **options)))
    return caught.value


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda c: c.run("acme/x", {"a": 1}), "model acme/x: check the name; .*'acme/x:version'"),
        (lambda c: c.models.predictions.create(("acme", "a b"), {}), "model acme/a b: check"),
        (lambda c: c.stream("acme/x", {}), "model acme/x: check"),
        (lambda c: c.models.predictions.create("acme/x", {}), "model acme/x: check"),
        (lambda c: c.run("acme/x:v1", {}), "version v1"),
        (lambda c: c.predictions.create("v1", {}), "version v1"),
        (lambda c: c.models.get("acme/x"), "model acme/x"),
        (lambda c: c.models.versions.list("acme/x"), "model acme/x"),
        (lambda c: c.models.versions.get("acme", "x", "v1"), "version v1 of the model acme/x"),
        (lambda c: c.trainings.create("acme/x:v1", {}, "acme/y"), "version v1 of the model acme/x"),
        (lambda c: c.deployments.get("acme/d"), "deployment acme/d"),
        (lambda c: c.deployments.predictions.create("acme/d", {}), "deployment acme/d"),
        (lambda c: c.predictions.get("p9"), "prediction p9"),
        (lambda c: c.trainings.cancel("t9"), "training t9"),
        (lambda c: c.collections.get("loud"), "collection loud"),
        (lambda c: c.use("acme/x")(a=1), "model acme/x: check"),
    ],
)
def test_what_is_not_found_is_named(both, call, names):
    with Wire(lambda _: NOT_FOUND) as wire:
        error = failure(both, wire, call)
    assert error.detail == "The requested resource could not be found."
    assert str(error).startswith(
        "status: 404, detail: The requested resource could not be found. ("
    )
    assert "\n" not in str(error)
    with pytest.raises(AssertionError, match=rf"\({names}"):
        raise AssertionError(str(error))


def test_behind_a_gateway_and_among_inputs_that_do_not_fit_the_model_is_named_too(both):
    problem = {
        "title": "Input validation failed",
        "detail": "- input.a: is required\n- input.b: must be text\n",
        "status": 422,
    }
    with Wire(lambda _: reply(problem, 422)) as wire:
        error = failure(
            both, wire, lambda c: both.client(f"{wire.origin}/gate/way").run("acme/x", {})
        )
    assert (
        str(error)
        == "title: Input validation failed, status: 422, detail: - input.a: is required; - input.b:"
        " must be text (model acme/x)"
    )
    assert error.detail == problem["detail"]


def test_other_404s_say_what_came(both):
    with Wire(lambda _: NOT_FOUND) as wire:
        for route in ("/nowhere", "/models", "/predictions", "/models/acme"):
            error = failure(both, wire, lambda c, route=route: c.request(route))
            assert str(error) == "status: 404, detail: The requested resource could not be found."


TEXTS = ["a\nb", "a\r\n\r\n  b", "a\x85b", "a\u2028b", "\n\na\x0bb\n"]


@pytest.mark.parametrize("text", TEXTS)
def test_an_error_is_one_line(text):
    from json import dumps

    shown = "a; b"
    errors = [
        ReplicateError(detail=text),
        ReplicateError(type=text),
        from_response(
            500,
            "GET",
            "https://x.test/v1/models",
            [],
            dumps({"detail": text, "title": text}).encode(),
        ),
        from_response(404, "GET", f"https://x.test/v1/predictions/{text}", [], b"{}"),
        from_failure("connect", text, ("GET", "https://x.test/"), None, False, None),
        exceptions.PredictionTimeout(text),
        exceptions.AbortError(text),
        exceptions.StreamError(text),
    ]
    for error in errors:
        assert len(str(error).splitlines()) == 1
    assert str(errors[0]) == shown
    assert "title: a; b, status: 500, detail: a; b" in str(errors[2])
    # A model's own words may be a traceback.
    assert (
        str(
            ModelError(replicate.Prediction(error="Traceback:\n  File x\nOOM", status="failed"))
        ).count("\n")
        == 2
    )


PASSING = [
    (503, "last answer: 503"),
    (500, "last answer: 500"),
    (None, "last attempt: "),
]


@pytest.mark.parametrize(("status", "last"), PASSING)
def test_a_deadline_tells_what_was_answered_last(both, status, last):
    answer = None if status is None else reply({"detail": "later", "retry_after": 30}, status)

    def script(seen):
        return (
            reply(prediction("starting"), 201)
            if seen.path.endswith("predictions") or "cancel" in seen.path
            else answer
        )

    with Wire(script) as wire:
        for call in (
            lambda c: c.run("acme/x", {}, timeout=1.5, wait=False),
            lambda c: c.wait(replicate.Prediction(id="p1", status="starting"), timeout=0.5),
            lambda c: c.predictions.wait("p1", timeout=0.5),
        ):
            error = failure(both, wire, call, poll_interval=0.01, max_retries=50)
            assert type(error) is exceptions.PredictionTimeout
            assert last in str(error)
            assert "\n" not in str(error)
        error = failure(both, wire, lambda c: c.predictions.get("p1", timeout=0.5), max_retries=50)
        assert type(error) is exceptions.APITimeoutError
        assert last in str(error)


def test_a_create_that_is_not_taken_in_time_tells_why(both):
    with Wire(lambda _: reply({"detail": "slow down", "retry_after": 30}, 429)) as wire:
        for call in (
            lambda c: c.run("acme/x", {}, timeout=0.5),
            lambda c: c.stream("acme/x", {}, timeout=0.5),
        ):
            error = failure(both, wire, call)
            assert str(error) == (
                "the prediction was not created: the rate limit resets in 30.0 s, after the 0.5 s"
                " that the call has"
            )


def test_only_the_request_that_was_late_is_told_of(both):
    answers = itertools.chain(
        [reply(status=503), reply(prediction("processing"))], itertools.repeat(hang)
    )
    with Wire(
        lambda seen: reply(prediction("starting"), 201) if seen.method == "POST" else next(answers)
    ) as wire:
        error = failure(
            both, wire, lambda c: c.run("acme/x", {}, timeout=2, wait=False), poll_interval=0.01
        )
    assert type(error) is exceptions.PredictionTimeout
    assert "503" not in str(error)
    assert error.prediction.status == "processing"


NODE = {
    "run": lambda c, given: c.run("acme/x", given),
    "stream": lambda c, given: c.stream("acme/x", given),
    "text_stream": lambda c, given: c.text_stream("acme/x", given),
    "relay": lambda c, given: c.relay("acme/x", given),
    "predictions.create": lambda c, given: c.predictions.create("v1", given),
    "models.predictions.create": lambda c, given: c.models.predictions.create("acme/x", given),
    "deployments.predictions.create": lambda c, given: c.deployments.predictions.create(
        "acme/x", given
    ),
}


@pytest.mark.parametrize("name", NODE)
def test_the_options_of_a_node_call_are_no_inputs(both, name):
    with Wire(lambda _: reply(prediction(), 201)) as wire:
        client = both.client(wire.base_url)
        with pytest.raises(
            TypeError, match=r"write input=\{'text': …\}, not \{'input': \{'text': …\}\}$"
        ):
            both(lambda: NODE[name](client, {"input": {"text": "hi"}}))
        with pytest.raises(
            TypeError, match=r"not \{'input': \{\}\}, and give wait=…, webhook=… by name$"
        ):
            both(
                lambda: NODE[name](
                    client, {"input": {}, "wait": {"mode": "poll"}, "webhook": "https://x.test"}
                )
            )
        assert wire.seen == []


def test_an_input_that_is_called_input_is_one(both):
    with Wire(lambda _: reply(prediction(output="done"), 201)) as wire:
        client = both.client(wire.base_url)
        for call in (
            lambda: client.run("acme/x", {"input": "text"}),
            lambda: client.run("acme/x", {"input": {"a": 1}, "seed": 1}),
            # By name, it is what it says.
            lambda: client.run("acme/x", input={"input": {"a": 1}}),
            lambda: client.use("acme/x")(input={"a": 1}),
        ):
            assert both(call) == "done"


@pytest.mark.parametrize("milliseconds", [100, 250, 500, 500.0, 1000])
def test_milliseconds_between_polls_are_told_in_seconds(both, milliseconds):
    seconds = f"{milliseconds / 1000:g} for {milliseconds:g} milliseconds"
    with Wire(lambda _: reply(prediction(), 201)) as wire:
        client, made = both.client(wire.base_url), replicate.Prediction(id="p1", status="starting")
        with pytest.raises(ValueError, match=rf"wait\['interval'\] is in seconds: write {seconds}"):
            both(lambda: client.run("acme/x", {}, wait={"mode": "poll", "interval": milliseconds}))
        with pytest.raises(ValueError, match=rf"^interval is in seconds: write {seconds}"):
            both(lambda: client.wait(made, interval=milliseconds))
        assert wire.seen == []
        # Who says which unit it is means it.
        assert (
            both(
                lambda: client.run("acme/x", {}, wait={"interval": timedelta(seconds=milliseconds)})
            )
            is None
        )
        assert both(lambda: client.run("acme/x", {}, wait={"interval": 99})) is None


@pytest.mark.parametrize(
    "timeout", [Timeout(total=0.5), Timeout(0.5), httpx.Timeout(0.5), timedelta(seconds=0.5)]
)
def test_a_run_s_limit_may_be_a_timeout(both, timeout):
    with Wire(lambda seen: reply(prediction("starting"), 201)) as wire:
        error = failure(
            both, wire, lambda c: c.run("acme/x", {}, timeout=timeout), poll_interval=0.01
        )
    assert type(error) is exceptions.PredictionTimeout
    assert "after 0.5 s" in str(error)


def test_both_timeouts_say_what_they_limit():
    assert "each part of each request" in inspect.getdoc(replicate.Replicate.__init__)
    assert "call's own `timeout`" in inspect.getdoc(replicate.Replicate.__init__)
    run = " ".join(inspect.getdoc(replicate.Replicate().run).split())
    assert "`timeout` is in seconds, and limits the whole run" in run
    assert "client's `timeout` limits each part of each request" in run


def test_what_dir_shows_is_public():
    for module in (replicate, replicate_rs.local):
        shown = dir(module)
        assert not [name for name in shown if name.startswith("_")]
        assert set(module.__all__) <= set(shown)
        assert all(hasattr(module, name) for name in shown)
        assert not {"sys", "annotations", "TYPE_CHECKING", "ModuleType"} & set(shown)


def test_dir_of_a_fresh_process_is_the_same():
    code = (
        "import replicate_rs, replicate_rs.local, replicate_rs._client.options;"
        " print(dir(replicate_rs) +"
        " dir(replicate_rs.local))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip() == str(dir(replicate) + dir(replicate_rs.local))
