"""Server reflection, v1 and v1alpha: what is served, for clients without the `.proto`."""

import asyncio
import importlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool

from hsu_worker.serving.failures import Refused, answer_failure
from hsu_worker.serving.health import SERVICE as HEALTH
from hsu_worker.serving.lazy import LazyService

V1: Final = "grpc.reflection.v1.ServerReflection"
V1ALPHA: Final = "grpc.reflection.v1alpha.ServerReflection"


class Reflection:
    """Tells what a server serves, to callers that the server lets in.

    Args:
        names: The interfaces, by their full names.

        authenticate: Raises `Refused` for metadata without the token.
    """

    def __init__(
        self, names: Callable[[], Iterable[str]], authenticate: Callable[[Any], None]
    ) -> None:
        self._names = names
        self._authenticate = authenticate
        self._open: set[asyncio.Task[Any]] = set()
        self._closed = False

    def handler(self) -> LazyService:
        """What the server asks for the handlers."""
        return LazyService((V1, V1ALPHA), self._build)

    def close(self) -> None:
        """End the streams that clients keep open."""
        self._closed = True
        for task in self._open:
            task.cancel()

    def _build(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        pool = _pool_with_v1()

        async def info(_requests: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
            task = asyncio.current_task()
            assert task is not None
            try:
                self._authenticate(context.invocation_metadata())
            except Refused as refusal:
                await answer_failure(context, V1, None, refusal)
            self._open.add(task)
            try:
                # Made for each stream: what a master serves changes.
                servicer: Any = reflection.aio.ReflectionServicer(
                    {*self._names(), HEALTH, V1, V1ALPHA}, pool=pool
                )
                async for answer in servicer.ServerReflectionInfo(_requests, context):
                    await context.write(answer)
            except asyncio.CancelledError:
                if not self._closed:
                    raise
            finally:
                self._open.discard(task)

        handler: Any = grpc.stream_stream_rpc_method_handler(
            info,
            # The messages of both versions have the same bytes.
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=_serialize,
        )
        return {f"/{service}/ServerReflectionInfo": handler for service in (V1, V1ALPHA)}


class _ChainedPool:
    """A pool that looks into the default one after its own.

    grpcio-reflection serves v1alpha only, and clients that ask for v1 then want its descriptors.
    Another package may bring the true v1 file, so it must not be added to the default pool.
    """

    def __init__(self, own: descriptor_pool.DescriptorPool) -> None:
        self._pools = (descriptor_pool.Default(), own)

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


def _pool_with_v1() -> Any:
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
    return _ChainedPool(own)


def _rename(file: Any, before: str, after: str) -> None:
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(before, after)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(before, after)
            method.output_type = method.output_type.replace(before, after)
