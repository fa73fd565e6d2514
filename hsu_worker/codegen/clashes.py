"""Refuses what can't become Python, all of it at once: where it is, what is wrong, what to do."""

import keyword
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import ServiceDescriptorProto
from google.protobuf.empty_pb2 import Empty

from hsu_worker.codegen.comments import METHOD, SERVICE, SYNTAX, Element, elements
from hsu_worker.codegen.names import public_names
from hsu_worker.codegen.scopes import scopes
from hsu_worker.codegen.sources import Source, Sources, module_of
from hsu_worker.errors import CodegenError
from hsu_worker.interface import snake_case
from hsu_worker.wire import buf_validate

#: Names that annotations in the generated code need.
_BUILTINS = frozenset({"bool", "bytes", "float", "int", "str", "type"})

#: What a field, or something nested, would hide.
_MESSAGE_NAMES = frozenset(dir(Empty))

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


def refuse_clashes(sources: Sources, stubs: Mapping[str, str]) -> None:
    """Refuse names that mean something else in Python or in the generated code.

    Args:
        sources: The files.

        stubs: The `_pb2.pyi` of each of them that is generated, by the file's name.

    Raises:
        CodegenError: Lists every one of them, each as `file:line: what is wrong; the cure`.
    """
    problems = [
        f"{source.path}:{problem.line}: {problem.what}; {problem.cure}"
        for source in sources.owned
        for problem in sorted(set(_problems(source, sources, stubs[source.name])))
    ]
    if problems:
        raise CodegenError("\n".join(problems))


def _problems(source: Source, sources: Sources, stub: str) -> Iterator[_Problem]:
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
    yield from _bad_members(source, stub)
    yield from _taken_names(source, sources)
    for i, service in enumerate(source.file.service):
        yield from _bad_methods(source, sources, service, i)


def _top_level(source: Source) -> Iterator[_Named]:
    for each in elements(source.file):
        if "." not in each.name:
            yield _Named(str(each), each.name, source.comments.line(*each.path))
    for i, service in enumerate(source.file.service):
        yield _Named(f"service {service.name}", service.name, source.comments.line(SERVICE, i))


def _bad_name(named: _Named) -> Iterator[_Problem]:
    what, name, line = named
    # An enum value that is a keyword can still be had: `Colour.Value("None")`.
    if keyword.iskeyword(name) and not what.startswith("enum value"):
        yield _Problem(line, f"{what}: `{name}` is a Python keyword")
    if name in _BUILTINS:
        yield _Problem(line, f"{what}: the generated annotations need Python's own `{name}`")
    if name.startswith("_") or name == "DESCRIPTOR":
        yield _Problem(line, f"{what}: `{name}` is kept for the generated code")


def _bad_members(source: Source, stub: str) -> Iterator[_Problem]:
    """What can't stand inside messages."""
    line = source.comments.line
    top: dict[str, Element] = {}
    members: dict[str, list[Element]] = {}
    for each in elements(source.file):
        home = each.name.rpartition(".")[0]
        if not home:
            top[each.name] = each
            continue
        members.setdefault(home, []).append(each)
        if each.kind in ("message", "enum") and keyword.iskeyword(each.last):
            yield _Problem(line(*each.path), f"{each}: `{each.last}` is a Python keyword")
        if each.type.startswith(_RULES):
            yield _Problem(line(*each.path), f"{each}: {_NO_PYTHON}", _OWN_MESSAGE)
        if each.last in _MESSAGE_NAMES:
            yield _Problem(
                line(*each.path), f"{each}: every message has a `{each.last}` of its own"
            )
    for scope in scopes(stub):
        # The values of an enum stand in it, and beside it.
        inside = members.get(scope.name, members.get(scope.name.rpartition(".")[0], []))
        for each in inside:
            for name in _names(each):
                if name in scope.has & scope.needs:
                    yield _Problem(
                        line(*each.path),
                        f"{each}: `{name}` would hide {top.get(name, 'an import')} from the "
                        "annotations beside it",
                        "rename one of the two" if name in top else "rename it",
                    )
    for inside in members.values():
        taken: dict[str, Element] = {each.last: each for each in inside}
        for each in inside:
            for name in _names(each):
                first = taken.setdefault(name, each)
                if first is not each:
                    yield _Problem(
                        line(*each.path),
                        f"{each}: its constant `{name}` would also be "
                        f"{first if first.last == name else f'that of {first}'}",
                        "rename one of the two",
                    )


def _names(element: Element) -> Iterator[str]:
    """The names that it has in its message's class."""
    yield element.last
    if element.kind == "field":
        yield f"{element.last.upper()}_FIELD_NUMBER"


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
