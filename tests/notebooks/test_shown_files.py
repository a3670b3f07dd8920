"""What notebooks show of output files: embedded, linked, gone; alone and many."""

import asyncio
import base64
import re
import time

import pytest

from replicate_rs import AsyncReplicate, FileOutput, Replicate
from replicate_rs._notebook import files as shown_files
from replicate_rs.notebook import async_contact_sheet, contact_sheet
from support.wire import Wire, closed_port, hang, reply

PNG = b"\x89PNG\r\n\x1a\n not really"
EMBEDDED = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture
def client():
    with Replicate("r8_secret", base_url="https://x.test", max_retries=0) as client:
        yield client


def serve(answer):
    return Wire(answer if callable(answer) else lambda _seen: answer)


def sources(html):
    return re.findall(r' src="([^"]*)"', html)


def test_a_small_image_is_embedded_and_fetched_once(client):
    with serve(reply(PNG, kind="image/png")) as host:
        output = FileOutput(f"{host.origin}/a.png", client)
        html = output._repr_html_()
        assert sources(html) == [EMBEDDED]
        assert "a.png</a>, 19 B" in html
        assert output._repr_html_() == html
        assert host.routes == ["GET /a.png"]


def test_no_link_is_faint(client):
    """At 70 % of their opacity, links have too little contrast in both themes of JupyterLab."""
    with serve(reply(b"", status=404)) as host:
        html = FileOutput(f"{host.origin}/a.png", client)._repr_html_()
    faint, _, rest = html.partition("</figcaption>")[0].rpartition("opacity")
    assert faint.count("<a ") == 2
    assert "<a " not in rest
    assert html.count("opacity") == 1


def test_a_name_without_a_type_has_that_of_its_host(client):
    with serve(reply(PNG, kind="image/PNG; q=1")) as host:
        assert sources(FileOutput(f"{host.origin}/a", client)._repr_html_()) == [EMBEDDED]


@pytest.mark.parametrize("kind", ["application/octet-stream", "binary/octet-stream"])
def test_a_host_that_knows_no_type_leaves_it_to_the_name(client, kind):
    with serve(reply(PNG, kind=kind)) as host:
        assert sources(FileOutput(f"{host.origin}/a.png", client)._repr_html_()) == [EMBEDDED]


@pytest.mark.parametrize(("name", "element"), [("a.mp3", "<audio controls"), ("a.mp4", "<video")])
def test_audio_and_video_have_controls(client, name, element):
    with serve(reply(PNG, kind="application/octet-stream")) as host:
        html = FileOutput(f"{host.origin}/{name}", client)._repr_html_()
        assert element in html
        assert sources(html)[0].startswith("data:")


def test_what_is_no_picture_is_not_fetched(client):
    with serve(reply(PNG)) as host:
        html = FileOutput(f"{host.origin}/weights.tar", client)._repr_html_()
        assert f'href="{host.origin}/weights.tar"' in html
        assert "application/x-tar" in html
        assert sources(html) == []
        assert host.seen == []


def test_a_large_file_is_a_link_with_its_size(client):
    def answer(connection):
        connection.sendall(reply(b"", kind="image/png", length=500_000_000))
        return hang(connection)

    with serve(lambda _seen: answer) as host:
        url = f"{host.origin}/a.png"
        html = FileOutput(url, client)._repr_html_()
        assert sources(html) == [url]
        assert "500.0 MB" in html
        assert "ends an hour after" in html
        host.until(lambda: host.open_now == 0)


