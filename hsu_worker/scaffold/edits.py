"""Edits of somebody's files that serve a new interface: what is safe, and otherwise what to write."""

import ast
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsu_worker.codegen.toml_list import with_items
from hsu_worker.scaffold.imports import formatted_import
from hsu_worker.scaffold.names import InterfaceName


@dataclass(slots=True)
class Edits:
    """What has to be changed so that a unit serves one more interface."""

    texts: dict[Path, str] = field(default_factory=dict)
    """New texts of files."""
    by_hand: list[str] = field(default_factory=list)
    """What couldn't be done, as sentences that show the lines to write."""


def edits_for(interface: InterfaceName, root: Path) -> Edits:
    """Put the service among those of the app, and the interface among those of its unit.

    Args:
        interface: A new one.

        root: The folder of a project with an `hsu.toml`.
    """
    edits = Edits()
    toml = root / "hsu.toml"
    text = _read(toml)
    unit, table = _unit(text, interface.package)
    module, _, attribute = str(table.get("app", "")).partition(":")
    worker = _source(root, module) if unit else Path()
    served = _with_service(_read(worker), attribute, interface)
    if served:
        edits.texts[worker] = served
    else:
        where = f"{worker}: " if unit and worker.exists() else ""
        edits.by_hand.append(
            f"{where}add {interface.service}() to the services of the App, and\n"
            f"    {_import(interface)}"
        )
    implements = table.get("implements")
    last = str(implements[-1]) if isinstance(implements, list) and implements else ""
    path = ("units", unit, "implements")
    # A unit that says more than its worker offers can't be started.
    if served and (offered := with_items(text, path, last, [last, interface.full_name])):
        edits.texts[toml] = offered
    else:
        edits.by_hand.append(
            f"{toml}: then add to what {f'unit {unit}' if unit else 'its unit'} implements\n"
            f'    "{interface.full_name}"'
        )
    return edits


def _unit(text: str, package: str) -> tuple[str, Mapping[str, Any]]:
    """The only unit whose app is in the package; "" when there is none, or several."""
    try:
        units = tomllib.loads(text)["units"]
        found = {
            name: table
            for name, table in units.items()
            if str(table.get("app", "")).partition(":")[0].split(".")[0] == package
        }
    except (AttributeError, KeyError, TypeError, tomllib.TOMLDecodeError):
        return "", {}
    return next(iter(found.items())) if len(found) == 1 else ("", {})


def _source(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _with_service(text: str, attribute: str, interface: InterfaceName) -> str:
    """The source with one more service of an App; "" when that can't be done safely."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ""
    call, place = _app(tree, attribute), _place(tree, interface)
    if call is None or place is None:
        return ""
    line_end = "\r\n" if "\r\n" in text else "\n"
    index, line = place
    # The later one first: it moves nothing that stands before it.
    edited = _with_argument(text, call.args[-1], f"{interface.service}()", line_end)
    at = _offset(text, line)
    line_of_import = formatted_import(f"{_import(interface)}\n").replace("\n", line_end)
    edited = edited[:at] + line_of_import + edited[at:]
    tree.body[index:index] = ast.parse(_import(interface)).body
    call.args.append(ast.parse(f"{interface.service}()", mode="eval").body)
    try:
        return edited if ast.dump(ast.parse(edited)) == ast.dump(tree) else ""
    except SyntaxError:
        return ""


def _import(interface: InterfaceName) -> str:
    return f"from {interface.package}.{interface.module} import {interface.service}"


def _app(tree: ast.Module, attribute: str) -> ast.Call | None:
    """The call that makes the App of this name, when it is given services one by one."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        call = node.value
        if (
            [target.id for target in targets if isinstance(target, ast.Name)] == [attribute]
            and isinstance(call, ast.Call)
            and ast.unparse(call.func).rpartition(".")[2] == "App"
            and call.args
            and not any(isinstance(argument, ast.Starred) for argument in call.args)
        ):
            return call
    return None


def _place(tree: ast.Module, interface: InterfaceName) -> tuple[int, int] | None:
    """Where its import belongs among the others: which statement it will be, and in which line."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if not imports:
        return None
    own = {
        node.module: node
        for node in imports
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.split(".")[0] == interface.package
    }
    module = f"{interface.package}.{interface.module}"
    if later := [node for name, node in own.items() if name > module]:
        return tree.body.index(later[0]), later[0].lineno
    last = [*(own.values() or imports)][-1]
    return tree.body.index(last) + 1, (last.end_lineno or 0) + 1


def _with_argument(text: str, last: ast.expr, argument: str, line_end: str) -> str:
    """The text with one more argument after the last one: on a line of its own, if that is."""
    start = _offset(text, last.lineno, last.col_offset)
    end = _offset(text, last.end_lineno or 0, last.end_col_offset or 0)
    indent = text[_offset(text, last.lineno) : start]
    between = ", " if indent.strip() else f",{line_end}{indent}"
    return text[:end] + between + argument + text[end:]


def _offset(text: str, line: int, column: int = 0) -> int:
    """Where a place of the tree is in the text; the tree counts bytes, and lines from 1."""
    lines = text.split("\n")[: line - 1]
    before = sum(len(each) + 1 for each in lines)
    return before + len(text[before:].encode()[:column].decode())


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return ""
