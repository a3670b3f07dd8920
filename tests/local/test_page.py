"""The local server's web page, in a real browser; what needs none is asked over HTTP."""

import json
import queue
import re
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

import replicate_rs as replicate
from replicate_rs.local import LocalReplicate, progress

# One browser at a time is enough of a load.
pytestmark = pytest.mark.xdist_group("browser")

CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

# Would say so if any of it ran.
EVIL = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>\"'><svg"
    " onload=window.ran=3>"
)

# In every text, whether it can be read on what is behind it; and what else is asked of every page.
FLAWS = """
const light = color => {
  const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const [r, g, b] = color.match(/[\\d.]+/g).map(each => linear(each / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = each => {
  for (; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (!color.startsWith("rgba")) return color;
  }
};
const flaws = [];
for (const each of document.body.querySelectorAll("*")) {
  if (![...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()) || !each.checkVisibility()) continue;
  const [dark, bright] = [light(getComputedStyle(each).color), light(behind(each))].sort((a, b) => a - b);
  const contrast = (bright + .05) / (dark + .05);
  if (contrast < 4.5) flaws.push(`contrast ${contrast.toFixed(2)}: ${each.outerHTML.slice(0, 80)}`);
}
let level = 0;
for (const each of document.querySelectorAll("h1, h2, h3, h4")) {
  if (+each.tagName[1] > level + 1) flaws.push(`heading ${each.textContent}`);
  level = +each.tagName[1];
}
if (document.querySelectorAll("h1").length !== 1) flaws.push("no single h1");
if (document.documentElement.lang !== "en") flaws.push("no language");
const nameless = document.querySelectorAll("img:not([alt]), :is(audio, progress, nav):not([aria-label])");
flaws.push(...[...nameless].map(each => each.outerHTML));
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) flaws.push("wider than the window");
const ids = [...document.querySelectorAll("[id]")].map(each => each.id);
if (new Set(ids).size < ids.length) flaws.push(`an id twice: ${ids}`);
return flaws;
"""


class Browser:
    """A page of the one browser."""

    def __init__(self, driver):
        self.driver = driver
        # What its console may say.
        self.may_say = ()

    def open(self, url):
        self.driver.get(url)
        self("window.mark = 1")

    def __call__(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition, *arguments):
        """Wait for an expression to be true; everything that was waited for has come without
        loading the page again.
        """
        script = f"return {condition}"
        message = f"never came: {condition} {arguments}"
        wait = WebDriverWait(self.driver, 10, poll_frequency=0.02)
        result = wait.until(lambda driver: driver.execute_script(script, *arguments), message)
        assert self("return window.mark") == 1, "the page was loaded again"
        return result

    def until_says(self, text, css="main"):
        self.until(
            "document.querySelector(arguments[1])?.innerText.includes(arguments[0])", text, css
        )

    def says(self, css="main"):
        return self("return document.querySelector(arguments[0])?.innerText", css)

    def all(self, css, property="innerText"):
        return self(
            "return [...document.querySelectorAll(arguments[0])].map(each => each[arguments[1]])",
            css,
            property,
        )

    def lines(self, css):
        """The lines of each of these elements."""
        return [
            [line.strip() for line in re.split(r"[\n\t]", each) if line.strip()]
            for each in self.all(css)
        ]

    def section(self, name):
        """The lines under a heading."""
        return next(lines for heading, *lines in self.lines("section") if heading == name)

    def leave(self):
        self.driver.get("about:blank")

    def complaints(self):
        return [each["message"] for each in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def driver():
    if not (CHROMIUM.exists() and CHROMEDRIVER.exists()):
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--mute-audio"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver):
    browser = Browser(driver)
    yield browser
    with pytest.raises(NoAlertPresentException):
        driver.switch_to.alert
    complaints = [
        each for each in browser.complaints() if not any(said in each for said in browser.may_say)
    ]
    browser.leave()
    browser.complaints()
    assert complaints == []


class Conductor:
    """What the models of a test do next: `print`, `progress`, `yield`, `raise`; or end."""

    def __init__(self):
        self.orders = queue.Queue()

    def play(self):
        orders = self.orders
        while (order := orders.get(timeout=20)) is not None:
            what, value = order
            if what == "print":
                print(value)
            elif what == "progress":
                progress(*value)
            elif what == "raise":
                raise RuntimeError(value)
            else:
                yield value

    def __call__(self, what=None, value=None):
        self.orders.put(what and (what, value))

    def forget(self):
        """End what plays, and begin anew."""
        self()
        self.orders = queue.Queue()


def offer(server, conductor, folder):
    """Let a server offer models of every kind."""

    @server.model("acme/shout")
    def shout(text: str) -> str:
        return text.upper()

    @server.model("acme/mirror")
    def mirror(image: Path) -> Image.Image:
        """Swap left and right."""
        return Image.open(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    @server.model("acme/tone")
    def tone(rate: int = 8000) -> Path:
        with wave.open(str(folder / "tone.wav"), "wb") as sound:
            sound.setparams((1, 2, rate, 0, "NONE", ""))
            sound.writeframes(bytes(rate))
        return folder / "tone.wav"

    @server.model("acme/words")
    def words(text: list[str]) -> Iterator[str]:
        yield from text

    @server.model("acme/echo")
    def echo(value: Any) -> Any:
        return value

    @server.model("acme/text")
    def text() -> Iterator[str]:
        yield from conductor.play()

    @server.model("acme/pictures")
    def pictures() -> Iterator[Image.Image]:
        yield from conductor.play()


@contextmanager
def running(conductor, folder):
    server = LocalReplicate()
    offer(server, conductor, folder)
    with server:
        yield server


@pytest.fixture(scope="module")
def conductors():
    return Conductor()


@pytest.fixture
def conductor(conductors):
    yield conductors
    conductors.forget()


@pytest.fixture(scope="module")
def server(conductors, tmp_path_factory):
    with running(conductors, tmp_path_factory.mktemp("models")) as server:
        yield server


# Before the browser among a test's arguments: the page is left, then the server stops.
@pytest.fixture
def fresh(conductor, tmp_path):
    """A server of its own, which has seen nothing."""
    with running(conductor, tmp_path) as server:
        yield server


@contextmanager
def client_of(server):
    with replicate.Replicate(
        api_token=server.token, base_url=server.base_url, poll_interval=0.01
    ) as client:
        yield client


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 32), "teal").save(path)
    return path


