"""Whatever a caller passes on is one segment, one value or one field, or is refused: it never
becomes another request.
"""

import json
import pathlib
import re
from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replicate_rs as replicate
from support.wire import Wire, prediction, reply

NASTY = [
    "../models",
    "..",
    ".",
    "",
    "%2e%2e",
    "%2e%2e%2fmodels",
    "%00",
    "a/b",
    "/a",
    "a\\..\\b",
    "a?b=1",
    "a#b",
    "a b",
    " a",
    "a\r\nX-Injected: y",
    "a HTTP/1.1\r\nHost: evil\r\n\r\nGET /",
    "a\nb",
    "a\0b",
    "a\x7fb",
    "a;b",
    "a:b",
    "@evil.invalid",
    "//evil.invalid/a",
    "http://evil.invalid/a",
    "ä/ö",
    "\u2028",
    "\uff0e\uff0e\uff0f",
    "\U0001d4b3",
    "\ud800",
    "a" * 5000,
]

# A page and a record at once.
ANYTHING = {**prediction(), "results": []}

SEGMENTS = {
    "/predictions/{}": lambda client, text: client.predictions.get(text),
    "/predictions/{}/cancel": lambda client, text: client.predictions.cancel(text),
    "/trainings/{}": lambda client, text: client.trainings.get(text),
    "/trainings/{}/cancel": lambda client, text: client.trainings.cancel(text),
    "/files/{}": lambda client, text: client.files.get(text),
    "/files/{}/download": lambda client, text: client.files.download(
        text, owner="a", expiry=1, signature="s"
    ),
    "/collections/{}": lambda client, text: client.collections.get(text),
    "/models/{}/m": lambda client, text: client.models.get(text, "m"),
    "/models/o/{}": lambda client, text: client.models.get("o", text),
    "/models/o/{}/": lambda client, text: client.models.get(("o", text)),
    "/models/{}/m/versions": lambda client, text: client.models.versions.list(text, "m"),
    "/models/o/m/versions/{}": lambda client, text: client.models.versions.get("o", "m", text),
    "/models/{}/m/predictions": lambda client, text: client.predictions.create(
        model=(text, "m"), input={}
    ),
    "/deployments/{}/d": lambda client, text: client.deployments.get(text, "d"),
    "/deployments/o/{}": lambda client, text: client.deployments.get("o", text),
    "/deployments/{}/d/predictions": lambda client, text: client.predictions.create(
        deployment=(text, "d"), input={}
    ),
}


@pytest.fixture
def wire():
    with Wire(lambda _: reply(ANYTHING)) as wire:
        yield wire


@pytest.fixture
def client(both, wire):
    return both.client(wire.base_url, max_retries=0)


def attempt(both, wire, call):
    """Call, and return the request that the server saw, or None if the call was refused, and then
    nothing was sent.
    """
    before = len(wire.seen)
    try:
        both(call)
    except (ValueError, TypeError):
        assert len(wire.seen) == before
        return None
    assert len(wire.seen) == before + 1
    seen = wire.seen[-1]
    assert "x-injected" not in seen.headers
    assert seen.headers["host"] == wire.origin.removeprefix("http://")
    return seen


@pytest.mark.parametrize("path", SEGMENTS)
def test_an_id_or_a_name_is_one_segment(both, wire, client, path):
    taken = 0
    for text in NASTY:
        seen = attempt(both, wire, lambda text=text: SEGMENTS[path](client, text))
        if seen is not None:
            taken += 1
            expected = "/v1" + path.removesuffix("/").format(quote(text, safe="-._~"))
            assert seen.path.partition("?")[0] == expected
    assert taken > len(NASTY) / 2


@pytest.mark.parametrize("text", ["", ".", ".."])
@pytest.mark.parametrize("path", SEGMENTS)
def test_what_would_be_another_path_is_refused(both, wire, client, path, text):
    assert attempt(both, wire, lambda: SEGMENTS[path](client, text)) is None


@pytest.fixture(scope="module")
def one_for_all():
    with Wire(lambda _: reply(ANYTHING)) as wire:
        yield wire, replicate.Replicate("r8_secret", base_url=wire.base_url, max_retries=0)


@settings(max_examples=300)
@given(
    path=st.sampled_from([*SEGMENTS]),
    text=st.text(st.characters(exclude_categories=()), max_size=40),
)
def test_any_text_is_refused_or_arrives_as_one_segment(one_for_all, path, text):
    wire, client = one_for_all
    before = len(wire.seen)
    try:
        SEGMENTS[path](client, text)
    except (ValueError, TypeError):
        assert len(wire.seen) == before
        return
    [seen] = wire.seen[before:]
    ours, shape = seen.path.partition("?")[0].split("/"), f"/v1{path.removesuffix('/')}".split("/")
    assert len(ours) == len(shape)
    assert [unquote(got) for got in ours] == [each.replace("{}", text) for each in shape]


