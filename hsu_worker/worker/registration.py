"""Being known to a master that did not start this worker."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from hsu_worker.errors import ConfigError, FailedPrecondition, RpcError, Unauthenticated
from hsu_worker.gen.hsu_core import KeepPlaceRequest, RegisterRequest, RegistryClient
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.worker.options import Membership

log = logging.getLogger(__name__)

#: Seconds between two attempts, at the least and at the most.
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0

#: Seconds for which the master is asked to keep the place of a stand-in that comes back.
KEPT: Final = 10.0
#: Seconds that it has to answer that.
KEEP_TIMEOUT: Final = 2.0


class NoRegistration:
    """That of a worker that stands for no unit."""

    def __init__(self) -> None:
        self.first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """How the first attempt of a stand-in ended: empty, or why it got no place."""
        self.first.set_result("")

    async def hold(self) -> None:
        """Stay registered until cancelled, or sent away."""

    async def keep_place(self) -> None:
        """Ask that the place be kept for a moment."""


class Registration(NoRegistration):
    """Lasts as long as its stream; is made anew, with growing pauses, when that ends.

    Args:
        membership: The unit that the worker stands for, and its master.

        address: Where the worker listens.

        instance: Its id.

        token: What the master has to present there.

        sent_away: Called when a stand-in has lost its place to somebody else, with the reason.
    """

    def __init__(
        self,
        membership: Membership,
        address: Address,
        *,
        instance: str,
        token: str,
        sent_away: Callable[[str], object],
    ) -> None:
        super().__init__()
        self._to = membership
        self._sent_away = sent_away
        self._request = RegisterRequest(
            unit=membership.unit,
            address=str(address),
            instance=instance,
            token=token,
            stand_in=membership.stand_in,
        )
        if membership.stand_in:
            # All others may wait for their master.
            self.first = asyncio.get_running_loop().create_future()

    async def hold(self) -> None:
        """Register, again and again."""
        delay = FIRST_DELAY
        if self._to.stand_in:
            # Another one may still be on its way out, and that may take a while.
            log.info("asking %s for the place of unit %s", self._to.master.address, self._to.unit)
        while True:
            accepted, problem = False, ""
            try:
                async with self._connection() as connection:
                    async for answer in RegistryClient(connection).register(self._request):
                        accepted = answer.accepted
                        if accepted:
                            self._accepted()
                        else:
                            problem = f"{self._to.master.address} refuses the registration: {answer.reason}"
            except ConfigError as error:
                problem = f"registration with {self._to.master.address}: {error}"
            except RpcError as error:
                if accepted and self._to.stand_in and isinstance(error, FailedPrecondition):
                    self._sent_away(error.message)
                    return
                problem = f"registration with {self._to.master.address}: {error}"
                if isinstance(error, Unauthenticated):
                    problem += "; name the file that holds its token with --master-token-file"
            if not self.first.done():
                # Nobody waits for a place that can't be had.
                self.first.set_result(problem)
                return
            if problem:
                log.warning("%s", problem)
            delay = FIRST_DELAY if accepted else min(LONGEST_DELAY, delay * 2)
            # Not at the same instant as all other workers of the same master.
            await asyncio.sleep(random.uniform(0.1, delay))  # noqa: S311

    def _accepted(self) -> None:
        log.info("registered with %s as %s", self._to.master.address, self._to.unit)
        if not self.first.done():
            self.first.set_result("")

    async def keep_place(self) -> None:
        """Without it, the unit's own worker would be started for the next call."""
        if not self._to.stand_in:
            return
        request = KeepPlaceRequest(
            unit=self._to.unit,
            instance=self._request.instance,
            within=timedelta(seconds=KEPT),
        )
        try:
            async with self._connection() as connection:
                await RegistryClient(connection).keep_place(request, timeout=KEEP_TIMEOUT)
        except (ConfigError, RpcError) as error:
            log.warning("the place of unit %s is not kept: %s", self._to.unit, error)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection, None]:
        # One for each attempt: one to a master that is not there yet waits by its own rules.
        master = self._to.master
        connection = Connection.open(master.address, token=master.token_now())
        try:
            yield connection
        finally:
            await connection.close()
