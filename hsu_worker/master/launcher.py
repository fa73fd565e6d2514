"""What every way to get a worker has in common, and the talk that follows: handshake, start, logs."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hsu_worker.errors import (
    Code,
    DeadlineExceeded,
    HandshakeError,
    HsuError,
    RpcError,
    StartError,
    Unavailable,
)
from hsu_worker.gen.hsu_core import (
    CoreClient,
    HandshakeResponse,
    StartRequest,
    State,
    StopRequest,
    StreamLogsRequest,
)
from hsu_worker.master.handshake import Expected, shake_hands
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.residence import Residence
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.connection import Connection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a worker ended."""

    text: str
    """In words, such as `exit code 3`."""
    code: int | None = None
    signal: int | None = None
    peak_memory: int = 0
    """In bytes; 0 is unknown."""
    clean: bool = False
    """It left in order; no failure."""
    finishes: bool = False
    """It still answers the calls that it has."""


class Worker(ABC):
    """One generation of a unit, however it came to be.

    `start` either returns, and then `connection` and `handshake` are there, or raises
    `StartError`; `stop` may be called at any time, and leaves nothing behind.
    """

    def __init__(
        self, unit: UnitConfig, generation: int, unit_log: UnitLog, *, master_id: str
    ) -> None:
        self.unit = unit
        self.generation = generation
        self.log = unit_log
        self.master_id = master_id
        self.detail = ""
        """What there is to say about it, such as how its process was made."""
        self.pid: int | None = None
        """Of the process that the master started; None: there is none."""
        self.progress = ""
        """How far its start is, as it said last; empty once it is done."""
        self.adopting = False
        """It runs already, and its start is to find it again."""
        self.alive_since: float | None = None
        """When the process began that was found again, on the clock of the loop; None: none was found."""
        self.asleep = False
        """It was found with its lifespans left, and stays so until somebody needs it."""
        self.killed = False
        """Its start ended with a SIGKILL that nobody here had sent."""
        self.residence = Residence()
        """What it shares with workers of other units."""
        self.connection: Connection | None = None
        self.handshake: HandshakeResponse | None = None
        self.verify: Callable[[HandshakeResponse], None] = _anything
        """What its handshake has to stand as well; raises HandshakeError."""
        self.before: Callable[[], Awaitable[None]] = _at_once
        """What has to be done before it starts, also from its warm phase; raises StartError."""
        self.stands: Callable[[], bool] = _holds
        """Whether what `before` has done is still so."""
        self.after: Callable[[], None] = _anything
        """What follows when it has left its lifespans, or has ended."""
        self.on_progress: Callable[[float, str], None] = _anything
        """Takes how far its start is: from 0 to 1, and what it does."""

    @abstractmethod
    async def start(self) -> None:
        """Bring the worker to RUNNING; or find it `asleep`.

        Raises:
            StartError: It won't come; the message says why.
        """

    @abstractmethod
    async def stop(self, *, force: bool = False, leaving: bool = False) -> Ending:
        """End the worker and all that belongs to it; returns how it ended.

        Args:
            force: Don't ask; it would not answer.

            leaving: It is on its way out by itself: a signal would only cut it short.
        """

    def ends(self) -> None:  # noqa: B027  most have nobody after them
        """It was decided that it ends, be it after its calls: whoever comes after this master has to know."""

    async def stop_warm(self) -> None:
        """Core.Stop, within the unit's `grace`: its lifespans are left, and it lives.

        Raises:
            RpcError: They were not, or not in time, or it is on its way out.
        """
        assert self.connection is not None
        within = self.unit.grace
        try:
            answer = await CoreClient(self.connection).stop(StopRequest(), timeout=within)
        except DeadlineExceeded:
            text = f"its lifespans were not left within {within:g} s; raise its `grace`"
            raise DeadlineExceeded(text) from None
        if answer.state != State.STATE_STOPPED:
            raise Unavailable("it is on its way out")

    async def start_warm(self) -> None:
        """Core.Start, once more.

        Raises:
            StartError: It won't come back.
        """
        assert self.connection is not None
        await self.run_lifespans(self.connection)

    @abstractmethod
    async def ended(self) -> Ending:
        """Wait until the worker has ended by itself; returns how."""

    async def last_words(self) -> str:
        """After its connection broke: how it ended, for its callers; "": that is not known, or not soon."""
        return ""

    def note(self) -> str:
        """What there is to say to whoever waits for its start; "": nothing."""
        return self.progress

    def cpu_seconds(self) -> float | None:
        """The CPU time that its process has used; None where nobody can know."""
        return None

    async def greet(self, connection: Connection, instance: str) -> None:
        """Handshake; keeps the connection when the worker is the right one."""
        self.handshake = await shake_hands(
            connection,
            Expected(unit=self.unit.name, implements=self.unit.implements, instance=instance),
            master_id=self.master_id,
        )
        self.verify(self.handshake)

    async def run_lifespans(
        self, connection: Connection, moved: Callable[[], None] = lambda: None
    ) -> None:
        """Core.Start, to its end.

        Raises:
            StartError: A lifespan failed.
        """
        last = None
        # No caller's deadline: the start belongs to the unit.
        async for step in CoreClient(connection).start(StartRequest()):
            last = step
            moved()
            if step.state == State.STATE_STARTING and (step.fraction or step.text):
                self.progress = f"{step.fraction:.0%} {step.text}".rstrip()
                self.on_progress(step.fraction, step.text)
        if last is None or last.state != State.STATE_RUNNING:
            reason = last.reason if last is not None else "the worker said nothing"
            raise self.failed(f"its lifespan failed: {reason}")
        self.progress = ""

    async def follow_log(self, connection: Connection, instance: str) -> None:
        """Bring the worker's log records into the unit's log, until the worker ends."""
        known, after = self.log.taken
        # Another generation may have taken a part of it, where a worker outlives its attachment.
        sequence = after + 1 if known == instance else 0
        request = StreamLogsRequest(instance=instance, sequence=sequence, follow=True)
        try:
            async for batch in CoreClient(connection).stream_logs(request):
                if batch.dropped:
                    text = f"{batch.dropped} records were lost: the worker's log was full"
                    self.log.append(self.generation, "hsu", text)
                for record in batch.records:
                    text = record.message
                    if record.fields:
                        text += f" {json.dumps(dict(record.fields), ensure_ascii=False)}"
                    if record.exception:
                        text += f"\n{record.exception}"
                    self.log.append(self.generation, record.logger, text)
                    self.log.taken = instance, record.sequence
        except RpcError as error:
            # A worker need not keep a log, and a dead one can't.
            if error.code not in (Code.UNIMPLEMENTED, Code.UNAVAILABLE, Code.CANCELLED):
                log.warning("unit %r: its log can't be read: %s", self.unit.name, error)

    def failed(self, reason: str) -> StartError:
        """A StartError that names the unit and shows the last lines of output."""
        return StartError(self.with_output(f"unit {self.unit.name!r} did not start: {reason}"))

    def with_output(self, text: str) -> str:
        """A text for people, and the last lines of output."""
        tail = self.log.tail(self.generation)
        shown = "".join(f"\n    {line[:500]}" for line in tail)
        return f"{text}; its last output:{shown}" if tail else text

    def explain(self, error: HsuError) -> StartError:
        """The StartError for what went wrong on the way."""
        if isinstance(error, StartError):
            return error
        if isinstance(error, HandshakeError):
            return self.failed(f"the worker is not the one that was asked for: {error}")
        return self.failed(str(error))


def _anything(*_: object) -> None:
    """Whatever it is, it will do."""


def _holds() -> bool:
    """Nothing was done that could come undone."""
    return True


async def _at_once() -> None:
    """Nothing has to be done."""


async def cancel(*tasks: asyncio.Task[Any] | asyncio.Future[Any] | None) -> None:
    """Cancel tasks and wait until they have ended."""
    present = [task for task in tasks if task is not None]
    for task in present:
        task.cancel()
    await asyncio.gather(*present, return_exceptions=True)
