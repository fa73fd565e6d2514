"""Answers as JSON, also those that hold what the server alone knows."""

from collections.abc import Iterable
from typing import Any, cast

import pytest
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from hsu_worker.cli._json_answers import Answers
from hsu_worker.cli._server import Server
from hsu_worker.errors import HsuError
from hsu_worker.wire.reflected import pool_of

ANY = FileDescriptorProto()
PackedAny.DESCRIPTOR.file.CopyToProto(ANY)

BOX = FileDescriptorProto(
    name="box.proto", package="box", syntax="proto3", dependency=["google/protobuf/any.proto"]
)
_box = BOX.message_type.add(name="Box")
for _number, (_name, _label) in enumerate((("one", 1), ("many", 3)), start=1):
    _box.field.add(
        name=_name,
        number=_number,
        label=cast("Any", _label),
        type=FieldDescriptorProto.TYPE_MESSAGE,
        type_name=".google.protobuf.Any",
    )
_box.field.add(name="text", number=3, label=1, type=FieldDescriptorProto.TYPE_STRING)
_pairs = _box.nested_type.add(name="PairsEntry")
_pairs.options.map_entry = True
_pairs.field.add(name="key", number=1, label=1, type=FieldDescriptorProto.TYPE_STRING)
_pairs.field.add(
    name="value",
    number=2,
    label=1,
    type=FieldDescriptorProto.TYPE_MESSAGE,
    type_name=".box.Box",
)
_box.field.add(
    name="pairs",
    number=4,
    label=3,
    type=FieldDescriptorProto.TYPE_MESSAGE,
    type_name=".box.Box.PairsEntry",
)

HELD = FileDescriptorProto(name="held.proto", package="held", syntax="proto3")
HELD.message_type.add(name="Held").field.add(
    name="number", number=1, label=1, type=FieldDescriptorProto.TYPE_INT64
)

FILES = {file.name: file for file in (ANY, BOX)}
Held: Any = GetMessageClass(pool_of({"held.proto": HELD}).FindMessageTypeByName("held.Held"))


class Telling:
    """A server that knows `held.Held`, and counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def files(self, symbols: Iterable[str]) -> dict[str, FileDescriptorProto]:
        self.asked.append(sorted(symbols))
        return {"held.proto": HELD} if "held.Held" in self.asked[-1] else {}


class Writing:
    def __init__(self, *, defaults: bool = False, indent: int | None = None) -> None:
        self.server = Telling()
        pool = pool_of(FILES)
        self.box: Any = GetMessageClass(pool.FindMessageTypeByName("box.Box"))
        self.answers = Answers(pool, cast("Server", self.server), defaults=defaults, indent=indent)


def packed(number: int) -> PackedAny:
    made = PackedAny()
    made.Pack(Held(number=number))
    return made


async def test_an_any_of_a_type_that_only_the_server_knows_is_asked_for_once() -> None:
    writing = Writing()
    one = {"one": {"type_url": packed(1).type_url, "value": packed(1).value}}
    box = writing.box(many=[one["one"]], pairs={"a": writing.box(**one)}, **one)
    held = '{"@type": "type.googleapis.com/held.Held", "number": "1"}'
    expected = f'{{"one": {held}, "many": [{held}], "pairs": {{"a": {{"one": {held}}}}}}}'
    for _ in range(2):
        assert expected == await writing.answers.text(box)
    assert [["held.Held"]] == writing.server.asked


async def test_an_any_that_nobody_knows_is_told() -> None:
    writing = Writing()
    box = writing.box(one={"type_url": "type.googleapis.com/no.Such"})
    for _ in range(2):
        with pytest.raises(HsuError) as raised:
            await writing.answers.text(box)
        assert str(raised.value).startswith("the answer can't be written as JSON: ")
        assert "no.Such" in str(raised.value)
    assert [["no.Such"]] == writing.server.asked


async def test_a_document_can_not_move_the_cursor_and_stays_json() -> None:
    writing = Writing()
    text = await writing.answers.text(writing.box(text="ä\x1b[2J\x9b1m\u202ex\u2028"))
    assert '{"text": "ä\\u001b[2J\\u009b1m\\u202ex\\u2028"}' == text


async def test_defaults_and_room_are_a_matter_of_taste() -> None:
    writing = Writing(defaults=True, indent=2)
    expected = '{\n  "text": "a",\n  "many": [],\n  "pairs": {}\n}'
    assert expected == await writing.answers.text(writing.box(text="a"))
