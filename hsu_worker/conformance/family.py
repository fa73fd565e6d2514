"""The processes of a launch, as the kernel tells them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hsu_worker.conformance.finding import Skipped
from hsu_worker.conformance.launched import MARK, Launched
from hsu_worker.master.keeper.processes import LINUX, ProcessLine, live_processes


@dataclass(frozen=True, slots=True)
class Member:
    """One process."""

    line: ProcessLine
    environment: frozenset[bytes]
    command: bytes
    """Its arguments, each ended by NUL."""

    @property
    def shown(self) -> str:
        """The command, for people."""
        return repr(self.command.replace(b"\0", b" ").decode("utf-8", "replace")[:80])


def family(instance: str) -> dict[int, Member]:
    """The live processes that descend from a launch, whatever became of their parents.

    Raises:
        Skipped: This system doesn't tell.
    """
    check_linux()
    mark = f"{MARK}={instance}".encode()
    members = {}
    for line in live_processes():
        folder = Path(f"/proc/{line.pid}")
        try:
            environment = frozenset((folder / "environ").read_bytes().split(b"\0"))
            if mark in environment:
                command = (folder / "cmdline").read_bytes()
                members[line.pid] = Member(line, environment, command)
        except OSError:
            # It has ended, or is somebody else's.
            continue
    return members


def family_of(worker: Launched) -> dict[int, Member]:
    """The family of a worker that is seen itself: else nothing could be found, whatever there is.

    Raises:
        Skipped: It is not, or this system doesn't tell.
    """
    members = family(worker.variables.instance)
    if worker.told.pid not in members:
        raise Skipped(f"process {worker.told.pid}, as the handshake told, can't be looked at")
    return members


def ancestors(pid: int, members: Mapping[int, Member]) -> list[int]:
    """A process of a family, its parent, and so on, as far as they are of the family."""
    found = []
    while pid in members:
        found.append(pid)
        pid = members[pid].line.parent
    return found


def descriptors(pid: int) -> list[str]:
    """What a process holds open.

    Raises:
        Skipped: This system doesn't tell.
    """
    check_linux()
    folder = Path(f"/proc/{pid}/fd")
    found = []
    try:
        for name in os.listdir(folder):
            try:
                found.append(os.readlink(folder / name))
            except FileNotFoundError:
                continue
    except OSError as error:
        raise Skipped(f"the descriptors of process {pid} can't be read: {error}") from None
    return found


def descriptor(pid: int, number: int) -> str:
    """What a descriptor of a process is; empty when it is closed.

    Raises:
        Skipped: This system doesn't tell.
    """
    check_linux()
    folder = Path(f"/proc/{pid}/fd")
    try:
        return os.readlink(folder / f"{number}")
    except FileNotFoundError as error:
        if folder.exists():
            return ""
        raise Skipped(f"the descriptors of process {pid} can't be read: {error}") from None
    except OSError as error:
        raise Skipped(f"the descriptors of process {pid} can't be read: {error}") from None


def threads(pid: int) -> int:
    """How many a process has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def check_linux() -> None:
    """Say so where there is no /proc.

    Raises:
        Skipped: This is not Linux.
    """
    if not LINUX:
        raise Skipped("only Linux tells what a process holds")