def test_a_reference_is_two_names_or_refused(both, wire, client):
    for text in NASTY:
        for ref in (f"{text}/m", f"o/{text}"):
            seen = attempt(
                both, wire, lambda ref=ref: client.predictions.create(model=ref, input={})
            )
            if seen is not None:
                owner, _, name = ref.partition("/")
                assert seen.path == "/v1/models/{}/{}/predictions".format(
                    *(quote(each, safe="-._~") for each in (owner, name))
                )


def test_a_version_is_a_field_of_the_body(both, wire, client):
    for text in NASTY:
        seen = attempt(both, wire, lambda text=text: client.predictions.create(text, {}))
        if seen is not None:
            assert (seen.path, json.loads(seen.body)) == (
                "/v1/predictions",
                {"version": text, "input": {}},
            )


def test_the_id_that_an_answer_gives_is_one_segment(both, wire, client):
    """A record's own id comes from a server."""
    wire.script = lambda _: reply(prediction(id="../models?a=1#b\r\nX-Injected: y"))
    one = both(lambda: client.predictions.get("p1"))
    seen = attempt(both, wire, one.async_reload if both.is_async else one.reload)
    assert seen.path == "/v1/predictions/" + quote("../models?a=1#b\r\nX-Injected: y", safe="-._~")


def queries(path):
    base, _, query = path.partition("?")
    return base, parse_qsl(query, keep_blank_values=True)


def test_a_cursor_is_one_value(both, wire, client):
    for text in NASTY:
        seen = attempt(both, wire, lambda text=text: client.predictions.list(text))
        if seen is not None:
            base, query = queries(seen.path)
            assert base == "/v1/predictions"
            # Of a page's address, which this is one of, the query counts.
            assert query == (
                [("cursor", text)]
                if "://" not in text and "?" not in text
                else parse_qsl(text.partition("?")[2])
            )


def test_what_is_searched_for_is_one_value(both, wire, client):
    for text in [*NASTY, "a&limit=50", "a=b&c", "a+b"]:
        seen = attempt(both, wire, lambda text=text: client.search(text))
        if seen is not None:
            assert queries(seen.path) == ("/v1/search", [("query", text)])
        seen = attempt(both, wire, lambda text=text: client.models.search(text))
        if seen is not None:
            assert (seen.path, seen.body.decode()) == ("/v1/models", text)


def test_a_query_of_the_caller_s_is_what_it_says(both, wire, client):
    for text in [*NASTY, "a&b=c", "="]:
        seen = attempt(
            both,
            wire,
            lambda text=text: client.predictions.list(extra_query={text: text, "z": text}),
        )
        if seen is not None:
            assert queries(seen.path) == ("/v1/predictions", [(text, text), ("z", text)])


@pytest.mark.parametrize(
    "route",
    [
        "/models/../../admin",
        "/models/..",
        "/models/%2e%2e/%2e%2e/admin",
        "/models\\..\\..\\admin",
        "//evil.invalid/models",
        "\\\\evil.invalid\\models",
        "/models\r\nX-Injected: y",
        "/models HTTP/1.1\r\nX-Injected: y\r\n\r\n",
        "/models?a=1",
        "/models#a",
        "@evil.invalid/",
        "xx://../../../admin",
        "xx://../../../v1evil/models",
        "xx://../../predictions/%2e%2e/%2e%2e/%2e%2e/admin",
    ],
)
def test_a_route_stays_below_the_base(both, wire, client, route):
    seen = attempt(both, wire, lambda: client.request(route))
    if seen is not None:
        assert seen.path.startswith("/v1/")
        assert ".." not in seen.path.split("/")
        assert "%2e" not in seen.path.lower()


