"""The pipes of one worker, and when they have been read to their ends."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from hsu_worker.master.output import OutputPipe, read_pipe

#: Seconds that pipes are read after the last process of a worker has ended: a process that escaped
#: may hold them.
PIPE_BOUND: Final = 0.5


class OutputPipes:
    """Makes pipes, and reads what comes for ever.

    pipes = OutputPipes()
    descriptor = await pipes.open(print)
    ...                                         # give it to a process, and close it here
    await pipes.drained()
    pipes.close()
    """

    def __init__(self) -> None:
        self._open: list[tuple[asyncio.ReadTransport, OutputPipe]] = []

    async def open(self, take: Callable[[str], None]) -> int:
        """Make a pipe, of which `take` gets each line; returns the end to write to.

        Raises:
            OSError: There are no descriptors left.
        """
        reader = OutputPipe(take)
        transport, theirs = await read_pipe(reader)
        self._open.append((transport, reader))
        return theirs

    async def drained(self, *more: asyncio.Future[Any] | None) -> None:
        """Wait until nobody can write any more, and for more, for `PIPE_BOUND` at the most."""
        endings = [*(reader.ended for _, reader in self._open), *filter(None, more)]
        if endings:
            await asyncio.wait(endings, timeout=PIPE_BOUND)

    def close(self) -> None:
        for transport, _ in self._open:
            transport.close()
        self._open.clear()
