"""A new interface in a project: contract, generated code, a class and a test that are to do."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hsu_worker.codegen.generate import generate
from hsu_worker.codegen.writing import write_all
from hsu_worker.errors import ScaffoldError
from hsu_worker.scaffold.edits import edits_for
from hsu_worker.scaffold.names import InterfaceName, ProjectName
from hsu_worker.scaffold.refusals import interface_problems, refuse
from hsu_worker.scaffold.template import GEN, renamed, to_do_files


@dataclass(frozen=True, slots=True)
class NewInterface:
    """What has been made and changed."""

    full_name: str
    proto: Path
    service: Path
    test: Path
    generated: tuple[Path, ...]
    changed: tuple[Path, ...]
    """Files that were there."""
    by_hand: tuple[str, ...]
    """What is left to change, as sentences that show the lines to write."""


def new_interface(name: str, *, folder: Path | None = None) -> NewInterface:
    """Add an interface to the project around a folder.

        new_interface("WordList").proto    # proto/my_svc_word_list.proto

    Args:
        name: In CamelCase.

        folder: Somewhere in a project with the layout of `new_project`; the current one when it
            isn't given.

    Raises:
        BadName: It can't be called so.

        ScaffoldError: It is there already, this is no such project, or there is no compiler.

        CodegenError: A file can't be written; then none is.
    """
    root, project = _project(folder or Path.cwd())
    gen = root / project.package / GEN
    interface = InterfaceName(name, project.package)
    names = list(interface_problems([interface]))
    files: dict[Path, str] = {}
    others: list[str] = []
    if not names:
        texts = renamed(to_do_files(), project, [interface], {})
        files = {root / path: text for path, text in texts.items()}
        wanted = [*files, gen / f"{interface.stem}.py"]
        there = ", ".join(str(path) for path in wanted if path.exists())
        others = [f"{there}: there already; choose another name"] if there else []
    refuse(names, others)
    service, proto, test = files
    with TemporaryDirectory(prefix="hsu-new-") as temporary:
        copy = Path(temporary) / proto.name
        copy.write_text(files[proto], "utf-8")
        output = generate([copy], out=gen).changes()
    edits = edits_for(interface, root)
    changes = files | output | edits.texts
    changed = tuple(path for path in changes if path.exists())
    write_all(changes)
    return NewInterface(
        full_name=interface.full_name,
        proto=proto,
        service=service,
        test=test,
        generated=tuple(path for path in output if path not in changed),
        changed=changed,
        by_hand=tuple(edits.by_hand),
    )


def _project(folder: Path) -> tuple[Path, ProjectName]:
    """The project around a folder: its own folder, and its name."""
    for above in (folder, *folder.absolute().parents):
        if (above / "pyproject.toml").is_file():
            break
    else:
        raise ScaffoldError(
            "there is no pyproject.toml here or above; go to a project, or make one: "
            "hsu-worker new mysvc"
        )
    root = Path(os.path.relpath(above))
    file = root / "pyproject.toml"
    try:
        name = tomllib.loads(file.read_text("utf-8"))["project"]["name"]
        project = ProjectName(re.sub(r"[-_.]+", "-", name).lower())
    except OSError as error:
        raise ScaffoldError(f"can't read {file}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise ScaffoldError(
            f'{file} says no name for the project; write name = "mysvc" under [project]'
        ) from None
    gen = root / project.package / GEN
    if not gen.is_dir():
        raise ScaffoldError(
            f"there is no folder {gen}; an interface can be added to a project with the layout of "
            "those that `hsu-worker new` makes"
        )
    return root, project
