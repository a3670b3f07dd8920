"""Create the docs' screenshots of the local server's web pages, for ``make screenshot``.

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
HEIGHT = 800
# The pages show few colours: a palette halves the size of the file.
MAX_COLOURS = 256


class Receiver(BaseHTTPRequestHandler):
    """Accepts webhooks."""

    def do_POST(self) -> None:
        """Accept a webhook."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


@contextmanager
def receiver() -> Generator[str, None, None]:
    """Serve a receiver of webhooks; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver_server:
        Thread(target=receiver_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{receiver_server.server_port}/replicate"
        receiver_server.shutdown()


@contextmanager
def chromium() -> Generator[webdriver.Chrome, None, None]:
    """Start a browser, with the width of the screenshots."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    resize(driver, HEIGHT)
    yield driver
    driver.quit()


def resize(driver: webdriver.Chrome, height: int) -> None:
    """Set the height of the page, in pixels."""
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def save_screenshot(driver: webdriver.Chrome, name: str, condition: str) -> None:
    """Save a screenshot of the whole page, as soon as a JavaScript condition holds."""
    WebDriverWait(driver, 10, 0.02).until(
        lambda driver: driver.execute_script(f"return {condition}")
    )
    resize(driver, driver.execute_script("return document.body.offsetHeight"))
    image = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    path = DOCS / name
    image.quantize(MAX_COLOURS).save(path, optimize=True)
    resize(driver, HEIGHT)
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size // 1000} kB")


def run_predictions(client: replicate.Replicate, webhook: str) -> str:
    """Run some predictions, one of which fails; return the URL of the page of the last one."""
    client.run(
        "acme/shout", input={"text": "hello"}, webhook=webhook, webhook_events_filter=["completed"]
    )
    client.run("acme/storyteller", input={"prompt": "a very small crab", "words": 40})
    with tempfile.TemporaryDirectory() as directory:
        notes = Path(directory) / "notes.txt"
        notes.write_text("not an image")
        client.predictions.create(model="acme/sketch", input={"image": notes}).wait()
    prediction = client.predictions.create(
        model="acme/sketch",
        input={"image": PHOTO, "strength": 6.0},
        webhook=webhook,
        webhook_events_filter=["start", "completed"],
    )
    prediction.wait()
    return str((prediction.urls or {})["web"])


def main() -> None:
    """Save the screenshots of a prediction's page and of the list."""
    with server, receiver() as webhook, chromium() as driver:
        with replicate.Replicate(api_token=server.token, base_url=server.base_url) as client:
            has_images = "[...document.images].every(image => image.complete && image.naturalWidth)"
            driver.get(run_predictions(client, webhook))
            has_both_webhooks = "document.querySelectorAll('tbody tr').length == 2"
            save_screenshot(driver, "local-page.png", f"{has_images} && {has_both_webhooks}")
            driver.get(server.origin)
            client.predictions.create(model="acme/sketch", input={"image": PHOTO})
            has_progress = (
                "/[2-9].%/.test(document.querySelector('.predictions .number').innerText)"
            )
            save_screenshot(driver, "local-list.png", f"{has_images} && {has_progress}")
        driver.get("about:blank")


if __name__ == "__main__":
    main()
