"""What a master adds to a call of a worker that runs."""

from collections.abc import Sequence
from time import perf_counter, thread_time

from bench.bare import BOUND
from bench.masters import answer, master, unit
from bench.measure import Measure, Row, rounds
from hsu_worker.wire.connection import Lease, lend
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient


async def leases(full: bool) -> list[Row]:
    """A lease against the loan of a channel that is simply there, and a call with each."""
    loan = Row(name="a lease taken and given back, CPU", unit="µs")
    call = Row(name="a unary call through a lease", unit="µs")
    count = 1000 if full else 300
    async with master(unit("u")) as it:
        await answer(it, "u")
        worker = it._unit("u").worker
        assert worker is not None
        assert worker.connection is not None
        lease, direct = it._unit("u").lease(Kinds), lend(worker.connection)

        def loans(of: Lease) -> Measure:
            async def measure() -> Sequence[float]:
                began = thread_time()
                for _ in range(count * 10):
                    async with of(None):
                        pass
                return ((thread_time() - began) / count / 10 * 1e6,)

            return measure

        def calls(client: KindsClient) -> Measure:
            async def measure() -> Sequence[float]:
                began = perf_counter()
                for _ in range(count):
                    reply = await client.unary(Ask(text="x"), timeout=BOUND)
                    assert reply.text == "x"
                return ((perf_counter() - began) / count * 1e6,)

            return measure

        times = 25 if full else 7
        await rounds((loan,), times, {"control": loans(direct), "lease": loans(lease)})
        series = {
            "control": calls(KindsClient(worker.connection)),
            "through a lease": calls(it.client(Kinds)),
        }
        await rounds((call,), times, series)
    return [loan, call]
