"""The pictures of the local server's web page: ``make screenshot``.

Needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

import replicate_rs as replicate
from models import server

DOCS = Path(__file__).parent
PHOTO = DOCS.parent / "examples" / "photo" / "astronaut.jpg"
WIDTH = 1200
# The sketch and the photograph have few colours; this halves the file.
COLOURS = 256


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks."""

    def do_POST(self) -> None:
        """Take one."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Generator[str, None, None]:
    """Listen for webhooks."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/replicate"
        http.shutdown()


@contextmanager
def chromium() -> Generator[webdriver.Chrome, None, None]:
    """Start a browser, as wide as the pictures."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(each)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    resize(driver, 800)
    yield driver
    driver.quit()


def resize(driver: webdriver.Chrome, height: int) -> None:
    """Give the page a height."""
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def take(driver: webdriver.Chrome, name: str, condition: str) -> None:
    """Save a picture of the whole page, as soon as it shows what it should."""
    WebDriverWait(driver, 10, 0.02).until(
        lambda driver: driver.execute_script(f"return {condition}")
    )
    resize(driver, driver.execute_script("return document.body.offsetHeight"))
    picture = (
        Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB").quantize(COLOURS)
    )
    picture.save(DOCS / name, optimize=True)
    resize(driver, 800)
    print(
        f"{DOCS / name}: {picture.width} x {picture.height},"
        f" {(DOCS / name).stat().st_size // 1000} kB"
    )


def run(client: replicate.Replicate, webhook: str) -> str:
    """Run some predictions; give the address of the one to show."""
    client.run(
        "acme/shout", input={"text": "hello"}, webhook=webhook, webhook_events_filter=["completed"]
    )
    client.run("acme/storyteller", input={"prompt": "a very small crab", "words": 40})
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.txt"
        notes.write_text("not a picture")
        client.predictions.create(model="acme/sketch", input={"image": notes}).wait()
    shown = client.predictions.create(
        model="acme/sketch",
        input={"image": PHOTO, "strength": 6.0},
        webhook=webhook,
        webhook_events_filter=["start", "completed"],
    )
    shown.wait()
    return str((shown.urls or {})["web"])


def main() -> None:
    """Take both."""
    with server, receiver() as webhook, chromium() as driver:
        with replicate.Replicate(api_token=server.token, base_url=server.base_url) as client:
            page = run(client, webhook)
            loaded = "[...document.images].every(each => each.complete && each.naturalWidth)"
            driver.get(page)
            take(
                driver,
                "local-page.png",
                f"{loaded} && document.querySelectorAll('tbody tr').length == 2",
            )
            driver.get(server.origin)
            client.predictions.create(model="acme/sketch", input={"image": PHOTO})
            take(
                driver,
                "local-list.png",
                f"{loaded} && /[2-9].%/.test(document.querySelector('.predictions .number').innerText)",
            )
        driver.get("about:blank")


if __name__ == "__main__":
    main()
