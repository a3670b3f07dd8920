"""The account that a token belongs to."""

from __future__ import annotations

from ._base.operation import async_operation, operation
from ._base.record import Record, fetch
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, Final, Literal, Unpack

    from ._base.resource import Options


class Account(Record[M]):
    """A user or an organization (https://replicate.com/docs/reference/http#account.get)."""

    __slots__ = ()

    type: Literal["user", "organization"]
    """Whether it is a user or an organization."""
    username: str
    """The owner's name in ``owner/name``."""
    name: str | None
    """The full name."""
    github_url: str | None
    """The profile on GitHub."""
    avatar_url: str | None
    """The address of a picture."""

    @classmethod
    def _from_name(cls, name: str) -> dict[str, Any] | None:
        return {"username": name}


class Accounts(Namespace[M]):
    """`client.accounts`; in 2.0 `client.account`."""

    __slots__ = ()

    @operation
    def current(self, **options: Unpack[Options]) -> Awaitable[Account[M]]:
        """Fetch the account that the token belongs to.

        API: https://replicate.com/docs/reference/http#account.get

        Raises:
            AuthenticationError: The token is not valid.

        """
        return fetch(self, Account[M], "GET", ("account",), options)

    async_current: Final = async_operation(current)
    # 2.0's name.
    get = current
    async_get = async_current


defer_annotations(globals())
# `replicate_rs.account` is the default client's namespace and hides this module, so that
# `replicate_rs.account.Account` has to be an attribute of the namespace.
Accounts.Account = Account  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
Accounts.Accounts = Accounts  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
