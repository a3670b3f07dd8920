"""The API's origin as an ASGI application: the 37 operations, and the web page."""

from __future__ import annotations

from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from .api.access import Gate
from .api.account import Catalogue
from .api.deployments import Deployments
from .api.files import Files
from .api.models import Models
from .api.predictions import Predictions
from .api.trainings import Trainings
from .execution import Execution
from .page.web_page import Page
from .problem import Problem, on_crash, on_http_exception, on_problem
from .state import State


class Resource(Protocol):
    """Some of the endpoints."""

    routes: list[Route]


def resources(state: State, execution: Execution) -> tuple[Resource, ...]:
    """Return the endpoints of the API."""
    gate = Gate(state)
    return (
        Predictions(state, execution, gate),
        Trainings(state, execution, gate),
        Models(state, gate),
        Deployments(state, gate),
        Files(state, gate),
        Catalogue(state, gate),
    )


def api(state: State, execution: Execution) -> Starlette:
    """Return the application."""
    app = Starlette(
        routes=[
            route for each in (*resources(state, execution), Page(state)) for route in each.routes
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)],
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_http_exception,
            Exception: on_crash,
        },
    )
    # The API has no trailing slashes, and no redirects.
    app.router.redirect_slashes = False
    return app
