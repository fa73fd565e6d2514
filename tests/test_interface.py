"""Names, methods and fingerprints of interfaces."""

import asyncio
import hashlib

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.text_format import Parse

from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummaryChunk
from hsu_worker.gen.hsu_core import Core
from hsu_worker.interface import (
    Requests,
    check_interface,
    fingerprint,
    refuse_blocking,
    snake_case,
)

#: A file with all that a fingerprint looks at, as descriptor.proto writes it.
FILE = """
name: "fingerprint.proto" package: "f.v1" syntax: "proto3"
message_type {
  name: "Ask"
  field { name: "text" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "tags" number: 12 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".f.v1.Ask.TagsEntry" }
  field { name: "again" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".f.v1.Ask" }
  nested_type {
    name: "TagsEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_INT64 }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES }
  }
}
message_type {
  name: "Answer"
  field { name: "colour" number: 2 label: LABEL_REPEATED type: TYPE_ENUM type_name: ".f.v1.Colour" }
}
message_type {
  name: "Unreached"
  field { name: "x" number: 1 label: LABEL_OPTIONAL type: TYPE_BOOL }
}
enum_type { name: "Colour" value { name: "COLOUR_UNSPECIFIED" number: 0 } }
service {
  name: "Talk"
  method { name: "Say" input_type: ".f.v1.Ask" output_type: ".f.v1.Answer" }
  method { name: "Listen" input_type: ".f.v1.Ask" output_type: ".f.v1.Answer" server_streaming: true }
  method { name: "Tell" input_type: ".f.v1.Ask" output_type: ".f.v1.Answer" client_streaming: true }
  method {
    name: "Talk" input_type: ".f.v1.Answer" output_type: ".f.v1.Ask"
    client_streaming: true server_streaming: true
  }
}
"""

#: Worked by hand from FILE: docs/launch-contract.md says how.
LINES = """\
F f.v1.Answer 2 repeated enum f.v1.Colour
F f.v1.Ask 1 singular string -
F f.v1.Ask 12 repeated message f.v1.Ask.TagsEntry
F f.v1.Ask 3 singular message f.v1.Ask
F f.v1.Ask.TagsEntry 1 singular int64 -
F f.v1.Ask.TagsEntry 2 singular bytes -
M Listen us f.v1.Ask f.v1.Answer
M Say uu f.v1.Ask f.v1.Answer
M Talk ss f.v1.Answer f.v1.Ask
M Tell su f.v1.Ask f.v1.Answer
"""

#: Worked by hand from proto/hsu_a.proto.
LINES_OF_A = """\
F hsu.a.v1.SummarizeRequest 1 singular string -
F hsu.a.v1.SummarizeRequest 2 singular uint32 -
F hsu.a.v1.SummarizeResponse 1 singular string -
F hsu.a.v1.SummarizeResponse 2 repeated message hsu.a.v1.SummaryChunk
F hsu.a.v1.SummarizeResponse 3 singular uint32 -
F hsu.a.v1.SummaryChunk 1 singular string -
F hsu.a.v1.SummaryChunk 2 singular uint32 -
F hsu.a.v1.SummaryChunk 3 singular uint32 -
F hsu.a.v1.SummaryChunk 4 singular double -
M StreamSummary us hsu.a.v1.SummarizeRequest hsu.a.v1.SummaryChunk
M Summarize uu hsu.a.v1.SummarizeRequest hsu.a.v1.SummarizeResponse
"""


def service(text: str = FILE) -> ServiceDescriptor:
    """The service of a file, in a pool of its own."""
    pool = DescriptorPool()
    pool.AddSerializedFile(Parse(text, FileDescriptorProto()).SerializeToString())
    return pool.FindServiceByName("f.v1.Talk")


