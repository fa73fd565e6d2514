"""What the kernel tells of processes; nothing where there is no /proc."""

import os
import sys
from dataclasses import dataclass

from . import MARK

VANISHED = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What reading about a process raises if it has ended, or is nobody's business."""
STAT_BYTES = 4096
"""More than `/proc/<pid>/stat` ever has."""
# Annotated, so that type checkers read the code of both platforms.
LINUX: bool = sys.platform == "linux"


@dataclass
class ProcessLine:
    """What `/proc/<pid>/stat` tells."""

    pid: int
    live: bool
    parent: int
    group: int
    session: int
    start: int
    """When it started, in the kernel's ticks: with the pid, it names one process for ever."""
    seen_marks: list[str] | None = None

    def marks(self) -> list[str]:
        """Its marks, which are read once: many units may ask."""
        if self.seen_marks is None:
            self.seen_marks = marks(self.pid)
        return self.seen_marks


def process_line(pid: int) -> ProcessLine | None:
    """
    None if there is no such process.

    Raises:
        OSError: It can't be read now, which says nothing about the process.
    """
    # Every end of a worker looks at all processes: a file object for each would cost twice as much.
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            data = os.read(descriptor, STAT_BYTES)
        finally:
            os.close(descriptor)
    except VANISHED:
        return None
    fields = data.rpartition(b")")[2].split(None, 20)
    if len(fields) < 20:
        return None
    parent, group, session, start = int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])
    return ProcessLine(pid, fields[0] not in b"ZXx", parent, group, session, start)


def live_processes() -> list[ProcessLine]:
    """
    All of them; none where there is no /proc.

    Raises:
        OSError: They can't be read now.
    """
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return []
    lines = (process_line(int(name)) for name in names if name.isdigit())
    return [line for line in lines if line is not None and line.live]


def marks(pid: int) -> list[str]:
    """The marks in the environment of a process, each between slashes; mostly one, or none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except VANISHED:
        return []
    prefix = f"{MARK}=".encode()
    own = (v[len(prefix) :] for v in variables if v.startswith(prefix))
    return [f"/{value.decode(errors='replace')}/" for value in own]
