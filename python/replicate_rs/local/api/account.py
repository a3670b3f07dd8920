"""The account, its webhook secret, and the hardware that it can use."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..state import State
from .access import AccessControl
from .json_bodies import as_json

HARDWARE = (
    {"name": "CPU", "sku": "cpu"},
    {"name": "Nvidia T4 GPU", "sku": "gpu-t4"},
    {"name": "Nvidia A40 GPU", "sku": "gpu-a40-small"},
    {"name": "Nvidia A40 (Large) GPU", "sku": "gpu-a40-large"},
)


class AccountEndpoints:
    """The endpoints of the account."""

    def __init__(self, state: State, access: AccessControl) -> None:
        self._state = state
        self.routes: list[Route] = [
            access.route("/account", GET=self.account),
            access.route("/hardware", GET=self.hardware),
            access.route("/webhooks/default/secret", GET=self.webhook_secret),
        ]

    async def account(self, _: Request) -> Response:
        """`GET /account`."""
        return as_json(self._state.account)

    async def hardware(self, _: Request) -> Response:
        """`GET /hardware`: an array without pages."""
        return as_json(HARDWARE)

    async def webhook_secret(self, _: Request) -> Response:
        """`GET /webhooks/default/secret`."""
        return as_json({"key": self._state.webhooks.secret})
