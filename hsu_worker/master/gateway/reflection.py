"""Reflection at the gateway: the interfaces of all units, told as those of one server."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.errors import Internal, RpcError, Unimplemented
from hsu_worker.master.gateway.gateway import Lender
from hsu_worker.master.router import CORE, Router
from hsu_worker.serving.admission import stranger
from hsu_worker.serving.failures import Refused
from hsu_worker.serving.lazy import LazyService
from hsu_worker.serving.reflection import ChainedPool, Reflection
from hsu_worker.wire.reflected import NO_REFLECTION, V1, Reflected, pool_of


class GatewayReflection:
    """Lists what can be called without starting anything; starts a unit to describe its interfaces.

    What the master's process has imported needs no unit. What a unit's worker told is kept until
    `forget`.

    Args:
        router: Knows the interfaces, and the unit of each.

        lender: Lends a unit's connection.

        own: The names of what the master answers itself.

        authorize: Whether the metadata of a call lets it in.
    """

    def __init__(
        self,
        router: Router,
        lender: Lender,
        own: Iterable[str],
        authorize: Callable[[Any], bool],
    ) -> None:
        self._router = router
        self._lender = lender
        self._own = tuple(own)
        self._authorize = authorize
        self._pools: dict[str, DescriptorPool] = {}
        self._reflection = Reflection(self._names, self._authenticate, self._prepare)

    def handler(self) -> LazyService:
        """What the server asks for the handlers."""
        return self._reflection.handler()

    def forget(self, unit: str) -> None:
        """Ask the unit again: its worker is another one."""
        self._pools.pop(unit, None)

    def forget_all(self) -> None:
        """Ask every unit again: what is asked of each is another part."""
        self._pools.clear()

    def close(self) -> None:
        """End the streams that clients keep open."""
        self._reflection.close()

    def _names(self) -> tuple[str, ...]:
        return (*self._router.interfaces, CORE, *self._own)

    def _authenticate(self, metadata: Any) -> None:
        if not self._authorize(metadata or ()):
            raise stranger()

    async def _prepare(self, request: Any, pools: list[DescriptorPool]) -> None:
        """Have what a request asks for in one of the pools, if a unit knows it."""
        symbol = request.file_containing_symbol or request.file_containing_extension.containing_type
        interface = self._interface_of(symbol)
        if interface is not None and not _knows(pools, symbol):
            unit = self._router.unit_for(interface)
            if unit not in self._pools:
                self._pools[unit] = await self._ask(unit, interface)
            # Two units may have files of one name: what follows belongs to what came before.
            pools.insert(0, self._pools[unit])
        pools += [pool for pool in self._pools.values() if pool not in pools]

    def _interface_of(self, symbol: str) -> str | None:
        """The interface that a symbol is, or is part of; else one of its package."""
        neighbour = None
        for interface in self._router.interfaces:
            if f"{symbol}.".startswith(f"{interface}."):
                return interface
            package, _, _ = interface.rpartition(".")
            if symbol.startswith(f"{package}."):
                neighbour = interface
        return neighbour

    async def _ask(self, unit: str, interface: str) -> DescriptorPool:
        names = [name for name in self._router.interfaces if self._router.unit_for(name) == unit]
        what = f"a description of {interface} at the gateway"
        lease = self._lender.lease(V1, unit, what=what, start=True)
        try:
            return pool_of(await Reflected(lease).files(names))
        except Internal as error:
            raise Refused(Internal(f"unit {unit!r}: {error.message}")) from None
        except Unimplemented:
            raise Refused(Unimplemented(f"unit {unit!r} {NO_REFLECTION}")) from None
        except RpcError as error:
            raise Refused(error) from None


def _knows(pools: list[DescriptorPool], symbol: str) -> bool:
    with suppress(KeyError):
        ChainedPool(pools).FindFileContainingSymbol(symbol)
        return True
    return False
