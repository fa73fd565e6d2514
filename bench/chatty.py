"""A worker that logs as many records as it is asked for, and says how long that took."""

import asyncio
import logging
from time import perf_counter

from bench.service import Echo
from hsu_worker import implements
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds

log = logging.getLogger("chatty")

#: Records between two turns of the loop.
BURST = 256


@implements(Kinds)
class Chatty(Echo):
    async def unary(self, request: Ask) -> Answer:
        began = perf_counter()
        for number in range(request.number):
            log.info("record %d of many, as long as most of them are", number)
            if number % BURST == BURST - 1:
                await asyncio.sleep(0)
        return Answer(number=round((perf_counter() - began) * 1e9))
