"""The master's own address, where workers that somebody else started make themselves known."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping

from hsu_worker.authoring.implements import implements
from hsu_worker.errors import AddressError, HandshakeError, RpcError
from hsu_worker.gen.hsu_core import RegisterRequest, RegisterResponse, Registry
from hsu_worker.master.attached import Whereabouts
from hsu_worker.master.handshake import Expected, shake_hands
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection

log = logging.getLogger(__name__)


class Registrations:
    """Which worker stands for which unit, for as long as it stays registered."""

    def __init__(self) -> None:
        self._present: dict[str, Whereabouts] = {}
        self._changed = asyncio.Condition()

    async def find(self, unit: str) -> Whereabouts:
        """Wait until a worker stands for the unit."""
        async with self._changed:
            await self._changed.wait_for(lambda: unit in self._present)
            return self._present[unit]

    def present(self, unit: str) -> bool:
        """A worker stands for the unit."""
        return unit in self._present

    async def put(self, unit: str, whereabouts: Whereabouts | None) -> None:
        """Note a worker, or that it has gone."""
        async with self._changed:
            gone = self._present.pop(unit, None)
            if gone is not None and gone.left is not None and not gone.left.done():
                gone.left.set_result(None)
            if whereabouts is not None:
                self._present[unit] = whereabouts
            self._changed.notify_all()


@implements(Registry)
class RegistryService:
    """Believes nothing that a worker says of itself: dials back and shakes hands first."""

    def __init__(
        self, units: Mapping[str, UnitConfig], registrations: Registrations, *, master_id: str
    ) -> None:
        self._units = units
        self._registrations = registrations
        self._master_id = master_id

    async def register(self, request: RegisterRequest) -> AsyncGenerator[RegisterResponse, None]:
        """Hold a registration for as long as its stream lasts."""
        reason = await self._objection(request)
        if reason:
            log.warning("registration of %s refused: %s", request.address, reason)
            yield RegisterResponse(accepted=False, reason=reason)
            return
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        whereabouts = Whereabouts(
            address=Address.parse(request.address),
            token=request.token,
            instance=request.instance,
            left=left,
        )
        await self._registrations.put(request.unit, whereabouts)
        try:
            yield RegisterResponse(accepted=True)
            await asyncio.shield(left)
        finally:
            if not left.done():
                await asyncio.shield(self._registrations.put(request.unit, None))

    async def _objection(self, request: RegisterRequest) -> str:
        unit = self._units.get(request.unit)
        if unit is None or not unit.register:
            return (
                f"no unit {request.unit!r} waits for a registration; "
                f"write [units.{request.unit or 'NAME'}] with register = true"
            )
        if self._registrations.present(request.unit):
            return f"unit {request.unit!r} has a registered worker already"
        try:
            address = Address.parse(request.address)
        except AddressError as error:
            return str(error)
        connection = Connection.open(address, token=request.token)
        try:
            await shake_hands(
                connection,
                Expected(unit=unit.name, implements=unit.implements, instance=request.instance),
                master_id=self._master_id,
            )
        except (HandshakeError, RpcError) as error:
            return f"the worker at {address} is not the one that was asked for: {error}"
        finally:
            await connection.close()
        return ""