def start(client, name, input=None, **more):
    return client.predictions.create(model=f"acme/{name}", input=input or {}, **more)


def run(client, name, input=None, **more):
    prediction = start(client, name, input, **more)
    prediction.wait()
    return prediction


def web(prediction):
    return prediction.urls["web"]


def get(url, body=None, **headers):
    try:
        with urlopen(Request(url, body, headers)) as response:
            return response.status, response.headers, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def post(server, path, body, type="application/json"):
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": type, "Prefer": "wait"}
    with urlopen(Request(f"{server.base_url}/{path}", body.encode(), headers)) as response:
        return json.load(response)


@contextmanager
def receiver(*answers):
    """Takes webhooks; gives each of these answers, and the last one from then on."""
    left = list(answers)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


# One prediction


def test_a_prediction_s_page_shows_its_status_and_the_pictures_it_was_given_and_gave(
    browser, client, photo
):
    prediction = run(client, "mirror", {"image": photo})
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


def test_sound_is_there_to_be_played(browser, client):
    browser.open(web(run(client, "tone")))
    browser.until("document.querySelector('audio').readyState >= HTMLMediaElement.HAVE_METADATA")
    assert browser(
        "const sound = document.querySelector('audio'); return [sound.error, sound.duration,"
        " sound.controls]"
    ) == [
        None,
        0.5,
        True,
    ]
    # The browser asks for the parts it needs.
    status, headers, content = get(browser.all("audio", "src")[0], Range="bytes=0-3")
    assert (status, headers["Content-Range"], content) == (206, "bytes 0-3/8044", "RIFF")


def test_the_text_of_an_iterator_is_joined_and_its_input_is_not(browser, client):
    browser.open(web(run(client, "words", {"text": ["Once ", "upon ", "a time"]})))
    assert browser.section("Output") == ["Once upon a time"]
    assert browser.all(".chips li") == ["Once", "upon", "a time"]


