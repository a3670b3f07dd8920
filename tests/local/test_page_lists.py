"""The web page's lists: predictions, webhooks and requests."""

import json
import re

import pytest

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate
from support.local_page import client_of, get, receiver, run, start, web

pytest_plugins = "support.page_fixtures"
# Only one browser runs at a time.
pytestmark = pytest.mark.xdist_group("browser")


def test_webhooks_are_shown_with_their_answers(fresh, browser):
    with receiver(204) as good, receiver(500, 500, 200) as bad, client_of(fresh) as client:
        told = run(
            client,
            "shout",
            {"text": "a"},
            webhook=f"{good}/hook?x=1",
            webhook_events_filter=["start", "completed"],
        )
        retried = run(
            client, "shout", {"text": "b"}, webhook=bad, webhook_events_filter=["completed"]
        )
        refused = run(
            client,
            "shout",
            {"text": "c"},
            webhook="http://127.0.0.1:9/",
            webhook_events_filter=["start"],
        )
        browser.open(f"{fresh.origin}/-/webhooks")
        browser.until_says("500", "tbody")
        fresh.advance(seconds=0.5)
        browser.until_says("500 2 times", "tbody")
        fresh.advance(seconds=1)
        browser.until_says("200", "tbody")
        browser.until_says("refused", "tbody")
        assert [row for _, *row in browser.lines("tbody tr")] == [
            [f"start of {refused.id}", "http://127.0.0.1:9/", "Connection refused (os error 111)"],
            [f"completed of {retried.id}", bad, "500 2 times", "200"],
            [f"completed of {told.id}", f"{good}/hook?x=1", "204"],
            [f"start of {told.id}", f"{good}/hook?x=1", "204"],
        ]
        assert browser.all("td.answers .bad") == [
            "Connection refused (os error 111)",
            "500 2 times",
        ]
        browser.open(web(told))
        assert browser.section("Webhooks").count(f"{good}/hook?x=1") == 2
        assert retried.id not in browser.says()


def test_a_webhook_that_is_still_to_come_is_announced(browser, page_client, conductor):
    prediction = start(
        page_client, "text", webhook="http://127.0.0.1:9/hook", webhook_events_filter=["output"]
    )
    browser.open(web(prediction))
    browser.until_says("None yet; output will go to http://127.0.0.1:9/hook.")
    conductor()
    browser.until_says("succeeded", ".status")


def test_the_request_log_shows_requests_and_not_the_page_s_own(fresh, browser, photo):
    with client_of(fresh) as client:
        picture = run(client, "mirror", {"image": photo})
        seen = len(fresh.requests)
        for path in ("/", "/-/webhooks", "/-/requests"):
            browser.open(f"{fresh.origin}{path}")
        browser.open(web(picture))
        browser.until("[...document.images].every(each => each.complete && each.naturalWidth)")
        assert len(fresh.requests) == seen
        browser.open(f"{fresh.origin}/-/requests")
        run(client, "shout", {"text": "hello"})
        with pytest.raises(replicate.exceptions.ReplicateError):
            client.predictions.get("nothing")
    browser.until_says("404", "tbody tr:first-child")
    rows = {request: [*body, status] for _, request, *body, status in browser.lines("tbody tr")}
    assert rows["GET /v1/predictions/nothing"] == ["404"]
    (shown,) = rows["POST /v1/models/acme/shout/predictions"][:-1]
    assert shown.split(" ", 2)[:2] == ["26", "bytes"]
    assert json.loads(shown.split(" ", 2)[2]) == {"input": {"text": "hello"}}
    assert rows["POST /v1/models/acme/shout/predictions"][-1] == "201"
    assert re.fullmatch(r"\d+ bytes multipart/form-data", rows["POST /v1/files"][0])
    assert browser.all("td.bad") == ["404"]
    assert not any("pbxt" in request or "/-/" in request for request in rows)


