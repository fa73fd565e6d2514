"""Definitions as JSON."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

from hsu_worker.cli._protos import Definition, Protos, oneof_of
from hsu_worker.codegen import comments
from hsu_worker.interface import TYPE_KEYWORDS, kind_of


def proto_json(definitions: Iterable[Definition], protos: Protos) -> dict[str, Any]:
    """Interfaces, messages and enums, each a list; all names are full names."""
    found: dict[str, Any] = {"interfaces": [], "messages": [], "enums": []}
    queue = list(definitions)
    while queue:
        definition = queue.pop(0)
        facts: dict[str, Any] = {"name": definition.name, "comment": protos.comment(definition)}
        match definition.proto:
            case ServiceDescriptorProto():
                methods = [_method(each, protos) for each in protos.methods(definition)]
                found["interfaces"].append({**facts, "methods": methods})
            case MethodDescriptorProto():
                facts = {"name": definition.outer, "methods": [_method(definition, protos)]}
                found["interfaces"].append(facts)
            case DescriptorProto():
                fields = list(_fields(definition, definition.proto, protos))
                found["messages"].append({**facts, "fields": fields})
                queue += protos.inside(definition)
            case EnumDescriptorProto():
                values = list(_values(definition, definition.proto, protos))
                found["enums"].append({**facts, "values": values})
    return found


def _method(definition: Definition, protos: Protos) -> dict[str, Any]:
    method = definition.proto
    assert isinstance(method, MethodDescriptorProto)
    return {
        "name": method.name,
        "comment": protos.comment(definition),
        "kind": kind_of(method.client_streaming, method.server_streaming),
        "request": method.input_type.removeprefix("."),
        "response": method.output_type.removeprefix("."),
        "idempotent": method.options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
    }


def _fields(
    definition: Definition, message: DescriptorProto, protos: Protos
) -> Iterator[dict[str, Any]]:
    for i, field in enumerate(message.field):
        entry = protos.entry(field)
        yield {
            "name": field.name,
            "comment": protos.comment(definition, comments.FIELD, i),
            "json_name": field.json_name or _json_name(field.name),
            "number": field.number,
            "type": f"map<{', '.join(map(_type, entry))}>" if entry else _type(field),
            "repeated": field.label == FieldDescriptorProto.LABEL_REPEATED and not entry,
            "optional": field.proto3_optional,
            "oneof": oneof_of(message, field) or None,
        }


def _values(
    definition: Definition, enum: EnumDescriptorProto, protos: Protos
) -> Iterator[dict[str, Any]]:
    for i, value in enumerate(enum.value):
        comment = protos.comment(definition, comments.VALUE, i)
        yield {"name": value.name, "comment": comment, "number": value.number}


def _type(field: FieldDescriptorProto) -> str:
    return field.type_name.removeprefix(".") or TYPE_KEYWORDS[field.type]


def _json_name(name: str) -> str:
    """What protoc makes of a name; who builds descriptors by hand leaves it out."""
    first, *rest = name.split("_")
    return first + "".join(f"{part[:1].upper()}{part[1:]}" for part in rest)
