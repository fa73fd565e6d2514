"""Core, written as any service is."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from datetime import timedelta

from hsu_worker.app import App
from hsu_worker.authoring.call import current_call
from hsu_worker.authoring.implements import implements
from hsu_worker.errors import PermissionDenied
from hsu_worker.gen.hsu_core import (
    Core,
    GetStatusRequest,
    GetStatusResponse,
    HandshakeRequest,
    HandshakeResponse,
    InterfaceInfo,
    Limits,
    MethodInfo,
    PingRequest,
    PingResponse,
    ShutdownRequest,
    ShutdownResponse,
    StartRequest,
    StartResponse,
    StopRequest,
    StopResponse,
    StreamLogsRequest,
    StreamLogsResponse,
)
from hsu_worker.interface import AnyInterface
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.logstream import log_window, stream_logs
from hsu_worker.wire.announce import CONTRACT_VERSION
from hsu_worker.worker.departure import DEFAULT_GRACE, Departure
from hsu_worker.worker.lifecycle import Lifecycle
from hsu_worker.worker.process_memory import resident_bytes


@implements(Core)
class CoreService:
    """Answers the master.

    Args:
        app: What the worker serves.

        instance: The id of this process.

        dispatcher: Where its calls are counted.

        lifecycle: Its state.

        ring: Its log.

        departure: Takes the wish to shut down.

        open_to_all: Anybody can reach the worker and nobody has to present a token: then nobody
            may start, stop or read its log from outside.
    """

    def __init__(
        self,
        app: App,
        instance: str,
        dispatcher: Dispatcher,
        lifecycle: Lifecycle,
        ring: LogRing,
        departure: Departure,
        *,
        open_to_all: bool = False,
    ) -> None:
        self._app = app
        self._instance = instance
        self._dispatcher = dispatcher
        self._lifecycle = lifecycle
        self._ring = ring
        self._departure = departure
        self._open_to_all = open_to_all
        self._began = time.monotonic()
        self.claimed = asyncio.Event()
        """Set by the first handshake."""

    async def ping(self, request: PingRequest) -> PingResponse:
        """Go the way that calls go, when there is room."""
        calls = self._dispatcher.calls
        answered = await self._dispatcher.slots.probe()
        return PingResponse(
            payload=request.payload,
            instance=self._instance,
            state=self._lifecycle.state,
            uptime=self._uptime(),
            busy=not answered,
            calls_in_flight=calls.in_flight,
            oldest_call_age=timedelta(seconds=calls.oldest_age()),
            most_overdue=timedelta(seconds=calls.most_overdue()),
            oldest_unbounded_call_age=timedelta(seconds=calls.oldest_age(unbounded=True)),
        )

    async def handshake(self, request: HandshakeRequest) -> HandshakeResponse:
        """Say who this is."""
        self.claimed.set()
        limits = self._app.limits
        return HandshakeResponse(
            contract_version=CONTRACT_VERSION,
            instance=self._instance,
            name=self._app.name,
            version=self._app.version,
            pid=os.getpid(),
            language="python",
            interfaces=[_info(interface) for interface in self._app.services],
            limits=Limits(
                message_bytes=limits.message_bytes,
                metadata_bytes=limits.metadata_bytes,
                log_line_bytes=limits.log_line_bytes,
                concurrent_calls=limits.concurrent_calls,
                threads=limits.threads,
            ),
            state=self._lifecycle.state,
        )

    async def start(self, request: StartRequest) -> AsyncGenerator[StartResponse, None]:
        """Enter the lifespans, or join."""
        self._not_for_all("Start")
        async for step in self._lifecycle.start():
            yield step

    async def stop(self, request: StopRequest) -> StopResponse:
        """Leave the lifespans; the process stays."""
        self._not_for_all("Stop")
        return StopResponse(state=await self._lifecycle.stop())

    async def get_status(self, request: GetStatusRequest) -> GetStatusResponse:
        """Tell state, load and memory."""
        calls = self._dispatcher.calls
        return GetStatusResponse(
            state=self._lifecycle.state,
            reason=self._lifecycle.reason,
            uptime=self._uptime(),
            calls_in_flight=calls.in_flight,
            calls_total=calls.total,
            idle=timedelta(seconds=time.monotonic() - calls.last_activity),
            resident_bytes=resident_bytes(),
            log=log_window(self._ring, self._instance),
        )

    async def stream_logs(
        self, request: StreamLogsRequest
    ) -> AsyncGenerator[StreamLogsResponse, None]:
        """Send the log from a cursor on."""
        self._not_for_all("StreamLogs")
        async for batch in stream_logs(self._ring, self._instance, request):
            yield batch

    async def shutdown(self, request: ShutdownRequest) -> ShutdownResponse:
        """Begin to drain."""
        self._not_for_all("Shutdown")
        grace = (
            request.grace.ToTimedelta().total_seconds()
            if request.HasField("grace")
            else DEFAULT_GRACE
        )
        grace = self._departure.ask(max(0.0, grace), f"Shutdown, by {current_call().peer}")
        await self._departure.began.wait()
        return ShutdownResponse(grace=timedelta(seconds=grace))

    def _uptime(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self._began)

    def _not_for_all(self, method: str) -> None:
        if self._open_to_all:
            raise PermissionDenied(
                f"{method} is refused: this worker asks for no token and listens on TCP; "
                "serve it with --token-file"
            )


def _info(interface: AnyInterface) -> InterfaceInfo:
    return InterfaceInfo(
        name=interface.name,
        methods=[
            MethodInfo(
                name=method.name,
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                input=method.request.DESCRIPTOR.full_name,
                output=method.response.DESCRIPTOR.full_name,
            )
            for method in interface.methods.values()
        ],
        fingerprint=interface.fingerprint,
    )