def test_a_body_can_be_unfolded_and_stays_so(fresh, browser):
    with client_of(fresh) as client:
        run(client, "shout", {"text": "hello"})
        browser.open(f"{fresh.origin}/-/requests")
        browser("document.querySelector('details').open = true")
        assert json.loads(browser.says("details pre")) == {"input": {"text": "hello"}}
        run(client, "shout", {"text": "again"})
        browser.until_says("again")
    assert [json.loads(each)["input"]["text"] for each in browser.all("details[open] pre")] == [
        "hello"
    ]


def test_an_empty_server_shows_what_to_do(fresh, browser, monkeypatch):
    browser.open(fresh.origin)
    environment, code = browser.all("pre")
    for line in environment.removeprefix("export ").split("\nexport "):
        monkeypatch.setenv(*line.split("="))
    assert code.endswith('print(replicate.run("acme/shout", input={"text": "hello"}))')
    exec(code, {})
    browser.until_says("HELLO", ".predictions")
    for name in ("webhooks", "requests"):
        browser.open(f"{fresh.origin}/-/{name}")
        assert "None yet." in browser.says() or name == "requests"


def test_a_server_without_models_shows_how_to_make_one(browser):
    with LocalReplicate(token="r8_mine") as server:
        browser.open(server.origin)
        assert '@server.model("acme/shout")' in browser.says()
        assert "r8_mine" not in browser.says(), "a token is nobody's business"
        browser.leave()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"no JSON <b>", "no JSON &lt;b&gt;"),
        (b"[" * 5000, "[" * 5000),
        (b"[" * 300 + b"]" * 300, "[" * 300),
        (b"\xff\xfe text", "\ufffd\ufffd text"),
        (b"\x00\x01", "2 bytes application/json"),
        (b"x" * 30_000, "and 10,000 bytes more"),
    ],
)
def test_a_body_is_shown_whatever_it_is(page_server, body, shown):
    get(
        f"{page_server.base_url}/predictions",
        body,
        Authorization=f"Bearer {page_server.token}",
        **{"Content-Type": "application/json"},
    )
    status, _, content = get(f"{page_server.origin}/-/requests")
    assert (status, shown in content) == (200, True)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 900 + b"]" * 900,
        b"[" * 9_900 + b"]" * 9_900,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"[" * 400 + b",".join([b"1"] * 9_500) + b"]" * 400,
        b"[" * 400 + b",".join([b"[1]"] * 4_800) + b"]" * 400,
        b"[" + b",".join([b"1e15"] * 3_900) + b"]",
    ],
)
def test_a_body_that_is_nested_does_not_swell_the_page(fresh, body):
    for _ in range(5):
        get(
            f"{fresh.base_url}/predictions",
            body,
            Authorization=f"Bearer {fresh.token}",
            **{"Content-Type": "application/json"},
        )
    _, _, content = get(f"{fresh.origin}/-/requests")
    _, _, empty = get(f"{fresh.origin}/")
    # A quotation mark is five characters of HTML.
    assert len(content) - len(empty) < 5 * 5 * 3 * 20_000


def test_a_body_is_shown_with_line_breaks(fresh):
    body = b'{"a":[1,{"b":"c"}]}'
    get(
        f"{fresh.base_url}/predictions",
        body,
        Authorization=f"Bearer {fresh.token}",
        **{"Content-Type": "application/json"},
    )
    _, _, content = get(f"{fresh.origin}/-/requests")
    assert "{\n  &#34;a&#34;: [\n    1,\n    {\n      &#34;b&#34;: &#34;c&#34;" in content


def test_only_the_newest_of_many_are_listed(fresh):
    with client_of(fresh) as client:
        for n in range(103):
            newest = start(client, "shout", {"text": f"number {n}"})
        newest.wait()
    _, _, content = get(fresh.origin)
    assert "The newest 100 of 103." in content
    assert "NUMBER 102" in content
    assert "NUMBER 2<" not in content
    _, _, content = get(f"{fresh.origin}/-/requests")
    assert f"The newest 100 of {len(fresh.requests)}." in content
