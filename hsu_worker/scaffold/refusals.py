"""Why a project or an interface can't be called what somebody would call it."""

import builtins
import keyword
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from hsu_worker.codegen.floor import requirement_name
from hsu_worker.codegen.sources import shipped_folder
from hsu_worker.errors import BadName, ScaffoldError
from hsu_worker.scaffold.names import InterfaceName, ProjectName
from hsu_worker.scaffold.template import GEN, INTERFACE, project_files, taken_names
from hsu_worker.scaffold.versions import compiler_problems

#: A unit's name has this many characters at the most.
_MAX_LENGTH = 40

#: What may lie in a folder that is to become a project.
_NO_FILES = frozenset({".git"})


def refuse(names: list[str], others: list[str]) -> None:
    """Refuse what can't be made.

    Args:
        names: What is wrong with the names.

        others: What is wrong beside them; a missing compiler is one more.

    Raises:
        BadName: Something is wrong with the names.

        ScaffoldError: Something else is wrong.
    """
    problems = [*names, *others, *compiler_problems()]
    if problems:
        raise (BadName if names else ScaffoldError)("\n".join(problems))


def project_problems(project: ProjectName) -> Iterator[str]:
    """What is wrong with the name of a project."""
    name, package = project.typed, project.package
    if not project.is_valid:
        cure = f"try {project.valid}" if project.valid else "try my-svc"
        yield (
            f"{name!r} is no name for a project: it needs small letters and digits, "
            f"with - or _ between them, and a letter first; {cure}"
        )
        return
    if len(name) > _MAX_LENGTH:
        yield f"{name!r} has {len(name)} characters, {_MAX_LENGTH} are possible; shorten it"
    if keyword.iskeyword(package):
        yield f"{name!r} is a Python keyword, and no package can be called so; try {name}-svc"
    elif hidden := _hidden(project):
        yield f"{name!r} would hide {hidden}; try {name}-svc"


def interface_problems(interfaces: Sequence[InterfaceName]) -> Iterator[str]:
    """What is wrong with the names of interfaces that are to be made for one project."""
    contracts = {path.stem for path in shipped_folder().glob("*.proto")}
    makers = dict.fromkeys(_template_modules(), "")
    names: dict[str, str] = {}
    for interface in interfaces:
        name, module = interface.name, interface.module
        problems = list(_name_problems(interface))
        yield from problems
        if problems:
            continue
        if interface.stem in contracts:
            yield (
                f"interface {name!r}: {interface.stem}.proto comes with hsu_worker, and one process "
                "can't load two files of one name; rename it"
            )
        if (first := names.setdefault(name.lower(), name)) != name:
            yield (
                f"interfaces {first!r} and {name!r} differ in nothing but capitals; "
                "rename one of the two"
            )
        elif module not in makers:
            makers[module] = name
        elif makers[module] == name:
            yield f"interface {name!r} is named twice; name it once"
        elif makers[module]:
            yield (
                f"interfaces {makers[module]!r} and {name!r} would both be in the module {module}; "
                "rename one of the two"
            )
        else:
            yield (
                f"interface {name!r}: its module would be {module}, which the package has already; "
                "rename it"
            )


def folder_problems(folder: Path) -> Iterator[str]:
    """What stands in the way of a new project in a folder."""
    try:
        there = sorted({each.name for each in folder.iterdir()} - _NO_FILES)
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"{folder}: {error.strerror}; name another folder with --into"
        return
    if there:
        where = "this folder" if folder == Path() else folder
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        yield (
            f"{where} is not empty: it holds {', '.join(there[:3])}{more}; "
            "name another folder with --into"
        )


def _name_problems(interface: InterfaceName) -> Iterator[str]:
    name = interface.name
    if not interface.is_valid:
        cure = f"write {interface.valid}" if interface.valid else "try WordList"
        yield (
            f"interface {name!r}: it needs a name of letters and digits with a capital first; {cure}"
        )
    elif len(name) > _MAX_LENGTH:
        yield (
            f"interface {name!r} has {len(name)} characters, {_MAX_LENGTH} are possible; shorten it"
        )
    elif hasattr(builtins, name):
        yield f"interface {name!r}: `{name}` is Python's own; rename it"
    elif name in taken_names():
        yield f"interface {name!r}: the code beside it needs the name `{name}`; rename it"
    elif keyword.iskeyword(interface.module):
        yield (
            f"interface {name!r}: its module would be {interface.module}, which is a Python keyword; "
            "rename it"
        )


def _template_modules() -> set[str]:
    """The modules that every package has, beside those of its interfaces."""
    files = [Path(path) for path in project_files()]
    package = {file.stem for file in files if file.match("hsu_template/*.py")}
    return {GEN, *package} - {INTERFACE}


def _hidden(project: ProjectName) -> str:
    package = project.package
    if package in sys.stdlib_module_names:
        return f"Python's own module {package}"
    here = Path.cwd()
    # What lies here is found by whoever starts Python here, and nobody else.
    elsewhere = [path for path in sys.path if path and Path(path).resolve() != here]
    if PathFinder.find_spec(package, elsewhere) is not None:
        return f"the module {package}, which is installed"
    files = project_files()
    if package in {path.split("/")[0] for path in files if "/" in path}:
        return f"the project's own folder {package}"
    if project.name in _needed(files["pyproject.toml"]):
        return f"the package {project.name}, which the project needs"
    return ""


def _needed(pyproject: str) -> set[str]:
    data = tomllib.loads(pyproject)
    lines = [
        *data["build-system"]["requires"],
        *data["project"]["dependencies"],
        *data["project"]["optional-dependencies"]["dev"],
    ]
    return {requirement_name(line) for line in lines}
