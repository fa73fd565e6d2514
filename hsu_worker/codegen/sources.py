"""The `.proto` files of one run: which are the user's, and where the Python of each one lives."""

import keyword
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from hsu_worker.codegen.comments import PUBLIC_IMPORT, Comments
from hsu_worker.errors import CodegenError
from hsu_worker.wire import buf_validate

_PACKAGE = Path(__file__).parent.parent


def shipped_folder(name: str = "proto") -> Path:
    """A folder of ours that is no Python: in the wheel inside the package, in a checkout beside it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


@dataclass(frozen=True, slots=True)
class ProtoPath:
    """The folders in which imports are looked for, and whose files are to be generated."""

    roots: tuple[Path, ...]
    shipped: frozenset[str]
    """Names of the files whose Python comes with hsu_worker."""

    @classmethod
    def of(
        cls, protos: Sequence[Path], folders: Sequence[Path], *, is_ours: bool = False
    ) -> "ProtoPath":
        """The path for one run.

        Args:
            protos: The files.

            folders: Where imports are looked for; without any it is the deepest folder that holds
                all of `protos`.

            is_ours: The files are hsu_worker's own.
        """
        names = () if is_ours else (file.name for file in shipped_folder().glob("*.proto"))
        return cls(tuple(folders) or (_common_folder(protos),), frozenset(names))

    def names(self, protos: Iterable[Path]) -> list[str]:
        """How the files are called among protoc and in `import` lines: `sub/leaf.proto`.

        Raises:
            CodegenError: Files that lie in none of the folders, or that aren't to be generated.
        """
        names: dict[str, None] = {}
        problems: list[str] = []
        for proto in protos:
            if name := self._name(proto):
                names[name] = None
                problems += self._refuse(proto, name)
            else:
                problems.append(
                    f"{proto}: lies in no folder of the proto path "
                    f"({', '.join(map(str, self.roots))}); add -I {proto.parent}"
                )
        if problems:
            raise CodegenError("\n".join(problems))
        return sorted(names)

    def _name(self, proto: Path) -> str:
        for root in self.roots:
            relative = os.path.relpath(proto, root)
            if not relative.startswith(os.pardir):
                return Path(relative).as_posix()
        return ""

    def _refuse(self, proto: Path, name: str) -> Iterator[str]:
        if proto.suffix != ".proto":
            yield f"{proto}: is not called *.proto; rename it"
        elif name in self.shipped:
            yield (
                f"{proto}: {name} comes with hsu_worker, as hsu_worker.gen.{name[:-6]}; "
                f'leave the file out, or rename it if it is another (import "{name}" works '
                "without a copy)"
            )
        elif name.startswith("google/protobuf/"):
            yield f"{proto}: comes with protobuf, as google.protobuf; leave the file out"
        elif name == buf_validate.FILE:
            yield f"{proto}: needs no Python; leave the file out (importing it works all the same)"
        elif proto.exists() and not os.path.samefile(first := self.locate(name), proto):
            yield f"{proto}: is called {name} in imports, as {first} is; rename one of the two"

    def holds(self, name: str) -> bool:
        """The file belongs to the user, so its Python has to be generated with what imports it."""
        return (
            name not in (*self.shipped, buf_validate.FILE)
            and not name.startswith("google/")
            and any((root / name).is_file() for root in self.roots)
        )

    def locate(self, name: str) -> str:
        """The file as the user would open it."""
        found = [root / name for root in self.roots if (root / name).is_file()]
        return str(found[0] if found else name)


def _common_folder(protos: Sequence[Path]) -> Path:
    # `a/../b.proto` lies beside `a`.
    parents = [Path(os.path.normpath(proto)).parent for proto in protos]
    if len({parent.is_absolute() for parent in parents}) > 1:
        parents = [parent.absolute() for parent in parents]
    return Path(os.path.commonpath(parents))


def module_of(name: str) -> tuple[str, ...]:
    """The module that protoc makes for a file, without `_pb2`: `a-b/c.v1.proto` → a_b, c, v1."""
    return tuple(name.removesuffix(".proto").replace("-", "_").replace("/", ".").split("."))


@dataclass(frozen=True, eq=False)
class Source:
    """One `.proto` file."""

    file: FileDescriptorProto
    path: str
    """As the user would open it; messages name it."""
    owned: bool
    """Python is generated for it; otherwise it is installed."""
    shipped: bool
    """It is installed as a part of hsu_worker."""

    @property
    def name(self) -> str:
        """`sub/leaf.proto`."""
        return self.file.name

    @cached_property
    def module(self) -> tuple[str, ...]:
        """See `module_of`."""
        return module_of(self.name)

    @property
    def stem(self) -> str:
        """Where the generated files go, without suffix: `sub/leaf`."""
        return "/".join(self.module)

    @cached_property
    def comments(self) -> Comments:
        """Its comments and line numbers."""
        return Comments(self.file)

    @property
    def exports(self) -> list[str]:
        """Names of its top-level messages, enums and enum values, as far as Python can write them."""
        names = [
            *(message.name for message in self.file.message_type),
            *(enum.name for enum in self.file.enum_type),
            *(value.name for enum in self.file.enum_type for value in enum.value),
        ]
        return sorted(name for name in names if not keyword.iskeyword(name))

    def package_of(self, other: "Source") -> str:
        """The package that holds `other`'s modules, as this file's Python has to write it."""
        if other.owned:
            return "." * len(self.module) + ".".join(other.module[:-1])
        return "hsu_worker.gen" if other.shipped else ".".join(other.module[:-1])

    def messages_of(self, other: "Source") -> str:
        """The module that holds `other`'s messages, as this file's Python has to write it."""
        package = self.package_of(other)
        dot = "." if package.strip(".") else ""
        return f"{package}{dot}{other.module[-1]}_pb2"

    def import_messages(self, other: "Source", alias: str) -> str:
        """The line with which this file's Python imports the messages of `other`."""
        if other.name == buf_validate.FILE:
            return f"from hsu_worker.wire import buf_validate as {alias}"
        package = self.package_of(other)
        module = f"{other.module[-1]}_pb2 as {alias}"
        line = f"from {package} import {module}" if package else f"import {module}"
        typed = other.owned or other.shipped or other.name.startswith("google/protobuf/")
        # Most packages of messages say nothing of types; the user's checker shall not stop there.
        return line if typed else f"{line}  # type: ignore[import-untyped,unused-ignore]"


