"""The applications of both origins; that of the API has the web page too."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .api.output import create_output_app
from .api.resources import create_routes
from .cassettes.player import Player
from .cassettes.recorder import Recorder
from .execution import Execution
from .page.web_page import WebPage, is_page
from .problem import HANDLERS
from .request_log import LoggedRequest
from .state import State


class Apps(NamedTuple):
    """The applications of both origins, and what removes secrets from the request log."""

    api: ASGIApp
    output: ASGIApp
    redact_log: Callable[[LoggedRequest], None] | None = None


def create_apps(state: State) -> Apps:
    """Return the applications of a server with models."""
    return Apps(create_api_app(state, Execution(state)), create_output_app(state))


def create_cassette_apps(state: State, handler: Recorder | Player) -> Apps:
    """Return the applications of a server that records or replays, which has the web page too."""
    page = Starlette(routes=WebPage(state).routes, exception_handlers=HANDLERS)

    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        app = page if is_page(scope["path"]) else handler.api
        await app(scope, receive, send)

    return Apps(api, handler.output, handler.redact_log)


def create_api_app(state: State, execution: Execution) -> Starlette:
    """Return the application."""
    app = Starlette(
        routes=[*create_routes(state, execution), *WebPage(state).routes],
        middleware=[Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)],
        exception_handlers=HANDLERS,
    )
    # In the API, a path with a trailing slash is unknown.
    app.router.redirect_slashes = False
    return app