def test_values_are_shown_by_name_and_nested_ones_inside(browser, client):
    value = {
        "number": 0.5,
        "flag": True,
        "nothing": None,
        "scores": [1, 2],
        "empty": {},
        "inner": {"deep": ["x", "y"]},
    }
    browser.open(web(run(client, "echo", {"value": value})))
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


def test_links_and_files_that_are_no_media_are_links(browser, client, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("hi")
    browser.open(
        web(
            run(
                client,
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


def test_why_a_prediction_failed_is_shown(browser, client, conductor):
    conductor("print", "so far so good")
    conductor("raise", "CUDA out of memory")
    prediction = start(client, "text")
    browser.open(web(prediction))
    browser.until_says("failed", ".status")
    assert browser.section("Output") == ["CUDA out of memory"]
    assert "so far so good" in browser.section("Logs")
    assert "RuntimeError: CUDA out of memory" in browser.section("Logs")


# Live


def test_a_running_prediction_s_page_updates_itself(browser, client, conductor):
    prediction = start(client, "text")
    browser.open(web(prediction))
    browser.until_says("processing", ".status")
    assert "None yet." in browser.section("Logs")
    conductor("progress", (1, 4))
    browser.until_says("25%", ".facts")
    assert browser("return document.querySelector('progress').position") == 0.25
    assert browser("return document.title").startswith("25% acme/text")
    conductor("print", "loading weights")
    conductor("yield", "Once ")
    browser.until_says("loading weights")
    browser.until_says("Once")
    conductor("yield", "upon")
    browser.until_says("Once upon")
    conductor()
    browser.until_says("succeeded", ".status")
    assert browser.all("progress") == []
    assert browser("return document.title").startswith("acme/text")
    assert "ran for" in browser.says(".facts")


def test_a_picture_stays_while_logs_come(browser, client, conductor):
    start_of = start(client, "pictures")
    conductor("yield", Image.new("RGB", (8, 8), "teal"))
    browser.open(web(start_of))
    browser.until("document.images[0]?.naturalWidth == 8")
    browser("document.images[0].mark = 1")
    conductor("print", "one more")
    browser.until_says("one more")
    conductor("yield", Image.new("RGB", (9, 9), "teal"))
    browser.until("document.images[1]?.naturalWidth == 9")
    conductor()
    browser.until_says("succeeded", ".status")
    assert browser("return [...document.images].map(each => each.mark)") == [1, None]


def test_logs_are_followed_unless_they_are_being_read_and_a_selection_stays(
    browser, client, conductor
):
    prediction = start(client, "text")
    conductor("print", "\n".join(f"line {n}" for n in range(200)))
    browser.open(web(prediction))
    logs = "document.querySelector('pre')"
    at_the_end = (
        f"{logs} && {logs}.scrollTop > 0 && {logs}.scrollHeight - {logs}.scrollTop -"
        f" {logs}.clientHeight < 2"
    )
    browser.until(at_the_end)
    conductor("print", "the next")
    browser.until_says("the next", "pre")
    assert browser(f"return {at_the_end}")
    browser(
        f"{logs}.scrollTop = 50; getSelection().setBaseAndExtent({logs}.firstChild, 0,"
        f" {logs}.firstChild, 6)"
    )
    conductor("print", "the last")
    browser.until_says("the last", "pre")
    assert browser(f"return [{logs}.scrollTop, getSelection().toString()]") == [50, "line 0"]
    conductor()
    browser.until_says("succeeded", ".status")


def test_the_list_shows_what_each_prediction_is_and_came_to(fresh, browser, conductor, photo):
    with client_of(fresh) as client:
        browser.open(fresh.origin)
        run(client, "mirror", {"image": photo})
        run(client, "shout", {"text": "hello"})
        conductor("raise", "no such luck")
        failed = start(client, "text")
        browser.until_says("no such luck", ".predictions li:first-child")
        conductor("progress", (1, 2))
        busy = start(client, "text")
        browser.until_says("50%", ".predictions li:first-child")
        conductor()
        browser.until_says("succeeded", ".predictions li:first-child")
    models = [each.split()[0] for each in browser.all(".predictions a")]
    assert models == ["acme/text", "acme/text", "acme/shout", "acme/mirror"]
    assert browser.all(".predictions a", "href")[:2] == [web(busy), web(failed)]
    assert browser.all(".status") == ["succeeded", "failed", "succeeded", "succeeded"]
    assert browser.lines(".predictions li")[2][2:5] == ["text: hello", "HELLO", "succeeded"]
    browser.until("document.images[0]?.naturalWidth == 64")
    assert "image: photo.png" in browser.lines(".predictions li")[3]
    browser("document.querySelector('.predictions a').click()")
    WebDriverWait(browser.driver, 10, 0.02).until(lambda driver: driver.current_url == web(busy))


def test_a_page_says_that_its_server_is_gone_and_goes_on_when_it_is_back(
    browser, tmp_path, conductor
):
    browser.may_say = ("ERR_",)
    with running(conductor, tmp_path) as server:
        with client_of(server) as client:
            run(client, "shout", {"text": "hello"})
        browser.open(server.origin)
        browser.until_says("HELLO")
        assert not browser("return document.getElementById('lost').checkVisibility()")
    browser.until("document.getElementById('lost').checkVisibility()")
    assert "HELLO" in browser.says()
    with server:
        browser.until("!document.getElementById('lost').checkVisibility()")
        browser.until_says("None yet")
        browser.leave()


def test_more_tabs_than_a_browser_has_connections_all_work(browser, server, client):
    windows = browser.driver.window_handles
    try:
        for _ in range(7):
            browser.driver.switch_to.new_window("tab")
            browser.open(server.origin)
        prediction = start(client, "shout", {"text": "to the last tab"})
        browser.until_says(prediction.id)
    finally:
        for each in set(browser.driver.window_handles) - set(windows):
            browser.driver.switch_to.window(each)
            browser.driver.close()
        browser.driver.switch_to.window(windows[0])


# Webhooks and requests


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


def test_a_webhook_that_is_still_to_come_is_announced(browser, client, conductor):
    prediction = start(
        client, "text", webhook="http://127.0.0.1:9/hook", webhook_events_filter=["output"]
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


# What is there when there is nothing


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


def test_an_unknown_prediction_is_said_to_be_unknown(browser, server):
    browser.may_say = ("404 (Not Found)",)
    browser.open(f"{server.origin}/p/nothing")
    assert "There is no prediction nothing." in browser.says()
    assert browser.all("main a", "pathname") == ["/"]
    status, headers, _ = get(f"{server.origin}/p/nothing")
    assert (status, headers.get_content_type()) == (404, "text/html")


# What users write


def evil_addresses(server):
    script = "javascript:window.ran=4"
    return [
        script,
        f" {script}",
        "data:text/html,<script>window.ran=5</script>",
        f"{server.output_origin}/pbxt/x/'onerror=window.ran=6.png",
    ]


def test_nothing_that_users_write_runs_or_becomes_markup(fresh, browser, conductor):
    value = {
        EVIL: EVIL,
        "list": [EVIL, *evil_addresses(fresh)],
        "page": f"https://example.com/{EVIL.replace(' ', '')}",
    }
    with receiver(204) as url, client_of(fresh) as client:
        written = run(client, "echo", {"value": value}, webhook=f"{url}/?{EVIL}".replace(" ", ""))
        live = start(client, "text")
        get(f"{fresh.base_url}/%3Cscript%3Ewindow.ran=7%3C/script%3E?<script>window.ran=8</script>")
        browser.open(web(live))
        for what in ("print", "yield", "raise"):
            conductor(what, EVIL)
        browser.until_says("failed", ".status")
        for page in (
            web(live),
            web(written),
            fresh.origin,
            f"{fresh.origin}/-/webhooks",
            f"{fresh.origin}/-/requests",
        ):
            if page != web(live):
                browser.open(page)
            browser.until_says("window.ran")
            browser.until("[...document.images].every(each => each.complete)")
            assert (
                browser.all("main script, main svg, main [onerror], main [onload]", "outerHTML")
                == []
            )
            assert browser("return window.ran") is None
            schemes = "return [...document.querySelectorAll('a')].map(each => each.protocol)"
            assert set(browser(schemes)) <= {"http:", "https:"}
    assert browser.all("main img", "outerHTML") == []


def test_a_name_that_is_markup_is_shown_as_it_is(browser, server):
    browser.may_say = ("404 (Not Found)",)
    browser.open(f"{server.origin}/p/%3Cimg%20src=x%20onerror=window.ran=1%3E")
    assert "<img src=x onerror=window.ran=1>" in browser.says()
    assert browser("return window.ran") is None


def test_markup_that_got_in_nevertheless_would_not_run(browser, server):
    browser.may_say = ("Content Security Policy",)
    browser.open(server.origin)
    browser("""
        window.blocked = [];
        document.addEventListener("securitypolicyviolation", each => window.blocked.push(each.violatedDirective));
        const markup = `<img src="data:," onerror="window.ran = 1"><a id="bad" href="javascript:window.ran = 2">`;
        document.body.insertAdjacentHTML("beforeend", markup);
        for (const script of [{textContent: "window.ran = 3"}, {src: "data:text/javascript,window.ran = 4"}]) {
          document.body.append(Object.assign(document.createElement("script"), script));
        }
        document.getElementById("bad").click();
        """)
    browser.until("window.blocked.length >= 4")
    assert {
        each.removesuffix("-attr").removesuffix("-elem")
        for each in browser("return window.blocked")
    } == {"script-src"}
    assert browser("return window.ran") is None


def test_a_file_of_anybody_s_cannot_run_on_the_page_s_origin(browser, client, tmp_path, server):
    browser.may_say = ("sandbox", "Content Security Policy")
    drawing = tmp_path / "drawing.svg"
    drawing.write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='5'"
        " height='5'><script>document.documentElement.id = 'ran'</script></svg>"
    )
    page = tmp_path / "page.html"
    page.write_text("<script>window.ran = 1</script>")
    browser.open(web(run(client, "echo", {"value": [drawing, page]})))
    browser.until("document.images[0]?.naturalWidth == 5")
    address, *_ = browser.all("section a", "href")
    browser.driver.get(address)
    assert browser(
        "return [document.documentElement.nodeName, document.documentElement.id, self.origin]"
    ) == ["svg", "", "null"]
    browser.driver.back()
    link = next(each for each in browser.all("section a", "href") if each != address)
    _, headers, _ = get(link)
    assert headers["Content-Type"] == "application/octet-stream", "a browser would show a page"
    assert "sandbox" in headers["Content-Security-Policy"]


# What every page is


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The pages of a server with something of everything."""
    conductor = Conductor()
    folder = tmp_path_factory.mktemp("full")
    photo = folder / "photo.png"
    Image.new("RGB", (64, 32), "teal").save(photo)
    long = "x" * 3000
    with running(conductor, folder) as server, client_of(server) as client:
        conductor("progress", (1, 2))
        conductor("print", long)
        busy = start(client, "text")
        mirrored = run(client, "mirror", {"image": photo})
        values = {
            "list": [photo, photo],
            long: long,
            "deep": {"deep": {"deep": [long]}},
            "url": f"https://example.com/{long}",
        }
        every = run(client, "echo", {"value": values}, webhook=f"http://127.0.0.1:9/{long}")
        conductor()
        busy.wait()
        conductor("raise", long)
        failed = start(client, "text")
        failed.wait()
        canceled = start(client, "pictures")
        canceled.cancel()
        conductor()
        tone = run(client, "tone")
        get(f"{server.base_url}/{long}?{long}")
        paths = ["/", "/-/webhooks", "/-/requests", "/p/nothing"]
        yield [f"{server.origin}{path}" for path in paths] + [
            web(each) for each in (busy, mirrored, every, failed, canceled, tone)
        ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 400)])
def test_every_page_can_be_read(browser, full, scheme, width):
    browser.may_say = ("404 (Not Found)",)
    command = browser.driver.execute_cdp_cmd
    command(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    command(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    try:
        for page in full:
            browser.open(page)
            assert browser(FLAWS) == [], page
    finally:
        command("Emulation.clearDeviceMetricsOverride", {})
        command("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_can_be_used_with_the_keyboard(browser, full):
    browser.open(full[0])
    reached = []
    for _ in range(4):
        browser.driver.switch_to.active_element.send_keys("\ue004")  # Tab
        reached.append(browser("return document.activeElement.innerText.split(' ')[0]"))
        assert browser("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["Predictions", "Webhooks", "Requests", "acme/tone"]


# Without a browser


def test_a_page_allows_only_its_own_script_and_style(full):
    for page in full:
        _, headers, content = get(page)
        policy = dict(each.split(" ", 1) for each in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["connect-src"] == "'self'"
        assert all("unsafe" not in each for each in policy.values())
        assert policy["script-src"].startswith("'sha256-")
        assert headers["Cache-Control"] == "no-store"
        assert content.count("<script") == content.count("<style") == 1


def test_what_users_write_is_escaped(server, client):
    prediction = run(client, "shout", {"text": "<b>&\"'"})
    _, _, content = get(web(prediction))
    assert content.count("&lt;b&gt;&amp;&#34;&#39;") == 1, "in the input"
    assert "&lt;B&gt;" in content
    assert "<b>" not in content.lower()


def test_half_a_character_can_be_shown(server):
    prediction = post(
        server, "models/acme/shout/predictions", '{"input": {"text": "half \\ud83d"}}'
    )
    for page in (prediction["urls"]["web"], server.origin, f"{server.origin}/-/requests"):
        status, _, content = get(page)
        assert (status, "half" in content) == (200, True)


def test_what_is_deep_is_shown_as_json_and_what_is_long_is_cut(server, client):
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    value = {
        "deep": deep,
        "many": [str(n) for n in range(1234)],
        "text": "é" * 123_456,
        "data": "data:x/y;base64," + "A" * 4000,
    }
    _, _, content = get(web(run(client, "echo", {"value": value})))
    assert "[[&#34;bottom&#34;]]" in content
    assert content.count("and 1,134 more") == 2
    assert content.count("and 23,456 characters more") == 2
    assert "A" * 150 in content
    assert "A" * 300 not in content
    assert content.count("3.0 kB") == 2


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
def test_a_body_is_shown_whatever_it_is(server, body, shown):
    get(
        f"{server.base_url}/predictions",
        body,
        Authorization=f"Bearer {server.token}",
        **{"Content-Type": "application/json"},
    )
    status, _, content = get(f"{server.origin}/-/requests")
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
    # Each quotation mark is five characters of HTML.
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


def test_a_progress_that_is_none_is_not_shown(server, client, conductor):
    prediction = start(client, "text")
    conductor("print", f"1%|#| {'9' * 5000}/1")
    conductor("yield", "printed")
    while not prediction.output:
        prediction.reload()
    for page in (web(prediction), server.origin):
        status, _, content = get(page)
        assert (status, "<progress" in content) == (200, False)
    assert "9" * 5000 in get(web(prediction))[2]
    conductor()
    prediction.wait()


@pytest.mark.parametrize(
    "type", ["audio/x\r\nX-Evil: 1", "image/svg+xmlé", "text/html", "video/mp4; codecs=é", ""]
)
def test_a_type_that_a_user_made_up_is_not_passed_on(server, client, type):
    parts = [f'"type"\r\n\r\n{type}', '"content"; filename="file"\r\n\r\nhi']
    body = "".join(f"--x\r\nContent-Disposition: form-data; name={each}\r\n" for each in parts)
    file = post(server, "files", f"{body}--x--\r\n", "multipart/form-data; boundary=x")
    prediction = run(client, "echo", {"value": file["urls"]["get"]})
    address = re.findall(r'(?:src|href)="(/-/files/.*?)"', get(web(prediction))[2])[0]
    status, headers, content = get(f"{server.origin}{address}")
    assert (status, content, headers["X-Evil"]) == (200, "hi", None)
    assert headers["Content-Type"] in (
        "audio/x",
        "image/svg+xml",
        "video/mp4",
        "application/octet-stream",
    )


def test_long_logs_are_cut_at_a_line_s_beginning(server, client, conductor):
    line = "x" * 99
    conductor("print", "\n".join(f"{n:5}{line}" for n in range(3000)))
    conductor()
    _, _, content = get(web(run(client, "text")))
    logs = content.partition('aria-label="Logs">')[2].partition("</pre>")[0]
    assert len(logs) <= 200_000
    assert logs.split("\n")[0][5:] == line
    assert "characters before" in content


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


def test_a_file_that_is_gone_is_not_asked_for(server, client, photo):
    file = client.files.create(photo)
    prediction = run(client, "echo", {"value": file.urls["get"]})
    assert get(web(prediction))[2].count("<img") == 2
    client.files.delete(file.id)
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
