"""Refuses what can't become Python, all of it at once: where it is, what is wrong, what to do."""

import keyword
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import DescriptorProto, ServiceDescriptorProto

from hsu_worker.codegen.comments import (
    ENUM,
    FIELD,
    MESSAGE,
    METHOD,
    NESTED_ENUM,
    NESTED_MESSAGE,
    SERVICE,
    SYNTAX,
    VALUE,
)
from hsu_worker.codegen.names import public_names
from hsu_worker.codegen.sources import Source, Sources, module_of
from hsu_worker.errors import CodegenError
from hsu_worker.interface import snake_case
from hsu_worker.wire import buf_validate

#: Names that annotations in the generated code need.
_BUILTINS = frozenset({"bool", "bytes", "float", "int", "str", "type"})

_RULES = f".{buf_validate.PACKAGE}."
_NO_PYTHON = f"{buf_validate.FILE} is there for rules, and its messages have no Python"
_OWN_MESSAGE = "write a message of your own"


class _Problem(NamedTuple):
    line: int
    what: str
    cure: str = "rename it"


class _Named(NamedTuple):
    """Something with a name at the top level of a module."""

    what: str
    name: str
    line: int


def refuse_modules(names: Sequence[str]) -> None:
    """Refuse files whose modules can't be written side by side, or not be imported.

    Raises:
        CodegenError: Lists every one of them.
    """
    problems: list[str] = []
    makers: dict[tuple[str, ...], str] = {}
    for name in names:
        module = module_of(name)
        problems += [
            f"{name}: `{part}` can't be the name of a Python module; rename the file or folder"
            for part in module
            if not part.isidentifier() or keyword.iskeyword(part) or part == "__init__"
        ]
        for made in (module, (*module[:-1], f"{module[-1]}_pb2")):
            first = makers.setdefault(made, name)
            if first != name:
                problems.append(
                    f"{name}: makes the module {'.'.join(made)}, as {first} does; "
                    "rename one of the two"
                )
    for name in names:
        module = module_of(name)
        problems += [
            f"{name}: its folder would hide the module {'.'.join(folder)} of {makers[folder]}; "
            "rename one of the two"
            for folder in (module[:end] for end in range(1, len(module)))
            if folder in makers
        ]
    if problems:
        raise CodegenError("\n".join(problems))


def refuse_clashes(sources: Sources) -> None:
    """Refuse names that mean something else in Python or in the generated code.

    Raises:
        CodegenError: Lists every one of them, each as `file:line: what is wrong; the cure`.
    """
    problems = [
        f"{source.path}:{problem.line}: {problem.what}; {problem.cure}"
        for source in sources.owned
        for problem in sorted(set(_problems(source, sources)))
    ]
    if problems:
        raise CodegenError("\n".join(problems))


def _problems(source: Source, sources: Sources) -> Iterator[_Problem]:
    syntax = {"": "proto2", "editions": "an edition"}.get(source.file.syntax, source.file.syntax)
    if syntax != "proto3":
        # What else is wrong with it would be wrong for that reason.
        yield _Problem(
            source.comments.line(SYNTAX),
            f"written in {syntax}, and contracts are proto3 only",
            'write syntax = "proto3";',
        )
        return
    for line in source.comments.undecodable():
        yield _Problem(line, "the comment here is not UTF-8", "save the file as UTF-8")
    for named in _top_level(source):
        yield from _bad_name(named)
    for i, message in enumerate(source.file.message_type):
        yield from _nested_keywords(source, message, message.name, (MESSAGE, i))
        yield from _fields_of_rules(source, message, message.name, (MESSAGE, i))
    yield from _taken_names(source, sources)
    for i, service in enumerate(source.file.service):
        yield from _bad_methods(source, sources, service, i)


def _top_level(source: Source) -> Iterator[_Named]:
    line = source.comments.line
    for i, message in enumerate(source.file.message_type):
        yield _Named(f"message {message.name}", message.name, line(MESSAGE, i))
    for i, enum in enumerate(source.file.enum_type):
        yield _Named(f"enum {enum.name}", enum.name, line(ENUM, i))
        for j, value in enumerate(enum.value):
            yield _Named(f"enum value {value.name}", value.name, line(ENUM, i, VALUE, j))
    for i, service in enumerate(source.file.service):
        yield _Named(f"service {service.name}", service.name, line(SERVICE, i))


