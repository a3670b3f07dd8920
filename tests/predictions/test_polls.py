"""How often a client polls, for all predictions that it waits for together."""

import asyncio
import itertools
import math
import statistics
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import replicate_rs as replicate
from conftest import script
from support.wire import HEAD, Wire, numbered, prediction, reply


class Predictions(Wire):
    """A server of predictions that end after so many seconds each, and of their list."""

    def __init__(self, ends, *, page=100, listed=True, headers="", links=None):
        self.start = time.monotonic()
        self.ends = ends
        self.page = page
        self.listed = listed
        self.headers = headers
        self.links = links
        self.told: dict[str, float] = {}
        super().__init__(self._answer)

    def age(self):
        return time.monotonic() - self.start

    def view(self, id):
        status = "succeeded" if self.age() >= self.ends[id] else "processing"
        return prediction(status) | {"id": id, "output": "x" if status == "succeeded" else None}

    def _answer(self, seen):
        path, _, query = seen.path.removeprefix("/v1/predictions").partition("?")
        if path:
            view = self.view(path[1:])
            if view["status"] == "succeeded":
                self.told.setdefault(view["id"], self.age() - self.ends[view["id"]])
            return reply(view, headers=self.headers)
        if not self.listed:
            return reply({"detail": "no list here"}, 404)
        first = int(query.rpartition("=")[2] or 0)
        ids = list(self.ends)[first : first + self.page]
        more = first + self.page < len(self.ends)
        following = (
            f"{self.links or self.base_url}/predictions?cursor={first + self.page}"
            if more
            else None
        )
        return reply(
            {"next": following, "previous": None, "results": [self.view(id) for id in ids]}
        )

    @property
    def gets(self):
        return len(self.seen)

    @property
    def lists(self):
        return [route for route in self.routes if route.partition("?")[0] == "GET /v1/predictions"]


def waiting_for(client, wire, ids):
    async def all_of_them():
        views = [replicate.Prediction._of(wire.view(id), client._session) for id in ids]
        return await asyncio.gather(*(client.async_wait(view) for view in views))

    return asyncio.run(all_of_them())


def test_three_hundred_that_wait_stay_below_the_api_s_limit_and_hear_soon():
    """Under 2,400 GET requests a minute; half of the ends are noticed within a second."""
    ends = {f"p{n}": 1.5 + 4.0 * n / 300 for n in range(300)}
    with Predictions(ends) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        done = waiting_for(client, wire, ends)
        seconds = wire.age()
    assert all(each.status == "succeeded" for each in done)
    # Each prediction needs one request at its end; the others are the cost of polling.
    asking = wire.gets - len(ends)
    assert asking / seconds * 60 < 2400 - len(ends)
    assert statistics.median(wire.told.values()) < 1.0


def test_without_a_list_they_share_a_rate():
    ends = {f"p{n}": 1.0 for n in range(60)}
    with Predictions(ends, listed=False) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        assert len(waiting_for(client, wire, ends)) == 60
        # Beside one request for each that has ended.
        assert (wire.gets - 60) / wire.age() * 60 < 2400
    # A missing list is not requested again.
    assert len(wire.lists) == 1


class Watched(Predictions):
    """Many predictions, which end together when each was fetched so many times."""

    def __init__(self, times):
        self.times = times
        self.asked = Counter()
        self.streamed = set()
        super().__init__({f"p{n}": math.inf for n in range(21)})

    def view(self, id):
        view = super().view(id) | {"urls": {"stream": f"{self.origin}/stream/{id}"}}
        return view | {"output": ["a"]} if view["output"] else view

    def _answer(self, seen):
        if seen.path.startswith("/stream/"):
            if seen.path in self.streamed:
                return reply({"detail": "gone"}, 404)
            self.streamed.add(seen.path)
            return lambda connection: connection.sendall(HEAD + numbered("a"))
        answer = super()._answer(seen)
        if seen.path.startswith("/v1/predictions/"):
            self.asked[seen.path] += 1
            if len(self.asked) == len(self.ends) and min(self.asked.values()) >= self.times:
                self.ends = dict.fromkeys(self.ends, 0.0)
        return answer


async def progress_of(view, client):
    await client.wait(view, progress=lambda _: None, timeout=40)


