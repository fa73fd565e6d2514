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
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hsu_worker.app import App
from hsu_worker.authoring.calling import Others
from hsu_worker.errors import Dispatch, Unimplemented
from hsu_worker.interface import Interface, check_interface
from hsu_worker.serving.logring import LogRing, RingHandler
from hsu_worker.wire.address import Address
from hsu_worker.wire.blocking import Portal
from hsu_worker.wire.connection import Connection, lend
from hsu_worker.wire.interceptors import (
    ClientInterceptor,
    behind,
    check_interceptors,
    intercepted,
)
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
    client_interceptors: Sequence[ClientInterceptor] = ()

    def client(self, interface: Interface[Any, ClientT, Any]) -> ClientT:
        """A typed client: `worker.client(InterfaceA).summarize(...)`; `Core` works, too."""
        check_interface(interface)
        interceptors = self.client_interceptors if interface in self.app.services else ()
        return interface.client(intercepted(lend(self.connection), interceptors))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingWorker:
    """A worker in RUNNING, for a test without an event loop."""

    app: App
    address: Address
    connection: Connection
    _worker: RunningWorker
    _portal: Portal

    def client(self, interface: Interface[Any, Any, ClientT]) -> ClientT:
        """A typed blocking client: `worker.client(InterfaceA).summarize(...)`."""
        return interface.blocking_client(self._worker.client(interface), self._portal)


class _InThisProcess(Others):
    """Calls go to what runs beside the service in the same test."""

    def __init__(self, app: App, beside: Sequence[RunningWorker]) -> None:
        super().__init__(app.name)
        self._interceptors = app.client_interceptors
        self._beside = beside

    def connection(self, interface: str, unit: str) -> Connection:
        """See `Others`."""
        for worker in self._beside:
            names = [each.name for each in worker.app.services]
            if interface in names and unit in ("", worker.app.name):
                return behind(worker.connection, self._interceptors)
        which = f" as unit {unit!r}" if unit else ""
        raise Unimplemented(
            f"nothing here implements {interface}{which}; write running(..., others=[...]) with a "
            "service that does",
            dispatched=Dispatch.NO,
        )

    async def close(self) -> None:
        """Nothing to do: each worker closes its own connection."""


@asynccontextmanager
async def running(
    *services: object,
    others: Sequence[object] = (),
    client_interceptors: Sequence[ClientInterceptor] = (),
) -> AsyncGenerator[RunningWorker, None]:
    """Serve on a Unix socket in a folder of its own while the block runs.

    The lifespans are entered before the block and left after it; what one raises is raised here.

    Args:
        services: Instances of classes marked with `@implements`, or one App.

        others: Whom the services call by `client_of`: services or Apps, such as fakes. Each is a
            worker of its own, and a unit that is called as its App is.

        client_interceptors: What the calls of the test's clients go through.

    Raises:
        AppError: They can't be served together.

        BaseException: What a lifespan raised.
    """
    check_interceptors(client_interceptors)
    *other_apps, app = [*map(_app, others), _app(*services)]
    beside: list[RunningWorker] = []
    # The folder's mode is 0700.
    with tempfile.TemporaryDirectory(prefix="hsu-") as folder:
        address = Address(path=str(Path(folder) / "worker.sock"))
        async with AsyncExitStack() as stack:
            for number, other in enumerate(other_apps):
                where = Address(path=str(Path(folder) / f"{number}.sock"))
                beside.append(await stack.enter_async_context(_worker(other, where, beside)))
            worker = await stack.enter_async_context(_worker(app, address, beside))
            beside.append(worker)
            yield replace(worker, client_interceptors=client_interceptors)


@contextmanager
def running_blocking(
    *services: object,
    others: Sequence[object] = (),
    client_interceptors: Sequence[ClientInterceptor] = (),
) -> Generator[BlockingWorker, None, None]:
    """As `running`, for synchronous tests: the worker and its loop run in a thread.

    with running_blocking(Summarizer()) as worker:
        reply = worker.client(InterfaceA).summarize(SummarizeRequest(text=TEXT))
    """
    with Portal() as portal:
        manager = running(*services, others=others, client_interceptors=client_interceptors)
        worker = portal.wait(manager.__aenter__())
        try:
            yield BlockingWorker(
                app=worker.app,
                address=worker.address,
                connection=worker.connection,
                _worker=worker,
                _portal=portal,
            )
        finally:
            portal.wait(manager.__aexit__(None, None, None))


def _app(*services: object) -> App:
    if len(services) == 1 and isinstance(services[0], App):
        return services[0]
    return App(*services)


@asynccontextmanager
async def _worker(
    app: App, address: Address, beside: Sequence[RunningWorker]
) -> AsyncGenerator[RunningWorker, None]:
    ring = LogRing(line_bytes=app.limits.log_line_bytes)
    handler = RingHandler(ring)
    async with answering(
        app,
        address,
        instance=os.urandom(16).hex(),
        token="",
        ring=ring,
        others=_InThisProcess(app, beside),
    ) as worker:
        logging.getLogger().addHandler(handler)
        connection = Connection.open(address, message_bytes=app.limits.message_bytes)
        try:
            await worker.lifecycle.started()
            yield RunningWorker(app=app, address=worker.address, connection=connection)
        finally:
            await connection.close()
            worker.departure.ask(_GRACE, "the test has ended")
            await shut_down(worker, ends_process=False)
            logging.getLogger().removeHandler(handler)
        if worker.lifecycle.leave_failure is not None:
            raise worker.lifecycle.leave_failure
