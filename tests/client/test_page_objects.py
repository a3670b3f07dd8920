"""Pages: those that a client fetched, and those that a program made itself."""

import asyncio
import copy
import json
import pickle

import pytest

import replicate_rs as replicate
from replicate_rs import Hardware, Model, Page, Prediction
from support.asgi import send_request
from support.wire import Wire, reply

LISTS = {
    "predictions.list": lambda client: client.predictions.list(),
    "models.list": lambda client: client.models.list(),
    "models.search": lambda client: client.models.search("hi"),
    "models.examples.list": lambda client: client.models.examples.list("a/b"),
    "models.versions.list": lambda client: client.models.versions.list("a/b"),
    "collections.list": lambda client: client.collections.list(),
    "deployments.list": lambda client: client.deployments.list(),
    "trainings.list": lambda client: client.trainings.list(),
    "files.list": lambda client: client.files.list(),
}


def three_pages(seen):
    number = int(seen.path.partition("cursor=")[2] or 0)
    more = (
        f"https://api.replicate.com{seen.path.partition('?')[0]}?cursor={number + 1}"
        if number < 2
        else None
    )
    item = {"id": f"i{number}", "owner": "a", "name": f"n{number}", "slug": "s"}
    return reply({"results": [item], "next": more, "previous": None})


def pass_on(request, send):
    return send(request)


async def pass_on_async(request, send):
    return await send(request)


@pytest.fixture(params=["plain", "through fetch="])
def client(request, both):
    fetch = pass_on_async if both.is_async else pass_on
    with Wire(three_pages) as wire:
        yield both.client(wire.base_url, **({} if request.param == "plain" else {"fetch": fetch}))


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_walked_in_every_way(both, client, name):
    first = both(lambda: LISTS[name](client))
    assert first.has_next_page()
    second = both(first.get_next_page)
    third = both(second.get_next_page)
    assert [each["name"] for each in (first[0].dict(), second[0].dict(), third[0].dict())] == [
        "n0",
        "n1",
        "n2",
    ]
    assert type(second) is type(first)
    assert type(second[0]) is type(first[0])
    with pytest.raises(ValueError, match="this was the last"):
        both(third.get_next_page)

    async def walked():
        return [each async for each in first.auto()]

    if not both.is_async:
        assert [each.name for each in first.auto()] == ["n0", "n1", "n2"]
    # A blocking `fetch=` cannot be awaited.
    if both.is_async or client.fetch is None:
        assert [each.name for each in asyncio.run(walked())] == ["n0", "n1", "n2"]
    assert [
        page[0].dict()["name"]
        for page in both(lambda: client.paginate(lambda: LISTS[name](client)))
    ] == ["n0", "n1", "n2"]


def test_copies_of_a_page_go_on(both, client):
    page = both(client.predictions.list)
    for twin in (
        copy.copy(page),
        copy.deepcopy(page),
        page.copy(),
        page.model_copy(),
        page.copy(update={"previous": "x"}),
    ):
        assert both(twin.get_next_page)[0].id == "i1"
    assert copy.copy(page) == page.copy() == pickle.loads(pickle.dumps(page)) == page
    assert copy.deepcopy(page)[0] is not page[0]
    assert copy.copy(page)[0] is page[0]


def made(**more):
    return Page([Prediction(id="p1", status="starting", logs=None)], **more)


def test_a_page_of_a_program_s_own_that_is_the_last():
    page = made()
    assert [each.id for each in page.auto()] == [each.id for each in page] == ["p1"]
    assert not page.has_next_page()
    with pytest.raises(ValueError, match="this was the last"):
        page.get_next_page()

    async def walk():
        return [each.id async for each in page], [each.id async for each in page.auto()]

    assert asyncio.run(walk()) == (["p1"], ["p1"])


@pytest.mark.parametrize(
    "page",
    [made(next="https://x/v1/predictions?cursor=2"), pickle.loads(pickle.dumps(made(next="c")))],
)
def test_a_page_without_a_client_says_so(page):
    async def walk():
        return [each async for each in page.auto()]

    for call in (page.get_next_page, lambda: list(page.auto()), lambda: asyncio.run(walk())):
        with pytest.raises(
            ValueError, match=r"belongs to no client\. Pass its `next` to the list method"
        ):
            call()


