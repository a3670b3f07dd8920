"""The command ``python -m replicate_rs.local app.py``: serve the models of a file."""

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

from . import LocalReplicate
from .addresses import WILDCARDS, authority
from .loading import LoadError, load

PORT = 8787


class Place(NamedTuple):
    """Where the server is, and for whom."""

    host: str
    token: str | None
    public_url: str | None
    public_output_url: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C. Gives the exit status."""
    options = _parser().parse_args(arguments)
    try:
        # Once before anything listens: what is wrong with the file is said at once.
        server = None if options.reload else load(options.app, Path(), is_alone=True)
        asked = LocalReplicate(
            host=options.host,
            port=options.port,
            output_port=options.output_port,
            public_url=options.public_url,
            public_output_url=options.public_output_url,
        )
        listeners = asked.listen()
    except (LoadError, OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        print(f"replicate_rs.local: {text}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    place = Place(asked.host, options.token, asked.public_url, asked.public_output_url)
    serve = partial(_serve, options.app, place)
    if server is None:
        _reload(serve, listeners)
        return 0
    return _run(server, place, listeners)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m replicate_rs.local",
        description="Serve models, which are Python functions, through Replicate's API.",
    )
    parser.add_argument("app", help="a file with a LocalReplicate, such as app.py, or module:name")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="the port; 0: a free one (default: %(default)s)"
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
        help="the address of the API in the URLs of answers (default: as it is asked)",
    )
    parser.add_argument(
        "--public-output-url", metavar="URL", help="the same for output files and streams"
    )
    parser.add_argument("--token", help="the API token to ask for (default: the server's own)")
    parser.add_argument(
        "--reload", action="store_true", help="start again when a Python file changes"
    )
    return parser


def _run(server: LocalReplicate, place: Place, listeners: list[socket.socket]) -> int:
    server.host = place.host
    if place.token is not None:
        server.tokens = [place.token]
    if place.public_url is not None:
        server.public_url = place.public_url
    if place.public_output_url is not None:
        server.public_output_url = place.public_output_url
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server.start(listeners)
    with contextlib.suppress(KeyboardInterrupt):
        _announce(server)
        threading.Event().wait()
    server.stop()
    return 0


def _announce(server: LocalReplicate) -> None:
    everywhere = server.host in WILDCARDS and server.public_url is None
    lines = [
        f"local Replicate: {server.origin}",
        *(
            [f"elsewhere: http://{authority(socket.gethostname(), server.port)}"]
            if everywhere
            else []
        ),
        *(f"  {name}" for name in server.models),
        "",
        f"export REPLICATE_BASE_URL={server.origin}",
        f"export REPLICATE_API_TOKEN={server.token or 'any'}",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command


def _reload(serve: partial[None], listeners: list[socket.socket]) -> None:
    from uvicorn import Config
    from uvicorn.supervisors import ChangeReload

    # The supervisor watches the files of the working directory; what it runs is not an application
    # of its own.
    config = Config("replicate_rs.local", reload=True, log_level="warning")
    ChangeReload(config, target=serve, sockets=listeners).run()


def _serve(app: str, place: Place, sockets: list[socket.socket]) -> None:
    """Serve in a process that is replaced when a file changes."""
    try:
        server = load(app, Path(), is_alone=True)
    except LoadError as error:
        # The next change may mend it.
        print(f"replicate_rs.local: {error}", file=sys.stderr, flush=True)  # noqa: T201 - a command
        threading.Event().wait()
        return
    _run(server, place, sockets)
