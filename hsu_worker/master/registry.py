"""The master's own address, where workers that somebody else started make themselves known."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from hsu_worker.authoring.implements import implements
from hsu_worker.errors import (
    AddressError,
    FailedPrecondition,
    HandshakeError,
    NotFound,
    RpcError,
    Unavailable,
)
from hsu_worker.gen.hsu_core import (
    KeepPlaceRequest,
    KeepPlaceResponse,
    RegisterRequest,
    RegisterResponse,
    Registry,
)
from hsu_worker.master.attached import Whereabouts
from hsu_worker.master.duration import NEVER
from hsu_worker.master.handshake import Expected, shake_hands
from hsu_worker.master.instance import Instance
from hsu_worker.master.nearest import no_unit
from hsu_worker.master.replicas import Owner
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection

log = logging.getLogger(__name__)

#: Seconds for which the place of a stand-in is kept, at the most.
KEPT_MOST: Final = 60.0
#: Seconds in which a worker that has left is known to have.
LEFT_WITHIN: Final = 1.0


class Registrations:
    """Which worker stands for which unit, for as long as it stays registered."""

    def __init__(self) -> None:
        self._present: dict[str, Whereabouts] = {}
        self._changed = asyncio.Event()

    async def find(self, unit: str) -> Whereabouts:
        """Wait until a worker stands for the unit."""
        while unit not in self._present:
            await self._changed.wait()
        return self._present[unit]

    async def vacant(self, unit: str) -> None:
        """Wait until none does."""
        while unit in self._present:
            await self._changed.wait()

    def present(self, unit: str) -> bool:
        """A worker stands for the unit."""
        return unit in self._present

    def add(self, unit: str, whereabouts: Whereabouts) -> bool:
        """Note a worker; False when another one stands for the unit."""
        if unit in self._present:
            return False
        self._present[unit] = whereabouts
        self._tell()
        return True

    def remove(self, unit: str, whereabouts: Whereabouts | None = None) -> None:
        """Note that the worker has gone, or that its unit takes none any more.

        Args:
            unit: For which it stood.

            whereabouts: Which worker; None: whoever it is.
        """
        gone = self._present.get(unit)
        if whereabouts is not None and gone is not whereabouts:
            return
        self._present.pop(unit, None)
        if gone is not None and gone.left is not None and not gone.left.done():
            gone.left.set_result(None)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed.clear()


@implements(Registry)
class RegistryService:
    """Believes nothing that a worker says of itself: dials back and shakes hands first."""

    def __init__(
        self, units: Mapping[str, Owner], registrations: Registrations, *, master_id: str
    ) -> None:
        self._units = units
        self._registrations = registrations
        self._master_id = master_id
        self._stand_ins: dict[str, Instance] = {}

    async def register(self, request: RegisterRequest) -> AsyncGenerator[RegisterResponse, None]:
        """Hold a registration for as long as its stream lasts."""
        # While it is asked who it is, its unit may be removed, and another one may come.
        reason = await self._objection(request) or self._misplaced(request)
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        whereabouts = _whereabouts(request, left)
        if not reason and not self._registrations.add(request.unit, whereabouts):
            reason = self._taken(request.unit)
        if reason:
            yield _refused(request, reason)
            return
        try:
            if not request.stand_in:
                yield RegisterResponse(accepted=True)
                await asyncio.shield(left)
                if reason := self._misplaced(request):
                    raise Unavailable(reason)
                return
            try:
                instance = await self._stand_in(request)
            except FailedPrecondition as error:
                yield _refused(request, error.message)
                return
            yield RegisterResponse(accepted=True)
            await instance.gone.wait()
            raise _sent_away(request.unit, instance)
        finally:
            self._stand_ins.pop(request.unit, None)
            self._registrations.remove(request.unit, whereabouts)

    async def keep_place(self, request: KeepPlaceRequest) -> KeepPlaceResponse:
        """Let calls wait for a stand-in that is about to leave, and comes back."""
        instance = self._stand_ins.get(request.unit)
        handshake = None if instance is None else instance.worker.handshake
        if instance is None or handshake is None or handshake.instance != request.instance:
            raise NotFound(f"{request.instance!r} does not stand in for unit {request.unit!r}")
        within = min(request.within.ToTimedelta().total_seconds(), KEPT_MOST)
        self._units[request.unit].keep_place(instance.generation, max(0.0, within))
        return KeepPlaceResponse()

    async def _stand_in(self, request: RegisterRequest) -> Instance:
        unit = self._units[request.unit]
        # A person may sit in a debugger: what doesn't answer for hours is not dead.
        reached = replace(unit.config, app=None, command=None, register=True, ping=NEVER)
        instance = await unit.stand_in(reached, f"a worker has registered, at {request.address}")
        self._stand_ins[request.unit] = instance
        return instance

    async def _objection(self, request: RegisterRequest) -> str:
        if reason := self._misplaced(request):
            return reason
        unit = self._units[request.unit]
        if request.stand_in:
            # One that has just left, to be started anew, may not be known to have left.
            with suppress(TimeoutError):
                async with asyncio.timeout(LEFT_WITHIN):
                    await self._registrations.vacant(request.unit)
        if self._registrations.present(request.unit):
            return self._taken(request.unit)
        try:
            address = Address.parse(request.address)
        except AddressError as error:
            return str(error)
        config = unit.config
        connection = Connection.open(address, token=request.token)
        try:
            await shake_hands(
                connection,
                Expected(unit=config.name, implements=config.implements, instance=request.instance),
                master_id=self._master_id,
            )
        except (HandshakeError, RpcError) as error:
            if request.stand_in and isinstance(error, HandshakeError):
                return f"it can't stand in for unit {config.name!r}: {error}"
            return f"the worker at {address} is not the one that was asked for: {error}"
        finally:
            await connection.close()
        return ""

    def _misplaced(self, request: RegisterRequest) -> str:
        """Why nobody can register for the unit, or stand in for it; empty when somebody can."""
        if request.stand_in:
            return _no_place(self._units, request.unit)
        return _not_waiting(self._units.get(request.unit), request.unit)

    def _taken(self, unit: str) -> str:
        if self._units[unit].config.register:
            return f"unit {unit!r} has a registered worker already"
        return f"another worker stands in for unit {unit!r} already; `hsu-worker list` tells which"


def _not_waiting(unit: Owner | None, name: str) -> str:
    if unit is not None and unit.config.register:
        return ""
    return (
        f"no unit {name!r} waits for a registration; "
        f"write [units.{name or 'NAME'}] with register = true"
    )


def _no_place(units: Mapping[str, Owner], name: str) -> str:
    """Why nobody can stand in for a unit; empty when somebody can."""
    if name not in units:
        return no_unit(name, units)
    config = units[name].config
    if config.replicas > 1:
        return (
            f"unit {name!r} has {config.replicas} replicas, and no single place; write replicas = 1"
        )
    if config.kind in ("app", "command"):
        return ""
    what = f"unit {name!r} has no worker of its own to stand in for"
    if config.register:
        return f"{what}: it has register = true; serve it with --register and --unit {name}"
    return f"{what}: it has an address; serve it there, with --listen {config.address}"


def _refused(request: RegisterRequest, reason: str) -> RegisterResponse:
    log.warning("registration of %s refused: %s", request.address, reason)
    return RegisterResponse(accepted=False, reason=reason)


def _sent_away(unit: str, instance: Instance) -> RpcError:
    """What a stand-in is told that the master has let go."""
    cause = instance.sent_away
    assert cause is not None
    text = f"unit {unit!r} has its place back: {cause.why}"
    # Somebody wants the place for something else; else it may have it again.
    return (FailedPrecondition if cause.trigger in ("asked", "swap") else Unavailable)(text)


def _whereabouts(request: RegisterRequest, left: "asyncio.Future[None]") -> Whereabouts:
    return Whereabouts(
        address=Address.parse(request.address),
        token=request.token,
        instance=request.instance,
        left=left,
    )
