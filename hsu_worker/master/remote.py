"""A master that runs in another process: its control service, and its units through the gateway."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from hsu_worker.errors import (
    ConfigError,
    DeadlineExceeded,
    InvalidArgument,
    NoMaster,
    NotFound,
    RpcError,
    StartError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    UnknownUnit,
)
from hsu_worker.gen import hsu_master as wire
from hsu_worker.interface import Interface, check_interface
from hsu_worker.master import messages
from hsu_worker.master.changes import Changes
from hsu_worker.master.discovery import LAUNCH, Place, find_master
from hsu_worker.master.event import Event
from hsu_worker.master.logs import LogBatch, LogLine
from hsu_worker.master.unit_status import UnitStatus
from hsu_worker.wire.connection import Connection, lend
from hsu_worker.wire.interceptors import ClientInterceptor, check_interceptors, intercepted
from hsu_worker.wire.metadata import UNIT
from hsu_worker.wire.status import no_connection

ClientT = TypeVar("ClientT")

#: Seconds for an answer that needs no more than a look at what the master knows.
LOOK_TIMEOUT = 10.0


class RemoteMaster:
    """A master in another process, with the methods of `Master`; those that ask it are awaited.

        async with Master.connect() as master:
            summarizer = master.client(InterfaceA)
            status = await master.status()

    Args:
        where: Its address or its folder. None: in a worker the master that launched it, else what
            HSU_MASTER says, else the only one that this user runs.

        token_file: The file with the token for an address; see `find_master`.

        interceptors: Client interceptors of grpc.aio, for the calls of the clients made here.
    """

    def __init__(
        self,
        where: str | None = None,
        *,
        token_file: Path | None = None,
        interceptors: Sequence[ClientInterceptor] = (),
    ) -> None:
        check_interceptors(interceptors)
        self._interceptors = interceptors
        self._where = where
        self._token_file = token_file
        self._place: Place | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        place = await asyncio.to_thread(find_master, self._where, token_file=self._token_file)
        self._place = place
        self._connection = connect(place)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def client(self, interface: Interface[Any, ClientT, Any], *, unit: str = "") -> ClientT:
        """A typed client; its calls start the unit.

        Args:
            interface: What to call.

            unit: Which unit; empty: the one that the master's `[routes]` name, or the only one.
        """
        check_interface(interface)
        connection = self._open()
        if unit:
            metadata = (*connection.metadata, (UNIT, unit))
            connection = replace(connection, metadata=metadata)
        return interface.client(intercepted(lend(connection), self._interceptors))

    async def start(
        self, unit: str, *, on_progress: Callable[[float, str], None] | None = None
    ) -> int:
        """As `Master.start`; leaving it early does not stop the start."""
        generation = 0
        with self._errors():
            steps = self._control().start(wire.StartRequest(unit=unit))
            async with aclosing(steps):
                async for step in steps:
                    generation = step.generation
                    if on_progress is not None and step.phase == wire.PHASE_STARTING:
                        on_progress(step.fraction, step.text)
        return generation

    async def stop(self, unit: str, *, hold: bool = False) -> None:
        """As `Master.stop`."""
        with self._errors():
            await self._control().stop(wire.StopRequest(unit=unit, hold=hold))

    async def restart(self, unit: str) -> int:
        """As `Master.restart`."""
        with self._errors():
            answer = await self._control().restart(wire.RestartRequest(unit=unit))
        return answer.generation

    async def swap(
        self, unit: str, *, app: str | None = None, command: Sequence[str] | None = None
    ) -> int:
        """As `Master.swap`."""
        request = wire.SwapRequest(unit=unit, app=app or "", command=command or ())
        with self._errors():
            answer = await self._control().swap(request)
        return answer.generation

    async def reload(self) -> Changes:
        """As `Master.reload`."""
        with self._errors():
            answer = await self._control().reload(wire.ReloadRequest())
        return messages.to_changes(answer)

    async def status(self, *, usage: bool = False) -> Mapping[str, UnitStatus]:
        """As `Master.status`.

        Args:
            usage: Tell what the processes use, too; that takes a millisecond of each or more.
        """
        request = wire.ListRequest(usage=usage)
        with self._errors():
            answer = await self._control().list(request, timeout=LOOK_TIMEOUT)
        return {each.unit: messages.to_status(each) for each in answer.units}

    async def why(self, unit: str) -> list[Event]:
        """As `Master.why`."""
        with self._errors():
            answer = await self._control().why(wire.WhyRequest(unit=unit), timeout=LOOK_TIMEOUT)
        return [messages.to_event(event) for event in answer.events]

    async def watch(self, units: Collection[str] = ()) -> AsyncGenerator[Event, None]:
        """As `Master.watch`."""
        with self._errors():
            answers = self._control().watch(wire.WatchRequest(units=units))
            async with aclosing(answers):
                async for answer in answers:
                    if answer.HasField("event"):
                        yield messages.to_event(answer.event)

    async def log(self, unit: str) -> list[LogLine]:
        """As `Master.log`."""
        return [line async for batch in self.follow_log(unit, follow=False) for line in batch.lines]

    async def follow_log(
        self, unit: str, *, after: int = 0, tail: int = 0, follow: bool = True
    ) -> AsyncGenerator[LogBatch, None]:
        """As `Master.follow_log`."""
        request = wire.LogsRequest(unit=unit, after=after, tail=tail, follow=follow)
        with self._errors():
            answers = self._control().logs(request)
            async with aclosing(answers):
                async for answer in answers:
                    yield messages.to_lines(answer)

    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("there is no connection: use it inside `async with`")
        return self._connection

    def _control(self) -> wire.MasterClient:
        return wire.MasterClient(self._open())

    @contextmanager
    def _errors(self) -> Generator[None, None, None]:
        """Answers of the service as the errors that `Master` raises."""
        try:
            yield
        except NotFound as error:
            raise UnknownUnit(error.message) from None
        except InvalidArgument as error:
            raise ConfigError(error.message) from None
        except Unauthenticated as error:
            raise (unanswered(self._at, error) or error) from None
        except Unimplemented as error:
            raise NoMaster(f"what answers at {self._at.address} is no master: {error}") from None
        except DeadlineExceeded:
            raise NoMaster(
                f"the master at {self._at.address} has not answered for {LOOK_TIMEOUT:g} s"
            ) from None
        except StartError:
            raise
        except Unavailable as error:
            if error.details:
                # A master says why; without it, these are the words of grpc.
                raise
            raise (
                unanswered(self._at, error)
                or NoMaster(
                    f"the connection to the master at {self._at.address} broke: {error.message}"
                )
            ) from None

    @property
    def _at(self) -> Place:
        assert self._place is not None
        return self._place


def connect(place: Place) -> Connection:
    """Open a connection to a master."""
    connection = Connection.open(
        place.address,
        token=place.token,
        # What is too large, the gateway refuses.
        message_bytes=-1,
    )
    return replace(connection, retries=True)


def unanswered(place: Place, error: RpcError) -> NoMaster | None:
    """Why a master didn't answer a call, with the cure; None: it did."""
    if isinstance(error, Unauthenticated):
        if place.source == LAUNCH:
            return NoMaster(
                f"the master at {place.address} launched this process, which may call units there; "
                "for all else name the file that holds the master's own token with --token-file"
            )
        problem = f"refuses the token of {place.source}" if place.source else "asks for a token"
        return NoMaster(
            f"the master at {place.address} {problem}; name the file that holds its token "
            "with --token-file or HSU_MASTER_TOKEN_FILE"
        )
    if problem := no_connection(error):
        return NoMaster(
            f"no master answers at {place.address}: {problem}; "
            "start one with `hsu-worker master run hsu.toml`"
        )
    return None
