"""What some `.proto` files define, by name, and which messages belong to what."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from hsu_worker.codegen import comments
from hsu_worker.codegen.comments import Comments

Proto: TypeAlias = (
    DescriptorProto | EnumDescriptorProto | MethodDescriptorProto | ServiceDescriptorProto
)

#: Everybody knows these; they come with protobuf.
_KNOWN: Final = "google.protobuf."


@dataclass(frozen=True, slots=True)
class Definition:
    """An interface, a method, a message or an enum."""

    name: str
    """In full."""
    proto: Proto
    file: FileDescriptorProto
    path: tuple[int, ...]
    """Where it is in the file, as `Comments` wants it."""
    outer: str = ""
    """The message, or the interface, that it is a part of."""

    @property
    def short(self) -> str:
        """The name within the package."""
        return self.name.removeprefix(f"{self.file.package}.")


class Protos:
    """Finds definitions.

        protos = Protos(files)
        protos.reached(protos.find("hsu.a.v1.InterfaceA"))

    Args:
        files: With all that they import.

        told: Comments, by name, that are not in the files.
    """

    def __init__(
        self, files: Mapping[str, FileDescriptorProto], told: Mapping[str, str] | None = None
    ) -> None:
        self.files = files
        self._told = told or {}
        self._comments = {name: Comments(file) for name, file in files.items()}
        self._by_name = {
            definition.name: definition
            for file in files.values()
            for definition in _definitions(file)
        }

    @property
    def names(self) -> list[str]:
        """The names of all, but those that everybody knows."""
        return [name for name in self._by_name if not name.startswith(_KNOWN)]

    def defined_in(self, files: Iterable[str]) -> list[Definition]:
        """All that some files define, but not what is a part of something else."""
        wanted = set(files)
        return [
            each for each in self._by_name.values() if each.file.name in wanted and not each.outer
        ]

    def find(self, name: str) -> Definition | None:
        """What has a name: `hsu.a.v1.InterfaceA/Summarize` is that of a method."""
        return self._by_name.get(name.removeprefix("/").replace("/", "."))

    def comment(self, definition: Definition, *below: int) -> str:
        """The comment of a definition, or of what is below it, such as a field."""
        told = "" if below else self._told.get(definition.name, "")
        return told or self._comments[definition.file.name].text(*definition.path, *below)

    def methods(self, interface: Definition) -> list[Definition]:
        """The methods of an interface."""
        return [
            each
            for each in self._by_name.values()
            if each.outer == interface.name and isinstance(each.proto, MethodDescriptorProto)
        ]

    def inside(self, message: Definition) -> list[Definition]:
        """The messages and enums that a message defines, but for the entries of its maps."""
        return [
            each
            for each in self._by_name.values()
            if each.outer == message.name
            and not (isinstance(each.proto, DescriptorProto) and is_entry(each.proto))
        ]

    def entry(self, field: FieldDescriptorProto) -> Sequence[FieldDescriptorProto]:
        """The key and the value of a map; nothing for another field."""
        entry = self._by_name.get(field.type_name.removeprefix("."))
        proto = entry.proto if entry is not None else None
        return proto.field if isinstance(proto, DescriptorProto) and is_entry(proto) else ()

    def reached(self, *roots: Definition) -> list[Definition]:
        """The messages and enums that definitions use, as far as one has to look them up.

        Those inside another message come with it.
        """
        asked = {root.name for root in roots}
        found: dict[str, Definition] = {}
        queue = [name for root in roots for name in self._used(root)]
        while queue:
            definition = self._by_name[queue.pop(0)]
            while definition.outer and definition.name not in asked:
                definition = self._by_name[definition.outer]
            if definition.name not in asked and definition.name not in found:
                found[definition.name] = definition
                queue += self._used(definition)
        return list(found.values())

    def _used(self, definition: Definition) -> Iterator[str]:
        match definition.proto:
            case ServiceDescriptorProto():
                for method in self.methods(definition):
                    yield from self._used(method)
            case MethodDescriptorProto():
                yield from self._known(definition.proto.input_type, definition.proto.output_type)
            case DescriptorProto():
                yield from self._known(*_types(definition.proto))
            case _:
                return

    def _known(self, *types: str) -> Iterator[str]:
        for name in (each.removeprefix(".") for each in types):
            if not name.startswith(_KNOWN) and name in self._by_name:
                yield name


def is_entry(message: DescriptorProto) -> bool:
    """It stands for a map, and nobody wrote it."""
    return message.options.map_entry


def oneof_of(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    """The oneof that a field is in; empty when it is in none that somebody wrote."""
    if not field.HasField("oneof_index") or field.proto3_optional:
        return ""
    return message.oneof_decl[field.oneof_index].name


def _definitions(file: FileDescriptorProto) -> Iterator[Definition]:
    prefix = f"{file.package}." if file.package else ""
    for i, service in enumerate(file.service):
        name, path = f"{prefix}{service.name}", (comments.SERVICE, i)
        yield Definition(name, service, file, path)
        for j, method in enumerate(service.method):
            inner = (*path, comments.METHOD, j)
            yield Definition(f"{name}.{method.name}", method, file, inner, outer=name)
    for i, message in enumerate(file.message_type):
        yield from _inside(message, f"{prefix}{message.name}", file, (comments.MESSAGE, i), "")
    for i, enum in enumerate(file.enum_type):
        yield Definition(f"{prefix}{enum.name}", enum, file, (comments.ENUM, i))


def _inside(
    message: DescriptorProto,
    name: str,
    file: FileDescriptorProto,
    path: tuple[int, ...],
    outer: str,
) -> Iterator[Definition]:
    yield Definition(name, message, file, path, outer)
    for i, nested in enumerate(message.nested_type):
        inner = (*path, comments.NESTED_MESSAGE, i)
        yield from _inside(nested, f"{name}.{nested.name}", file, inner, name)
    for i, enum in enumerate(message.enum_type):
        inner = (*path, comments.NESTED_ENUM, i)
        yield Definition(f"{name}.{enum.name}", enum, file, inner, name)


def _types(message: DescriptorProto) -> Iterator[str]:
    for field in message.field:
        if field.type_name:
            yield field.type_name
    for nested in message.nested_type:
        yield from _types(nested)
