"""Being known to a master that did not start this worker."""

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from hsu_worker.errors import RpcError
from hsu_worker.gen.hsu_core import RegisterRequest, RegistryClient
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection

if TYPE_CHECKING:
    from hsu_worker.worker.serve import Serving

log = logging.getLogger(__name__)

#: Seconds between two attempts, at the least and at the most.
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0


async def stay_registered(options: "Serving", address: Address, instance: str) -> None:
    """Hold a registration with the master until cancelled; does nothing without a master.

    The registration lasts as long as its stream. When the master ends it, or is gone, it is made
    anew, with growing pauses.
    """
    if options.register is None:
        return
    request = RegisterRequest(
        unit=options.unit, address=str(address), instance=instance, token=options.token
    )
    delay = FIRST_DELAY
    while True:
        accepted = False
        # A connection for each attempt: one to a master that is not there yet waits by its own
        # rules.
        connection = Connection.open(options.register, token=options.master_token, keepalive=True)
        try:
            async for answer in RegistryClient(connection).register(request):
                if answer.accepted:
                    accepted = True
                    log.info("registered with %s as %s", options.register, options.unit)
                else:
                    log.error("%s refuses the registration: %s", options.register, answer.reason)
        except RpcError as error:
            log.warning("registration with %s: %s", options.register, error)
        finally:
            await connection.close()
        delay = FIRST_DELAY if accepted else min(LONGEST_DELAY, delay * 2)
        # Not at the same instant as all other workers of the same master.
        await asyncio.sleep(random.uniform(0.1, delay))  # noqa: S311
