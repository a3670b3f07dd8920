"""The account that a token belongs to."""

from __future__ import annotations

from ._base.operation import M, Namespace, async_operation, operation
from ._base.record import Record
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect

if TYPE_CHECKING:
    from typing import Any, Final, Literal, Unpack

    from ._base.operation import Options


class Account(Record[M]):
    """A user or an organization (https://replicate.com/docs/reference/http#account.get)."""

    __slots__ = ()

    type: Literal["user", "organization"]
    username: str
    name: str | None
    github_url: str | None
    avatar_url: str | None

    @classmethod
    def _named_by(cls, name: str) -> dict[str, Any] | None:
        return {"username": name}


class Accounts(Namespace[M]):
    """`client.accounts`; 2.0 calls it `client.account`."""

    __slots__ = ()

    @operation
    async def current(self, **options: Unpack[Options]) -> Account[M]:
        """Fetch the token's account."""
        data = await self._transport.finish(self._send("GET", ("account",), Expect.OBJECT, options))
        return Account._of(data, self._session)

    async_current: Final = async_operation(current)
    # The name that 2.0 has.
    get = current
    async_get = async_current


defer_annotations(globals())
# As `replicate_rs.account` is the default client's namespace, `replicate_rs.account.Account` is
# looked for here.
Accounts.Account = Account  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
Accounts.Accounts = Accounts  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
