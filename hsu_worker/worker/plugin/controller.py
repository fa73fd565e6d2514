"""How the host ends the plugin: go-plugin's GRPCController."""

from typing import Final

from hsu_worker.authoring.implements import implements
from hsu_worker.gen.plugin.grpc_controller import Empty, GRPCController
from hsu_worker.worker.departure import Departure

#: Seconds that calls in flight are given: the host kills the process after two.
GRACE: Final = 1.0


@implements(GRPCController)
class Controller:
    """Takes the host's wish that the plugin leaves."""

    def __init__(self) -> None:
        self._departure: Departure | None = None

    def leads_to(self, departure: Departure) -> None:
        """From now on the wish is passed on."""
        self._departure = departure

    async def shutdown(self, _request: Empty) -> Empty:
        """Begin to drain."""
        # Nobody knows the address before.
        assert self._departure is not None
        self._departure.ask(GRACE, "GRPCController.Shutdown")
        await self._departure.began.wait()
        return Empty()
