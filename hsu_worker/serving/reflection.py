"""Server reflection, v1 and v1alpha: what is served, for clients without the `.proto`."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

from hsu_worker.errors import InvalidArgument
from hsu_worker.serving.admission import Context
from hsu_worker.serving.failures import Refused, answer_failure
from hsu_worker.serving.health import SERVICE as HEALTH
from hsu_worker.serving.lazy import LazyService
from hsu_worker.serving.requests import parser
from hsu_worker.wire.reflected import V1, V1ALPHA

#: Sees a `ServerReflectionRequest` and the pools that it is answered from, first to last.
Prepare: TypeAlias = Callable[[Any, list[descriptor_pool.DescriptorPool]], Awaitable[None]]


async def _nothing_to_add(_request: Any, _pools: list[descriptor_pool.DescriptorPool]) -> None:
    pass


class Reflection:
    """Tells what a server serves, to callers that the server lets in.

    Args:
        names: The interfaces, by their full names.

        authenticate: Raises `Refused` for metadata without the token.

        prepare: Sees each request first, and may add pools to those that it is answered from.
    """

    def __init__(
        self,
        names: Callable[[], Iterable[str]],
        authenticate: Callable[[Any], None],
        prepare: Prepare = _nothing_to_add,
    ) -> None:
        self._names = names
        self._authenticate = authenticate
        self._prepare = prepare
        self._reading: set[asyncio.Future[Any]] = set()
        self._closed = False

    def handler(self) -> LazyService:
        """What the server asks for the handlers."""
        return LazyService((V1, V1ALPHA), self._build)

    def close(self) -> None:
        """End the streams that clients keep open."""
        self._closed = True
        for reading in self._reading:
            reading.cancel()

    async def _next(self, bodies: Any) -> Any:
        """What the client asks next; None when nothing more comes.

        Only the reading is ever cut short: a stream that ends under a write has two batches at grpc,
        which refuses the second one.
        """
        reading = asyncio.ensure_future(anext(bodies, None))
        self._reading.add(reading)
        try:
            return await reading
        except asyncio.CancelledError:
            if not self._closed:
                raise
            return None
        finally:
            self._reading.discard(reading)

    def _build(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        v1 = _pool_with_v1()
        parse = parser(f"/{V1}/ServerReflectionInfo", reflection_pb2.ServerReflectionRequest)

        async def info(bodies: Any, context: Context) -> None:
            pools = [descriptor_pool.Default(), v1]

            async def prepared() -> AsyncGenerator[Any, None]:
                while not self._closed and (body := await self._next(bodies)) is not None:
                    request = parse(body)
                    await self._prepare(request, pools)
                    yield request

            try:
                self._authenticate(context.invocation_metadata())
                # Made for each stream: what a master serves changes.
                servicer: Any = reflection.aio.ReflectionServicer(
                    {*self._names(), HEALTH, V1, V1ALPHA}, pool=ChainedPool(pools)
                )
                async with aclosing(prepared()) as asked:
                    async for answer in servicer.ServerReflectionInfo(asked, context):
                        await context.write(answer)
            except (Refused, InvalidArgument) as refusal:
                await answer_failure(context, V1, None, refusal)

        handler: Any = grpc.stream_stream_rpc_method_handler(
            info,
            # The messages of both versions have the same bytes.
            response_serializer=_serialize,
        )
        return {f"/{service}/ServerReflectionInfo": handler for service in (V1, V1ALPHA)}


class ChainedPool:
    """Several pools as one, each asked after those before it."""

    def __init__(self, pools: list[descriptor_pool.DescriptorPool]) -> None:
        self._pools = pools

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802  protobuf's name
        """As of one pool; protobuf itself takes no method for a symbol."""
        try:
            return self.__getattr__("FindFileContainingSymbol")(symbol)
        except KeyError:
            return self.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def look(*arguments: Any) -> Any:
            for pool in self._pools[:-1]:
                try:
                    return getattr(pool, method)(*arguments)
                except KeyError:
                    continue
            return getattr(self._pools[-1], method)(*arguments)

        return look


def _serialize(message: Any) -> bytes:
    body: bytes = message.SerializeToString()
    return body


def _pool_with_v1() -> descriptor_pool.DescriptorPool:
    """What makes v1 known: grpcio-reflection serves v1alpha only, and clients that ask for v1 then
    want its descriptors. Another package may bring the true v1 file, so this one must not be added
    to the default pool.
    """
    # Makes the file of the health service known.
    importlib.import_module("grpc_health.v1.health_pb2")
    from grpc_reflection.v1alpha import reflection_pb2

    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    v1 = descriptor_pb2.FileDescriptorProto()
    v1.CopyFrom(alpha)
    v1.name = "grpc/reflection/v1/reflection.proto"
    v1.package = "grpc.reflection.v1"
    _rename(v1, ".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")
    own = descriptor_pool.DescriptorPool()
    own.AddSerializedFile(v1.SerializeToString())
    return own


def _rename(file: Any, before: str, after: str) -> None:
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(before, after)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(before, after)
            method.output_type = method.output_type.replace(before, after)
