"""A gateway in this process, before workers that do what a test says."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import grpc.aio

from hsu_worker import Limits
from hsu_worker.errors import RpcError
from hsu_worker.master import Config
from hsu_worker.master.gateway.gateway import Gateway
from hsu_worker.master.router import Router
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection, Lease
from hsu_worker.wire.metadata import presents
from tests.gen.hsu_test_kinds import Kinds

TOML = """\
[units.u]
command = ["./u"]
implements = ["hsu.test.v1.Kinds"]
"""

#: Larger than any unit's.
LIMITS = Limits(message_bytes=(1 << 31) - 1)

Script = Callable[[Any, Any], Awaitable[None]]


class Scripts(grpc.GenericRpcHandler):
    """A worker in a foreign language: each method is a function of (requests, context), in bytes."""

    def __init__(self, **scripts: Script) -> None:
        self._scripts = scripts

    def service(self, handler_call_details: Any) -> Any:
        script = self._scripts.get(handler_call_details.method.rpartition("/")[2])
        if script is None:
            return None

        async def handle(requests: Any, context: Any) -> None:
            await script(requests, context)

        return grpc.stream_stream_rpc_method_handler(handle)


def serving(service: object) -> Dispatcher:
    """A worker of ours, as a handler."""
    dispatcher = Dispatcher(limits=Limits())
    dispatcher.add(Kinds, service)
    return dispatcher


@dataclass
class Asked:
    """One lease that the gateway asked for, and what it learnt."""

    interface: str
    unit: str
    what: str
    start: bool
    deadline: float | None = None
    failure: BaseException | None = None
    returned: bool = False


@dataclass
class Loans:
    """Lends one connection after the other, and the last one for ever."""

    connections: list[Connection | RpcError]
    asked: list[Asked] = field(default_factory=list)

    def lease(self, interface: str, unit: str, *, what: str, start: bool, chain: str = "") -> Lease:
        @asynccontextmanager
        async def lease(deadline: float | None, /) -> AsyncGenerator[Connection, None]:
            asked = Asked(interface, unit, what, start, deadline)
            self.asked.append(asked)
            lent = self.connections[min(len(self.asked), len(self.connections)) - 1]
            if isinstance(lent, RpcError):
                raise lent
            try:
                yield lent
            except BaseException as failure:
                asked.failure = failure
                raise
            finally:
                asked.returned = True

        return lease


@dataclass(frozen=True, kw_only=True)
class Gated:
    loans: Loans
    address: Address
    direct: Connection
    through: Connection


@asynccontextmanager
async def worker(*handlers: Any, limits: Limits | None = None) -> AsyncGenerator[Connection, None]:
    """A worker that answers with the handlers; gives a connection to it."""
    with TemporaryDirectory() as folder:
        async with listening(
            Dispatcher(limits=limits or Limits()), Address(path=f"{folder}/w"), *handlers
        ) as address:
            connection = Connection.open(address, message_bytes=-1)
            try:
                yield connection
            finally:
                await connection.close()


@asynccontextmanager
async def gateway(
    *lent: Connection | RpcError, toml: str = TOML, sent: str = "secret"
) -> AsyncGenerator[tuple[Loans, Address, Connection], None]:
    """A gateway that asks for the token `secret`; the connection to it sends `sent`."""
    loans = Loans(list(lent))
    secret = partial(presents, token="secret")
    handler = Gateway(Router(Config.from_text(toml)), loans, authorize=secret, owns=secret)
    with TemporaryDirectory() as folder:
        async with listening(
            Dispatcher(token="secret", limits=LIMITS), Address(path=f"{folder}/g"), handler
        ) as address:
            connection = Connection.open(address, token=sent, message_bytes=-1)
            try:
                yield loans, address, connection
            finally:
                await connection.close()


@asynccontextmanager
async def gated(*handlers: Any) -> AsyncGenerator[Gated, None]:
    """A worker, and a gateway before it."""
    async with worker(*handlers) as direct, gateway(direct) as (loans, address, through):
        yield Gated(loans=loans, address=address, direct=direct, through=through)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that a caller can see of a call."""

    code: grpc.StatusCode
    message: str
    initial: Sequence[tuple[str, str | bytes]]
    trailing: Sequence[tuple[str, str | bytes]]
    answers: Sequence[bytes]

    def trailer(self, name: str) -> str | bytes | None:
        return dict(self.trailing).get(name)


async def call(
    connection: Connection,
    method: str,
    *requests: bytes,
    kind: str = "unary_unary",
    metadata: Mapping[str, str | bytes] | None = None,
    timeout: float | None = 20,
    service: str = "hsu.test.v1.Kinds",
) -> Seen:
    """Call a method to its end, as any client does."""
    make: Any = getattr(connection.channel, kind)(f"/{service}/{method}")

    async def stream() -> AsyncGenerator[bytes, None]:
        for request in requests:
            yield request

    started = make(
        stream() if kind.startswith("stream") else requests[0] if requests else b"",
        metadata=grpc.aio.Metadata(*connection.metadata, *(metadata or {}).items()),
        timeout=timeout,
    )
    answers: list[bytes] = []
    try:
        if kind.endswith("stream"):
            async for answer in started:
                answers.append(answer)  # noqa: PERF401  those before a failure count
        else:
            answers.append(await started)
    except grpc.aio.AioRpcError:
        pass
    return Seen(
        code=await started.code(),
        message=await started.details() or "",
        initial=tuple(await started.initial_metadata()),
        trailing=tuple(await started.trailing_metadata()),
        answers=answers,
    )