class Sources:
    """All files of a descriptor set, what they import included."""

    def __init__(self, files: FileDescriptorSet, owned: Iterable[str], path: ProtoPath) -> None:
        generated = frozenset(owned)
        self._by_name = {
            file.name: Source(
                file, path.locate(file.name), file.name in generated, file.name in path.shipped
            )
            for file in files.file
        }
        self._types = {
            full_name: (source, python)
            for source in self._by_name.values()
            for full_name, python in _types(source.file)
        }

    @property
    def owned(self) -> list[Source]:
        """The files for which Python is generated, by name."""
        return [source for _, source in sorted(self._by_name.items()) if source.owned]

    def by_messages(self, module: str) -> Source | None:
        """The file whose messages protoc puts into `sub.leaf_pb2`."""
        for source in self._by_name.values():
            if ".".join(source.module) + "_pb2" == module:
                return source
        return None

    def type(self, full_name: str) -> tuple[Source, str]:
        """Where a message is defined, and what Python calls it there: `Outer.Inner`."""
        return self._types[full_name.removeprefix(".")]

    def forwarded(self, source: Source) -> Iterator[tuple[Source, int]]:
        """The files whose names `source` hands on by `import public`, with the line that does it."""
        for place, index in enumerate(source.file.public_dependency):
            line = source.comments.line(PUBLIC_IMPORT, place)
            other = self._by_name[source.file.dependency[index]]
            yield other, line
            for further, _ in self.forwarded(other):
                yield further, line


def _types(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    def walk(message: DescriptorProto, outer: str) -> Iterator[str]:
        python = f"{outer}{message.name}"
        yield python
        for nested in message.nested_type:
            yield from walk(nested, f"{python}.")

    for message in file.message_type:
        for python in walk(message, ""):
            yield f"{file.package}.{python}".removeprefix("."), python
