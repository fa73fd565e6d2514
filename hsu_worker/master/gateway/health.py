"""Health at the gateway: whether a call to an interface could be served."""

import asyncio
from collections.abc import Callable

from hsu_worker.errors import Unimplemented
from hsu_worker.master.router import Router
from hsu_worker.serving.health import Health
from hsu_worker.serving.lazy import LazyService


class GatewayHealth:
    """An interface is SERVING also while its unit is absent: a call would start it.

        health = GatewayHealth(router, can_serve)
        async with listening(dispatcher, address, health.handler(), gateway): ...

    Args:
        router: Knows the unit of an interface.

        can_serve: Whether a call to the unit could be served; say `changed` when that changes.
    """

    def __init__(self, router: Router, can_serve: Callable[[str], bool]) -> None:
        self._router = router
        self._can_serve = can_serve
        self._health = Health(self._serving, lambda: router.interfaces, self._next)
        self._turn = asyncio.Event()
        self._closed = False

    def handler(self) -> LazyService:
        """What the server asks for the handlers."""
        return self._health.handler()

    def changed(self) -> None:
        """Let every Watch look again."""
        self._turn.set()
        self._turn.clear()

    def close(self) -> None:
        """Say NOT_SERVING to every Watch, and let it end."""
        self._closed = True
        self._health.close()
        self.changed()

    async def _next(self) -> None:
        await self._turn.wait()

    def _serving(self, name: str) -> bool | None:
        if name == "":
            return not self._closed
        try:
            unit = self._router.unit_for(name)
        except Unimplemented:
            return None
        return not self._closed and self._can_serve(unit)