def test_a_file_of_unknown_length_is_read_up_to_the_limit(client):
    def answer(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        while True:
            connection.sendall(bytes(100_000))

    with serve(lambda _seen: answer) as host:
        url = f"{host.origin}/a.png"
        assert sources(FileOutput(url, client)._repr_html_()) == [url]
        host.until(lambda: host.open_now == 0)


def test_all_files_of_a_display_have_a_limit(client, monkeypatch):
    monkeypatch.setattr(shown_files, "MAX_TOTAL", 3 * len(PNG))
    with serve(reply(PNG, kind="image/png")) as host:
        files = [FileOutput(f"{host.origin}/{number}.png", client) for number in range(5)]
        found = sources(contact_sheet(files)._repr_html_())
        assert found == [EMBEDDED] * 3 + [each.url for each in files[3:]]


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_says_so(client, status):
    with serve(reply({"detail": "<b>no</b>"}, status)) as host:
        html = FileOutput(f"{host.origin}/a.png", client)._repr_html_()
        assert sources(html) == []
        assert f"{host.origin}/a.png" in html
        assert "This file is gone" in html


def test_a_host_that_cannot_be_reached_is_named(client):
    html = FileOutput(f"http://127.0.0.1:{closed_port()}/a.png", client)._repr_html_()
    assert sources(html) == []
    assert "This file cannot be fetched: APIConnectionError" in html


def test_a_host_that_does_not_answer_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr(shown_files, "TIMEOUT", 0.3)
    with serve(lambda _seen: hang) as host:
        files = [FileOutput(f"{host.origin}/{number}.png", client) for number in range(40)]
        begun = time.monotonic()
        html = contact_sheet(files)._repr_html_()
        assert time.monotonic() - begun < 10
        assert sources(html) == [each.url for each in files]
        assert "it did not arrive within" in html


def test_a_closed_client_is_an_error_in_the_display(client):
    client.close()
    html = FileOutput("https://x.test/a.png", client)._repr_html_()
    assert "this client is closed" in html


def test_a_broken_fetch_is_an_error_in_the_display():
    def fetch(_request, _send):
        raise RuntimeError("<script>alert(1)</script>")

    with Replicate("r8_secret", fetch=fetch) as client:
        html = FileOutput("https://x.test/a.png", client)._repr_html_()
    assert "RuntimeError: &lt;script&gt;" in html


@pytest.mark.parametrize(
    "uri",
    ["data:image/png;base64,%%%", "data:image/png;base64", "data:,", "data:x/y;base64,A"],
)
def test_a_malformed_data_uri_does_not_raise(client, uri):
    assert "<figure" in FileOutput(uri, client)._repr_html_()


def test_a_data_uri_is_embedded_as_it_is(client):
    assert sources(FileOutput(EMBEDDED, client)._repr_html_()) == [EMBEDDED]


@pytest.mark.parametrize(
    "url",
    [
        'https://x.test/"><script>alert(1)</script>.tar',
        "https://x.test/a.tar?\"onload='alert(1)'",
        "javascript:alert(1)//.tar",
        'data:image/png"onerror="alert(1);base64,AAAA',
        "data:text/html,<script>alert(1)</script>",
    ],
)
def test_a_url_cannot_add_elements(client, url):
    html = FileOutput(url, client)._repr_html_()
    assert "<script" not in html
    assert not re.search(r"<[^>]* on\w+=", html)
    assert "javascript:" not in "".join(re.findall(r'href="([^"]*)"', html))


def test_a_media_type_cannot_add_elements(client):
    with serve(reply(PNG, kind='image/png"onerror="alert(1)')) as host:
        html = FileOutput(f"{host.origin}/a", client)._repr_html_()
    assert sources(html) == []
    assert 'onerror="' not in html


def test_credentials_in_a_url_are_not_shown(client):
    html = FileOutput("https://user:secret@x.test/a.tar", client)._repr_html_()
    assert "secret" not in html
    assert "https://x.test/a.tar" in html


def test_a_file_of_an_async_client_is_not_fetched_by_its_display():
    async def show():
        async with AsyncReplicate("r8_secret", base_url="https://x.test") as client:
            with serve(reply(PNG, kind="image/png")) as host:
                output = FileOutput(f"{host.origin}/a.png", client)
                before = output._repr_html_()
                assert host.seen == []
                sheet = await async_contact_sheet([output])
                return output, before, sheet._repr_html_(), output._repr_html_()

    output, before, sheet, after = asyncio.run(show())
    assert sources(before) == [output.url]
    assert "async_contact_sheet" in before
    assert sources(sheet) == sources(after) == [EMBEDDED]
    with pytest.raises(TypeError, match="await async_contact_sheet"):
        contact_sheet([output])


def test_a_sheet_has_captions_and_errors_and_paths(client, tmp_path):
    (tmp_path / "b.png").write_bytes(PNG)
    with serve(reply(PNG, kind="image/png")) as host:
        outputs = [
            [FileOutput(f"{host.origin}/{number}.png", client) for number in range(2)],
            ValueError("no <b>dragons</b>"),
            tmp_path / "b.png",
            {"mask": FileOutput(f"{host.origin}/mask.png", client)},
            "text",
        ]
        sheet = contact_sheet(outputs, captions=["<i>two</i>", "none", "a path", "a dict", "text"])
    html = sheet._repr_html_()
    assert sources(html) == [EMBEDDED] * 4
    assert html.count("&lt;i&gt;two&lt;/i&gt;") == 2
    assert "ValueError: no &lt;b&gt;dragons&lt;/b&gt;" in html
    assert repr(sheet) == "ContactSheet(6 files)"


def test_a_sheet_of_one_file_takes_it_alone(client):
    output = FileOutput(EMBEDDED, client)
    assert contact_sheet(output)._repr_html_() == contact_sheet([output])._repr_html_()


def test_a_sheet_shows_a_hundred_files(client):
    html = contact_sheet([FileOutput(EMBEDDED, client)] * 250)._repr_html_()
    assert html.count("<figure") == 100
    assert "and 150 more files" in html


def test_captions_are_checked(client):
    output = FileOutput(EMBEDDED, client)
    with pytest.raises(ValueError, match="one for each of the 2 outputs, not 1"):
        contact_sheet([output, output], captions=["one"])
    with pytest.raises(TypeError, match="captions must be a list of str"):
        contact_sheet([output], captions="o")
    with pytest.raises(TypeError, match="outputs must be a list of outputs"):
        contact_sheet(5)


def test_an_empty_sheet_is_empty():
    assert contact_sheet([])._repr_html_().count("<figure") == 0


def test_a_missing_path_is_named(tmp_path):
    html = contact_sheet([tmp_path / "none.png"])._repr_html_()
    assert "No such file or directory" in html
