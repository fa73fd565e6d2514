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

    async def add(self, unit: str, whereabouts: Whereabouts) -> bool:
        """Note a worker; False when another one stands for the unit."""
        async with self._changed:
            if unit in self._present:
                return False
            self._present[unit] = whereabouts
            self._changed.notify_all()
            return True

    def remove(self, unit: str) -> None:
        """Note that the worker has gone."""
        gone = self._present.pop(unit, None)
        if gone is not None and gone.left is not None and not gone.left.done():
            gone.left.set_result(None)


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
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Another one may have come while this one was being asked who it is.
        if not reason and not await self._registrations.add(
            request.unit, _whereabouts(request, left)
        ):
            reason = _taken(request.unit)
        if reason:
            log.warning("registration of %s refused: %s", request.address, reason)
            yield RegisterResponse(accepted=False, reason=reason)
            return
        try:
            yield RegisterResponse(accepted=True)
            await asyncio.shield(left)
        finally:
            self._registrations.remove(request.unit)

    async def _objection(self, request: RegisterRequest) -> str:
        unit = self._units.get(request.unit)
        if unit is None or not unit.register:
            return (
                f"no unit {request.unit!r} waits for a registration; "
                f"write [units.{request.unit or 'NAME'}] with register = true"
            )
        if self._registrations.present(request.unit):
            return _taken(request.unit)
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


def _whereabouts(request: RegisterRequest, left: "asyncio.Future[None]") -> Whereabouts:
    return Whereabouts(
        address=Address.parse(request.address),
        token=request.token,
        instance=request.instance,
        left=left,
    )


def _taken(unit: str) -> str:
    return f"unit {unit!r} has a registered worker already"
