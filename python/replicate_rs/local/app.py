"""The API's origin as an ASGI application: the 37 operations, and the web page."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from .endpoints.catalogue import Catalogue
from .endpoints.common import Gate
from .endpoints.deployments import Deployments
from .endpoints.files import Files
from .endpoints.models import Models
from .endpoints.predictions import Predictions
from .endpoints.trainings import Trainings
from .execution import Execution
from .page import Page
from .problem import Problem, on_crash, on_http_exception, on_problem
from .state import State


def api(state: State, execution: Execution) -> Starlette:
    """Give the application."""
    gate = Gate(state)
    rooms = (
        Predictions(state, execution, gate),
        Trainings(state, execution, gate),
        Models(state, gate),
        Deployments(state, gate),
        Files(state, gate),
        Catalogue(state, gate),
        Page(state),
    )
    app = Starlette(
        routes=[route for room in rooms for route in room.routes],
        middleware=[Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)],
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_crash},
    )
    # The API has no trailing slashes, and no redirects.
    app.router.redirect_slashes = False
    return app
