"""Definitions as text, as a `.proto` has them."""

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

from hsu_worker.cli._asking import plain
from hsu_worker.cli._protos import Definition, Protos, is_entry, oneof_of
from hsu_worker.codegen import comments
from hsu_worker.interface import TYPE_KEYWORDS

_INDENT: Final = "  "


def proto_text(definitions: Iterable[Definition], protos: Protos) -> str:
    """The text of definitions; each package has its name above it."""
    packages: dict[str, list[Definition]] = {}
    for definition in definitions:
        packages.setdefault(definition.file.package, []).append(definition)
    lines: list[str] = []
    for package, inside in packages.items():
        lines += ["", f"package {package};"] if package else []
        for definition in inside:
            lines += ["", *_Writer(definition, protos).lines()]
    # What a server tells can't move a terminal's cursor.
    return "\n".join(map(plain, lines[1:]))


class _Writer:
    """Writes one definition."""

    def __init__(self, definition: Definition, protos: Protos) -> None:
        self._definition = definition
        self._protos = protos

    def lines(self) -> Iterator[str]:
        definition = self._definition
        match definition.proto:
            case ServiceDescriptorProto():
                yield from self._service(definition, self._protos.methods(definition))
            case MethodDescriptorProto():
                interface = self._protos.find(definition.outer)
                assert interface is not None
                yield from self._service(interface, [definition])
            case DescriptorProto():
                yield from self._comment(definition)
                yield from self._message(definition.proto, definition.short, ())
            case EnumDescriptorProto():
                yield from self._comment(definition)
                yield from self._enum(definition.proto, definition.short, ())

    def _service(self, interface: Definition, methods: list[Definition]) -> Iterator[str]:
        yield from self._comment(interface)
        yield f"service {interface.short} {{"
        for method in methods:
            yield from _indented(self._comment(method))
            assert isinstance(method.proto, MethodDescriptorProto)
            yield f"{_INDENT}{self._method(method.proto)}"
        yield "}"

    def _comment(self, definition: Definition, *below: int) -> Iterator[str]:
        text = self._protos.comment(definition, *below)
        return (f"// {line}".rstrip() for line in text.splitlines())

    def _method(self, method: MethodDescriptorProto) -> str:
        request = f"{'stream ' * method.client_streaming}{self._type(method.input_type)}"
        response = f"{'stream ' * method.server_streaming}{self._type(method.output_type)}"
        level = method.options.idempotency_level
        options = ";"
        if level != MethodOptions.IDEMPOTENCY_UNKNOWN:
            name = MethodOptions.IdempotencyLevel.Name(level)
            options = f" {{ option idempotency_level = {name}; }}"
        return f"rpc {method.name}({request}) returns ({response}){options}"

    def _message(self, message: DescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[str]:
        inner: list[str] = []
        for i, enum in enumerate(message.enum_type):
            inner += self._comment(self._definition, *path, comments.NESTED_ENUM, i)
            inner += self._enum(enum, enum.name, (*path, comments.NESTED_ENUM, i))
        for i, nested in enumerate(message.nested_type):
            if not is_entry(nested):
                inner += self._comment(self._definition, *path, comments.NESTED_MESSAGE, i)
                inner += self._message(nested, nested.name, (*path, comments.NESTED_MESSAGE, i))
        inner += self._fields(message, path)
        if inner:
            yield f"message {name} {{"
            yield from _indented(inner)
            yield "}"
        else:
            yield f"message {name} {{}}"

    def _fields(self, message: DescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
        open_oneof = ""
        for i, field in enumerate(message.field):
            oneof = oneof_of(message, field)
            if oneof != open_oneof:
                if open_oneof:
                    yield "}"
                if oneof:
                    yield f"oneof {oneof} {{"
                open_oneof = oneof
            lines = [*self._comment(self._definition, *path, comments.FIELD, i), self._field(field)]
            yield from _indented(lines) if oneof else lines
        if open_oneof:
            yield "}"

    def _field(self, field: FieldDescriptorProto) -> str:
        if entry := self._protos.entry(field):
            key, value = map(self._field_type, entry)
            kind = f"map<{key}, {value}>"
        else:
            kind = f"{self._label(field)}{self._field_type(field)}"
        options = " [deprecated = true]" if field.options.deprecated else ""
        return f"{kind} {field.name} = {field.number}{options};"

    def _label(self, field: FieldDescriptorProto) -> str:
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return "repeated "
        if field.label == FieldDescriptorProto.LABEL_REQUIRED:
            return "required "
        proto2 = self._definition.file.syntax in ("", "proto2") and not field.HasField(
            "oneof_index"
        )
        return "optional " if field.proto3_optional or proto2 else ""

    def _field_type(self, field: FieldDescriptorProto) -> str:
        return self._type(field.type_name) if field.type_name else TYPE_KEYWORDS[field.type]

    def _enum(self, enum: EnumDescriptorProto, name: str, path: tuple[int, ...]) -> Iterator[str]:
        yield f"enum {name} {{"
        for i, value in enumerate(enum.value):
            line = f"{value.name} = {value.number};"
            yield from _indented([*self._comment(self._definition, *path, comments.VALUE, i), line])
        yield "}"

    def _type(self, name: str) -> str:
        """A type, without the package that the reader sees above."""
        return name.removeprefix(f".{self._definition.file.package}.").removeprefix(".")


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"{_INDENT}{line}".rstrip() for line in lines)
