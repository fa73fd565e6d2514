"""The control service: asks a running master, and tells it what to do."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from typing import Protocol

from hsu_worker.authoring.implements import implements
from hsu_worker.errors import ConfigError, InvalidArgument, NotFound, UnknownUnit
from hsu_worker.gen import hsu_master as wire
from hsu_worker.master import messages
from hsu_worker.master.changes import Changes
from hsu_worker.master.event import Event
from hsu_worker.master.launcher import cancel
from hsu_worker.master.logs import LogBatch
from hsu_worker.master.unit_status import UnitStatus
from hsu_worker.master.usage import with_usage


class Controlled(Protocol):
    """What the service needs of a `Master`."""

    async def start(
        self, unit: str, *, on_progress: Callable[[float, str], None] | None = None
    ) -> int: ...

    async def stop(self, unit: str, *, hold: bool = False) -> None: ...

    async def restart(self, unit: str) -> int: ...

    async def swap(
        self, unit: str, *, app: str | None = None, command: Sequence[str] | None = None
    ) -> int: ...

    async def reload(self) -> Changes: ...

    def status(self) -> Mapping[str, UnitStatus]: ...

    def why(self, unit: str) -> list[Event]: ...

    def watch(self, units: Collection[str] = ()) -> AsyncGenerator[Event, None]: ...

    def follow_log(
        self, unit: str, *, after: int = 0, tail: int = 0, follow: bool = True
    ) -> AsyncGenerator[LogBatch, None]: ...


@implements(wire.Master)
class ControlService:
    """`hsu.master.v1.Master`, over a master in the same process."""

    def __init__(self, master: Controlled) -> None:
        self._master = master

    async def list(self, request: wire.ListRequest) -> wire.ListResponse:
        """How units stand."""
        self._check(request.units)
        status = self._master.status()
        if request.units:
            status = {name: each for name, each in status.items() if name in request.units}
        if request.usage:
            status = await with_usage(status)
        return wire.ListResponse(units=[messages.status_message(each) for each in status.values()])

    async def watch(self, request: wire.WatchRequest) -> AsyncGenerator[wire.WatchResponse, None]:
        """What happens from now on; ends when no unit is left that was asked for."""
        self._check(request.units)
        events = self._master.watch(tuple(request.units))
        coming = asyncio.ensure_future(anext(events, None))
        try:
            # Its first step takes it to where it waits for an event.
            await asyncio.sleep(0)
            yield wire.WatchResponse()
            while (event := await coming) is not None:
                yield wire.WatchResponse(event=messages.event_message(event))
                coming = asyncio.ensure_future(anext(events, None))
        finally:
            await cancel(coming)
            await events.aclose()

    async def start(self, request: wire.StartRequest) -> AsyncGenerator[wire.StartResponse, None]:
        """Start a unit; who reads slowly reads the latest progress only."""
        latest: list[wire.StartResponse] = []
        news = asyncio.Event()

        def report(fraction: float, text: str) -> None:
            generation = self._master.status()[request.unit].generation
            latest[:] = [
                wire.StartResponse(
                    phase=wire.PHASE_STARTING, fraction=fraction, text=text, generation=generation
                )
            ]
            news.set()

        starting = asyncio.ensure_future(self._master.start(request.unit, on_progress=report))
        starting.add_done_callback(lambda _: news.set())
        try:
            while not starting.done():
                await news.wait()
                news.clear()
                while latest:
                    yield latest.pop()
            with _as_answers():
                generation = await starting
        finally:
            await cancel(starting)
        yield wire.StartResponse(phase=wire.PHASE_READY, fraction=1.0, generation=generation)

    async def stop(self, request: wire.StopRequest) -> wire.StopResponse:
        """Stop a unit."""
        with _as_answers():
            await self._master.stop(request.unit, hold=request.hold)
        return wire.StopResponse()

    async def restart(self, request: wire.RestartRequest) -> wire.RestartResponse:
        """Stop a unit, and start it again."""
        with _as_answers():
            return wire.RestartResponse(generation=await self._master.restart(request.unit))

    async def swap(self, request: wire.SwapRequest) -> wire.SwapResponse:
        """Put another implementation in a unit's place."""
        with _as_answers():
            generation = await self._master.swap(
                request.unit, app=request.app or None, command=tuple(request.command) or None
            )
        return wire.SwapResponse(generation=generation)

    async def reload(self, request: wire.ReloadRequest) -> wire.ReloadResponse:
        """Read the configuration again."""
        with _as_answers():
            return messages.changes_message(await self._master.reload())

    async def logs(self, request: wire.LogsRequest) -> AsyncGenerator[wire.LogsResponse, None]:
        """A unit's log; a batch is taken when the one before it is on its way."""
        with _as_answers():
            batches = self._master.follow_log(
                request.unit, after=request.after, tail=request.tail, follow=request.follow
            )
            async with aclosing(batches):
                async for batch in batches:
                    yield messages.lines_message(batch)

    async def why(self, request: wire.WhyRequest) -> wire.WhyResponse:
        """How a unit came to where it stands."""
        with _as_answers():
            events = self._master.why(request.unit)
        return wire.WhyResponse(
            status=messages.status_message(self._master.status()[request.unit]),
            events=[messages.event_message(event) for event in events],
        )

    def _check(self, units: Iterable[str]) -> None:
        with _as_answers():
            for unit in units:
                self._master.why(unit)


@contextmanager
def _as_answers() -> Generator[None, None, None]:
    """Errors of the master as statuses, with their text."""
    try:
        yield
    except UnknownUnit as error:
        raise NotFound(str(error)) from None
    except ConfigError as error:
        raise InvalidArgument(str(error)) from None
