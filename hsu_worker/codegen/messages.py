"""protoc's own Python, fitted into a package: relative imports, and types that checkers accept."""

import keyword
import re

from hsu_worker.codegen.comments import elements
from hsu_worker.codegen.sources import Source, Sources
from hsu_worker.codegen.text import docstring, header

_IMPORT = re.compile(
    r"^(?:from (?P<package>[\w.]+) )?import (?P<module>\w+_pb2) as (?P<alias>\w+)$"
)
_IMPORT_PUBLIC = re.compile(r"^from (?P<module>[\w.]+_pb2) import (?P<names>.+)$")
_MODULE_NAME = re.compile(r"^(_builder\.BuildTopDescriptorsAndMessages\(DESCRIPTOR, )'[\w.]+'")

#: A builtin where a type stands, not where a field's name does.
_BUILTIN = re.compile(r"(?<![\w.\"])(bool|bytes|float|int|str)(?=[\],)]|$| =)")
_NO_ARGUMENTS = re.compile(r"(?<![\w.])_Mapping(?=[\],)])")
_DATETIME = re.compile(r"(?<![\w.])datetime\.(datetime|timedelta)\b")
_UNWRITABLE = re.compile(rf"^ *({'|'.join(keyword.kwlist)}): ")

_CLASS = re.compile(r"^(?P<indent> *)class (?P<name>\w+)\(")
_FIELD = re.compile(r"^(?P<indent> *)(?P<name>\w+): (?!_ClassVar\b)")


_TYPES_BEGIN = """\
# pyright: reportUnusedImport=false, reportSelfClsParameterName=false
import builtins as _builtins
import typing as _typing
"""


def rewrite_messages(text: str, source: Source, sources: Sources) -> str:
    """A `_pb2.py` for a package."""
    lines = [
        # Without the package in their __module__, messages could not be pickled.
        _MODULE_NAME.sub(r"\1__name__", _rewrite_import(line, source, sources))
        for line in text.splitlines()
    ]
    # Its types are in the .pyi; pyright would check the file all the same.
    return header(source.name) + "# type: ignore\n" + "\n".join(lines) + "\n"


def rewrite_types(text: str, source: Source, sources: Sources) -> str:
    """A `_pb2.pyi` for a package, with the comments of the `.proto` as docstrings."""
    comments = {each.name: source.comments.text(*each.path) for each in elements(source.file)}
    lines: list[str] = []
    classes: list[str] = []
    for line in text.splitlines():
        if line == "import datetime":
            lines.append("import datetime as _datetime")
            continue
        if _UNWRITABLE.match(line):
            continue
        written = _rewrite_import(line, source, sources)
        if written == line:
            written = _qualify(line)
        lines.append(written)
        if found := _CLASS.match(line):
            depth = len(found["indent"]) // 4
            classes[depth:] = [found["name"]]
            depth += 1
        elif found := _FIELD.match(line):
            depth = len(found["indent"]) // 4
        else:
            continue
        owner = classes[:depth]
        name = ".".join(owner if _CLASS.match(line) else (*owner, found["name"]))
        if comment := comments.get(name):
            lines += docstring(comment, indent="    " * depth)
    return header(source.name) + _TYPES_BEGIN + "\n".join(lines) + "\n"


def _qualify(line: str) -> str:
    # A field may be called `bytes` or `datetime`, and would hide the type from those below it.
    line = _BUILTIN.sub(r"_builtins.\1", line)
    line = _DATETIME.sub(r"_datetime.\1", line)
    line = _NO_ARGUMENTS.sub("_Mapping[_builtins.str, _typing.Any]", line)
    return line.replace("**kwargs)", "**_keywords: _typing.Any)")


def _rewrite_import(line: str, source: Source, sources: Sources) -> str:
    if found := _IMPORT.match(line):
        module = ".".join(filter(None, (found["package"], found["module"])))
        if other := sources.by_messages(module):
            return source.import_messages(other, found["alias"])
    elif found := _IMPORT_PUBLIC.match(line):
        other = sources.by_messages(found["module"])
        if other:
            return f"from {source.messages_of(other)} import {found['names']}"
    return line
