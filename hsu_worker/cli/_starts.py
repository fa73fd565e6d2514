"""Units that a master starts, shown on the terminal while somebody waits for one of them."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from hsu_worker.cli._progress import ProgressLine
from hsu_worker.cli._server import Server
from hsu_worker.errors import RpcError
from hsu_worker.gen.hsu_master import MasterClient, WatchRequest
from hsu_worker.master.event import Event
from hsu_worker.master.launcher import cancel
from hsu_worker.master.messages import to_event


@asynccontextmanager
async def starts_shown(server: Server) -> AsyncGenerator[Callable[[], Awaitable[None]], None]:
    """Show the starts of a master's units, on a terminal, until the block ends.

    What it yields ends that earlier: before something else is written.
    """
    showing: asyncio.Task[None] | None = None
    if sys.stderr.isatty() and not server.named:
        # What begins before the master has heard of this would not be seen.
        heard = asyncio.Event()
        showing = asyncio.create_task(_show(server, heard))
        await heard.wait()

    async def end() -> None:
        await cancel(showing)

    try:
        yield end
    finally:
        await end()


async def _show(server: Server, heard: asyncio.Event) -> None:
    async with aclosing(_events(server, heard)) as events:
        async for event in events:
            if event.kind == "starting":
                async with ProgressLine() as line:
                    line.report(event.unit, 0, "")
                    await _show_one(line, event.unit, events)


async def _show_one(line: ProgressLine, unit: str, events: AsyncGenerator[Event, None]) -> None:
    """Show one start to its end; of others that begin meanwhile nothing."""
    async for event in events:
        if event.unit == unit and event.kind == "progress":
            line.report(unit, event.fraction, event.detail)
        elif event.unit == unit:
            return


async def _events(server: Server, heard: asyncio.Event) -> AsyncGenerator[Event, None]:
    answers = MasterClient(server.connection).watch(WatchRequest())
    try:
        async with aclosing(answers):
            async for answer in answers:
                heard.set()
                if answer.HasField("event"):
                    yield to_event(answer.event)
    except RpcError:
        return  # whoever waits for the call hears of what is wrong with the master
    finally:
        heard.set()
