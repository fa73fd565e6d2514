"""The oldest protobuf that generated code runs on, and the user's declaration of it.

protoc writes into each `_pb2.py` which runtime it needs at the least; the user's project has to ask
for that one. Its pyproject.toml is changed in that one place, or not at all.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from hsu_worker.codegen.toml_list import with_items

_IN_MESSAGES = re.compile(r"^# Protobuf Python Version: (\d+(?:\.\d+)*)\s*$", re.MULTILINE)
_REQUIREMENT = re.compile(r"^\s*([\w.-]+)\s*(?:\[[^\]]*\])?\s*([^;@]*)")
_LOWER = re.compile(r"(>=|~=|==)\s*(\d+(?:\.\d+)*)")
_UPPER = re.compile(r"<=?\s*(\d+(?:\.\d+)*)")


def floor_of(messages: Iterable[str]) -> str:
    """The version that these `_pb2.py` ask for; "" when none says."""
    found = [match[1] for text in messages if (match := _IN_MESSAGES.search(text))]
    return max(found, key=_number, default="")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a project declares, held against what the generated code needs."""

    problem: str = ""
    """One sentence for people; "" when all is well."""
    file: Path | None = None
    """The pyproject.toml to write, when that can be done safely."""
    text: str = ""
    """Its new text."""
    change: str = ""
    """What it then declares, for people."""


def declaration(floor: str, out: Path) -> Declaration:
    """Compare the floor of code in `out` with what the project around it declares."""
    if not floor:
        return Declaration()
    needs = f"the generated code needs protobuf>={floor}"
    file = _pyproject(out)
    if file is None:
        return Declaration(f"{needs}; declare it where your project says what it needs")
    try:
        text = file.read_bytes().decode()
        data = tomllib.loads(text)
        dependencies = {requirement_name(line): line for line in data["project"]["dependencies"]}
    except (KeyError, TypeError, ValueError):
        return Declaration(f"{needs}; declare it where {file} says what the project needs")
    if (old := dependencies.get("protobuf")) is not None:
        if _number(_lower(old)) >= _number(floor):
            return Declaration()
        problem = f"{needs}, and {file} declares {old!r}"
        new = [_raised(old, floor)]
    elif (old := dependencies.get("hsu-worker")) is not None:
        if _number(_own_floor()) >= _number(floor):
            return Declaration()
        problem = f"{needs}, and {file} doesn't declare it"
        new = [old, f"protobuf>={floor}"]
    else:
        return Declaration(f"{needs}, and {file} doesn't declare it")
    if "" in new or not (edited := with_items(text, ("project", "dependencies"), old, new)):
        return Declaration(problem)
    return Declaration(problem, file, edited, f"it declares {new[-1]!r} now")


def _pyproject(out: Path) -> Path | None:
    folder = out.absolute()
    for above in (folder, *folder.parents):
        file = above / "pyproject.toml"
        if file.is_file():
            here = Path.cwd()
            return file.relative_to(here) if file.is_relative_to(here) else file
    return None


def _raised(requirement: str, floor: str) -> str:
    """The requirement with the new floor; "" when it pins or excludes it."""
    upper = _UPPER.search(requirement)
    lower = _LOWER.search(requirement)
    if upper and _number(upper[1]) <= _number(floor):
        return ""
    if lower is None:
        end = len("protobuf")
        more = "," if upper else ""
        return f"{requirement[:end]}>={floor}{more}{requirement[end:].lstrip()}"
    if lower[1] != ">=":
        return ""
    return f"{requirement[: lower.start(2)]}{floor}{requirement[lower.end(2) :]}"


def _own_floor() -> str:
    """The floor that comes with hsu_worker itself."""
    try:
        ours = requires("hsu-worker") or []
    except PackageNotFoundError:
        return ""
    return next((_lower(line) for line in ours if requirement_name(line) == "protobuf"), "")


def requirement_name(requirement: str) -> str:
    """The package that a requirement asks for, as packages are compared; "" when it is none."""
    found = _REQUIREMENT.match(requirement)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def _lower(requirement: str) -> str:
    found = _LOWER.search(requirement)
    return found[2] if found else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
