"""The interpreter, and the packages beside it."""

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from hsu_worker.doctor.finding import Finding, ok, problem, warning

#: Packages that do harm, and what harm.
_HARMFUL: Final = {
    "grpcio-observability": "when it is turned on, it stops an asyncio server after some hundred "
    "calls"
}
#: What is off, in a variable of grpc.
_OFF: Final = ("", "0", "false", "no", "off")


def python(_folder: Path) -> Iterator[Finding]:
    """The interpreter and the system."""
    found = f"Python {platform.python_version()} on {platform.system()}, {sys.executable}"
    if sys.platform == "linux":
        yield ok("python", found)
    elif sys.platform == "darwin":
        yield warning("python", f"{found}: nobody has tried that yet", "use Linux for production")
    else:
        yield problem("python", f"{found}: workers don't run there", "use Linux or macOS")


def requirements(_folder: Path) -> Iterator[Finding]:
    """What hsu_worker needs."""
    try:
        needed = [Requirement(line) for line in requires("hsu-worker") or ()]
        own = version("hsu-worker")
    except PackageNotFoundError:
        yield problem(
            "requirements",
            "hsu-worker is not installed: it runs from a folder, so nothing says what it needs",
            "pip install -e that folder",
        )
        return
    unmet = list(unmet_of(needed))
    for requirement, problem_text in unmet:
        cure = f"pip install '{requirement.name}{requirement.specifier}'"
        yield problem("requirements", f"hsu-worker needs {requirement}, and {problem_text}", cure)
    if not unmet:
        yield ok("requirements", f"hsu-worker {own} has all that it needs")


def unmet_of(needed: Iterable[Requirement]) -> Iterator[tuple[Requirement, str]]:
    """The requirements that this environment doesn't meet, each with what is there instead."""
    for requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield requirement, "it is not installed"
        else:
            if not requirement.specifier.contains(installed, prereleases=True):
                yield requirement, f"{installed} is installed"


def packages(_folder: Path) -> Iterator[Finding]:
    """Packages that get in the way."""
    found = [name for name in _HARMFUL if _is_installed(name)]
    for name in found:
        yield warning("packages", f"{name} is installed: {_HARMFUL[name]}", f"pip uninstall {name}")
    if not found:
        yield ok("packages", "no package is installed that gets in the way")


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def grpc_variables(_folder: Path) -> Iterator[Finding]:
    """Variables that change how grpc behaves."""
    wrong = list(_wrong_variables())
    yield from wrong
    if not wrong:
        yield ok("grpc-variables", "no variable changes how grpc behaves")


def _wrong_variables() -> Iterator[Finding]:
    if os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() not in _OFF:
        yield warning(
            "grpc-variables",
            "GRPC_ENABLE_FORK_SUPPORT is set: asyncio servers and channels can't be forked with it "
            "either, and every fork stops grpc's threads first",
            "unset GRPC_ENABLE_FORK_SUPPORT",
        )
    told = [
        name
        for name in ("GRPC_TRACE", "GRPC_VERBOSITY")
        if os.environ.get(name, "").lower() not in (*_OFF, "none", "error")
    ]
    for name in told:
        yield warning(
            "grpc-variables",
            f"{name} is set: grpc tells on stderr what it does, and every call pays for that",
            f"unset {name}",
        )
