"""Pages are iterated in the mode of their client."""

import asyncio
import inspect

import pytest

from replicate_rs import (
    AsyncReplicate,
    Page,
    Replicate,
)
from support.wire import Wire, prediction, reply


def book(pages):
    """A server of pages with two records each, whatever is listed."""

    def script(seen):
        number = int(seen.path.partition("cursor=")[2] or 0)
        following = (
            f"{wire.base_url}/predictions?cursor={number + 1}" if number + 1 < pages else None
        )
        results = [
            {**prediction(), "id": f"{number}-{n}", "owner": "o", "name": f"{number}-{n}"}
            for n in range(2)
        ]
        return reply({"results": results, "next": following})

    wire = Wire(script)
    return wire


EVERY = ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]


def test_an_awaited_page_walks_on_and_a_blocking_one_stays():
    async def main(client, list_method):
        page = await list_method()
        assert [each.id for each in page] == EVERY[:2]
        return [each.id async for each in page], [each.id async for each in await list_method()]

    with book(3) as wire:
        client = AsyncReplicate("r8_secret", base_url=wire.base_url)
        assert asyncio.run(main(client, client.predictions.list)) == (EVERY, EVERY)
        blocking = Replicate("r8_secret", base_url=wire.base_url)
        assert asyncio.run(main(blocking, blocking.predictions.async_list)) == (EVERY, EVERY)
        page = blocking.predictions.list()
        assert [each.id for each in page] == EVERY[:2]
        assert [each.id for each in page.auto()] == EVERY


def test_leaving_an_awaited_walk_closes_it():
    async def main(client):
        async for each in await client.predictions.list():
            assert each.id == "0-0"
            break

    with book(3) as wire:
        asyncio.run(main(AsyncReplicate("r8_secret", base_url=wire.base_url)))


def test_the_next_page_is_asked_for_in_the_client_s_mode(both):
    with book(2) as wire:
        client = both.client(wire.base_url)
        for list_method in (
            client.predictions.list,
            client.files.list,
            lambda: client.models.search("q"),
        ):
            page = both(list_method)
            last = both(page.get_next_page)
            assert [each.name for each in last] == EVERY[2:4]
            assert not last.has_next_page()
            assert (
                inspect.iscoroutinefunction(
                    last[0].reload if hasattr(last[0], "reload") else client.files.get
                )
                == both.is_async
            )
            with pytest.raises(ValueError, match="this was the last"):
                both(last.get_next_page)


def test_the_pages_of_a_search_are_searched_for(both):
    with book(2) as wire:
        client = both.client(wire.base_url)
        page = both(lambda: client.models.search("painting"))
        both(page.get_next_page)
        assert [(each.method, each.body) for each in wire.seen] == [("QUERY", b"painting")] * 2
        assert wire.seen[1].path == "/v1/models?cursor=1"


def test_a_page_that_a_program_made_is_walked_in_either_way():
    async def main(page):
        return [each async for each in page]

    page = Page([1, 2])
    assert asyncio.run(main(page)) == list(page) == [1, 2]
    with pytest.raises(ValueError, match="this was the last"):
        page.get_next_page()
