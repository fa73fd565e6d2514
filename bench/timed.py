"""The echo in a worker that notes when each step of its start is done, and answers with that."""

import json
from time import perf_counter

from hsu_worker import implements
from hsu_worker.wire.address import Address
from hsu_worker.wire.launch import LaunchVariables
from hsu_worker.worker import serve
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds

# Linux counts perf_counter for all processes from the same moment.
STEPS = {"the fork, up to the app's import": perf_counter()}

announce = serve._announce

from bench.service import Echo  # noqa: E402


def _announce(variables: LaunchVariables, address: Address) -> None:
    STEPS["server, Core, health, reflection"] = perf_counter()
    announce(variables, address)


serve._announce = _announce


@implements(Kinds)
class Timed(Echo):
    async def unary(self, request: Ask) -> Answer:
        return Answer(text=json.dumps(STEPS))


STEPS["import of the app"] = perf_counter()