def _bad_name(named: _Named) -> Iterator[_Problem]:
    what, name, line = named
    # An enum value that is a keyword can still be had: `Colour.Value("None")`.
    if keyword.iskeyword(name) and not what.startswith("enum value"):
        yield _Problem(line, f"{what}: `{name}` is a Python keyword")
    if name in _BUILTINS:
        yield _Problem(line, f"{what}: the generated annotations need Python's own `{name}`")
    if name.startswith("_") or name == "DESCRIPTOR":
        yield _Problem(line, f"{what}: `{name}` is kept for the generated code")


def _nested_keywords(
    source: Source, message: DescriptorProto, outer: str, path: tuple[int, ...]
) -> Iterator[_Problem]:
    nested_things = [
        *(("enum", enum.name, (*path, NESTED_ENUM, i)) for i, enum in enumerate(message.enum_type)),
        *(
            ("message", nested.name, (*path, NESTED_MESSAGE, i))
            for i, nested in enumerate(message.nested_type)
        ),
    ]
    for kind, name, here in nested_things:
        if keyword.iskeyword(name):
            yield _Problem(
                source.comments.line(*here), f"{kind} {outer}.{name}: `{name}` is a Python keyword"
            )
    for i, nested in enumerate(message.nested_type):
        here = (*path, NESTED_MESSAGE, i)
        yield from _nested_keywords(source, nested, f"{outer}.{nested.name}", here)


def _fields_of_rules(
    source: Source, message: DescriptorProto, outer: str, path: tuple[int, ...]
) -> Iterator[_Problem]:
    """Fields that hold a message of buf.validate."""
    for i, field in enumerate(message.field):
        if field.type_name.startswith(_RULES):
            line = source.comments.line(*path, FIELD, i)
            yield _Problem(line, f"field {outer}.{field.name}: {_NO_PYTHON}", _OWN_MESSAGE)
    for i, nested in enumerate(message.nested_type):
        here = (*path, NESTED_MESSAGE, i)
        yield from _fields_of_rules(source, nested, f"{outer}.{nested.name}", here)


def _taken_names(source: Source, sources: Sources) -> Iterator[_Problem]:
    """Names that two things in one module would have; protoc knows nothing of those that we add."""
    makers: dict[str, str] = {}
    for i, service in enumerate(source.file.service):
        for name, maker in public_names(service.name).items():
            first = makers.setdefault(name, maker)
            if first != maker:
                yield _Problem(
                    source.comments.line(SERVICE, i),
                    f"service {service.name}: `{name}` would be both {first} and {maker}",
                    "rename one of the services",
                )
    names = dict(makers)
    for what, name, line in _top_level(source):
        first = names.setdefault(name, what)
        if first != what and not what.startswith("service"):
            yield _Problem(line, f"{what}: `{name}` would also be {first}", "rename one of the two")
    forwarded: dict[str, Source] = {}
    for other, line in sources.forwarded(source):
        for name in other.exports:
            # By two ways the same file may come, and its names are then the same things.
            if name in names and forwarded.get(name) is not other:
                yield _Problem(
                    line,
                    f"import public: `{name}` of {other.name} would also be {names[name]}",
                    "rename one of the two, or import without `public`",
                )
            names.setdefault(name, f"`{name}` of {other.name}")
            forwarded.setdefault(name, other)


def _bad_methods(
    source: Source, sources: Sources, service: ServiceDescriptorProto, index: int
) -> Iterator[_Problem]:
    annotations = {"float": "Python's own `float`"}
    for method in service.method:
        for full_name in (method.input_type, method.output_type):
            home, python = sources.type(full_name)
            root = python.partition(".")[0]
            if home is source:
                annotations[root] = f"message {root}"
    taken: dict[str, str] = {}
    for i, method in enumerate(service.method):
        line = source.comments.line(SERVICE, index, METHOD, i)
        name = snake_case(method.name)
        if any(each.startswith(_RULES) for each in (method.input_type, method.output_type)):
            what = f"method {service.name}.{method.name}: {_NO_PYTHON}"
            yield _Problem(line, what, _OWN_MESSAGE)
        what = f"method {service.name}.{method.name}: its Python name `{name}`"
        if keyword.iskeyword(name):
            yield _Problem(line, f"{what} is a keyword")
        if name.startswith("_"):
            yield _Problem(line, f"{what} is kept for the generated code")
        if name in annotations:
            yield _Problem(
                line,
                f"{what} would hide {annotations[name]} from the annotations beside it",
                "rename one of the two",
            )
        if name in taken:
            yield _Problem(line, f"{what} is that of {taken[name]} too", "rename one of the two")
        taken.setdefault(name, f"{service.name}.{method.name}")
