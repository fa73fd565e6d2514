"""A worker that somebody else started: at a known address, or registered. It is never stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
import grpc.aio

from hsu_worker.errors import Dispatch, HsuError, Unauthenticated, Unavailable
from hsu_worker.gen.hsu_core import State
from hsu_worker.master.launcher import Ending, Worker, cancel
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection

#: What grpc says when there is no server at all.
_NOBODY = ("Connection refused", "No such file or directory")

#: How one does.
_REGISTER = "start one with `hsu-worker serve MODULE:APP --register ADDRESS --unit NAME`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a running worker is, and what it asks for."""

    address: Address
    token: str
    instance: str = ""
    left: "asyncio.Future[None] | None" = None
    """Done when its registration ends; None when it has none."""


class Attached(Worker):
    """Lends the worker that `find` leads to, and lets it live.

    Args:
        find: Waits until it is known where the worker is.
    """

    def __init__(
        self,
        unit: UnitConfig,
        generation: int,
        unit_log: UnitLog,
        *,
        master_id: str,
        find: Callable[[], Awaitable[Whereabouts]],
    ) -> None:
        super().__init__(unit, generation, unit_log, master_id=master_id)
        self._find = find
        self._left: asyncio.Future[None] | None = None
        self._leaves = False
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find it, shake hands, and start it unless it runs."""
        try:
            if self.unit.register:
                self.detail = f"no worker has registered as {self.unit.name!r}; {_REGISTER}"
            try:
                async with asyncio.timeout(self.unit.stall):
                    found = await self._find()
            except TimeoutError:
                raise self.failed(
                    f"no worker has registered as {self.unit.name!r} for {self.unit.stall:g} s; "
                    f"{_REGISTER}"
                ) from None
            self.detail = f"at {found.address}"
            self._left = found.left
            connection = Connection.open(
                found.address,
                token=found.token,
                message_bytes=-1,
            )
            self.connection = connection
            await self._meet(connection, found)
            assert self.handshake is not None
            self.detail = f"pid {self.handshake.pid}, at {found.address}"
            instance = self.handshake.instance
            self._follower = asyncio.create_task(self.follow_log(connection, instance))
            if self.handshake.state != State.STATE_RUNNING:
                async with asyncio.timeout(self.unit.start_timeout):
                    await self.run_lifespans(connection)
        except TimeoutError:
            raise self.failed(f"not ready within {self.unit.start_timeout:g} s") from None
        except HsuError as error:
            raise self.explain(error) from error

    async def _meet(self, connection: Connection, found: Whereabouts) -> None:
        try:
            await self.greet(connection, found.instance)
        except Unavailable as error:
            if error.dispatched is not Dispatch.NO:
                raise
            what = f"nobody listens at {found.address}"
            if not any(nobody in error.message for nobody in _NOBODY):
                reason = error.message.rpartition("last error: ")[2]
                what = f"no worker answers at {found.address}: {reason}"
            raise self.failed(f"{what}; start the worker there, or correct `address`") from error
        except Unauthenticated as error:
            raise self.failed(
                f"the worker at {found.address} asks for another token; write it into a file of "
                "mode 0600, and name that in `token_file`"
            ) from error

    async def stop(self, *, force: bool = False, leaving: bool = False) -> Ending:
        """Let it go; the process stays."""
        await cancel(self._follower)
        if self.connection is not None:
            if self._leaves and not force:
                # It still answers the calls that it has. Any other's have had their time.
                await self.connection.channel.close(self.unit.drain)
            await self.connection.close()
        return Ending(text="let go", clean=True)

    async def ended(self) -> Ending:
        """Wait for the end of the registration, or of the connection to it."""
        if self._left is not None:
            await asyncio.shield(self._left)
            self._leaves = True
            return Ending(text="its registration ended", clean=True, finishes=True)
        assert self.connection is not None
        await _until_dead(self.connection)
        self._leaves = True
        return Ending(text="the connection to it ended", clean=True, finishes=True)


async def _until_dead(connection: Connection) -> None:
    """Watch the health name that every worker serves from its announcement to its exit."""
    from grpc_health.v1 import health_pb2

    call = connection.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service="live"), metadata=connection.metadata)
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            # A foreign worker may serve no health; whether it answers is seen by its Ping.
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        # grpc cancels the calls of a channel that is closed under them.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    finally:
        call.cancel()
