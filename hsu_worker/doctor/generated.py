"""Generated code of the project: whether it runs here, and whether it is current."""

import ast
import importlib.util
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from packaging.version import Version

from hsu_worker.codegen.floor import declaration, floor_of
from hsu_worker.codegen.generate import generate
from hsu_worker.codegen.sources import module_of
from hsu_worker.codegen.text import MARK
from hsu_worker.doctor.finding import Finding, ok, problem, warning
from hsu_worker.errors import CodegenError

_CHECK: Final = "generated-code"
#: What the first line of a module tells: the `.proto` that it was made from.
_FROM: Final = re.compile(rf"# {re.escape(MARK)} from (\S+\.proto)\.")
_DESCRIPTOR: Final = re.compile(r"AddSerializedFile\((b'.*')\)")
#: Folders with files of others; those whose names begin with a dot are left out, too.
_FOREIGN: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages"})


@dataclass
class _Package:
    """Modules that one run of `hsu-worker gen` has made."""

    out: Path
    protos: dict[str, Path] = field(default_factory=dict)
    """Where each `.proto` is, by the name that it has there."""
    messages: list[str] = field(default_factory=list)
    """The texts of its `_pb2.py`."""


def generated(folder: Path) -> Iterator[Finding]:
    """Every package of generated code in the project."""
    files = list(_files(folder))
    protos = [path for path in files if path.suffix == ".proto"]
    packages: dict[Path, _Package] = {}
    for path in files:
        found = _FROM.match(_read(path)) if path.suffix == ".py" else None
        if found is None:
            continue
        out = path.parents[len(module_of(found[1])) - 1]
        package = packages.setdefault(out, _Package(out))
        if path.stem.endswith("_pb2"):
            package.messages.append(_read(path))
        elif proto := _found(found[1], protos):
            package.protos[found[1]] = proto
    if not packages:
        yield ok(_CHECK, "there is no generated code here")
    for package in packages.values():
        wrong = [*_floor(package), *_stale(package)]
        yield from wrong
        if not wrong:
            yield ok(_CHECK, f"{_short(package.out)} runs here" + _compared(package))


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        # An environment has this file, whatever it is called.
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _FOREIGN
        )
        yield from (Path(path, name) for name in sorted(names) if name.endswith((".py", ".proto")))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _found(name: str, protos: list[Path]) -> Path | None:
    parts = Path(name).parts
    fitting = [path for path in protos if path.parts[-len(parts) :] == parts]
    return min(fitting, key=lambda path: len(path.parts), default=None)


def _floor(package: _Package) -> Iterator[Finding]:
    floor = floor_of(package.messages)
    installed = version("protobuf")
    if floor and Version(installed) < Version(floor):
        yield problem(
            _CHECK,
            f"{_short(package.out)} needs protobuf {floor}, and {installed} is installed",
            f"pip install 'protobuf>={floor}'",
        )
    elif declared := declaration(floor, package.out).problem:
        cure = f'add "protobuf>={floor}" to the dependencies of the project'
        yield warning(_CHECK, f"{_short(package.out)}: {declared}", cure)


def _has_compiler() -> bool:
    return importlib.util.find_spec("grpc_tools") is not None


def _compared(package: _Package) -> str:
    if not package.protos:
        return "; its .proto files are elsewhere"
    if not _has_compiler():
        return "; whether it is current is not known without the compiler of 'hsu-worker[gen]'"
    return ", and is current"


def _stale(package: _Package) -> Iterator[Finding]:
    if not _has_compiler():
        return
    roots: dict[Path, list[Path]] = {}
    for name, path in package.protos.items():
        roots.setdefault(path.parents[len(Path(name).parts) - 1], []).append(path)
    for root, protos in roots.items():
        names = [str(_short(path)) for path in protos]
        cure = shlex.join(
            ["hsu-worker", "gen", "-I", _short(root), *names, "--out", _short(package.out)]
        )
        try:
            made = generate(protos, out=package.out, proto_path=[root])
        except CodegenError as error:
            yield problem(_CHECK, str(error), "correct the .proto")
            continue
        stale = [
            _short(path)
            for path, text in made.files.items()
            if path.suffix == ".py" and not _is_current(path, text)
        ]
        if stale:
            are = "is" if len(stale) == 1 else "are"
            yield problem(_CHECK, f"{', '.join(stale)} {are} not current", cure)


def _is_current(path: Path, text: str) -> bool:
    there = _read(path)
    if there == text or not path.stem.endswith("_pb2"):
        return there == text
    # Another version of protoc writes other code around the same descriptor.
    return _descriptor(there) == _descriptor(text)


def _descriptor(text: str) -> object:
    found = _DESCRIPTOR.search(text)
    return ast.literal_eval(found[1]) if found else None


def _short(path: Path) -> str:
    """The path as a user in this folder would write it."""
    return os.path.relpath(path)
