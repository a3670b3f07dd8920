"""What models can run on."""

from __future__ import annotations

from ._base.operation import M, Namespace, async_operation, operation
from ._base.record import Record
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect

if TYPE_CHECKING:
    from typing import Final, Unpack

    from ._base.operation import Options


class Hardware(Record[M]):
    """A kind of machine (https://replicate.com/docs/reference/http#hardware.list)."""

    __slots__ = ()

    name: str
    sku: str
    """What to pass as `hardware`."""

    @property
    def id(self) -> str:
        """The same as `sku`; 1.0.7 has it."""
        return self.sku


class Hardwares(Namespace[M]):
    """`client.hardware`."""

    __slots__ = ()

    @operation
    async def list(self, **options: Unpack[Options]) -> list[Hardware[M]]:
        """Fetch all kinds of hardware."""
        found = await self._transport.finish(
            self._send("GET", ("hardware",), Expect.ARRAY, options)
        )
        return [Hardware._of(each, self._session) for each in found]

    async_list: Final = async_operation(list)


# The name that 1.0.7 has.
HardwareNamespace = Hardwares


defer_annotations(globals())
