"""The reflection of a server in a foreign language."""

from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

PARTS = FileDescriptorProto(name="parts.proto", package="odd.v1", syntax="proto3")
PARTS.message_type.add(name="Part")
FILE = FileDescriptorProto(
    name="odd.proto", package="odd.v1", syntax="proto3", dependency=["parts.proto"]
)
FILE.service.add(name="Odd").method.add(
    name="Get", input_type=".odd.v1.Part", output_type=".odd.v1.Part"
)
FILES = {file.name: file for file in (PARTS, FILE)}


class Describing(grpc.GenericRpcHandler):
    """Reflection in one version, which sends each file alone, as some languages do."""

    def __init__(self, service: str, *, complete: bool = True, code: int = 5) -> None:
        self._path = f"/{service}/ServerReflectionInfo"
        self._files = FILES if complete else {"odd.proto": FILE}
        self._code = code

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method != self._path:
            return None
        return grpc.stream_stream_rpc_method_handler(
            self._tell,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    async def _tell(self, requests: Any, context: Any) -> None:
        async for request in requests:
            name = request.file_by_filename or "odd.proto"
            if request.file_containing_symbol.startswith("no."):
                name = ""
            answer = reflection_pb2.ServerReflectionResponse()
            if request.HasField("list_services"):
                for service in ("odd.v1.Odd", "a.A"):
                    answer.list_services_response.service.add(name=service)
            elif name in self._files:
                data = self._files[name].SerializeToString()
                answer.file_descriptor_response.file_descriptor_proto.append(data)
            else:
                answer.error_response.error_code = self._code
                answer.error_response.error_message = f"{name} is not known"
            await context.write(answer)
