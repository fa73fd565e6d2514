"""A worker that goes on when the master ends, and that the next master adopts."""

import asyncio
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Unpack

from hsu_worker.errors import HandshakeError, LaunchError, RpcError, StartError, Unauthenticated
from hsu_worker.gen.hsu_core import CoreClient, PingRequest, State
from hsu_worker.master.changes import launch_keys
from hsu_worker.master.keeping import Exit
from hsu_worker.master.launcher import Ending, cancel
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.means import Means
from hsu_worker.master.output_files import OutputFiles
from hsu_worker.master.process_stat import age
from hsu_worker.master.spawned import Spawned
from hsu_worker.master.survivors import Record, Survivors, boot_id
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement

#: Seconds that a worker has to answer whose adoption, or end, waits for it.
MEET_WITHIN: Final = 3.0

_SOURCES: Final = ("stdout", "stderr")


class Surviving(Spawned):
    """Spawned without a lifeline, its output in files, and recorded; or adopted by its record.

    Until it has shaken hands with the master that spawned it, it is bound to that.

    Args:
        survivors: Where it is recorded.

        record: What an earlier master wrote down; None: it is spawned.

        means: As `Spawned` takes them.
    """

    def __init__(
        self,
        unit: UnitConfig,
        survivors: Survivors,
        record: Record | None = None,
        **means: Unpack[Means],
    ) -> None:
        super().__init__(unit, folder=survivors.folder, gateway=str(survivors.gateway), **means)
        # Before it belongs to a generation, what it says is nowhere but in its files.
        self.log.stored = lambda: 0
        self._survivors = survivors
        self.adopting = record is not None
        self._outlives = False
        self._stranger = False
        """What answers is not what was recorded: it is left alone."""
        if record is not None:
            self._instance, self._token = record.instance, record.token
            self._asked = Address.parse(record.address)
            if self._asked.is_unix:
                self._socket = self._survivors.folder / os.path.basename(self._asked.path)
            self._tokens.revoke(self._gateway_token)
            self._gateway_token = record.master_token
            self._tokens.restore(record.master_token)
        self._record = record or Record(
            unit=unit.name,
            groups=unit.groups,
            instance=self._instance,
            launch=launch_digest(unit),
            boot=boot_id(),
            mark="",
            address=str(self._asked),
            token=self._token,
            master_token=self._gateway_token,
            pid=0,
            start=0,
        )
        self._files = OutputFiles(
            survivors.path(self._instance, "cursor"), self._instance, lambda: self.log
        )
        self._pipes = self._files

    def become(self, generation: int, unit_log: UnitLog) -> None:
        """From now on it belongs to a generation of its unit."""
        super().become(generation, unit_log)
        if self.adopting:
            self.log.taken = self._instance, self._files.records

    async def start(self) -> None:
        """As `Spawned`; or find the one that was recorded, and be sure that it is that one."""
        if self.adopting:
            await self._in_time(self._adopt)
        else:
            await super().start()

    async def meet(self) -> bool:
        """Find the one that was recorded, and no more: it may not be there, be another one, or not answer."""
        try:
            async with asyncio.timeout(MEET_WITHIN):
                await self._in_time(self._find)
        except (StartError, TimeoutError):
            return False
        return True

    async def _adopt(self) -> None:
        if self.handshake is None:
            await self._find()
        self.asleep = self.unit.warm is not None and await self._has_left_lifespans()
        if self.asleep:
            self._follow()
        else:
            await self._alive_until(self._begin())

    async def _has_left_lifespans(self) -> bool:
        assert self.connection is not None
        try:
            core = CoreClient(self.connection)
            answer = await core.ping(PingRequest(), timeout=self.unit.ping_timeout)
        except RpcError:
            # Its start will say what is the matter.
            return False
        return answer.state in (State.STATE_STOPPED, State.STATE_STOPPING)

    async def _find(self) -> None:
        record = self._record
        for source in _SOURCES:
            os.close(await self._output(source))
        if flaw := record.flaw:
            raise LaunchError(f"it ended while no master ran, with {Exit(None, None, 0)}: {flaw}")
        self.alive_since = asyncio.get_running_loop().time() - age(record.start)
        self._process = self._keeper.adopt(record.mark, record.pid, record.start, outlives=True)
        self._outlives = True
        self.pid = record.pid
        self.detail = f"pid {record.pid}, adopted"
        self._announced.set_result(Announcement(self._instance, self._asked))
        try:
            await self._alive_until(self._meet())
        except (HandshakeError, Unauthenticated):
            self._stranger = True
            raise

    def _before_spawn(self, mark: str) -> None:
        self._note(mark=mark)

    def _stdin(self) -> int:
        # Its end would be this master's end.
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    async def _output(self, source: str) -> int:
        path = self._survivors.path(self._instance, source)
        return self._files.follow(path, self._taker(source))

    def _variables(self) -> dict[str, str]:
        return super()._variables() | {"HSU_LIFELINE": "none"}

    async def _begin(self) -> None:
        assert self._process is not None
        if not self._outlives:
            # In this order: a master that is killed in between leaves a record of one to be ended.
            self._process.outlive()
            self._outlives = True
            announced = self._announced.result()
            self._note(
                pid=self._process.pid,
                start=self._process.start,
                address=str(announced.address),
            )
        await super()._begin()

    def _note(self, **known: Any) -> None:
        self._record = replace(self._record, **known)
        try:
            self._survivors.write(self._record)
        except OSError as error:
            raise LaunchError(f"it can't be recorded: {error}") from error

    async def stop(self, *, force: bool = False, leaving: bool = False) -> Ending:
        """As `Spawned`; when the master leaves, it is let go, and goes on."""
        ends = force or leaving or self._record.ending
        if self._stranger or (self._survivors.leaving and self._outlives and not ends):
            return await self._let_go()
        self._note_end()
        how = await super().stop(force=force, leaving=leaving)
        if self.adopting and self._process is None:
            how = _unwatched()
        self._survivors.remove(self._instance)
        return how

    def ends(self) -> None:
        """As `Worker`; that the master leaves is no decision about it."""
        if not self._survivors.leaving:
            self._note_end()

    def _note_end(self) -> None:
        # Whatever happens to this master, the next one goes on with it.
        if self._record.ending or self._stranger:
            return
        if self._outlives:
            with suppress(LaunchError):
                self._note(ending=True)
        # Before it outlives the master, its record is still to be written.
        self._record = replace(self._record, ending=True)

    async def _let_go(self) -> Ending:
        await cancel(self._follower)
        await self._files.settled()
        self._files.close()
        if self.connection is not None:
            await self.connection.close()
        self._tokens.revoke(self._gateway_token)
        if self._stranger:
            self._survivors.refuse(self._record)
            return Ending(text=f"pid {self._record.pid} is left alone")
        return Ending(text=f"pid {self._record.pid} goes on, for the next master", clean=True)


def _unwatched() -> Ending:
    """The end of one that nobody saw."""
    return Ending(text=str(Exit(None, None, 0)))


def launch_digest(unit: UnitConfig) -> str:
    """What its table says of its process: with another one, a survivor is not what is wanted."""
    told = json.dumps(launch_keys(unit), default=str, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