def test_paginate_asks_a_method_whose_pages_have_no_client_for_each():
    asked_for = []

    def listing(cursor=...):
        asked_for.append(cursor)
        return made(next={...: "2", "2": "3", "3": None}[cursor])

    async def awaited(cursor=...):
        return listing(cursor)

    async def walk():
        return [page.next async for page in replicate.async_paginate(awaited)]

    assert [page.next for page in replicate.paginate(listing)] == ["2", "3", None]
    assert asyncio.run(walk()) == ["2", "3", None]
    assert asked_for == [..., "2", "3"] * 2


def test_a_page_as_data():
    page = made(next="n")
    whole = {
        "previous": None,
        "next": "n",
        "results": [{"id": "p1", "status": "starting", "logs": None}],
    }
    assert page.dict() == page.model_dump() == page.to_dict() == whole
    assert json.loads(page.json()) == json.loads(page.model_dump_json()) == whole
    assert page.json(indent=2).startswith('{\n  "previous": null')
    assert page.dict(exclude_none=True) == {
        "next": "n",
        "results": [{"id": "p1", "status": "starting"}],
    }
    assert page.dict(include={"results": {0: {"id"}}}) == {"results": [{"id": "p1"}]}
    assert page.dict(exclude={"results": {"__all__": {"logs"}}})["results"] == [
        {"id": "p1", "status": "starting"}
    ]
    assert vars(page) == dict(page) == {"previous": None, "next": "n", "results": page.results}
    assert Page.parse_obj(whole).dict() == whole
    assert Page.__fields__.keys() == {"previous", "next", "results"}
    assert Page.schema()["properties"].keys() == {"previous", "next", "results"}
    with pytest.raises(KeyError):
        page["nothing"]


def test_a_page_is_an_answer_of_fastapi():
    import fastapi

    app = fastapi.FastAPI()
    page = made(next="n")
    two = Page([Hardware(name="CPU", sku="cpu")])
    app.get("/annotated")(_returns(page, Page[Prediction]))
    app.get("/bare")(_returns(page, None))
    app.get("/two", response_model=Page)(_returns(two, None))
    app.get("/two-bare")(_returns(two, None))
    app.get("/empty")(_returns(Page([]), None))
    app.get("/dict", response_model=Page)(_returns(page.dict(), None))
    for path in ("/annotated", "/bare", "/dict"):
        assert send_request(app, "GET", path) == (200, page.dict()), path
    for path in ("/two", "/two-bare"):
        assert send_request(app, "GET", path) == (200, two.dict()), path
    assert send_request(app, "GET", "/empty") == (
        200,
        {"previous": None, "next": None, "results": []},
    )
    assert send_request(app, "GET", "/openapi.json")[0] == 200


def _returns(value, kind):
    def endpoint():
        return value

    if kind is not None:
        endpoint.__annotations__["return"] = kind
    return endpoint


def test_records_within_records_that_are_names():
    found = {
        "query": "q",
        "models": [
            {"model": {"owner": "a", "name": "b"}, "metadata": {"score": 1}},
            {"metadata": None},
            None,
        ],
        "collections": [
            {"slug": "s", "models": ["a/b", "c/d", {"owner": "e", "name": "f"}, None, "nothing"]},
            {"slug": "t"},
        ],
        "pages": [],
    }
    with Wire(lambda _: reply(found)) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url)
        result = client.search("q")
    one, other = result.collections
    assert [(type(each), each.owner, each.name, each.id) for each in one.models] == [
        (Model, "a", "b", "a/b"),
        (Model, "c", "d", "c/d"),
        (Model, "e", "f", "e/f"),
    ]
    assert [model.id for model in one] == ["a/b", "c/d", "e/f"]
    assert (len(one), one[0].url, other.models, len(other)) == (3, None, [], 0)
    assert [each.model.owner for each in result.models] == ["a", None]
    release = replicate.Deployment(
        current_release={"created_by": "acme", "configuration": "none"}
    ).current_release
    assert (release.created_by.username, release.configuration) == ("acme", None)
    assert replicate.Collection(models=5).models == []
    assert replicate.Model(latest_version="v1", default_example=[1]).latest_version is None
