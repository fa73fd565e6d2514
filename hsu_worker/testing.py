"""Runs a service inside a test: in this process, over a real socket.

    async def test_summaries_are_short():
        async with running(Summarizer()) as worker:
            reply = await worker.client(InterfaceA).summarize(SummarizeRequest(text=TEXT))

Synchronous tests use the fixture `run_worker`, or `running_blocking`. A handler can also be tested
by calling it.
"""

import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hsu_worker.app import App
from hsu_worker.interface import Interface, check_interface
from hsu_worker.serving.logring import LogRing, RingHandler
from hsu_worker.wire.address import Address
from hsu_worker.wire.blocking import Portal
from hsu_worker.wire.connection import Connection
from hsu_worker.worker.answering import answering
from hsu_worker.worker.shutdown import shut_down

ClientT = TypeVar("ClientT")

#: Seconds that calls still running at the end of a test are given.
_GRACE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningWorker:
    """A worker in RUNNING."""

    app: App
    address: Address
    connection: Connection

    def client(self, interface: Interface[Any, ClientT, Any]) -> ClientT:
        """A typed client: `worker.client(InterfaceA).summarize(...)`; `Core` works, too."""
        check_interface(interface)
        return interface.client(self.connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingWorker:
    """A worker in RUNNING, for a test without an event loop."""

    app: App
    address: Address
    connection: Connection
    _portal: Portal

    def client(self, interface: Interface[Any, Any, ClientT]) -> ClientT:
        """A typed blocking client: `worker.client(InterfaceA).summarize(...)`."""
        check_interface(interface)
        return interface.blocking_client(interface.client(self.connection), self._portal)


@asynccontextmanager
async def running(*services: object) -> AsyncGenerator[RunningWorker, None]:
    """Serve on a Unix socket in a folder of its own while the block runs.

    The lifespans are entered before the block and left after it; what one raises is raised here.

    Args:
        services: Instances of classes marked with `@implements`, or one App.

    Raises:
        AppError: They can't be served together.

        BaseException: What a lifespan raised.
    """
    app = services[0] if len(services) == 1 and isinstance(services[0], App) else App(*services)
    ring = LogRing(line_bytes=app.limits.log_line_bytes)
    handler = RingHandler(ring)
    # The folder's mode is 0700.
    with tempfile.TemporaryDirectory(prefix="hsu-") as folder:
        address = Address(path=str(Path(folder) / "worker.sock"))
        async with answering(
            app, address, instance=os.urandom(16).hex(), token="", ring=ring
        ) as worker:
            logging.getLogger().addHandler(handler)
            connection = Connection.open(address, message_bytes=app.limits.message_bytes)
            try:
                await worker.lifecycle.started()
                yield RunningWorker(app=app, address=address, connection=connection)
            finally:
                await connection.close()
                worker.departure.ask(_GRACE, "the test has ended")
                await shut_down(worker)
                logging.getLogger().removeHandler(handler)
            if worker.lifecycle.leave_failure is not None:
                raise worker.lifecycle.leave_failure


@contextmanager
def running_blocking(*services: object) -> Generator[BlockingWorker, None, None]:
    """As `running`, for synchronous tests: the worker and its loop run in a thread.

    with running_blocking(Summarizer()) as worker:
        reply = worker.client(InterfaceA).summarize(SummarizeRequest(text=TEXT))
    """
    with Portal() as portal:
        manager = running(*services)
        worker = portal.wait(manager.__aenter__())
        try:
            yield BlockingWorker(
                app=worker.app,
                address=worker.address,
                connection=worker.connection,
                _portal=portal,
            )
        finally:
            portal.wait(manager.__aexit__(None, None, None))
