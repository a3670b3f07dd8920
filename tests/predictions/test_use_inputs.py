"""Runs, iterators and files of functions as inputs of other functions."""

import asyncio
import json
from typing import Any

import pytest

import replicate_rs as replicate
from support.functions import (  # noqa: F401 - fixtures are found by their names
    SHOUT,
    create_client,
    record_requests,
    scripted,
    serve_functions,
)
from support.wire import prediction


def test_runs_and_iterators_are_inputs(both, client):
    shout, poem = client.use("acme/shout"), client.use("acme/poem")
    streaming = client.use("acme/poem", streaming=True)

    values = [
        both(lambda: poem.create(about="a b")),
        both(lambda: streaming.create(about="c d")),
        both(lambda: streaming(about="e f")),
        both(lambda: client.use("acme/numbers", streaming=True)(to=2)),
        both(lambda: client.use("acme/numbers").create(to=2)),
    ]
    whole = ["a b ", "c d ", "e f ", [0, 1], [0, 1]]
    assert both(lambda: shout(text={"deep": [tuple(values)], "plain": None})) == {
        "deep": [whole],
        "plain": None,
    }
    assert both(lambda: shout(text=values)) == whole
    run = both(lambda: shout.create(text=values[0]))
    assert both(run.output) == "A B "


def test_files_of_one_model_go_into_another(both, client):
    picture = client.use("acme/picture")
    first = both(picture)
    assert both(both(lambda: picture(prompt=first)).read) == b"picture picture "
    run = both(lambda: picture.create(prompt=b"1"))
    assert both(both(lambda: picture(prompt=run)).read) == b"picture picture 1"
    streamed = both(lambda: client.use("acme/picture", streaming=True)(prompt=b"2"))
    assert both(both(lambda: picture(prompt=streamed)).read) == b"picture picture 2"

    class Path2:
        __url__ = first.url

    assert both(both(lambda: picture(prompt=Path2())).read) == b"picture picture "


def test_a_run_of_one_kind_goes_into_a_function_of_the_other(server):
    blocking = replicate.Replicate(
        base_url=server.base_url, api_token="r8_secret", poll_interval=0.005
    )
    awaiting = replicate.AsyncReplicate(
        base_url=server.base_url, api_token="r8_secret", poll_interval=0.005
    )
    run = blocking.use("acme/poem").create(about="a")
    streamed = blocking.use("acme/poem", streaming=True)(about="b")

    async def main():
        shout = awaiting.use("acme/shout")
        assert await asyncio.gather(shout(text=run), shout(text=streamed)) == ["A ", "B "]
        poem = awaiting.use("acme/poem", streaming=True)
        return await poem.create(about="c"), await poem(about="d")

    assert blocking.use("acme/shout")(text=list(asyncio.run(main()))) == ["c ", "d "]


def test_a_run_that_is_an_input_twice_is_waited_for_once(both):
    with scripted(poll=[prediction(output="out")]) as wire:
        use = both.client(wire.base_url, poll_interval=0.001).use
        run = both(use("acme/x").create)
        both(lambda: use("acme/y").create(a=run, b=[run, {"c": run}]))
    assert json.loads(wire.seen[-1].body)["input"] == {"a": "out", "b": ["out", {"c": "out"}]}


def test_what_json_cannot_carry_is_refused_with_and_without_a_run_beside_it(both):
    cycle: list[Any] = []
    cycle.append(cycle)
    with scripted(poll=[prediction(output="out")]) as wire:
        use = both.client(wire.base_url, poll_interval=0.001).use
        run = both(use("acme/x").create)
        for inputs in ({"a": cycle}, {"a": cycle, "b": run}):
            with pytest.raises(ValueError, match=r"input\.a\[0\] is input\.a again"):
                both(lambda: use("acme/x")(**inputs))


def test_an_input_that_failed_fails_the_call_before_it_is_sent(both, client, asked):
    failing = both(lambda: client.use("acme/fail").create())
    with pytest.raises(replicate.ModelError, match="OOM"):
        both(lambda: client.use("acme/shout")(text=[failing]))
    assert SHOUT not in asked()
