"""What is wrong in the JSON of a request, and where."""

from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pool, empty_pb2, struct_pb2, timestamp_pb2
from google.protobuf import wrappers_pb2 as wrappers
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details

from hsu_worker.cli import WrongInput
from hsu_worker.cli._json_requests import read_request
from hsu_worker.gen.hsu_core import LOG_LEVEL_WARNING, LogLevel, StreamLogsRequest
from tests.gen.hsu_test_kinds import Ask

LEVEL = f"level: expected one of {', '.join(LogLevel.keys())}"


def read(text: str, kind: type[Message], name: str = "") -> Any:
    return read_request(text, kind, descriptor_pool.Default(), name=name)


def problems(text: str, kind: type[Message] = Ask, name: str = "") -> list[str]:
    with pytest.raises(WrongInput) as refused:
        read(text, kind, name)
    assert 2 == refused.value.exit_code
    return refused.value.message.splitlines()


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ('{"text": "a", "number": "7"}', Ask, Ask(text="a", number=7)),
        ('{"text": null}', Ask, Ask()),
        ('{"payload": "aGk="}', Ask, Ask(payload=b"hi")),
        ('{"payload": "_-8"}', Ask, Ask(payload=b"\xff\xef")),
        ('"aGk="', wrappers.BytesValue, wrappers.BytesValue(value=b"hi")),
        ('{"retryDelay": "1.5s"}', details.RetryInfo, None),
        ('{"retry_delay": "1.5s"}', details.RetryInfo, None),
        ('{"a": [1, {"b": null}]}', struct_pb2.Struct, None),
        ("5", wrappers.Int32Value, wrappers.Int32Value(value=5)),
        ("{}", empty_pb2.Empty, empty_pb2.Empty()),
        (
            '{"level": "LOG_LEVEL_WARNING"}',
            StreamLogsRequest,
            StreamLogsRequest(level=LOG_LEVEL_WARNING),
        ),
        (
            '{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "x"}',
            any_pb2.Any,
            None,
        ),
    ],
)
def test_what_fits_becomes_a_message(
    text: str, kind: type[Message], expected: Message | None
) -> None:
    made = read(text, kind)
    assert isinstance(made, kind)
    assert expected in (None, made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON: expecting value at column 1"),
        ("nul", "no JSON: expecting value at column 1, near 'nul'"),
        ('{"text": }', "no JSON: expecting value at column 10, near '{\"text\": }'"),
        ('{"text": "a" 1}', "no JSON: expecting ',' delimiter at column 14, near '\"text\": \"a\" 1}'"),
        (
            '{\n"text": "a"\n"number": 3}',
            "no JSON: expecting ',' delimiter at line 3, column 1, near '\"text\": \"a\" \"number\": 3}'",
        ),
        ('{"text": "a", "text": "b"}', 'no JSON: "text" is there twice in one object'),
        ("[" * 100_000, "no JSON: maximum recursion depth exceeded"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_told_with_its_place(text: str, message: str) -> None:
    [problem] = problems(text)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (
            '{"txt": 1, "nuber": 1, "number": "x", "zzz": 1}',
            Ask,
            [
                "txt: hsu.test.v1.Ask has no such field; did you mean 'text'?",
                "nuber: hsu.test.v1.Ask has no such field; did you mean 'number'?",
                'number: expected a whole number (int64), got "x"',
                "zzz: hsu.test.v1.Ask has no such field; it has text, number, payload",
            ],
        ),
        ("[1]", Ask, ['hsu.test.v1.Ask: expected an object, such as {"text": ...}, got [1]']),
        ('{"text": 5}', Ask, ["text: expected a string, got 5"]),
        ('{"text": "\\ud800"}', Ask, ['text: expected a string, got " "']),
        ('{"\\ud800": 1}', Ask, [" : hsu.test.v1.Ask has no such field; it has text, number, payload"]),
        ('{"number": true}', Ask, ["number: expected a whole number (int64), got true"]),
        ('{"number": 1e30}', Ask, ["number: expected a whole number (int64), got 1e+30"]),
        ('{"number": 1.5}', Ask, ["number: expected a whole number (int64), got 1.5"]),
        ('{"payload": "%%"}', Ask, ['payload: expected base64 in quotes, got "%%"']),
        ('{"payload": "aGk=a"}', Ask, ['payload: expected base64 in quotes, got "aGk=a"']),
        ('{"payload": "a"}', Ask, ['payload: expected base64 in quotes, got "a"']),
        (
            '"%%"',
            wrappers.BytesValue,
            ['google.protobuf.BytesValue: expected base64 in quotes, got "%%"'],
        ),
        ('{"payload": 5}', Ask, ["payload: expected base64 in quotes, got 5"]),
        (
            f'{{"number": "{"x" * 50}"}}',
            Ask,
            [f'number: expected a whole number (int64), got "{"x" * 39}...'],
        ),
        (
            '{"level": "LOG_LEVEL_WARNIN", "follow": 1}',
            StreamLogsRequest,
            [
                LEVEL + ", got \"LOG_LEVEL_WARNIN\"; did you mean 'LOG_LEVEL_WARNING'?",
                "follow: expected true or false, got 1",
            ],
        ),
        (
            '{"fieldViolations": [{"field": 3}, {"descripton": "x"}, 5]}',
            details.BadRequest,
            [
                "fieldViolations[0].field: expected a string, got 3",
                "fieldViolations[1].descripton: google.rpc.BadRequest.FieldViolation has no such field; did you mean 'description'?",
                'fieldViolations[2]: expected an object, such as {"field": ...}, got 5',
            ],
        ),
        ('{"fieldViolations": {}}', details.BadRequest, ["fieldViolations: expected an array, got {}"]),
        ('{"metadata": {"a": 5}}', details.ErrorInfo, ['metadata["a"]: expected a string, got 5']),
        ('{"metadata": []}', details.ErrorInfo, ["metadata: expected an object, got []"]),
        ('{"retryDelay": "5"}', details.RetryInfo, ['retryDelay: expected a duration such as "1.5s", got "5"']),
        ('"x"', timestamp_pb2.Timestamp, ['google.protobuf.Timestamp: expected a time such as "2026-01-31T12:00:00Z", got "x"']),
        ("[]", struct_pb2.Struct, ["google.protobuf.Struct: expected an object, got []"]),
        ('{"a": 1}', empty_pb2.Empty, ["a: google.protobuf.Empty has no such field"]),
        ("5", empty_pb2.Empty, ["google.protobuf.Empty: expected an object, such as {}, got 5"]),
        ('"a"', wrappers.BoolValue, ['google.protobuf.BoolValue: expected true or false, got "a"']),
        (
            '{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reson": "x"}',
            any_pb2.Any,
            ['google.protobuf.Any: Message type "google.rpc.ErrorInfo" has no field named "reson" at "Any".'],
        ),
        ('{"reason": "x"}', any_pb2.Any, ['google.protobuf.Any: expected an object with "@type", got {"reason": "x"}']),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(
    text: str, kind: type[Message], expected: list[str]
) -> None:
    assert expected == problems(text, kind)


def test_each_mistake_names_its_document() -> None:
    assert [
        "line 3: a: hsu.test.v1.Ask has no such field; it has text, number, payload",
        "line 3: text: expected a string, got 1",
    ] == problems('{"a": 1, "text": 1}', name="line 3")


def test_two_fields_of_a_oneof_are_refused_in_the_parsers_words() -> None:
    [problem] = problems('{"stringValue": "a", "numberValue": 1}', kind=_plain_oneof())
    assert '"kind"' in problem


def _plain_oneof() -> type[Message]:
    """A message with a oneof, which JSON has no form of its own for."""
    from google.protobuf import descriptor_pb2, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="oneof.proto", package="one", syntax="proto3")
    message = file.message_type.add(name="Of")
    message.oneof_decl.add(name="kind")
    for number, name in enumerate(("string_value", "number_value"), start=1):
        kind = descriptor_pb2.FieldDescriptorProto.TYPE_STRING if number == 1 else 1
        message.field.add(name=name, number=number, type=kind, label=1, oneof_index=0)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("one.Of"))
