"""Fixtures for tests of the local server's web page.

Test modules load them with `pytest_plugins`.
"""

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service

from support.browser import CHROMEDRIVER, CHROMIUM, Browser
from support.local_page import Conductor, client_of, running


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
    messages = [
        message
        for message in browser.console_messages()
        if not any(text in message for text in browser.allowed_messages)
    ]
    browser.leave()
    # Messages about the leaving are not the test's.
    browser.console_messages()
    assert messages == []


@pytest.fixture(scope="module")
def conductors():
    return Conductor()


@pytest.fixture
def conductor(conductors):
    yield conductors
    conductors.reset()


@pytest.fixture(scope="module")
def page_server(conductors, tmp_path_factory):
    with running(conductors, tmp_path_factory.mktemp("models")) as server:
        yield server


# In a test's arguments before `browser`, so that the page is left before the server stops.
@pytest.fixture
def fresh(conductor, tmp_path):
    """A server of the test's own, without requests."""
    with running(conductor, tmp_path) as server:
        yield server


@pytest.fixture
def page_client(page_server):
    with client_of(page_server) as client:
        yield client


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 32), "teal").save(path)
    return path
