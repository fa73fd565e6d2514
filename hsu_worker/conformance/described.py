"""The descriptors of a worker's interfaces: as its reflection tells them, or as this package has them."""

from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

# Their import makes their interfaces known.
from hsu_worker.conformance import bounds
from hsu_worker.conformance.asking import Answer
from hsu_worker.conformance.finding import NotMet, Skipped
from hsu_worker.conformance.worker import Worker
from hsu_worker.errors import Internal, RpcError
from hsu_worker.gen import hsu_a as _a
from hsu_worker.gen import hsu_b as _b
from hsu_worker.wire.reflected import Reflected, pool_of

_KNOWN = (_a, _b)


async def services(worker: Worker, version: str) -> Answer:
    """What reflection answers when it is asked for all services."""
    question = reflection_pb2.ServerReflectionRequest(list_services="*")
    return await worker.ask(
        f"/{version}/ServerReflectionInfo", (question.SerializeToString(),), streams=True
    )


def listed(answer: Answer) -> list[str]:
    """The services in an answer; none when it is no list."""
    names: list[str] = []
    for body in answer.bodies:
        try:
            told: Any = reflection_pb2.ServerReflectionResponse.FromString(body)
        except DecodeError:
            return []
        names += [service.name for service in told.list_services_response.service]
    return names


async def described(worker: Worker) -> tuple[DescriptorPool | None, str]:
    """The descriptors, or why there are none.

    Raises:
        NotMet: What its reflection tells can't be used.
    """
    reflected = Reflected(worker.connection)
    try:
        files = await reflected.files(worker.names, timeout=bounds.ANSWER * worker.patience)
    except RpcError:
        # What is wrong with it is found by checks of their own.
        files = {}
    if files:
        try:
            return pool_of(files), ""
        except Internal as problem:
            raise NotMet("whole descriptors from reflection", problem.message) from None
    default = descriptor_pool.Default()
    try:
        for name in worker.names:
            default.FindServiceByName(name)
    except KeyError:
        return None, "it serves no reflection, so nobody can know what its messages look like"
    return default, ""


def service_of(pool: DescriptorPool, name: str) -> ServiceDescriptor:
    """An interface.

    Raises:
        NotMet: The worker tells of it in its handshake, and not by reflection.
    """
    try:
        return pool.FindServiceByName(name)
    except KeyError:
        raise NotMet(f"{name} in its reflection, as in its handshake", "it is not there") from None


def encoded(pool: DescriptorPool, method: str, request: str) -> bytes:
    """A request, as bytes, of its JSON.

    Raises:
        Skipped: There is no such method, or the text is not its request.
    """
    service, _, name = method.strip("/").rpartition("/")
    try:
        found: MethodDescriptor = pool.FindServiceByName(service).methods_by_name[name]
    except KeyError:
        raise Skipped(f"--slow-method {method}: the worker has no such method") from None
    try:
        message = json_format.Parse(
            request, message_factory.GetMessageClass(found.input_type)(), descriptor_pool=pool
        )
    except json_format.ParseError as error:
        raise Skipped(f"--slow-request is no {found.input_type.full_name}: {error}") from None
    return message.SerializeToString()
