"""One worker that answers: an app behind a server, with Core, health and reflection beside it."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass

from hsu_worker.app import App
from hsu_worker.authoring.calling import OTHERS, Others
from hsu_worker.gen.hsu_core import Core
from hsu_worker.interface import AnyInterface
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.health import Health
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.reflection import Reflection
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.worker.blocked_loop import blocked_loop_told
from hsu_worker.worker.core import CoreService
from hsu_worker.worker.departure import Departure
from hsu_worker.worker.lifecycle import Lifecycle, nothing
from hsu_worker.worker.others import ThroughMaster


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
    others: Others | None = None,
    started: Callable[[], None] = nothing,
    beside: Mapping[AnyInterface, object] | None = None,
    known_as: Collection[str] = (),
) -> AsyncGenerator[Answering, None]:
    """Answer at some addresses while the block runs. The worker is STOPPED at first.

    Args:
        app: What it serves.

        addresses: Where.

        instance: Its id.

        token: What callers must present; empty: nothing.

        ring: Its log.

        others: Whom its services can call. None: nobody.

        started: Called whenever code of the lifespans has run.

        beside: Services of the framework beside Core, by interface.

        known_as: Names of the worker for health, beside those of its interfaces.

    Raises:
        AddressError: One is in use, or can't be listened on.

        AppError: A rule of the app's messages is malformed.
    """
    others = others or ThroughMaster("", None)
    # What calls and lifespans see, beside what they set themselves.
    context = copy_context()
    context.run(OTHERS.set, others)
    dispatcher = Dispatcher(token=token, limits=app.limits, unit=others.unit)
    lifecycle = context.run(Lifecycle, app, dispatcher.calls, started)
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
    own: dict[AnyInterface, object] = {Core: core, **(beside or {})}
    for interface, service in own.items():
        dispatcher.add_own(interface, service)
    for interface, service in app.services.items():
        dispatcher.add(
            interface,
            service,
            gate=lifecycle.gate,
            validate=app.validate,
            interceptors=app.interceptors,
        )
    user_names = {interface.name for interface in app.services}
    names = sorted({*(interface.name for interface in own), *user_names})
    healthy = {"", *user_names, *known_as}
    health = Health(
        lambda name: lifecycle.is_running if name in healthy else None,
        lambda: sorted(healthy - {""}),
        lifecycle.changed,
    )
    reflection = Reflection(lambda: names, dispatcher.authenticate)
    handlers = (health.handler(), reflection.handler())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(others)
        bound = [
            await stack.enter_async_context(
                listening(dispatcher, address, *handlers, context=context)
            )
            for address in addresses
        ]
        stack.enter_context(blocked_loop_told(dispatcher.calls, app.blocked_loop))
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
