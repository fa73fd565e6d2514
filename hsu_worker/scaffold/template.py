"""The files of `templates/`, and the same under other names.

The template is a project that works in its place. Nothing in it is marked for replacement: its own
names are what is replaced, and they stand nowhere else.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from hsu_worker.codegen.sources import shipped_folder
from hsu_worker.scaffold.imports import in_order
from hsu_worker.scaffold.names import InterfaceName, ProjectName

#: The template's interface with a service that does something, and the one that is still to do.
INTERFACE = "hsu_interface"
TO_DO = "hsu_todo"

#: The package of generated code. It is made anew: descriptors hold the names, too.
GEN = "gen"

#: What a minimal project has of the whole one, beside the files that it has in another form.
_MINIMAL = ("hsu.toml", "hsu_template", "proto", "tests")


def project_files(*, minimal: bool = False) -> dict[str, str]:
    """The template's project, without generated code: text by path, with `/`."""
    project = _files("project")
    if minimal:
        project = {path: project[path] for path in project if path.split("/")[0] in _MINIMAL}
        project |= _files("minimal")
    return {path: text for path, text in sorted(project.items()) if TO_DO not in path}


def to_do_files() -> dict[str, str]:
    """The template's files for an interface that is still to do."""
    return {path: text for path, text in sorted(_files("project").items()) if TO_DO in path}


def taken_names() -> frozenset[str]:
    """The names that are imported beside an interface's own."""
    trees = (
        ast.parse(text)
        for path, text in _files("project").items()
        if path.endswith(".py") and _names_interface(path)
    )
    return frozenset(
        alias.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if not alias.name.startswith("Hsu")
    )


def renamed(
    files: Mapping[str, str],
    project: ProjectName,
    interfaces: Iterable[InterfaceName],
    versions: Mapping[str, str],
) -> dict[str, str]:
    """The files under other names.

    A file that is named after the template's interface is made for each interface. In the others,
    each line that names it is.

    Args:
        files: As `project_files` and `to_do_files` give them.

        project: Takes the place of `hsu-template` and `hsu_template`.

        interfaces: Take the place of `HsuInterface` or `HsuTodo`, and what is derived from it.

        versions: Requirements, such as `a==1`, and what takes their place.
    """
    words = {"hsu_template": project.package, "hsu-template": project.name, **versions}
    each = [words | _words(interface) for interface in sorted(interfaces, key=lambda i: i.module)]
    out: dict[str, str] = {}
    for path, text in files.items():
        if _names_interface(path):
            out |= {_replaced(path, own): _replaced(text, own) for own in each}
        else:
            lines = (
                "".join(_replaced(line, own) for own in each)
                if _names_interface(line)
                else _replaced(line, words)
                for line in text.splitlines(keepends=True)
            )
            out[_replaced(path, words)] = "".join(lines)
    return {path: in_order(text) if path.endswith(".py") else text for path, text in out.items()}


def _words(interface: InterfaceName) -> dict[str, str]:
    words: dict[str, str] = {}
    for snake, camel in ((INTERFACE, "HsuInterface"), (TO_DO, "HsuTodo")):
        words |= {
            f"hsu_template.{snake}.v1": interface.proto_package,
            f"hsu_template_{snake}": interface.stem,
            snake: interface.module,
            f"{camel}Service": interface.service,
            camel: interface.name,
        }
    return words


def _names_interface(text: str) -> bool:
    return any(word in text for word in (INTERFACE, "HsuInterface", TO_DO))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    # In one go, the longest first: what one has put there is no business of the others.
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(pattern, lambda found: words[found[0]], text)


@cache
def _files(name: str) -> Mapping[str, str]:
    folder = shipped_folder("templates") / name
    ignored = _ignored(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file()
        and not any(
            part == GEN or any(fnmatch(part, each) for each in ignored)
            for part in path.relative_to(folder).parts
        )
    }


def _ignored(folder: Path) -> list[str]:
    """What work in the template leaves there; an installation puts bytecode there, too."""
    lines = (folder.parent / "project" / ".gitignore").read_text("utf-8").split()
    return [line.rstrip("/") for line in lines]