BROKEN = ["a\r\nX-Injected: y", "a\nX-Injected: y", "a\rb", "a\0b", "\x7f", "\ud800"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_header_s_value_that_is_none_is_refused(both, wire, client, text):
    ways = {
        "X-A": lambda: both.client(wire.base_url, headers={"X-A": text}),
        "user.agent": lambda: both.client(wire.base_url, user_agent=text),
        "X-B": lambda: client.predictions.get("x", extra_headers={"X-B": text}),
        "X-C": lambda: client.request("/models", headers={"X-C": text}),
        "content-type": lambda: client.request(
            "/models", method="POST", data=b"a", headers={"Content-Type": text}
        ),
        "Prefer": lambda: client.predictions.create("v", {}, prefer=text),
        "cancel_after": lambda: client.predictions.create("v", {}, cancel_after=text),
        "token": lambda: both.client(wire.base_url, api_token=text),
    }
    for named, call in ways.items():
        with pytest.raises((ValueError, TypeError), match=".") as caught:
            both(call)
        assert re.search(named, str(caught.value), re.IGNORECASE)
    assert wire.opened == 0


def test_a_header_s_value_beyond_ascii_is_sent_as_utf_8(both, wire, client):
    both(lambda: client.predictions.get("x", extra_headers={"X-A": "ä"}))
    assert wire.seen[0].headers["x-a"].encode("latin-1").decode() == "ä"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nX-Injected", "a\0", "ä", ":path", "a\tb"])
def test_a_header_s_name_that_is_none_is_refused(both, wire, client, name):
    for call in (
        lambda: both.client(wire.base_url, headers={name: "v"}),
        lambda: client.predictions.get("x", extra_headers={name: "v"}),
        lambda: client.request("/models", headers={name: "v"}),
    ):
        with pytest.raises(ValueError, match="header"):
            both(call)
    assert wire.opened == 0


@pytest.mark.parametrize(
    "method", ["", "GET /v1/x HTTP/1.1\r\nX-Injected: y\r\n\r\nGET", "G T", "GET\n", "GÄT"]
)
def test_a_method_that_is_none_is_refused(both, wire, client, method):
    with pytest.raises(ValueError, match="method"):
        both(lambda: client.request("/models", method=method))
    assert wire.opened == 0


FILE_NAMES = [
    'a"; name="metadata',
    "a\r\nX-Injected: y\r\n\r\nb",
    "a\nb",
    'a"\r\n--boundary',
    "a\\",
    "ä\U0001d4b3\u2028.txt",
    "a;b=c",
    "..",
    " ",
    "%22",
    "\x7f",
]


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_s_name_stays_in_its_place(both, wire, client, name):
    seen = attempt(both, wire, lambda: client.files.create(b"content", filename=name))
    assert seen is not None
    boundary = seen.headers["content-type"].partition("boundary=")[2]
    before, part, after = seen.body.split(f"--{boundary}".encode())
    assert (before, after) == (b"", b"--\r\n")
    head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    disposition, kind = head.decode().split("\r\n")
    assert content == b"content\r\n"
    found = re.fullmatch(
        r'Content-Disposition: form-data; name="content"; filename="([^"\r\n]*)"', disposition
    )
    assert found[1].replace("%22", '"') == name.replace("%22", '"').replace("\r", "%0D").replace(
        "\n", "%0A"
    )
    assert kind.startswith("Content-Type: ")


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a\0b", "a" * 300])
def test_a_file_s_name_that_is_none_is_refused(both, wire, client, name):
    with pytest.raises(ValueError, match="name"):
        both(lambda: client.files.create(b"content", filename=name))
    assert wire.opened == 0


def test_a_file_s_own_name_stays_in_its_place_too(both, wire, client, tmp_path):
    path = pathlib.Path(tmp_path, 'a"\r\nX-Injected: y')
    path.write_bytes(b"content")
    seen = attempt(both, wire, lambda: client.files.create(path))
    assert b"\r\nX-Injected" not in seen.body


@pytest.mark.parametrize("kind", ["text/plain\r\nX-Injected: y", "a\nb", "a\0"])
def test_a_file_s_type_that_is_none_is_refused(both, wire, client, kind):
    with pytest.raises(ValueError, match="content_type"):
        both(lambda: client.files.create(b"content", filename="a", content_type=kind))
    assert wire.opened == 0


@pytest.mark.parametrize("option", ["webhook", "webhook_completed"])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "javascript:a",
        "file:///etc/passwd",
        "https://",
        "https://a\r\nb",
        "https://a b",
        "https://a/\0",
    ],
)
def test_a_webhook_s_address_that_is_none_is_refused(both, wire, client, option, url):
    with pytest.raises(ValueError, match=f"{option} must be an https URL"):
        both(lambda: client.predictions.create("v", {}, **{option: url}))
    assert wire.opened == 0


@pytest.mark.parametrize(
    "rest", ["/a\r\nX-Injected: y", "/\0", "/a b", "/../..", "\\..\\admin", "/%0d%0aX: y", "/ä"]
)
def test_a_base_url_is_a_path(both, wire, rest):
    client = both.client(f"{wire.origin}{rest}")
    seen = attempt(both, wire, lambda: client.predictions.get("x"))
    assert seen.path.endswith("/v1/predictions/x")
    assert seen.path.isascii()
    assert seen.path.isprintable()


def test_a_base_url_s_host_and_port_hold_no_line_break(both, wire):
    with pytest.raises(ValueError, match="base_url"):
        both.client(f"{wire.origin}\r\nX-Injected: y")
