"""One worker that answers: an app behind a server, with Core, health and reflection beside it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hsu_worker.app import App
from hsu_worker.gen.hsu_core import Core
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

    addresses: tuple[Address, ...]
    core: CoreService
    departure: Departure
    dispatcher: Dispatcher
    health: Health
    lifecycle: Lifecycle
    reflection: Reflection
    ring: LogRing

    @property
    def address(self) -> Address:
        """The first one."""
        return self.addresses[0]


@asynccontextmanager
async def answering(
    app: App,
    *addresses: Address,
    instance: str,
    token: str,
    ring: LogRing,
    started: Callable[[], None] = nothing,
) -> AsyncGenerator[Answering, None]:
    """Answer at some addresses while the block runs. The worker is STOPPED at first.

    Calls `started` whenever code of the lifespans has run.

    Raises:
        AddressError: One is in use, or can't be listened on.
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
        open_to_all=not token and not all(address.is_unix for address in addresses),
    )
    dispatcher.add_own(Core, core)
    for interface, service in app.services.items():
        dispatcher.add(interface, service, gate=lifecycle.gate)
    user_names = {"", *(interface.name for interface in app.services)}
    names = sorted({Core.name, *user_names} - {""})
    health = Health(
        lambda name: lifecycle.is_running if name in user_names else None,
        lambda: sorted(user_names - {""}),
        lifecycle.changed,
    )
    reflection = Reflection(lambda: names, dispatcher.authenticate)
    handlers = (health.handler(), reflection.handler())
    async with AsyncExitStack() as stack:
        bound = [
            await stack.enter_async_context(listening(dispatcher, address, *handlers))
            for address in addresses
        ]
        try:
            yield Answering(
                addresses=tuple(bound),
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
