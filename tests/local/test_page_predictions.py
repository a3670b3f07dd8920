"""The web page of a prediction: input, output, errors, logs and files."""

import json
import re
from typing import Any

import pytest

from support.local_page import client_of, get, post, run, start, web

pytest_plugins = "support.page_fixtures"
# Only one browser runs at a time.
pytestmark = pytest.mark.xdist_group("browser")


def test_a_prediction_s_page_shows_its_status_and_the_pictures_it_was_given_and_gave(
    browser, page_client, photo
):
    prediction = run(page_client, "mirror", {"image": photo})
    browser.open(web(prediction))
    assert (browser.says("h1"), browser.says("[role=status] .status")) == (
        "acme/mirror",
        "succeeded",
    )
    assert prediction.id in browser.says(".facts")
    browser.until("[...document.images].every(each => each.complete)")
    assert browser.all("section img", "naturalWidth") == [64, 64]
    assert (
        browser.all("section img", "alt")
        == browser.all("figcaption a")
        == ["photo.png", "output.png"]
    )
    assert browser.all("dt") == ["image"]
    assert browser("return document.title").startswith("acme/mirror")


def test_sound_is_there_to_be_played(browser, page_client):
    browser.open(web(run(page_client, "tone")))
    browser.until("document.querySelector('audio').readyState >= HTMLMediaElement.HAVE_METADATA")
    assert browser(
        "const sound = document.querySelector('audio'); return [sound.error, sound.duration,"
        " sound.controls]"
    ) == [
        None,
        0.5,
        True,
    ]
    # The browser requests ranges of the file.
    status, headers, content = get(browser.all("audio", "src")[0], Range="bytes=0-3")
    assert (status, headers["Content-Range"], content) == (206, "bytes 0-3/8044", "RIFF")


def test_the_text_of_an_iterator_is_joined_and_its_input_is_not(browser, page_client):
    browser.open(web(run(page_client, "words", {"text": ["Once ", "upon ", "a time"]})))
    assert browser.section("Output") == ["Once upon a time"]
    assert browser.all(".chips li") == ["Once", "upon", "a time"]


def test_values_are_shown_by_name_and_nested_ones_inside(browser, page_client):
    value = {
        "number": 0.5,
        "flag": True,
        "nothing": None,
        "scores": [1, 2],
        "empty": {},
        "inner": {"deep": ["x", "y"]},
    }
    browser.open(web(run(page_client, "echo", {"value": value})))
    shown = [
        "number",
        "0.5",
        "flag",
        "true",
        "nothing",
        "null",
        "scores",
        "[1, 2]",
        "empty",
        "{}",
        "inner",
        "deep",
        "x",
        "y",
    ]
    assert browser.section("Input") == ["value", *shown]
    assert browser.section("Output") == shown


