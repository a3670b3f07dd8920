"""The hardware that models run on."""

from __future__ import annotations

from ._base.operation import async_operation, operation
from ._base.record import Record
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Any, Final, Unpack

    from ._base.resource import Options
    from ._base.session import Session


class Hardware(Record[M]):
    """A kind of machine (https://replicate.com/docs/reference/http#hardware.list)."""

    __slots__ = ()

    name: str
    """The kind of machine, for readers."""
    sku: str
    """The value of `hardware=` in other calls."""

    @property
    def id(self) -> str:
        """The same as `sku`, as in 1.0.7."""
        return self.sku


class Hardwares(Namespace[M]):
    """`client.hardware`."""

    __slots__ = ()

    @operation
    def list(self, **options: Unpack[Options]) -> Awaitable[list[Hardware[M]]]:
        """Fetch all kinds of hardware.

        API: https://replicate.com/docs/reference/http#hardware.list

        Raises:
            ReplicateError: The request failed.

        """
        pending = self._send("GET", ("hardware",), Expect.ARRAY, options)
        return self._transport.finish(pending.then(_to_records, self._session))

    async_list: Final = async_operation(list)


def _to_records(items: Sequence[dict[str, Any]], session: Session) -> list[Hardware[Any]]:
    return [Hardware._of(each, session) for each in items]


# 1.0.7's name.
HardwareNamespace = Hardwares


defer_annotations(globals())
