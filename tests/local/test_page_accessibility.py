"""What holds for every page: contrast, headings, the keyboard, and its security policy."""

import pytest
from PIL import Image

from support.browser import FIND_FLAWS
from support.local_page import Conductor, client_of, get, run, running, start, web

pytest_plugins = "support.page_fixtures"
# Only one browser runs at a time.
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """URLs of all kinds of pages, with long values."""
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
    browser.allowed_messages = ("404 (Not Found)",)
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
            assert browser(FIND_FLAWS) == [], page
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