def test_links_and_files_that_are_no_media_are_links(browser, page_client, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("hi")
    browser.open(
        web(
            run(
                page_client,
                "echo",
                {
                    "value": {
                        "file": notes,
                        "page": "https://example.com/a?b=1",
                        "text": "http://no url",
                    }
                },
            )
        )
    )
    assert browser.all("section a") == 2 * [
        "notes.txt",
        "https://example.com/a?b=1",
    ], "in the input and in the output"
    assert browser.all("section a", "pathname")[0].startswith("/-/files/")
    assert browser.all("section a", "download") == 2 * ["notes.txt", ""]
    assert browser.all("section a", "href")[1] == "https://example.com/a?b=1"


def test_why_a_prediction_failed_is_shown(browser, page_client, conductor):
    conductor("print", "so far so good")
    conductor("raise", "CUDA out of memory")
    prediction = start(page_client, "text")
    browser.open(web(prediction))
    browser.until_says("failed", ".status")
    assert browser.section("Output") == ["CUDA out of memory"]
    assert "so far so good" in browser.section("Logs")
    assert "RuntimeError: CUDA out of memory" in browser.section("Logs")


def test_an_unknown_prediction_is_said_to_be_unknown(browser, page_server):
    browser.allowed_messages = ("404 (Not Found)",)
    browser.open(f"{page_server.origin}/p/nothing")
    assert "There is no prediction nothing." in browser.says()
    assert browser.all("main a", "pathname") == ["/"]
    status, headers, _ = get(f"{page_server.origin}/p/nothing")
    assert (status, headers.get_content_type()) == (404, "text/html")


def test_half_a_character_can_be_shown(page_server):
    prediction = post(
        page_server, "models/acme/shout/predictions", '{"input": {"text": "half \\ud83d"}}'
    )
    for page in (prediction["urls"]["web"], page_server.origin, f"{page_server.origin}/-/requests"):
        status, _, content = get(page)
        assert (status, "half" in content) == (200, True)


def test_what_is_deep_is_shown_as_json_and_what_is_long_is_cut(page_server, page_client):
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    value = {
        "deep": deep,
        "many": [str(n) for n in range(1234)],
        "text": "é" * 123_456,
        "data": "data:x/y;base64," + "A" * 4000,
    }
    _, _, content = get(web(run(page_client, "echo", {"value": value})))
    assert "[[&#34;bottom&#34;]]" in content
    assert content.count("and 1,134 more") == 2
    assert content.count("and 23,456 characters more") == 2
    assert "A" * 150 in content
    assert "A" * 300 not in content
    assert content.count("3.0 kB") == 2


def test_a_progress_that_is_none_is_not_shown(page_server, page_client, conductor):
    prediction = start(page_client, "text")
    conductor("print", f"1%|#| {'9' * 5000}/1")
    conductor("yield", "printed")
    while not prediction.output:
        prediction.reload()
    for page in (web(prediction), page_server.origin):
        status, _, content = get(page)
        assert (status, "<progress" in content) == (200, False)
    assert "9" * 5000 in get(web(prediction))[2]
    conductor()
    prediction.wait()


def test_long_logs_are_cut_at_a_line_s_beginning(page_server, page_client, conductor):
    line = "x" * 99
    conductor("print", "\n".join(f"{n:5}{line}" for n in range(3000)))
    conductor()
    _, _, content = get(web(run(page_client, "text")))
    logs = content.partition('aria-label="Logs">')[2].partition("</pre>")[0]
    assert len(logs) <= 200_000
    assert logs.split("\n")[0][5:] == line
    assert "characters before" in content


def test_data_that_was_removed_is_said_to_be_removed(fresh, photo):
    with client_of(fresh) as client:
        prediction = run(client, "mirror", {"image": photo})
        _, _, content = get(web(prediction))
        _, picture = re.findall(r'<img src="(.*?)"', content)
        fresh.advance(hours=1, seconds=1)
    status, _, content = get(web(prediction))
    assert (status, "Its input, output and logs were removed" in content, "<img" in content) == (
        200,
        True,
        False,
    )
    assert get(f"{fresh.origin}{picture}")[0] == 404
    assert "data removed" in get(fresh.origin)[2]


def test_a_file_that_is_gone_is_not_asked_for(page_server, page_client, photo):
    file = page_client.files.create(photo)
    prediction = run(page_client, "echo", {"value": file.urls["get"]})
    assert get(web(prediction))[2].count("<img") == 2
    page_client.files.delete(file.id)
    _, _, content = get(web(prediction))
    assert "<img" not in content
    assert content.count("no longer there") == 2


def test_a_training_has_a_page_too(fresh):
    @fresh.training("acme/shout")
    def train(steps: int = 1) -> bytes:
        return b"weights"

    create = json.dumps({"input": {}, "destination": "acme/shout"})
    training = post(
        fresh, f"models/acme/shout/versions/{fresh.version('acme/shout')}/trainings", create
    )
    with client_of(fresh) as client:
        client.predictions.get(training["id"]).wait()
    _, _, content = get(f"{fresh.origin}/p/{training['id']}")
    assert "training <code>" in content
    assert "<dt>weights</dt>" in content
