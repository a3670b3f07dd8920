"""Webhooks signed as Replicate signs them, and their receivers."""

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
    """Return an example as a module; importing it sends no request."""
    path = Path(__file__).parents[2] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    # Django looks up its routes by the module's name.
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Receiver(ThreadingHTTPServer):
    """A receiver of webhooks, which answers with the given statuses, and then with 204."""

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
