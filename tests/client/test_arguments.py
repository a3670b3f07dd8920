"""Every argument of every public call, with values of the wrong type or range: an error of ours
names it, and nothing is sent.
"""

import asyncio
import inspect
import re

import pytest

import replicate_rs as replicate
from replicate_rs._base.resource import Namespace
from replicate_rs._base.streaming import AsyncStream, Stream
from replicate_rs.stream import EventDecoder
from support.signatures import parameters
from support.wire import Wire, prediction, reply
from support.wrong_values import (
    FOREIGN,
    FUNCTION,
    INSTEAD,
    OTHERS,
    OTHERWISE,
    SECRET,
    SIGNED,
    SPOKEN_OF,
    TOKENS,
    WRONG,
    is_async,
    on_clients,
)


def calls_of(place, path=""):
    """Every public call of a client or a namespace, with where it is."""
    for name in dir(place):
        if name.startswith("_") or name in OTHERS:
            continue
        value = getattr(place, name)
        if isinstance(value, type):
            continue
        if isinstance(value, Namespace) and name != "async_secret":
            yield from calls_of(value, f"{path}{name}.")
        if callable(value) and not isinstance(value, Namespace):
            yield f"{path}{name}", value


@pytest.fixture(scope="module")
def wire():
    with Wire(lambda _: reply(prediction())) as wire:
        yield wire


def with_wrong(path, good, name, value):
    """The arguments of a call of which one is wrong."""
    left_out = INSTEAD.get(name, ())
    if path == "models.search" and name == "body":
        left_out = ("query",)
    elif (path == "trainings.create" and name == "version_id") or (
        path == "predictions.create" and name in ("model", "deployment")
    ):
        left_out = ("version",)
    given = {other: each for other, each in good.items() if other not in left_out}
    if name.endswith(("_owner", "_name")):
        given |= {f"{name.partition('_')[0]}_{part}": "x" for part in ("owner", "name")}
    return given | {name: value}


def problem_of(name, call):
    """What is wrong with the error that a call raises, or None."""
    try:
        outcome = call()
    except (TypeError, ValueError) as error:
        is_ours = type(error) in (TypeError, ValueError) or type(error).__module__.startswith(
            "replicate_rs"
        )
        text = str(error) + "".join(getattr(error, "__notes__", ()))
        if (
            is_ours
            and not FOREIGN.search(text)
            and re.search(SPOKEN_OF.get(name, name), text, re.IGNORECASE)
        ):
            return None
        return f"{type(error).__name__}: {text}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return f"no error, but {outcome!r:.60}"


def found_wrong(path, function, good, *, finish, is_awaited=False):
    """What is wrong with the errors of a call for every wrong value of every argument."""
    for name, annotation in parameters(function).items():
        values = OTHERWISE.get((path, name), WRONG.get(name))
        if values is None:
            yield f"{path}({name}=): which values are wrong is not in the table"
            continue
        if (
            isinstance(annotation, str)
            and "None" not in annotation
            and name not in ("data", "output", "cursor")
        ):
            values = [*values, None]
        for value in values:
            # An owner that comes with a name is one segment of the path, whatever it holds; and
            # what is awaited may be async.
            is_right = name == "owner" and value in ("acme", "a/b/c", "a/../b") and "name" in good
            is_right = is_right or (value is is_async and is_awaited and path in ("run", "wait"))
            # A token's function is awaited on an `AsyncReplicate`.
            is_right = is_right or (
                value is is_async and name in TOKENS and (is_awaited or path == "AsyncReplicate")
            )
            given = with_wrong(path, good, name, value)
            problem = (
                None
                if is_right
                else problem_of(name, lambda given=given: finish(lambda: function(**given)))
            )
            if problem is not None:
                yield f"{path}({name}={value!r:.40}): {problem}"


CLIENTS = {"sync": replicate.Replicate, "async": replicate.AsyncReplicate}


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.timeout(300)
def test_every_argument_of_a_client_s_calls(wire, kind):
    client = CLIENTS[kind]("r8_x", base_url=wire.base_url, max_retries=0)
    good = on_clients(client, wire)
    walked = dict(calls_of(client))
    bare = {
        path: ".".join(part.removeprefix("async_") for part in path.split(".")) for path in walked
    }
    assert set(bare.values()) == set(good)
    problems, before = [], len(wire.seen)
    with asyncio.Runner() as runner:
        for path, function in walked.items():
            if bare[path] == "paginate":
                problems += [*_pages(path, function)]
            else:
                given = good[bare[path]]
                is_awaited = kind == "async" or path != bare[path]
                problems += found_wrong(
                    bare[path], function, given, finish=finisher(runner), is_awaited=is_awaited
                )
    assert not problems, "\n".join(sorted(set(problems)))
    assert wire.seen[before:] == []


