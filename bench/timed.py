"""The echo in a worker that notes when each step of its start is done, and answers with that."""

from time import perf_counter

# Before all that it imports. Linux counts perf_counter for all processes from the same moment.
BEGAN = perf_counter()

import json  # noqa: E402

from bench.service import Echo  # noqa: E402
from hsu_worker import implements  # noqa: E402
from hsu_worker.wire.address import Address  # noqa: E402
from hsu_worker.wire.launch import LaunchVariables  # noqa: E402
from hsu_worker.worker import launched  # noqa: E402
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds  # noqa: E402

STEPS = {"the fork, up to the app's import": BEGAN}

announce = launched._announce


def _announce(variables: LaunchVariables, address: Address) -> None:
    STEPS["server, Core, health, reflection"] = perf_counter()
    announce(variables, address)


launched._announce = _announce


@implements(Kinds)
class Timed(Echo):
    async def unary(self, request: Ask) -> Answer:
        return Answer(text=json.dumps(STEPS))


STEPS["import of the app"] = perf_counter()
