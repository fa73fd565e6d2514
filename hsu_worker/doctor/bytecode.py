"""Bytecode of what a worker imports: without it, each start compiles everything anew."""

import importlib
import os
import shlex
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from hsu_worker.doctor.finding import Finding, ok, warning

#: What `python -m hsu_worker.worker` imports before the user's own module.
_WORKER: Final = (
    "hsu_worker.worker.run",
    "hsu_worker.worker.launched",
    "grpc_health.v1.health_pb2",
)
#: Bytes of a file of bytecode: what it is, then the time and the size of its source.
_HEADER: Final = 16


def bytecode(_folder: Path) -> Iterator[Finding]:
    """Whether every module of a worker has its own."""
    # Python writes what is missing, now, where it can: what is left stays missing.
    for name in _WORKER:
        importlib.import_module(name)
    yield bytecode_of(sys.modules)


def bytecode_of(loaded: Mapping[str, ModuleType]) -> Finding:
    """Whether every module that is loaded has current bytecode."""
    modules = [
        each for name, each in loaded.items() if name != "__main__" and _source(each) is not None
    ]
    lacking = [each for each in modules if not _is_compiled(each)]
    if not lacking:
        return ok("bytecode", f"all {len(modules)} modules of a worker have bytecode")
    folders = sorted({_place(each) for each in lacking})
    command = shlex.join([sys.executable, "-m", "compileall", "-q", *folders])
    why = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else "it can't be written"
    return warning(
        "bytecode",
        f"{len(lacking)} of {len(modules)} modules of a worker have no current bytecode, and {why}: "
        "each start compiles them anew, and may take several times as long",
        f"run where it can be written, such as in the image's build: {command}",
    )


def _source(module: ModuleType) -> str | None:
    """The file of a module that is compiled from one."""
    spec = getattr(module, "__spec__", None)  # not all that is there is a module
    if spec is None or spec.cached is None or not str(spec.origin).endswith(".py"):
        return None
    return str(spec.origin)


def _is_compiled(module: ModuleType) -> bool:
    assert module.__spec__ is not None
    assert module.__spec__.cached is not None
    try:
        with open(module.__spec__.cached, "rb") as file:
            header = file.read(_HEADER)
        facts = os.stat(str(module.__spec__.origin))
    except OSError:
        return False
    kind, time, size = (int.from_bytes(header[i : i + 4], "little") for i in (4, 8, 12))
    # Another kind is checked by its hash, or not at all.
    return kind != 0 or (time, size) == (
        int(facts.st_mtime) & 0xFFFFFFFF,
        facts.st_size & 0xFFFFFFFF,
    )


def _place(module: ModuleType) -> str:
    """What to compile for a module: the folder that packages are installed in, or its own package."""
    path = Path(str(_source(module)))
    depth = module.__name__.count(".") + (path.name == "__init__.py")
    folder = path.parents[depth]
    if str(folder) in sysconfig.get_paths().values() or depth == 0:
        return str(folder if depth else path)
    return str(folder / module.__name__.partition(".")[0])
