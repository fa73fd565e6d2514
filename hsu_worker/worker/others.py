"""Whom a worker can call: the other units of its master."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from hsu_worker.authoring.calling import Others
from hsu_worker.errors import ConfigError, Dispatch, FailedPrecondition
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.interceptors import ClientInterceptor, behind
from hsu_worker.wire.metadata import UNIT


class ThroughMaster(Others):
    """Calls go to the gateway of a master, over one connection that the first of them opens.

    A master that is started again has another token: the next call opens another connection.

    Args:
        unit: The unit that the worker is; empty when it is none.

        master: Where the master listens, and what lets the worker in; None: there is none.

        interceptors: What the calls go through.

        token_now: What lets the worker in by now, or a ConfigError; None: it stays the same.
    """

    def __init__(
        self,
        unit: str,
        master: tuple[Address, str] | None,
        interceptors: Sequence[ClientInterceptor] = (),
        *,
        token_now: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(unit)
        self._master = master
        self._interceptors = interceptors
        self._token_now = token_now
        self._connections: dict[str, Connection] = {}
        """By token; calls may still run on those of earlier ones."""

    def connection(self, interface: str, unit: str) -> Connection:
        """See `Others`."""
        if self._master is None:
            raise FailedPrecondition(
                f"{interface} can't be called: this worker knows no master; let one start it, or "
                "name one: hsu-worker serve ... --master ADDRESS, or HSU_MASTER",
                dispatched=Dispatch.NO,
            )
        address, token = self._master
        if self._token_now is not None:
            # Without its file the master is away, which the call finds out.
            with suppress(ConfigError):
                token = self._token_now()
        self._master = address, token
        if token not in self._connections:
            connection = Connection.open(
                address,
                token=token,
                # What is too large, the gateway refuses.
                message_bytes=-1,
            )
            self._connections[token] = replace(connection, retries=True)
        lent = behind(self._connections[token], self._interceptors)
        return replace(lent, metadata=(*lent.metadata, (UNIT, unit))) if unit else lent

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            await connection.close()
