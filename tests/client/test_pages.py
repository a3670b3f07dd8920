"""Pages: their links, walking over all of them, and what is held meanwhile."""

import asyncio
import functools
import gc
import threading

import pytest

import replicate_rs as replicate
from replicate_rs import Page, exceptions
from support.wire import Wire, hang, prediction, reply


def book(pages, *, seen=None, origin=None):
    """A server of `pages` pages with two predictions each."""

    def script(request):
        number = int(request.path.partition("cursor=")[2] or 0)
        if seen is not None:
            seen.append(number)
        base = origin or wire.base_url
        return reply(
            {
                "results": [prediction(id=f"p{number}-{n}") for n in range(2)],
                "next": f"{base}/predictions?cursor={number + 1}" if number + 1 < pages else None,
                "previous": None,
            }
        )

    wire = Wire(script)
    return wire


def ids(count):
    return [f"p{number}-{n}" for number in range(count) for n in range(2)]


def test_auto_walks_every_item(both):
    with book(100) as wire:
        page = both(lambda: both.client(wire.base_url).predictions.list())
        assert len(page) == 2

        async def walk():
            return [each.id async for each in page.auto()]

        items = both(walk) if both.is_async else [each.id for each in page.auto()]
        assert items == ids(100)


def test_a_walk_holds_two_pages_at_most():
    most = 0
    # Pages of other tests may live as long as the process.
    others = [each for each in gc.get_objects() if isinstance(each, Page)]
    with book(20) as wire:
        for _ in replicate.Replicate(base_url=wire.base_url).predictions.list().auto():
            most = max(most, sum(isinstance(each, Page) for each in gc.get_objects()) - len(others))
    assert most <= 2


def test_paginate_gives_pages(both):
    with book(3) as wire:
        client = both.client(wire.base_url)
        pages = both(lambda: client.paginate(client.predictions.list))
        assert [[each.id for each in page] for page in pages] == [
            ["p0-0", "p0-1"],
            ["p1-0", "p1-1"],
            ["p2-0", "p2-1"],
        ]


def test_the_next_page_is_fetched_ahead_and_only_that():
    seen = []
    with book(5, seen=seen) as wire:
        items = iter(replicate.Replicate(base_url=wire.base_url).predictions.list().auto())
        assert next(items).id == "p0-0"
        wire.until(lambda: len(seen) == 2)
        assert next(items).id == "p0-1"
        assert next(items).id == "p1-0"
        wire.until(lambda: len(seen) == 3)
        assert seen == [0, 1, 2]


def test_leaving_a_walk_ends_what_was_fetched_ahead():
    def script(seen):
        if "cursor" in seen.path:
            return hang
        return reply({"results": [prediction()], "next": f"{wire.base_url}/predictions?cursor=1"})

    with Wire(script) as wire:
        items = iter(replicate.Replicate(base_url=wire.base_url).predictions.list().auto())
        next(items)
        wire.until(lambda: len(wire.seen) == 2)
        items.close()
        del items
        gc.collect()
        # The one that is kept alive, from the first page, stays.
        wire.until(lambda: wire.open_now <= 1)


def test_behind_a_gateway_pages_come_from_the_gateway(both):
    with book(3, origin="https://api.replicate.com/v1") as wire:
        client = both.client(wire.base_url)
        pages = both(lambda: client.paginate(client.predictions.list))
        assert [page[0].id for page in pages] == ["p0-0", "p1-0", "p2-0"]
        second = both(lambda: client.predictions.list(pages[0].next))
        assert second[0].id == "p1-0"


def test_pages_in_a_circle_are_an_error(both):
    def script(seen):
        return reply({"results": [prediction()], "next": f"{wire.base_url}/predictions?cursor=1"})

    with Wire(script) as wire:
        client = both.client(wire.base_url)
        with pytest.raises(exceptions.APIResponseValidationError, match="is one that came before"):
            both(lambda: client.paginate(client.predictions.list))


