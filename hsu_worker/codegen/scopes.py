"""The names that the classes of a stub have, and those that their annotations need."""

import ast
from collections.abc import Iterator
from typing import NamedTuple


class Scope(NamedTuple):
    """The body of one class; what it has comes before what stands outside."""

    name: str
    """`Outer.Inner`."""
    has: frozenset[str]
    needs: frozenset[str]


def scopes(stub: str) -> list[Scope]:
    """The classes of a `.pyi`; none when it is no Python, as with a class that is called `class`."""
    try:
        module = ast.parse(stub)
    except SyntaxError:
        return []
    return [scope for each in module.body for scope in _scopes(each, "")]


def _scopes(node: ast.stmt, outer: str) -> Iterator[Scope]:
    if not isinstance(node, ast.ClassDef):
        return
    has: set[str] = set()
    needs: set[str] = set()
    for each in node.body:
        has |= _bound(each)
        needs |= _needed(each)
    yield Scope(f"{outer}{node.name}", frozenset(has), frozenset(needs))
    for each in node.body:
        yield from _scopes(each, f"{outer}{node.name}.")


def _bound(node: ast.stmt) -> set[str]:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.ClassDef(name=name):
            return {name}
        case _:
            return set()


def _needed(node: ast.stmt) -> set[str]:
    """The names that a statement reads where it stands; the body of a class stands elsewhere."""
    parts = [*node.bases, *node.keywords] if isinstance(node, ast.ClassDef) else [node]
    return {
        each.id
        for part in parts
        for each in ast.walk(part)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }
