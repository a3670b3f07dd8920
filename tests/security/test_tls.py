"""HTTPS: trusted or refused, and set up at the first https request only.

`tls/` has a certificate made for this.
"""

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import without_slowness
from replicate_rs import exceptions
from support.wire import prediction

HERE = Path(__file__).parent / "tls"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps(prediction()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A refused handshake is what is tested."""


@pytest.fixture(scope="module")
def secure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "cert.pem", HERE / "key.pem")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_certificate_that_nobody_vouches_for_is_refused(both, secure):
    with pytest.raises(exceptions.APIConnectionError, match="certificate") as caught:
        both(lambda: both.client(secure, max_retries=0).predictions.get("x"))
    assert "r8_secret" not in str(caught.value)


CODE = """
import asyncio, sys, time
import replicate_rs as replicate
client = replicate.Replicate("r8_x", base_url=sys.argv[1])
assert client.predictions.get("x").status == "succeeded"
assert asyncio.run(client.predictions.async_get("x")).status == "succeeded"
print("ok")
"""


def test_ssl_cert_file_says_whom_to_trust(secure):
    environment = os.environ | {"SSL_CERT_FILE": str(HERE / "cert.pem")}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", CODE, secure]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, without_slowness(done.stderr)) == (0, "ok\n", "")


def test_http_reads_no_certificates(both, local, monkeypatch, tmp_path):
    """A container without certificates can still talk to a server on its own machine."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    client = both.client(local.base_url)
    assert both(lambda: client.predictions.list()) is not None
