"""What stands in a `.proto`; its comments and line numbers, by the path of what they stand at.

A path holds field numbers and indexes from the file down, as descriptor.proto explains at
`SourceCodeInfo.Location.path`: `(SERVICE, 0, METHOD, 1)` is the first service's second method.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
)

# In a file.
PACKAGE = 2
MESSAGE = 4
ENUM = 5
SERVICE = 6
PUBLIC_IMPORT = 10
SYNTAX = 12
# In a message.
FIELD = 2
NESTED_MESSAGE = 3
NESTED_ENUM = 4
# In an enum, and in a service.
VALUE = 2
METHOD = 2

#: Lines for linters, not for readers.
_FOR_TOOLS = ("buf:lint:", "buf:breaking:")


class Element(NamedTuple):
    """A message, a field, an enum, or a value of one."""

    kind: str
    name: str
    """As Python finds it in the module: `Outer.field`; values stand beside their enum."""
    path: tuple[int, ...]
    type: str = ""
    """Of a field: the full name of its message or enum, after a dot."""

    @property
    def last(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def elements(file: FileDescriptorProto) -> Iterator[Element]:
    """What a file has, services excepted."""
    yield from _messages("", file.message_type, (MESSAGE,))
    yield from _enums("", file.enum_type, (ENUM,))


def _messages(
    outer: str, messages: Iterable[DescriptorProto], path: tuple[int, ...]
) -> Iterator[Element]:
    for i, message in enumerate(messages):
        here, inner = (*path, i), f"{outer}{message.name}."
        yield Element("message", inner[:-1], here)
        for j, field in enumerate(message.field):
            yield Element("field", inner + field.name, (*here, FIELD, j), field.type_name)
        yield from _enums(inner, message.enum_type, (*here, NESTED_ENUM))
        yield from _messages(inner, message.nested_type, (*here, NESTED_MESSAGE))


def _enums(
    outer: str, enums: Iterable[EnumDescriptorProto], path: tuple[int, ...]
) -> Iterator[Element]:
    for i, enum in enumerate(enums):
        yield Element("enum", outer + enum.name, (*path, i))
        for j, value in enumerate(enum.value):
            yield Element("enum value", outer + value.name, (*path, i, VALUE, j))


class Comments:
    """What `--include_source_info` tells of one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._locations = {
            tuple(location.path): location for location in file.source_code_info.location
        }

    def text(self, *path: int) -> str:
        """The comment above what stands at `path`, else the one behind it; "" when there is none."""
        location = self._locations.get(path)
        if location is None:
            return ""
        text = _decode(location.leading_comments or location.trailing_comments)
        lines = textwrap.dedent(text.removeprefix("*")).splitlines()
        kept = [line.rstrip() for line in lines if not line.lstrip().startswith(_FOR_TOOLS)]
        return "\n".join(kept).strip()

    def line(self, *path: int) -> int:
        """The line, from 1, on which stands what `path` leads to, or what that stands in."""
        while path and path not in self._locations:
            path = path[:-1]
        return self._locations[path].span[0] + 1 if path in self._locations else 1

    def undecodable(self) -> list[int]:
        """The lines at which a comment is not UTF-8."""
        return sorted(
            location.span[0] + 1
            for location in self._locations.values()
            if not (_is_text(location.leading_comments) and _is_text(location.trailing_comments))
        )


# protoc lets any bytes pass in a comment; a string that is not UTF-8 is then read as bytes.
def _is_text(comment: str | bytes) -> bool:
    return isinstance(comment, str)


def _decode(comment: str | bytes) -> str:
    return comment.decode(errors="replace") if isinstance(comment, bytes) else comment
