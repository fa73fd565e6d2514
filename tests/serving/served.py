"""A bare server of ours on a Unix socket, and a client of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hsu_worker import Limits
from hsu_worker.serving.admission import Gate, always_open
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Kinds, KindsClient


def raw(connection: Connection, kind: str, path: str) -> Any:
    """A method as grpc calls it, without types: bytes in, bytes out."""
    return getattr(connection.channel, kind)(path)


@dataclass(frozen=True, kw_only=True)
class ServedKinds:
    dispatcher: Dispatcher
    connection: Connection
    client: KindsClient
    address: Address


@asynccontextmanager
async def served(
    service: object,
    *,
    token: str = "",
    sent: str = "",
    gate: Gate = always_open,
    limits: Limits | None = None,
) -> AsyncGenerator[ServedKinds, None]:
    """Serve Kinds with `token`; the client sends the token `sent`."""
    dispatcher = Dispatcher(token=token, limits=limits or Limits())
    dispatcher.add(Kinds, service, gate=gate)
    with TemporaryDirectory() as folder:
        async with listening(dispatcher, Address(path=str(Path(folder) / "s"))) as address:
            connection = Connection.open(address, token=sent)
            try:
                yield ServedKinds(
                    dispatcher=dispatcher,
                    connection=connection,
                    client=KindsClient(connection),
                    address=address,
                )
            finally:
                await connection.close()
