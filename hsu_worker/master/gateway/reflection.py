"""Reflection at the gateway: the interfaces of all units, told as those of one server."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.errors import Internal, RpcError
from hsu_worker.master.gateway.gateway import Lender
from hsu_worker.master.router import CORE, Router
from hsu_worker.serving.admission import stranger
from hsu_worker.serving.failures import Refused
from hsu_worker.serving.lazy import LazyService
from hsu_worker.serving.reflection import V1, V1ALPHA, ChainedPool, Reflection
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.status import from_grpc


class GatewayReflection:
    """Lists what can be called without starting anything; starts a unit to describe its interfaces.

    What the master's process has imported needs no unit. What a unit's worker told is kept until
    `forget`.

    Args:
        router: Knows the interfaces, and the unit of each.

        lender: Lends a unit's connection.

        own: The names of what the master answers itself.

        authorize: Whether the metadata of a call lets it in.
    """

    def __init__(
        self,
        router: Router,
        lender: Lender,
        own: Iterable[str],
        authorize: Callable[[Any], bool],
    ) -> None:
        self._router = router
        self._lender = lender
        self._own = tuple(own)
        self._authorize = authorize
        self._pools: dict[str, DescriptorPool] = {}
        self._reflection = Reflection(self._names, self._authenticate, self._prepare)

    def handler(self) -> LazyService:
        """What the server asks for the handlers."""
        return self._reflection.handler()

    def forget(self, unit: str) -> None:
        """Ask the unit again: its worker is another one."""
        self._pools.pop(unit, None)

    def close(self) -> None:
        """End the streams that clients keep open."""
        self._reflection.close()

    def _names(self) -> tuple[str, ...]:
        return (*self._router.interfaces, CORE, *self._own)

    def _authenticate(self, metadata: Any) -> None:
        if not self._authorize(metadata or ()):
            raise stranger()

    async def _prepare(self, request: Any, pools: list[DescriptorPool]) -> None:
        """Have what a request asks for in one of the pools, if a unit knows it."""
        symbol = request.file_containing_symbol or request.file_containing_extension.containing_type
        interface = self._interface_of(symbol)
        if interface is not None and not _knows(pools, symbol):
            unit = self._router.unit_for(interface)
            if unit not in self._pools:
                self._pools[unit] = await self._ask(unit)
            # Two units may have files of one name: what follows belongs to what came before.
            pools.insert(0, self._pools[unit])
        pools += [pool for pool in self._pools.values() if pool not in pools]

    def _interface_of(self, symbol: str) -> str | None:
        """The interface that a symbol is, or is part of; else one of its package."""
        neighbour = None
        for interface in self._router.interfaces:
            if f"{symbol}.".startswith(f"{interface}."):
                return interface
            package, _, _ = interface.rpartition(".")
            if symbol.startswith(f"{package}."):
                neighbour = interface
        return neighbour

    async def _ask(self, unit: str) -> DescriptorPool:
        names = [name for name in self._router.interfaces if self._router.unit_for(name) == unit]
        lease = self._lender.lease(V1, unit, method="ServerReflectionInfo", start=True)
        try:
            async with lease(None) as connection:
                try:
                    files = await _files(connection, V1, names)
                except grpc.aio.AioRpcError:
                    # Mostly UNIMPLEMENTED; but the end of a stream that is being written to is
                    # INTERNAL to grpc.aio, whatever the worker said.
                    files = await _files(connection, V1ALPHA, names)
        except grpc.aio.AioRpcError as failure:
            raise Refused(from_grpc(failure)) from None
        except RpcError as error:
            raise Refused(error) from None
        try:
            return _pool(files)
        except (KeyError, TypeError) as problem:
            raise Refused(
                Internal(f"unit {unit!r}: what its reflection tells is incomplete: {problem}")
            ) from None


def _knows(pools: list[DescriptorPool], symbol: str) -> bool:
    with suppress(KeyError):
        ChainedPool(pools).FindFileContainingSymbol(symbol)
        return True
    return False


async def _files(
    connection: Connection, service: str, symbols: Iterable[str]
) -> dict[str, FileDescriptorProto]:
    """The files of some symbols, and those that they import, from a worker's reflection."""
    from grpc_reflection.v1alpha import reflection_pb2

    channel: Any = connection.channel
    call: Any = channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(metadata=connection.metadata)
    files: dict[str, FileDescriptorProto] = {}

    async def ask(**question: Any) -> None:
        await call.write(reflection_pb2.ServerReflectionRequest(**question))
        answer = await call.read()
        if answer is grpc.aio.EOF:
            return
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(data)
            files[file.name] = file

    try:
        for symbol in symbols:
            await ask(file_containing_symbol=symbol)
        asked: set[str] = set()
        # Some servers send a file alone, and wait to be asked for those that it imports.
        while (
            missing := {
                name for file in files.values() for name in file.dependency if name not in files
            }
            - asked
        ):
            asked |= missing
            for name in missing:
                await ask(file_by_filename=name)
        await call.done_writing()
    finally:
        call.cancel()
    return files


def _pool(files: dict[str, FileDescriptorProto]) -> DescriptorPool:
    pool = DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name not in added:
            added.add(name)
            for imported in files[name].dependency:
                add(imported)
            pool.AddSerializedFile(files[name].SerializeToString())

    for name in files:
        add(name)
    return pool
