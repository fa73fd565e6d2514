"""One started command, and what descends from it."""

import contextlib
import os
import select
from collections.abc import Iterable
from dataclasses import dataclass, field

from .processes import LINUX, ProcessLine, process_line


@dataclass
class Unit:
    """One started command: its leader, and everything that descends from it."""

    id: int
    pid: int
    """0 where a dead keeper could not tell whether there is one."""
    mark: str
    start: int = 0
    running: bool = True
    killing: bool = False
    outlives: bool = False
    """It is left alone when the master is gone."""
    inherited: bool = False
    """Started by a keeper that is dead: neither its leader nor its orphans come to this one."""
    handle: int = -1
    """A pidfd of an inherited leader; -1 where the kernel has none."""
    descendants: set[tuple[int, int]] = field(default_factory=set)
    """Pids and starts of those that descended from the leader when it was last signalled."""

    def leads(self) -> bool:
        """Whether the leader still lives, and so the pid is its own."""
        if not self.inherited or not self.running:
            return self.running
        if self.handle >= 0:
            watch = select.poll()
            watch.register(self.handle, select.POLLIN)
            return not watch.poll(0)
        line = process_line(self.pid)
        return line is not None and line.live and line.start == self.start

    def members(self, processes: Iterable[ProcessLine]) -> list[ProcessLine]:
        """The live processes of its group and session."""
        if not self.pid:
            return []
        if LINUX:
            found = [line for line in processes if self.pid in (line.group, line.session)]
            # Once its pid may be somebody else's, a mark has to prove whose group it is.
            proven = not self.inherited or self.leads() or any(self.owns(line) for line in found)
            return found if proven else []
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return []
        return [ProcessLine(self.pid, True, os.getpid(), self.pid, self.pid, 0)]

    def note_descendants(self, processes: Iterable[ProcessLine]) -> None:
        """Remember those who can be told by their parents only, as long as these live."""
        if not (LINUX and self.leads()):
            return
        children: dict[int, list[ProcessLine]] = {}
        for line in processes:
            children.setdefault(line.parent, []).append(line)
        found = [self.pid]
        while found:
            for child in children.get(found.pop(), ()):
                self.descendants.add((child.pid, child.start))
                found.append(child.pid)

    def owns(self, line: ProcessLine) -> bool:
        """Whether a process is the unit's: by its mark in the environment, or as a known descendant."""
        if (line.pid, line.start) in self.descendants:
            return True
        own = f"/{self.mark}/"
        # Until its exec, a process looks like the keeper that made it, or the template.
        keeper = None if self.pid else f"/{self.mark.partition('/')[0]}/"
        return any(
            own in mark or (keeper and (mark.endswith(keeper) or f"{keeper}t/" in mark))
            for mark in line.marks()
        )

    def signal(self, number: int, processes: Iterable[ProcessLine]) -> None:
        members = self.members(processes)
        # A pid is free for others once its leader is reaped and its group is empty.
        if self.leads() or members:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)
        for member in members:
            if member.group == self.pid:
                continue
            with contextlib.suppress(OSError):
                now = process_line(member.pid)
                if now is not None and now.live and now.session == self.pid:
                    os.kill(member.pid, number)
