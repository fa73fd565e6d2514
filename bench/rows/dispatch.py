"""What the framework does for each call, without grpc below it, in CPU time."""

from collections.abc import Sequence
from time import thread_time
from typing import Any, cast

import grpc

from bench import control
from bench.measure import Measure, Row, rounds
from bench.service import Echo
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.wire.limits import Limits
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds

TOKEN = "a-token-of-some-length-as-a-master-gives"  # noqa: S105  nobody's
METADATA = (("user-agent", "grpc-python-asyncio/1"), ("authorization", f"Bearer {TOKEN}"))


class _Details:
    method = "/hsu.test.v1.Kinds/Unary"
    invocation_metadata = METADATA


class _Context:
    """What a handler asks of grpc."""

    def invocation_metadata(self) -> Any:
        return METADATA

    def time_remaining(self) -> float:
        return 5.0

    def peer(self) -> str:
        return "unix:"


async def dispatch(full: bool) -> list[Row]:
    """A unary call from the choice of the handler to the bytes of its answer."""
    row = Row(name="a unary call without grpc, CPU", unit="µs")
    dispatcher = Dispatcher(token=TOKEN, limits=Limits())
    dispatcher.add(Kinds, Echo())
    body, expected = Ask(text="x").SerializeToString(), Answer(text="x").SerializeToString()
    details, context = cast("grpc.HandlerCallDetails", _Details()), _Context()
    count = 20_000 if full else 5_000

    def calls(of: grpc.GenericRpcHandler) -> Measure:
        async def measure() -> Sequence[float]:
            began = thread_time()
            for _ in range(count):
                # As grpc's server does it.
                handler: Any = of.service(details)
                parse, serialize = handler.request_deserializer, handler.response_serializer
                request = parse(body) if parse else body
                answer = await handler.unary_unary(request, context)
                answer = serialize(answer) if serialize else answer
                assert answer == expected
            return ((thread_time() - began) / count * 1e6,)

        return measure

    await rounds(
        (row,), 25 if full else 7, {"control": calls(control.handler()), "ours": calls(dispatcher)}
    )
    dispatcher.slots.close()
    return [row]