async def increments_of(view, _):
    assert [each async for each in view.async_output_iterator(timeout=40)] == ["a"]


async def rest_of_stream_of(view, _):
    """The connection breaks, and another one is refused."""
    assert await view.async_stream(timeout=40).collect() == "a"


@pytest.mark.parametrize(
    ("watch", "times"), [(progress_of, 1), (increments_of, 1), (rest_of_stream_of, 2)]
)
def test_what_is_watched_is_asked_for_itself_in_a_crowd(watch, times):
    """The list shows only that a prediction has ended, and neither progress nor output."""

    async def main():
        async with replicate.AsyncReplicate("r8_x", base_url=wire.base_url) as client:
            views = [replicate.Prediction._of(wire.view(id), client._session) for id in wire.ends]
            await asyncio.gather(*(watch(view, client) for view in views))

    with Watched(times) as wire:
        asyncio.run(main())
    assert wire.lists


def test_threads_share_the_pace_too():
    ends = {f"p{n}": 2.0 for n in range(40)}
    with Predictions(ends) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        done = []

        def wait(id):
            done.append(
                client.wait(replicate.Prediction._of(wire.view(id), client._session)).status
            )

        threads = [threading.Thread(target=wait, args=(id,)) for id in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert done == ["succeeded"] * 40
    # 40 at the end, and the shared rate before.
    assert wire.gets < 40 + 30 * 4
    assert wire.lists


def test_one_alone_is_asked_for_itself(both):
    with Predictions({"p1": 0.6}) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.wait(replicate.Prediction._of(wire.view("p1"), client._session)))
    assert not wire.lists
    assert 2 <= wire.gets <= 5


def test_the_caller_s_interval_is_obeyed_exactly(both):
    """It takes precedence over the client's own pacing."""
    states = iter(["processing"] * 3 + ["succeeded"])
    moments = []

    def answer(seen):
        moments.append(time.monotonic())
        return reply(prediction(next(states)))

    with Wire(answer) as wire:
        client = both.client(wire.base_url)
        start = replicate.Prediction._of(prediction("processing"), client._session)
        both(lambda: client.wait(start, interval=0.2))
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert len(gaps) == 3
    assert all(0.2 <= gap < 0.4 for gap in gaps)


def test_a_server_that_has_little_left_is_asked_little(both):
    """By `ratelimit-remaining` and `ratelimit-reset`."""
    with Predictions(
        {"p1": 0.1}, headers="ratelimit-remaining: 0\r\nratelimit-reset: 2\r\n"
    ) as wire:
        client = both.client(wire.base_url)
        client_view = replicate.Prediction._of(wire.view("p1"), client._session)
        both(lambda: client.predictions.get("p1"))
        wire.ends["p1"] = wire.age() + 0.5
        start = time.monotonic()
        both(lambda: client.wait(client_view))
    assert time.monotonic() - start >= 2.0
    assert wire.gets == 2


def test_a_link_of_the_list_leads_nowhere_else():
    """Only the link's query is used."""
    ends = {f"p{n}": 1.5 for n in range(40)}
    with (
        Wire(lambda seen: reply({})) as elsewhere,
        Predictions(ends, page=10, links=elsewhere.origin) as wire,
    ):
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        waiting_for(client, wire, ends)
        assert not elsewhere.seen
    assert any("cursor=" in route for route in wire.lists)


def test_waiting_survives_a_fork_while_another_leads():
    done = script(
        """
        import os, sys, threading, time
        sys.path[:0] = sys.argv[1:]
        from test_polls import Predictions
        import replicate_rs as replicate

        ends = {f"p{n}": 60.0 for n in range(25)}
        wire = Predictions(ends)
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        view = lambda id: replicate.Prediction._of(wire.view(id), client._session)
        for id in ends:
            threading.Thread(target=client.wait, args=(view(id),), daemon=True).start()
        wire.until(lambda: len(wire.lists) > 0)
        wire.ends["p0"] = 0.0
        child = os.fork()
        if child == 0:
            os._exit(0 if client.wait(view("p0")).status == "succeeded" else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        os._exit(0)
        """,
        *map(str, Path(__file__).parents[:2]),
        forks_with_threads=True,
    )
    assert done.stdout == "0\n", done.stderr