def test_every_argument_of_what_calls_give(wire):
    """Records, what belongs to them, and files."""
    client = replicate.Replicate("r8_x", base_url=wire.base_url, max_retries=0)
    running = prediction("starting", urls={"stream": f"{wire.origin}/s"})
    p1, t1 = (
        kind._of(running, client._session) for kind in (replicate.Prediction, replicate.Training)
    )
    model, deployment = (
        kind._of({"owner": "a", "name": "b"}, client._session)
        for kind in (replicate.Model, replicate.Deployment)
    )
    output = replicate.FileOutput(f"{wire.origin}/f", client)
    owners = {
        "Prediction": p1,
        "Training": t1,
        "Model": model,
        "Deployment": deployment,
        "FileOutput": output,
    }
    owners |= {"model.versions": model.versions, "deployment.predictions": deployment.predictions}
    good = {
        "get": {"id": "v"},
        "delete": {"id": "v"},
        "save": {"path": "x"},
        "asave": {"path": "x"},
        "parse_obj": {"data": {}},
    }
    good |= {"seek": {"offset": 0}, "readinto": {"buffer": bytearray(1)}}
    problems, before, walked = [], len(wire.seen), 0
    with asyncio.Runner() as runner:
        for kind, owner in owners.items():
            for name, function in calls_of(owner):
                bare = name.removeprefix("async_")
                bare = {"model_validate": "parse_obj"}.get(bare, bare)
                if bare in ("predict", "fields", "schema", "validate") or not parameters(function):
                    continue
                walked += 1
                path = bare if bare == "parse_obj" else f"{kind}.{bare}"
                problems += found_wrong(
                    path,
                    function,
                    good.get(bare, {}),
                    finish=finisher(runner),
                    is_awaited=bare != name,
                )
    assert not problems, "\n".join(sorted(set(problems)))
    assert wire.seen[before:] == []
    assert walked > 50


def test_every_argument_of_the_functions_and_classes(wire):
    verifier, seen, decoder = (
        replicate.WebhookVerifier(SECRET),
        replicate.SeenWebhooks(),
        EventDecoder(),
    )
    webhook = {"headers": SIGNED, "body": b"x"}
    calls = {
        "Replicate": (replicate.Replicate, {}),
        "AsyncReplicate": (replicate.AsyncReplicate, {}),
        "Timeout": (replicate.Timeout, {}),
        "AbortSignal.timeout": (replicate.AbortSignal.timeout, {"seconds": 1}),
        "ModelVersionIdentifier": (replicate.ModelVersionIdentifier, {"owner": "a", "name": "b"}),
        "ModelVersionIdentifier.parse": (replicate.ModelVersionIdentifier.parse, {"ref": "a/b"}),
        "Request": (replicate.Request, {"method": "GET", "url": "https://example.com"}),
        "Response": (replicate.Response, {}),
        "ServerSentEvent": (replicate.ServerSentEvent, {"event": "output", "data": "x"}),
        "EventDecoder": (EventDecoder, {}),
        "EventDecoder.feed": (decoder.feed, {"bytes": b""}),
        "SeenWebhooks": (replicate.SeenWebhooks, {}),
        "SeenWebhooks.settle": (seen.settle, {"id": "x", "succeeded": True}),
        "SeenWebhooks.is_settled": (seen.is_settled, {"id": "x"}),
        "SeenWebhooks()": (seen.__call__, {"id": "x"}),
        "WebhookVerifier": (replicate.WebhookVerifier, {"secrets": SECRET}),
        "WebhookVerifier.verify": (verifier.verify, webhook),
        "WebhookVerifier.read": (verifier.read, webhook),
        "WebhookVerifier.unwrap": (verifier.unwrap, webhook),
        "WebhookVerifier.verify_many": (verifier.verify_many, {"webhooks": []}),
        "validate_webhook": (replicate.validate_webhook, {"secret": SECRET, **webhook}),
        "avalidate_webhook": (
            replicate.avalidate_webhook,
            {"request": {"headers": SIGNED}, "secret": SECRET, "body": b"x"},
        ),
        "sign_webhook": (
            replicate.sign_webhook,
            {"secret": SECRET, "id": "x", "timestamp": 1, "body": b"x"},
        ),
        "use": (replicate.use, {"ref": "acme/x"}),
        "save_all": (replicate.save_all, {"output": ["data:text/plain,x"], "folder": "x"}),
        "asave_all": (replicate.asave_all, {"output": ["data:text/plain,x"], "folder": "x"}),
        "parse_progress_from_logs": (replicate.parse_progress_from_logs, {"logs": ""}),
    }
    problems = []
    with asyncio.Runner() as runner:
        for path, (function, good) in calls.items():
            problems += found_wrong(path, function, good, finish=finisher(runner))
    for function in (replicate.paginate, replicate.async_paginate):
        problems += _pages(function.__name__, function)
    assert not problems, "\n".join(sorted(set(problems)))
    # Everything public is here, is a client's, or takes anything.
    elsewhere = {
        "Client",
        "AsyncClient",
        "default_client",
        "exceptions",
        "paginate",
        "async_paginate",
        "AbortController",
        "Async",
        "Sync",
    }
    elsewhere |= {
        "Account",
        "Collection",
        "Deployment",
        "File",
        "Hardware",
        "Model",
        "Prediction",
        "SearchResult",
        "Training",
        "Version",
    }
    elsewhere |= {"FileOutput", "Page", "WebhookSigningSecret", "get_path_url"}
    named = {
        name
        for name in replicate.__all__
        if not name.endswith(("Error", "Exception")) and name not in replicate._CLIENT_METHODS
    }
    named -= {"EventTooLarge", "PredictionCanceled", "PredictionTimeout", "StreamInterrupted"}
    named -= {"TooManyFailures"}
    assert {path.partition(".")[0].removesuffix("()") for path in calls} - {
        "EventDecoder"
    } == named - elsewhere


def finisher(runner):
    """What carries a call out, in either mode; of a stream, up to its first item."""

    def finish(call):
        async def main():
            result = call()
            if isinstance(result, Stream):
                return next(result)
            if isinstance(result, AsyncStream):
                return await anext(result)
            return await result if inspect.isawaitable(result) else result

        return runner.run(main())

    return finish


def _pages(path, function):
    for value in [*FUNCTION, None]:
        try:
            function(value)
        except TypeError as error:
            if "list_method must be" not in str(error):
                yield f"{path}: {error}"
        else:
            yield f"{path}({value!r}): no error"
