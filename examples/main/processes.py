"""The processes below this one, as the system tells them."""

import os
import subprocess
from pathlib import Path
from typing import TypeAlias

#: A process: its id, and when it began. An id alone may belong to another one later.
Process: TypeAlias = tuple[int, str]

PROC = Path("/proc")


def descendants() -> set[Process]:
    """The processes that this one has started, and those that they have started."""
    table = _from_proc() if (PROC / "self" / "stat").exists() else _from_ps()
    found: set[Process] = set()
    parents = {os.getpid()}
    while parents:
        children = {process for process, parent in table.items() if parent in parents} - found
        found |= children
        parents = {pid for pid, _ in children}
    return found


def alive(processes: set[Process]) -> set[Process]:
    """Those that still live."""
    return processes & set(_from_proc() if (PROC / "self" / "stat").exists() else _from_ps())


def _from_proc() -> dict[Process, int]:
    table: dict[Process, int] = {}
    for file in PROC.glob("[0-9]*/stat"):
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue  # it ended while we looked
        # The name, in brackets, may hold anything: state and parent follow it, the start is later.
        state, parent, *others = text.rpartition(")")[2].split()
        if state != "Z":
            table[int(file.parent.name), others[17]] = int(parent)
    return table


def _from_ps() -> dict[Process, int]:
    table: dict[Process, int] = {}
    command = ["/bin/ps", "-axo", "pid=,ppid=,stat=,lstart="]
    for line in subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.splitlines():
        pid, parent, state, began = line.split(None, 3)
        if not state.startswith("Z"):
            table[int(pid), began] = int(parent)
    return table
