"""How far the start of a process has come, and what is told of it when it takes too long."""

import asyncio

from hsu_worker.master.launcher import Worker
from hsu_worker.master.task_limit import NO_MORE_TASKS, NO_THREAD, is_at_task_limit


class Standstill:
    """Knows the step that a start is at, and since when nothing has moved.

    Args:
        worker: Whose start it is.
    """

    def __init__(self, worker: Worker) -> None:
        self.moved = asyncio.Event()
        self.announced = False
        self.foreign = ""
        """An announce line that was another instance's."""
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None

    def begins(self) -> None:
        """A step begins, or something has moved in it."""
        self.moved.clear()
        self._since = self._loop.time()

    def ends(self) -> None:
        """A step is done."""
        self._since = None

    def note(self) -> str:
        """For who waits: the step, and the last that the worker wrote; "" between two steps."""
        if self._since is None:
            return ""
        note = self._step(f"{self._loop.time() - self._since:.1f} s")
        if self._awaits_announcement and self.foreign:
            return f"{note}: this one is another instance's: {self.foreign!r}"
        last = self._worker.log.tail(self._worker.generation, 1)
        return f"{note}; its last line: {last[0][:200]!r}" if last else note

    def stalled(self) -> str:
        """Why the start is given up after `stall`, and the cure."""
        why = f"start timeout: {self._step(f'{self._worker.unit.stall:g} s')}"
        if self._lacks_threads:
            return f"{why}; {NO_MORE_TASKS}"
        cure = "raise its `stall`"
        if self._awaits_announcement:
            return f"{why}; {self._announces(cure)}"
        lifespan = ", or call report_progress in its lifespan" if self._worker.handshake else ""
        return f"{why}; {cure}{lifespan}"

    def late(self) -> str:
        """Why the start is given up after `start_timeout`, and the cure."""
        bound = f"{self._worker.unit.start_timeout:g} s"
        if self._lacks_threads:
            return f"start timeout: not ready {bound} after its launch; {NO_MORE_TASKS}"
        cure = "raise its `start_timeout`"
        if self._since is None:
            return f"start timeout: not ready {bound} after its launch; {cure}"
        if self._awaits_announcement:
            return f"start timeout: {self._step(bound)}; {self._announces(cure)}"
        step = self._worker.progress or self._step(f"{self._loop.time() - self._since:.1f} s")
        return f"start timeout: not ready {bound} after its launch: {step}; {cure}"

    def cure(self) -> str:
        """What to add to the end of its process, by what it said; mostly ""."""
        said = "".join(self._worker.log.tail(self._worker.generation))
        return f"; {NO_MORE_TASKS}" if NO_THREAD in said else ""

    @property
    def _lacks_threads(self) -> bool:
        return self._worker.pid is not None and is_at_task_limit(self._worker.pid)

    @property
    def _awaits_announcement(self) -> bool:
        # One that is adopted has announced itself to another master.
        return not self.announced and self._worker.handshake is None

    def _step(self, seconds: str) -> str:
        if self._awaits_announcement:
            return f"no announce line for {seconds}"
        if self._worker.handshake is None:
            return f"no answer to the handshake for {seconds}"
        return f"no progress of its start for {seconds}"

    def _announces(self, if_slow: str) -> str:
        if self.foreign:
            return (
                f"this one is another instance's: {self.foreign!r}; "
                "write this launch's HSU_INSTANCE"
            )
        if self._worker.unit.command:
            return f"does it write one (docs/launch-contract.md)? If it is only slow, {if_slow}"
        return if_slow
