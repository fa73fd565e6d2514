"""What a server tells of itself by reflection: its interfaces, and the files that describe them."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.errors import RPC_ERRORS, Code, Internal, NotFound, RpcError, Unimplemented
from hsu_worker.interface import Method
from hsu_worker.wire.client import Client

V1: Final = "grpc.reflection.v1.ServerReflection"
V1ALPHA: Final = "grpc.reflection.v1alpha.ServerReflection"

#: The end of what a master says of a unit without.
NO_REFLECTION: Final = "has no reflection"


class Reflected(Client):
    """Asks a server what it serves: by v1, or by v1alpha where there is no v1.

        reflected = Reflected(connection)
        files = await reflected.files(await reflected.names())
        service = pool_of(files).FindServiceByName("hsu.a.v1.InterfaceA")

    Raises:
        Unimplemented: It has no reflection.

        RpcError: What else the server, or the way to it, says.
    """

    async def names(self, *, timeout: float | None = None) -> list[str]:
        """The full names of its interfaces, in order."""
        [answer] = await self._ask([{"list_services": ""}], timeout)
        if (error := _error(answer)) is not None:
            raise error
        return sorted(service.name for service in answer.list_services_response.service)

    async def files(
        self, symbols: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, FileDescriptorProto]:
        """The files that define some symbols, and those that they import, by name.

        What the server doesn't know is left out.
        """
        files: dict[str, FileDescriptorProto] = {}
        asked: set[str] = set()
        questions = [{"file_containing_symbol": symbol} for symbol in symbols]
        while questions:
            for answer in await self._ask(questions, timeout):
                error = _error(answer)
                if error is not None and not isinstance(error, NotFound):
                    raise error
                for data in answer.file_descriptor_response.file_descriptor_proto:
                    file = FileDescriptorProto.FromString(data)
                    files[file.name] = file
            # Some servers send a file alone, and wait to be asked for those that it imports.
            imported = {name for file in files.values() for name in file.dependency}
            missing = sorted(imported - files.keys() - asked)
            asked.update(missing)
            questions = [{"file_by_filename": name} for name in missing]
        return files

    async def _ask(self, questions: list[dict[str, str]], timeout: float | None) -> list[Any]:
        try:
            return await self._ask_by(_method(V1), questions, timeout)
        except Unimplemented:
            return await self._ask_by(_method(V1ALPHA), questions, timeout)

    async def _ask_by(
        self, method: Method, questions: list[dict[str, str]], timeout: float | None
    ) -> list[Any]:
        requests = [method.request(**question) for question in questions]
        answers = [a async for a in self._stream_stream(method, requests, timeout, ())]
        if len(answers) != len(questions):
            raise Internal(f"{method.path} answered {len(answers)} of {len(questions)} questions")
        return answers


def pool_of(files: Mapping[str, FileDescriptorProto]) -> DescriptorPool:
    """A pool of files.

    Raises:
        Internal: One is missing, or contradicts another.
    """
    pool = DescriptorPool()
    add_files(pool, files)
    return pool


def add_files(pool: DescriptorPool, files: Mapping[str, FileDescriptorProto]) -> None:
    """Add to a pool the files that it hasn't, each after those that it imports.

    Raises:
        Internal: One is missing, or contradicts another.
    """

    def add(name: str) -> None:
        if not _has(pool, name):
            for imported in files[name].dependency:
                add(imported)
            pool.AddSerializedFile(files[name].SerializeToString())

    try:
        for name in files:
            add(name)
    except (KeyError, TypeError) as problem:
        raise Internal(f"what its reflection tells is incomplete: {problem}") from None


def _has(pool: DescriptorPool, name: str) -> bool:
    try:
        pool.FindFileByName(name)
    except KeyError:
        return False
    return True


@cache
def _method(service: str) -> Method:
    # The messages of both versions have the same bytes.
    from grpc_reflection.v1alpha import reflection_pb2

    descriptor: Any
    [descriptor] = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods
    return Method.of(descriptor, service=service, idempotent=True)


def _error(answer: Any) -> RpcError | None:
    if not answer.HasField("error_response"):
        return None
    error = answer.error_response
    code = Code(error.error_code) if error.error_code in tuple(Code) else Code.UNKNOWN
    return RPC_ERRORS[code](error.error_message)
