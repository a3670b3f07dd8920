"""The application of the API's origin: the API and the web page."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from .api.resources import create_routes
from .execution import Execution
from .page.web_page import WebPage
from .problem import HANDLERS
from .state import State


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
