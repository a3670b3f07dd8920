"""The command ``python -m replicate_rs.local``: serves the models of a file, records or replays."""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import CassetteError, LocalReplicate
from .addresses import WILDCARDS, to_authority
from .cassettes.options import Recording
from .loading import LoadError, load

DEFAULT_PORT = 8787


class Options(NamedTuple):
    """Options of the command that replace those of the server in the file."""

    host: str
    token: str | None
    public_url: str | None
    public_output_url: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C, and return the exit status."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if (parsed.app is None) == (parsed.record is None and parsed.replay is None):
        parser.error("give a file with models, or --record, or --replay")
    if parsed.reload and parsed.app is None:
        parser.error("--reload is for a file with models")
    try:
        # Loading before listening reports errors in the file at once.
        server = None if parsed.reload else _create_server(parsed)
        # A server without models checks the addresses and opens the sockets.
        listener = LocalReplicate(
            host=parsed.host,
            port=parsed.port,
            output_port=parsed.output_port,
            public_url=parsed.public_url,
            public_output_url=parsed.public_output_url,
        )
        sockets = listener.listen()
    except (CassetteError, LoadError, OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        print(f"replicate_rs.local: {text}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    options = Options(listener.host, parsed.token, listener.public_url, listener.public_output_url)
    if server is None:
        _serve_with_reload(partial(_load_and_serve, parsed.app, options), sockets)
        return 0
    try:
        _serve(server, options, sockets)
    except CassetteError as error:
        print(f"replicate_rs.local: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


def _create_server(parsed: argparse.Namespace) -> LocalReplicate:
    if parsed.app is not None:
        return load(parsed.app, Path(), is_alone=True)
    return LocalReplicate(
        record=parsed.record,
        upstream=parsed.upstream,
        redact=parsed.redact,
        replay=parsed.replay,
        at_once=parsed.at_once,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m replicate_rs.local",
        description="Serve models, which are Python functions, through Replicate's API;"
        " or record the API, or replay recordings.",
    )
    parser.add_argument(
        "app",
        nargs="?",
        help="a file with a LocalReplicate, such as app.py, or a module; or either :name",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help="the port of the API and the web page; 0: a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--output-port",
        type=int,
        default=0,
        help="the port of output files and streams (default: a free one)",
    )
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="the API's address in the URLs of responses (default: that of the request)",
    )
    parser.add_argument(
        "--public-output-url",
        metavar="URL",
        help="the address of output files and streams in the URLs of responses",
    )
    parser.add_argument("--token", help="the API token to accept (default: the server's own)")
    parser.add_argument(
        "--record",
        metavar="FOLDER",
        help="pass requests on to the upstream, and record them in this folder",
    )
    parser.add_argument(
        "--upstream", metavar="URL", help="the API for --record (default: Replicate's)"
    )
    parser.add_argument(
        "--redact",
        metavar="NAME",
        action="append",
        default=[],
        help="a header, field or query parameter whose values --record leaves out",
    )
    parser.add_argument(
        "--replay", metavar="FOLDER", help="answer requests from the recordings in this folder"
    )
    parser.add_argument(
        "--at-once", action="store_true", help="replay streams without their pauses"
    )
    parser.add_argument("--reload", action="store_true", help="restart when a Python file changes")
    return parser


def _serve(server: LocalReplicate, options: Options, sockets: list[socket.socket]) -> None:
    server.host = options.host
    if options.token is not None:
        server.tokens = [options.token]
    if options.public_url is not None:
        server.public_url = options.public_url
    if options.public_output_url is not None:
        server.public_output_url = options.public_output_url
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server.start(sockets)
    with contextlib.suppress(KeyboardInterrupt):
        _print_addresses(server)
        threading.Event().wait()
    server.stop()


def _print_addresses(server: LocalReplicate) -> None:
    lines = [f"local Replicate: {server.origin}"]
    if server.host in WILDCARDS and server.public_url is None:
        lines.append(f"elsewhere: http://{to_authority(socket.gethostname(), server.port)}")
    cassette = server._cassette
    lines += [f"  {each}" for each in ([cassette] if cassette else server.models)]
    lines += ["", f"export REPLICATE_BASE_URL={server.origin}"]
    if not isinstance(cassette, Recording):
        lines.append(f"export REPLICATE_API_TOKEN={server.token or 'any'}")
    print("\n".join(lines), flush=True)  # noqa: T201 - a command


def _serve_with_reload(serve: partial[None], sockets: list[socket.socket]) -> None:
    from uvicorn import Config
    from uvicorn.supervisors import ChangeReload

    # Of uvicorn, only the supervisor is used, which watches the working directory and runs `serve`
    # in a process. The application in the configuration is not loaded.
    config = Config("replicate_rs.local", reload=True, log_level="warning")
    ChangeReload(config, target=serve, sockets=sockets).run()


def _load_and_serve(app: str, options: Options, sockets: list[socket.socket]) -> None:
    """Serve in a process that is replaced when a file changes."""
    try:
        server = load(app, Path(), is_alone=True)
    except LoadError as error:
        # The next change may fix it.
        print(f"replicate_rs.local: {error}", file=sys.stderr, flush=True)  # noqa: T201 - a command
        threading.Event().wait()
        return
    _serve(server, options, sockets)
