"""The project in the folder: what its `pyproject.toml` asks for."""

import platform
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from hsu_worker.doctor.finding import Finding, ok, problem, warning
from hsu_worker.doctor.installation import unmet_of

_FILE: Final = "pyproject.toml"


def project(folder: Path) -> Iterator[Finding]:
    """Whether this environment is one for the project."""
    file = folder / _FILE
    if not file.is_file():
        yield ok("project", f"there is no {_FILE} here")
        return
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        yield problem("project", f"{_FILE} can't be read: {error}", "correct it")
        return
    wrong = list(_wrong(document.get("project", {})))
    yield from wrong
    if not wrong:
        yield ok("project", f"this environment has all that {_FILE} asks for")


def _wrong(table: Any) -> Iterator[Finding]:
    try:
        versions = SpecifierSet(table.get("requires-python", ""))
        needed = [Requirement(line) for line in table.get("dependencies", ())]
    except (AttributeError, TypeError, InvalidRequirement, InvalidSpecifier) as error:
        yield problem("project", f"{_FILE}: {error}", "correct it")
        return
    if not versions.contains(platform.python_version(), prereleases=True):
        yield problem(
            "project",
            f"{_FILE} asks for Python {versions}, and this is {platform.python_version()}",
            f"make an environment with Python {versions}",
        )
    for requirement, text in unmet_of(needed):
        yield problem("project", f"{_FILE} asks for {requirement}, and {text}", "pip install -e .")
    names = {canonicalize_name(requirement.name) for requirement in needed}
    own = canonicalize_name(str(table.get("name", "")))
    if "hsu-worker" not in {*names, own}:
        yield warning(
            "project",
            f"{_FILE} does not ask for hsu-worker",
            'add "hsu-worker" to its dependencies, unless it is no worker',
        )
