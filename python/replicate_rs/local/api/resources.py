"""All endpoints of the API."""

from __future__ import annotations

from starlette.routing import Route

from ..execution import Execution
from ..state import State
from .access import AccessControl
from .account import AccountEndpoints
from .collections import CollectionEndpoints
from .deployments import DeploymentEndpoints
from .files import FileEndpoints
from .models import ModelEndpoints
from .predictions import PredictionEndpoints
from .search import SearchEndpoints
from .trainings import TrainingEndpoints


def create_routes(state: State, execution: Execution) -> list[Route]:
    """Return the routes of the API."""
    access = AccessControl(state)
    search = SearchEndpoints(state, access)
    resources = (
        PredictionEndpoints(state, execution, access),
        TrainingEndpoints(state, execution, access),
        ModelEndpoints(state, access, search),
        DeploymentEndpoints(state, access),
        FileEndpoints(state, access),
        AccountEndpoints(state, access),
        CollectionEndpoints(state, access),
        search,
    )
    return [route for each in resources for route in each.routes]
