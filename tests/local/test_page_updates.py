"""The web page updates itself while predictions run."""

import pytest
from PIL import Image
from selenium.webdriver.support.ui import WebDriverWait

from support.local_page import client_of, run, running, start, web

pytest_plugins = "support.page_fixtures"
# Only one browser runs at a time.
pytestmark = pytest.mark.xdist_group("browser")


def test_a_running_prediction_s_page_updates_itself(browser, page_client, conductor):
    prediction = start(page_client, "text")
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


def test_a_picture_stays_while_logs_come(browser, page_client, conductor):
    start_of = start(page_client, "pictures")
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
    browser, page_client, conductor
):
    prediction = start(page_client, "text")
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
    browser.allowed_messages = ("ERR_",)
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


def test_more_tabs_than_a_browser_has_connections_all_work(browser, page_server, page_client):
    windows = browser.driver.window_handles
    try:
        for _ in range(7):
            browser.driver.switch_to.new_window("tab")
            browser.open(page_server.origin)
        prediction = start(page_client, "shout", {"text": "to the last tab"})
        browser.until_says(prediction.id)
    finally:
        for each in set(browser.driver.window_handles) - set(windows):
            browser.driver.switch_to.window(each)
            browser.driver.close()
        browser.driver.switch_to.window(windows[0])
