"""What other processes read of this one: its command line, and a variable of its environment.

The kernel keeps both where they were when the program began, see arg_start and env_start in
proc_pid_stat(5). A fork has those of the process that it was forked from, until it writes its own
over them.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Final, TypeAlias

_Region: TypeAlias = "ctypes.Array[ctypes.c_char]"

#: Fields of /proc/<pid>/stat, counted from the first behind the name.
_ARGUMENTS: Final = 45
_VARIABLES: Final = 47


def find_regions() -> None:
    """Find out where both are. A fork has them in the same place, and needn't look again."""
    _region(_ARGUMENTS)
    _region(_VARIABLES)


def show_as(argv: Sequence[str]) -> None:
    """Be seen as this command, as far as there is room."""
    region = _region(_ARGUMENTS)
    text = b"\0".join(word.encode() for word in argv)
    region.raw = text[: len(region) - 1].ljust(len(region), b"\0")


def show_variable(name: str, value: str) -> None:
    """Be seen with this variable, if the process began with one at least as long, filled up by `/`."""
    region = _region(_VARIABLES)
    variables = region.raw.split(b"\0")
    for number, variable in enumerate(variables):
        if variable.startswith(f"{name}=".encode()):
            new = f"{name}={value}".encode().ljust(len(variable), b"/")
            if len(new) == len(variable):
                variables[number] = new
                region.raw = b"\0".join(variables)
            return


@cache
def _region(field: int) -> _Region:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = map(int, fields[field : field + 2])
    return (ctypes.c_char * (end - start)).from_address(start)
