"""Import statements as a formatter leaves them: their order, and that of names, depends on the names."""

import re

from hsu_worker.codegen.text import WIDTH, stacked

_IMPORT = re.compile(r"^from (\S+) import (?:\((?:\n    \w+,)+\n\)|.*)\n", re.MULTILINE)
_BLOCK = re.compile(f"(?:{_IMPORT.pattern})+", re.MULTILINE)
_NAMES = re.compile(r"(?<=\(\n)(?:    \w+,\n)+(?=\))")


def in_order(source: str) -> str:
    """The source with each block of `from` statements in order."""
    return _BLOCK.sub(_block_in_order, source)


def formatted_import(statement: str) -> str:
    """A statement with its names in order, and in lines that are short enough."""
    if len(statement) <= WIDTH + 1 or "(" in statement:
        return _NAMES.sub(_names_in_order, statement)
    head, _, name = statement.rstrip().rpartition(" ")
    return "".join(f"{line}\n" for line in stacked(f"{head} (", [name], ")"))


def _block_in_order(block: re.Match[str]) -> str:
    statements = sorted(_IMPORT.finditer(block[0]), key=lambda found: _natural(found[1]))
    return "".join(formatted_import(found[0]) for found in statements)


def _names_in_order(names: re.Match[str]) -> str:
    return "".join(sorted(names[0].splitlines(keepends=True), key=_constants_first))


def _constants_first(line: str) -> tuple[bool, list[int | str]]:
    name = line.strip(" ,\n")
    return not (name.isupper() and len(name) > 1), _natural(name.lower())


def _natural(text: str) -> list[int | str]:
    """Sorts 2 before 10; every second part is a number."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", text)]