def sha256(lines: str) -> str:
    return hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Summarize", "summarize"),
        ("StreamSummary", "stream_summary"),
        ("GetHTTPInfo", "get_http_info"),
        ("HTTP", "http"),
        ("HTTPGet", "http_get"),
        ("GetURL", "get_url"),
        ("GetX", "get_x"),
        ("XRay", "x_ray"),
        ("ToV2", "to_v2"),
        ("V2Get", "v2_get"),
        ("Sha256Sum", "sha256_sum"),
        ("Get2Things", "get2_things"),
        ("already_snake", "already_snake"),
        ("lowerCamel", "lower_camel"),
        ("Mixed_Case", "mixed_case"),
        ("Get__Two", "get__two"),
        ("UPPER_CASE", "upper_case"),
        ("A", "a"),
        ("ABTest", "ab_test"),
        ("_Lease", "_lease"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_a_fingerprint_is_what_was_worked_by_hand() -> None:
    assert fingerprint(service()) == sha256(LINES)
    assert sha256(LINES) == "84b704365ae369c9a448db8e6d459ecf53cb9113c0d8a3538f19ab4f7f9e3762"


def test_the_fingerprint_of_interface_a_is_what_was_worked_by_hand() -> None:
    assert InterfaceA.fingerprint == sha256(LINES_OF_A)
    assert sha256(LINES_OF_A) == "f99ee974130f86e15ca2d66928fcd51cf04740738c229b0644f081a230aac757"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: "text" number: 1 ', 'name: "words" number: 1 '),
        ('name: "Colour" value { name: "COLOUR_UNSPECIFIED"', 'name: "Colour" value { name: "X"'),
        ('name: "x" number: 1', 'name: "x" number: 9'),
    ],
    ids=["a field's name", "an enum's value", "a message that no method reaches"],
)
def test_what_does_not_hurt_does_not_change_a_fingerprint(old: str, new: str) -> None:
    assert old in FILE
    assert fingerprint(service(FILE.replace(old, new))) == fingerprint(service())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: "Say"', 'name: "Speak"'),
        ("server_streaming: true }", "}"),
        ('name: "text" number: 1', 'name: "text" number: 5'),
        ("LABEL_OPTIONAL type: TYPE_STRING", "LABEL_REPEATED type: TYPE_STRING"),
        ("type: TYPE_BYTES", "type: TYPE_STRING"),
    ],
    ids=["a method's name", "its kind", "a field's number", "its label", "a map's type"],
)
def test_what_hurts_changes_a_fingerprint(old: str, new: str) -> None:
    assert old in FILE
    assert fingerprint(service(FILE.replace(old, new))) != fingerprint(service())


def test_methods_are_those_of_the_proto_by_their_python_names() -> None:
    assert list(InterfaceA.methods) == ["summarize", "stream_summary"]
    method = InterfaceA.methods["stream_summary"]
    assert method.name == "StreamSummary"
    assert method.path == "/hsu.a.v1.InterfaceA/StreamSummary"
    assert method.request is SummarizeRequest
    assert method.response is SummaryChunk
    assert method.kind == "server stream"
    assert method.idempotent
    assert not Core.methods["ping"].server_streaming


def test_an_interface_shows_its_name() -> None:
    assert repr(InterfaceA) == "<Interface hsu.a.v1.InterfaceA>"


async def test_waiting_on_the_loop_is_refused_with_the_cure() -> None:
    with pytest.raises(RuntimeError) as caught:
        refuse_blocking("iterating the requests")
    assert str(caught.value) == (
        "iterating the requests would block the event loop; write `async for` instead of `for`, "
        "or make the handler a plain `def`"
    )
    await asyncio.to_thread(refuse_blocking, "iterating the requests")


async def test_requests_are_their_own_iterators() -> None:
    class Two(Requests[int]):
        def __init__(self) -> None:
            self.left = [1, 2]

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

        def __next__(self) -> int:
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

    assert [request async for request in Two()] == [1, 2]
    assert list(Two()) == [1, 2]


@pytest.mark.parametrize(("given", "shown"), [("geo", "'geo'"), (int, "int")])
def test_whoever_passes_no_interface_is_told_what_to_pass(given: object, shown: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_interface(given)
    assert (
        f"{shown} is no interface; pass the one that `hsu-worker gen` made, such as InterfaceA"
    ) == str(caught.value)
    check_interface(InterfaceA)
