"""Webhooks for tests: signed ones, a server that receives them, and the example receivers."""

import importlib.util
import queue
import sys
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from replicate_rs import sign_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# A webhook of the tests of Standard Webhooks, signed with `SECRET`.
BODY = '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PARTS = {
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "signature": SIGNATURE,
}
HEADERS = {f"Webhook-{name.title()}": value for name, value in PARTS.items()}


def lowercase_headers(**changes):
    """Return the headers of the webhook in lower case; None leaves a header out."""
    return {
        f"webhook-{name}": value for name, value in (PARTS | changes).items() if value is not None
    }


def signed(body, *, id="msg_1", age=0, secret=SECRET):
    """Return the headers of a webhook that was sent `age` seconds ago."""
    stamp = str(int(time.time()) - age)
    return {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": sign_webhook(secret, id, stamp, body),
    }


@cache
def example(name):
    """Return one of the examples as a module; its import needs no token and no server."""
    path = Path(__file__).parents[2] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    # Django imports its routes from the module by name.
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Receiver(ThreadingHTTPServer):
    """A server that stores webhooks; it answers with the given statuses, then with 204."""

    daemon_threads = True

    def __init__(self, *statuses):
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.received = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_port}/hook?customer=1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((self.path, dict(self.headers), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args):
        pass
