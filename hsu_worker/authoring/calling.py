"""Calls that a service makes: a client of another interface, whichever unit answers it."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from hsu_worker.authoring.call import CURRENT_CALL
from hsu_worker.errors import Cancelled, Dispatch, FailedPrecondition, RpcError
from hsu_worker.interface import Interface, check_interface
from hsu_worker.wire.blocking import WAITED_FOR, Door
from hsu_worker.wire.chain import CALL_CHAIN, extended
from hsu_worker.wire.metadata import Metadata

if TYPE_CHECKING:
    # It brings grpc along, which whoever only imports hsu_worker needn't have.
    from hsu_worker.wire.connection import Connection

ClientT = TypeVar("ClientT")
BlockingClientT = TypeVar("BlockingClientT")
T = TypeVar("T")

#: Metadata that a call takes over from the one that is being handled: W3C trace context.
_TRACE: Final = ("traceparent", "tracestate")


def client_of(interface: Interface[Any, ClientT, Any], *, unit: str = "") -> ClientT:
    """A typed client of another interface, for the services of a worker.

        @implements(InterfaceA)
        class Summarizer:
            index = client_of(InterfaceB)

            async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
                async for hit in self.index.search(SearchRequest(query=request.text)): ...

    It can be made anywhere: where the calls go is looked up when they are made. In a worker that a
    master launched they go to that master, which starts the unit; in a test to what
    `running(..., others=[...])` was given. A call made while another is handled passes on what is
    left of that one's deadline, its id and its trace.

    Args:
        interface: What to call.

        unit: Which unit; empty: the one that the master's `[routes]` name, or the only one.

    Raises:
        FailedPrecondition: By the calls: this is no worker, or one without a master.
    """
    check_interface(interface)
    return interface.client(_ToOthers(interface.name, unit))


def blocking_client_of(
    interface: Interface[Any, Any, BlockingClientT], *, unit: str = ""
) -> BlockingClientT:
    """As `client_of`, for handlers and lifespans that are plain functions, and run in threads.

        index = blocking_client_of(InterfaceB)

        def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
            for hit in self.index.search(SearchRequest(query=request.text)): ...

    A call raises `Cancelled` when nobody waits any more for the handler that makes it.
    """
    return interface.blocking_client(client_of(interface, unit=unit), _WorkersDoor(interface.name))


class Others(ABC):
    """Whom the services of one worker can call, while its block runs.

    Args:
        unit: The unit that the worker is; empty when it is none.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.door = Door()
        """To the worker's loop, for its threads."""

    @abstractmethod
    def connection(self, interface: str, unit: str) -> "Connection":
        """The connection for a call.

        Args:
            interface: The full name.

            unit: Which unit; empty: whichever.

        Raises:
            RpcError: There is none, and the message says what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of what calls have opened."""

    async def __aenter__(self) -> Self:
        self.door = Door.to_this_thread()
        _RUNNING.append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        _RUNNING.remove(self)
        self.door.close()
        await self.close()


#: The others of the worker whose code runs.
OTHERS: ContextVar[Others] = ContextVar("hsu_others")

#: Those of all workers in this process: one, but for tests.
_RUNNING: list[Others] = []


def _others(interface: str) -> Others:
    found = OTHERS.get(None)
    if found is not None:
        return found
    # A thread of the user's own has no context.
    if len(_RUNNING) == 1:
        return _RUNNING[0]
    raise FailedPrecondition(
        f"a client of {interface} was made for the services of a worker, and this is none; "
        "in a test use running(..., others=[...]), in a program Master.client",
        dispatched=Dispatch.NO,
    )


class _ToOthers:
    """Lends the connection of the worker whose code makes the call."""

    def __init__(self, interface: str, unit: str) -> None:
        self._interface = interface
        self._unit = unit

    @asynccontextmanager
    async def __call__(self, _deadline: float | None, /) -> AsyncGenerator["Connection", None]:
        others = _others(self._interface)
        if not others.door.leads_here:
            raise RuntimeError(
                f"the client of {self._interface} was used on another loop than the worker's; "
                "use blocking_client_of there"
            )
        connection = others.connection(self._interface, self._unit)
        passed_on = _passed_on(others.unit)
        yield replace(connection, metadata=(*connection.metadata, *passed_on))

    def deadline(self, timeout: float | None) -> float | None:
        """The call's deadline: never later than that of the call that is being handled."""
        now = asyncio.get_running_loop().time()
        own = None if timeout is None else now + timeout
        call = CURRENT_CALL.get(None)
        if call is None or call.deadline is None:
            return own
        callers = now + call.deadline - time.monotonic()
        return callers if own is None else min(own, callers)


def _passed_on(unit: str) -> Metadata:
    """What a call carries of the one that is being handled; its id goes along anyway."""
    call = CURRENT_CALL.get(None)
    sent = {} if call is None else call.metadata
    chain = sent.get(CALL_CHAIN, "")
    longer = extended(chain if isinstance(chain, str) else "", unit)
    return (
        *((name, sent[name]) for name in _TRACE if name in sent),
        *(((CALL_CHAIN, longer),) if longer else ()),
    )


class _WorkersDoor(Door):
    """The door to the loop of the worker whose code makes the call."""

    def __init__(self, interface: str) -> None:
        super().__init__()
        self._interface = interface

    @property
    def is_open(self) -> bool:
        """The worker has not ended."""
        return _others(self._interface).door.is_open

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to run a coroutine on the worker's loop."""
        try:
            door = _others(self._interface).door
            if not door.is_open:
                raise Cancelled("the worker has ended", dispatched=Dispatch.NO)
        except RpcError:
            coroutine.close()
            raise
        return door.submit(coroutine)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the worker's loop, as long as somebody waits for this handler."""
        future = self.submit(coroutine)
        WAITED_FOR.set(future)
        call = CURRENT_CALL.get(None)
        try:
            # The caller may have left before there was something to cancel.
            if call is not None and call.cancelled:
                future.cancel()
            return future.result()
        except CancelledError:
            raise Cancelled("the caller has gone") from None
        except BaseException:
            future.cancel()
            raise
        finally:
            WAITED_FOR.set(None)
