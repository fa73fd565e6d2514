"""An interface with all four kinds of call, and a nested message, in a pool of its own."""

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.text_format import Parse

from hsu_worker.interface import AnyInterface, Interface

_FILE = """
    name: "four_kinds.proto" package: "test.v1" syntax: "proto3"
    message_type { name: "Question" nested_type { name: "Part" } }
    message_type { name: "Answer" }
    service {
      name: "FourKinds"
      method { name: "Ask" input_type: ".test.v1.Question" output_type: ".test.v1.Answer" }
      method { name: "Watch" input_type: ".test.v1.Question" output_type: ".test.v1.Answer"
               server_streaming: true }
      method { name: "Collect" input_type: ".test.v1.Question.Part" output_type: ".test.v1.Answer"
               client_streaming: true }
      method { name: "TalkBack" input_type: ".test.v1.Question.Part" output_type: ".test.v1.Answer"
               client_streaming: true server_streaming: true }
    }
"""

_pool = DescriptorPool()
_pool.AddSerializedFile(Parse(_FILE, FileDescriptorProto()).SerializeToString())
_file = _pool.FindFileByName("four_kinds.proto")

Question: Any = GetMessageClass(_file.message_types_by_name["Question"])
Answer: Any = GetMessageClass(_file.message_types_by_name["Answer"])
Part: Any = Question.Part

FourKinds: AnyInterface = Interface(
    _file.services_by_name["FourKinds"],
    client=lambda lease: lease,
    blocking_client=lambda client, portal: (client, portal),
)
