"""What a master serves at its own addresses: registry, control, and the gateway to its units."""

import os
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from hsu_worker.gen.hsu_core import Registry
from hsu_worker.gen.hsu_master import Master as Control
from hsu_worker.master.control import ControlService
from hsu_worker.master.event import Event
from hsu_worker.master.folder import TOKEN
from hsu_worker.master.gateway.gateway import OWN, Gateway
from hsu_worker.master.gateway.health import GatewayHealth
from hsu_worker.master.gateway.reflection import GatewayReflection
from hsu_worker.master.registry import RegistryService
from hsu_worker.master.router import CORE, Router
from hsu_worker.master.tokens import Tokens
from hsu_worker.master.units import Units
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import METADATA_BYTES, Lease
from hsu_worker.wire.limits import Limits


class Endpoint:
    """Serves units to whoever has a token.

    Args:
        router: Knows which unit a call goes to.

        units: By name.

        tokens: Who may do what.

        message_bytes: The largest message to pass on; each unit has a limit of its own beside it.
    """

    def __init__(self, router: Router, units: Units, tokens: Tokens, *, message_bytes: int) -> None:
        self._units = units
        self._limits = Limits(message_bytes=message_bytes, metadata_bytes=METADATA_BYTES)
        self._tokens = tokens
        self._health = GatewayHealth(router, self._can_serve)
        self._reflection = GatewayReflection(router, self, OWN, tokens.may_call)
        self._gateway = Gateway(router, self, authorize=tokens.may_call, owns=tokens.owns)
        units.on_standing = self._health.changed

    @asynccontextmanager
    async def listening(
        self, control: ControlService, registry: RegistryService, addresses: Collection[Address]
    ) -> AsyncGenerator[tuple[Address, ...], None]:
        """Serve while the block runs; gives the addresses that were bound.

        Raises:
            AddressError: One is in use, or can't be listened on.
        """
        dispatcher = Dispatcher(token=self._tokens.own, limits=self._limits)
        dispatcher.add_own(Registry, registry)
        dispatcher.add_own(Control, control)
        handlers = (self._health.handler(), self._reflection.handler(), self._gateway)
        async with AsyncExitStack() as stack:
            bound = [
                await stack.enter_async_context(listening(dispatcher, address, *handlers))
                for address in addresses
            ]
            try:
                yield tuple(bound)
            finally:
                # Streams that only end with the master.
                self._health.close()
                self._reflection.close()
                dispatcher.own_calls.cut_off("the master is leaving")
                await dispatcher.own_calls.ended()

    def take(self, event: Event) -> None:
        """Note what happened to a unit."""
        if event.kind in ("ready", "swapped"):
            self._reflection.forget(event.unit)

    def reloaded(self) -> None:
        """Note that calls may go elsewhere."""
        self._reflection.forget_all()
        self._health.changed()

    def lease(self, interface: str, unit: str, *, what: str, start: bool, chain: str = "") -> Lease:
        """Lends a unit's connection for one call.

        Calls of Core look at the worker that is there: they start nothing, and hold nothing up.
        """
        if interface == CORE:
            return self._units[unit].borrow
        return self._units[unit].lease(None, what, start=start, chain=chain)

    def _can_serve(self, unit: str) -> bool:
        return self._units[unit].could_serve


def write_token(folder: Path, token: str) -> Path:
    """Write the master's token where only its user can read it."""
    file = folder / TOKEN
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(token)
    return file
