"""One worker that answers: an app behind a server, with Core, health and reflection beside it."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hsu_worker.app import App
from hsu_worker.gen.hsu_core import Core
from hsu_worker.interface import AnyInterface
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.health import Health
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.reflection import Reflection
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.worker.core import CoreService
from hsu_worker.worker.departure import Departure
from hsu_worker.worker.lifecycle import Lifecycle, nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """The parts of a worker, for whoever leads its life."""

    address: Address
    core: CoreService
    departure: Departure
    dispatcher: Dispatcher
    health: Health
    lifecycle: Lifecycle
    reflection: Reflection
    ring: LogRing


@asynccontextmanager
async def answering(
    app: App,
    address: Address,
    *,
    instance: str,
    token: str,
    ring: LogRing,
    started: Callable[[], None] = nothing,
    beside: Mapping[AnyInterface, object] | None = None,
    known_as: Collection[str] = (),
) -> AsyncGenerator[Answering, None]:
    """Answer at an address while the block runs. The worker is STOPPED at first.

    Args:
        app: What to serve.

        address: Where.

        instance: The id of this process.

        token: What callers must present; empty: nothing.

        ring: The log.

        started: Called whenever code of the lifespans has run.

        beside: Services of the framework beside Core, by interface.

        known_as: Names of the worker for health, beside those of its interfaces.

    Raises:
        AddressError: The address is in use, or can't be listened on.
    """
    dispatcher = Dispatcher(token=token, limits=app.limits)
    lifecycle = Lifecycle(app, dispatcher.calls, started)
    departure = Departure()
    core = CoreService(
        app,
        instance,
        dispatcher,
        lifecycle,
        ring,
        departure,
        open_to_all=not token and not address.is_unix,
    )
    own: dict[AnyInterface, object] = {Core: core, **(beside or {})}
    for interface, service in own.items():
        dispatcher.add_own(interface, service)
    for interface, service in app.services.items():
        dispatcher.add(interface, service, gate=lifecycle.gate)
    user_names = {interface.name for interface in app.services}
    names = sorted({*(interface.name for interface in own), *user_names})
    healthy = {"", *user_names, *known_as}
    health = Health(
        lambda name: lifecycle.is_running if name in healthy else None,
        lambda: sorted(healthy - {""}),
        lifecycle.changed,
    )
    reflection = Reflection(lambda: names, dispatcher.authenticate)
    async with listening(dispatcher, address, health.handler(), reflection.handler()) as bound:
        try:
            yield Answering(
                address=bound,
                core=core,
                departure=departure,
                dispatcher=dispatcher,
                health=health,
                lifecycle=lifecycle,
                reflection=reflection,
                ring=ring,
            )
        finally:
            # Nothing to do after an orderly shutdown.
            await lifecycle.finish()