def test_pages_are_asked_one_by_one_as_in_2_0(both):
    with book(2) as wire:
        page = both(lambda: both.client(wire.base_url).predictions.list())
        assert page.has_next_page()
        last = both(page.async_get_next_page) if both.is_async else page.get_next_page()
        assert not last.has_next_page()
        with pytest.raises(ValueError, match="this was the last"):
            both(last.async_get_next_page) if both.is_async else last.get_next_page()


def test_an_error_on_a_later_page_is_raised_there():
    def script(seen):
        if "cursor" in seen.path:
            return reply({"detail": "gone"}, 404)
        return reply({"results": [prediction()], "next": f"{wire.base_url}/predictions?cursor=1"})

    with Wire(script) as wire:
        items = iter(replicate.Replicate(base_url=wire.base_url).predictions.list().auto())
        assert next(items).id == "p1"
        with pytest.raises(exceptions.NotFoundError, match="gone"):
            next(items)


def turning(pages, controller, wire, *, at):
    """Read pages, and abort after some of them."""
    given = []
    for page in pages:
        given.append(page[0].id)
        if len(given) == at:
            wire.until(lambda: len(wire.seen) == at + 1)
            controller.abort("enough")
    return given


def read(both, pages, controller, wire, *, at):
    """The same for a client of either kind."""
    if not both.is_async:
        return turning(pages, controller, wire, at=at)

    async def main():
        given = []
        async for page in pages:
            given.append(page[0].id)
            if len(given) == at:
                await asyncio.to_thread(wire.until, lambda: len(wire.seen) == at + 1)
                controller.abort("enough")
        return given

    return both(main)


@pytest.mark.parametrize("how", ["method", "partial", "function"])
def test_a_signal_stops_the_pages(both, how):
    with book(9) as wire:
        client, controller = both.client(wire.base_url), replicate.AbortController()
        method = {
            "method": client.predictions.list,
            "partial": functools.partial(client.predictions.list, source="web"),
            "function": lambda: client.predictions.list(),
        }[how]
        pages = client.paginate(method, signal=controller.signal)
        with pytest.raises(exceptions.AbortError, match="enough"):
            read(both, pages, controller, wire, at=2)
        assert len(wire.seen) == 3
        # Aborted beforehand, nothing is sent.
        with pytest.raises(exceptions.AbortError, match="enough"):
            both(lambda: client.paginate(method, signal=controller.signal))
        assert len(wire.seen) == 3
        with pytest.raises(TypeError, match="signal must be an AbortSignal"):
            both(lambda: client.paginate(method, signal="x"))
        assert len(both(lambda: client.paginate(method, signal=replicate.AbortController()))) == 9


@pytest.mark.parametrize("first", [True, False])
def test_a_signal_stops_the_request_for_a_page_that_does_not_come(both, first):
    def script(seen):
        if "cursor" in seen.path or first:
            return hang
        return reply({"results": [prediction()], "next": f"{wire.base_url}/predictions?cursor=1"})

    with Wire(script) as wire:
        client = both.client(wire.base_url)
        for method in (client.predictions.list, lambda: client.predictions.list()):
            if not (first and method.__name__ == "<lambda>"):
                with pytest.raises(exceptions.AbortError):
                    both(
                        lambda method=method: client.paginate(
                            method, signal=replicate.AbortSignal.timeout(0.2)
                        )
                    )


def test_many_walks_at_once():
    async def main(wire):
        client = replicate.AsyncReplicate(base_url=wire.base_url)

        async def walk():
            return [each.id async for each in (await client.predictions.list()).auto()]

        for items in await asyncio.gather(*(walk() for _ in range(20))):
            assert items == ids(6)

    with book(6) as wire:
        asyncio.run(main(wire))
        results = []
        client = replicate.Replicate(base_url=wire.base_url)
        threads = [
            threading.Thread(
                target=lambda: results.append([e.id for e in client.predictions.list().auto()])
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [ids(6)] * 8
