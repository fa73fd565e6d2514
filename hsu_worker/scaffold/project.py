"""A new project, straight through: names, files, generated code, all written at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hsu_worker.codegen.generate import generate
from hsu_worker.codegen.writing import write_all
from hsu_worker.scaffold.names import InterfaceName, ProjectName
from hsu_worker.scaffold.refusals import (
    folder_problems,
    interface_problems,
    project_problems,
    refuse,
)
from hsu_worker.scaffold.template import GEN, project_files, renamed
from hsu_worker.scaffold.versions import requirements


@dataclass(frozen=True, slots=True)
class NewProject:
    """What has been made."""

    folder: Path
    interfaces: tuple[str, ...]
    """Their full names."""
    files: tuple[Path, ...]


def new_project(
    name: str, *, interfaces: Sequence[str] = (), minimal: bool = False, into: Path | None = None
) -> NewProject:
    """Make a project that is tested as it is.

        new_project("my-svc", interfaces=["WordList"]).folder    # my-svc

    Args:
        name: Of the project; its package has `_` for `-`.

        interfaces: In CamelCase. One that is called as the project is, when none is given.

        minimal: Only what it takes to write, test and run a service.

        into: An empty folder, or one that isn't there yet; `name` when it isn't given.

    Raises:
        BadName: It can't be called so.

        ScaffoldError: The folder isn't empty, or there is no compiler.

        CodegenError: A file can't be written; then none is.
    """
    project = ProjectName(name)
    folder = Path(name) if into is None else into
    named = [
        InterfaceName(interface, project.package)
        for interface in interfaces or [project.main_interface]
    ]
    names = list(project_problems(project))
    # The names of interfaces that nobody has given are as good as that of the project.
    if interfaces or not names:
        names += interface_problems(named)
    # Without a name that can be used, the folder is none that anybody has asked for.
    others = list(folder_problems(folder)) if into or project.is_valid else []
    refuse(names, others)
    texts = renamed(project_files(minimal=minimal), project, named, requirements())
    with TemporaryDirectory(prefix="hsu-new-") as temporary:
        made = Path(temporary)
        write_all({made / path: text for path, text in texts.items()})
        protos = sorted(made.glob("proto/*.proto"))
        generate(protos, out=made / project.package / GEN, proto_path=[made / "proto"]).write()
        files = {
            folder / path.relative_to(made): path.read_text("utf-8")
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
    write_all(files)
    full_names = tuple(interface.full_name for interface in named)
    return NewProject(folder, full_names, tuple(files))
