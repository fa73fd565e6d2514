"""JSON to requests; what is wrong in it is named with its place, all of it at once."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from hsu_worker.cli import WrongInput
from hsu_worker.cli._asking import plain
from hsu_worker.cli._words import nearest
from hsu_worker.interface import TYPE_KEYWORDS

_SCALARS: Final = {
    "bool": "true or false",
    "bytes": "base64 in quotes",
    "double": "a number",
    "float": "a number",
    "string": "a string",
}
_BYTES_VALUE: Final = "google.protobuf.BytesValue"
#: Messages that JSON has a form of its own for.
_FORMS: Final = {
    "google.protobuf.Any": 'an object with "@type"',
    "google.protobuf.BoolValue": "true or false",
    _BYTES_VALUE: "base64 in quotes",
    "google.protobuf.DoubleValue": "a number",
    "google.protobuf.Duration": 'a duration such as "1.5s"',
    "google.protobuf.FieldMask": 'names of fields such as "text,atMost"',
    "google.protobuf.FloatValue": "a number",
    "google.protobuf.Int32Value": "a whole number (int32)",
    "google.protobuf.Int64Value": "a whole number (int64)",
    "google.protobuf.ListValue": "an array",
    "google.protobuf.StringValue": "a string",
    "google.protobuf.Struct": "an object",
    "google.protobuf.Timestamp": 'a time such as "2026-01-31T12:00:00Z"',
    "google.protobuf.UInt32Value": "a whole number (uint32)",
    "google.protobuf.UInt64Value": "a whole number (uint64)",
    "google.protobuf.Value": "any JSON",
}
#: Both alphabets of the JSON form of bytes.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
#: Characters of a value that a message repeats.
_SHOWN: Final = 40
#: Characters before and after the place at which a text is no JSON.
_AROUND: Final = 12


def read_request(text: str, kind: type[Message], pool: DescriptorPool, *, name: str = "") -> Any:
    """Make a request of JSON.

    Args:
        text: One document.

        kind: The message to make.

        pool: Knows what a google.protobuf.Any may hold.

        name: What the messages call the document, such as `line 3`; empty: there is only one.

    Raises:
        WrongInput: It is no JSON, or it doesn't fit. The message lists every mistake.
    """
    problems: list[str] = []
    try:
        document = json.loads(text, object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        problems.append(_no_json(text, error))
    except (ValueError, RecursionError) as error:
        problems.append(f"no JSON: {error}")
    else:
        reader = _Reader(pool)
        try:
            request = reader.parse(document, kind)
            if _holds_bytes(kind.DESCRIPTOR):
                problems += reader.problems(document, kind.DESCRIPTOR, "")
            if not problems:
                return request
        except json_format.ParseError as error:
            problems += reader.problems(document, kind.DESCRIPTOR, "")
            problems = problems or [str(error)]
    before = f"{name}: " if name else ""
    raise WrongInput("\n".join(f"{before}{plain(problem)}" for problem in problems))


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{_shown(name)} is there twice in one object")
        made[name] = value
    return made


def _no_json(text: str, error: json.JSONDecodeError) -> str:
    what = f"{error.msg[:1].lower()}{error.msg[1:]}"
    place = f"line {error.lineno}, " if "\n" in text.strip() else ""
    seen = text[max(error.pos - _AROUND, 0) : error.pos + _AROUND]
    near = f", near {plain(seen)!r}" if seen.strip() else ""
    return f"no JSON: {what} at {place}column {error.colno}{near}"


class _Reader:
    """Parses, and finds out what is wrong by parsing one part after the other."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def parse(self, document: Any, kind: type[Message]) -> Message:
        try:
            return json_format.ParseDict(document, kind(), descriptor_pool=self._pool)
        except (AttributeError, SystemError, TypeError, ValueError) as error:
            # A few wrong values get past its own checks.
            raise json_format.ParseError(str(error)) from None

    def problems(self, document: Any, message: Any, place: str) -> Iterator[str]:
        """What of a document doesn't fit a message; the place is empty for the whole of it."""
        if form := _FORMS.get(message.full_name):
            problem = self._unfit(document, message)
            is_bytes = message.full_name == _BYTES_VALUE
            if problem or (is_bytes and _is_broken_base64(document, message.fields[0])):
                held = isinstance(document, dict) and "@type" in document
                expected = problem if held else f"expected {form}, got {_shown(document)}"
                yield f"{place or message.full_name}: {expected}"
            return
        if not isinstance(document, dict):
            yield (
                f"{place or message.full_name}: expected an object, such as "
                f"{_example(message)}, got {_shown(document)}"
            )
            return
        known = {name: field for field in message.fields for name in (field.name, field.json_name)}
        for key, value in document.items():
            inner = f"{place}.{key}" if place else key
            if key in known:
                yield from self._in_field(value, known[key], inner)
            else:
                names = [field.name for field in message.fields]
                yield f"{inner}: {message.full_name} has no such field{nearest(key, names)}"

    def _in_field(self, value: Any, field: FieldDescriptor, place: str) -> Iterator[str]:
        if value is None:
            return
        kind: Any = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            if not isinstance(value, dict):
                yield f"{place}: expected an object, got {_shown(value)}"
                return
            entry = kind.fields_by_name
            for key, item in value.items():
                yield from self._in_value(
                    item, entry["value"], f"{place}[{_shown(key)}]", {key: item}, field
                )
        elif field.is_repeated:
            if not isinstance(value, list):
                yield f"{place}: expected an array, got {_shown(value)}"
                return
            for number, item in enumerate(value):
                yield from self._in_value(item, field, f"{place}[{number}]", [item], field)
        else:
            yield from self._in_value(value, field, place, value, field)

    def _in_value(
        self, value: Any, field: FieldDescriptor, place: str, whole: Any, holder: FieldDescriptor
    ) -> Iterator[str]:
        """What is wrong with one value.

        Args:
            value: The value.

            field: Says what it should be.

            place: Where it is.

            whole: It, as `holder` takes it: in an array, in an object.

            holder: The field of the message.
        """
        if field.message_type is not None:
            yield from self.problems(value, field.message_type, place)
        elif _is_broken_base64(value, field) or self._unfit(
            {holder.name: whole}, holder.containing_type
        ):
            names = [each.name for each in field.enum_type.values] if field.enum_type else []
            hint = nearest(str(value), names, listed=False)
            yield f"{place}: expected {_expected(field)}, got {_shown(value)}{hint}"

    def _unfit(self, document: Any, message: Any) -> str:
        """Why a document can't be parsed, in the parser's words; empty when it can."""
        try:
            self.parse(document, GetMessageClass(message))
        except json_format.ParseError as error:
            return str(error).partition("\n")[0]
        return ""


def _holds_bytes(message: Any) -> bool:
    """A field of the message, or of one in it, is of type bytes."""
    seen, queue = {message.full_name}, [message]
    for kind in queue:
        for field in kind.fields:
            if field.type == field.TYPE_BYTES:
                return True
            inner = field.message_type
            if inner is not None and inner.full_name not in seen:
                seen.add(inner.full_name)
                queue.append(inner)
    return False


def _is_broken_base64(value: Any, field: FieldDescriptor) -> bool:
    """The parser drops what is no base64, and takes the rest."""
    if field.type != field.TYPE_BYTES or not isinstance(value, str):
        return False
    return _BASE64.fullmatch(value) is None or len(value.rstrip("=")) % 4 == 1


def _expected(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        return f"one of {', '.join(each.name for each in field.enum_type.values)}"
    keyword = TYPE_KEYWORDS[field.type]
    return _SCALARS.get(keyword, f"a whole number ({keyword})")


def _example(message: Any) -> str:
    fields: Iterable[FieldDescriptor] = message.fields
    name = next((field.name for field in fields), "")
    return f'{{"{name}": ...}}' if name else "{}"


def _shown(value: Any) -> str:
    text = plain(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
