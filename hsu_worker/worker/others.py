"""Whom a worker can call: the other units of its master."""

from collections.abc import Sequence
from dataclasses import replace

from hsu_worker.authoring.calling import Others
from hsu_worker.errors import Dispatch, FailedPrecondition
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.interceptors import ClientInterceptor, behind
from hsu_worker.wire.metadata import UNIT


class ThroughMaster(Others):
    """Calls go to the gateway of a master, over one connection that the first of them opens.

    Args:
        unit: The unit that the worker is; empty when it is none.

        master: Where the master listens, and what lets the worker in; None: there is none.

        interceptors: What the calls go through.
    """

    def __init__(
        self,
        unit: str,
        master: tuple[Address, str] | None,
        interceptors: Sequence[ClientInterceptor] = (),
    ) -> None:
        super().__init__(unit)
        self._master = master
        self._interceptors = interceptors
        self._connection: Connection | None = None

    def connection(self, interface: str, unit: str) -> Connection:
        """See `Others`."""
        if self._master is None:
            raise FailedPrecondition(
                f"{interface} can't be called: this worker knows no master; let one start it, or "
                "name one: hsu-worker serve ... --master ADDRESS, or HSU_MASTER",
                dispatched=Dispatch.NO,
            )
        if self._connection is None:
            address, token = self._master
            connection = Connection.open(
                address,
                token=token,
                # What is too large, the gateway refuses.
                message_bytes=-1,
            )
            self._connection = replace(connection, retries=True)
        lent = behind(self._connection, self._interceptors)
        return replace(lent, metadata=(*lent.metadata, (UNIT, unit))) if unit else lent

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
