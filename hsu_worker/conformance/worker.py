"""The worker that is checked, as whoever calls it sees it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2

from hsu_worker.conformance import bounds
from hsu_worker.conformance.asking import Answer, ask
from hsu_worker.conformance.finding import NotMet, during, expect, expect_that
from hsu_worker.gen.hsu_core import (
    CoreClient,
    HandshakeRequest,
    HandshakeResponse,
    InterfaceInfo,
    MethodInfo,
    PingRequest,
    PingResponse,
    ShutdownRequest,
    ShutdownResponse,
    StartRequest,
    StartResponse,
    State,
    StopRequest,
)
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import CONTRACT_VERSION
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import Metadata

HEALTH = "/grpc.health.v1.Health"
#: Seconds that a Duration may hold.
_LONGEST: Final = 315_576_000_000


class Worker:
    """Calls a worker; every call of Core is bounded, and made once.

    Args:
        patience: Multiplies every bound.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.address: Address
        self.token = ""
        self.connection: Connection
        self.told = HandshakeResponse()
        """What its handshake told."""

    def open(self, address: Address, token: str) -> None:
        """Connect to it."""
        self.address, self.token = address, token
        self.connection = self.connect(token)

    def connect(self, token: str) -> Connection:
        """One more connection."""
        opened = Connection.open(self.address, token=token, message_bytes=-1)
        # A kit that tries again would hide what it looks for.
        return replace(opened, retries=True)

    @property
    def core(self) -> CoreClient:
        """Its Core."""
        return CoreClient(self.connection)

    @property
    def tail(self) -> list[str]:
        """The last lines that it wrote; empty where nobody can know."""
        return []

    @property
    def methods(self) -> list[tuple[InterfaceInfo, MethodInfo]]:
        """The methods of its own interfaces, as the handshake told them."""
        return [(info, method) for info in self.told.interfaces for method in info.methods]

    @property
    def names(self) -> list[str]:
        """The names of its own interfaces."""
        return [info.name for info in self.told.interfaces]

    async def ask(
        self,
        path: str,
        requests: Sequence[bytes] | AsyncGenerator[bytes, None] = (b"",),
        *,
        streams: bool = False,
        metadata: Metadata | None = None,
        compression: grpc.Compression = grpc.Compression.NoCompression,
        timeout: float = bounds.ANSWER,
    ) -> Answer:
        """See `asking.ask`; the timeout is multiplied by the patience."""
        return await ask(
            self.connection,
            path,
            requests,
            streams=streams,
            metadata=metadata,
            compression=compression,
            timeout=timeout * self.patience,
        )

    async def call(
        self, interface: InterfaceInfo, method: MethodInfo, request: bytes = b""
    ) -> Answer:
        """Call a method of its own with one message, which is empty unless given."""
        return await self.ask(
            path_of(interface, method), (request,), streams=method.client_streaming
        )

    async def handshake(self, version: int = CONTRACT_VERSION) -> HandshakeResponse:
        """Claim it."""
        return await self.core.handshake(
            HandshakeRequest(contract_version=version, master_id="hsu-worker check", unit="check"),
            timeout=self._answer,
        )

    async def ping(self, payload: bytes = b"") -> PingResponse:
        """See whether it answers."""
        return await self.core.ping(PingRequest(payload=payload), timeout=self._answer)

    async def state(self) -> str:
        """What it says that it is doing, such as `RUNNING`."""
        return state_name((await self.ping()).state)

    async def expect_state(self, wanted: str) -> None:
        """Demand a state."""
        expect("the state that Ping tells", wanted, await self.state())

    async def start(self, *, timeout: float = bounds.START) -> list[StartResponse]:
        """Call Start, to its end."""
        steps = self.core.start(StartRequest(), timeout=timeout * self.patience)
        return [step async for step in steps]

    async def run(self) -> None:
        """Bring it to RUNNING."""
        expect("the last message of Start", "RUNNING", last_state(await self.start()))

    async def stop(self, *, timeout: float = bounds.ANSWER) -> str:
        """Call Stop; returns the state that it answers."""
        answer = await self.core.stop(StopRequest(), timeout=timeout * self.patience)
        return state_name(answer.state)

    async def shutdown(self, grace: float | None = None) -> ShutdownResponse:
        """Call Shutdown, with a grace in seconds, or with none."""
        request = ShutdownRequest()
        if grace is not None:
            request.grace.CopyFrom(Duration(seconds=int(grace), nanos=round(grace % 1 * 1e9)))
        return await self.core.shutdown(request, timeout=self._answer)

    async def health(self, name: str) -> str:
        """What its health service says of a name, such as `SERVING`; else the status."""
        answer = await self.ask(
            f"{HEALTH}/Check",
            (health_pb2.HealthCheckRequest(service=name).SerializeToString(),),
            metadata=(),
        )
        if answer.code != "OK" or len(answer.bodies) != 1:
            return str(answer)
        return status_name(answer.bodies[0])

    async def expect_health(self, wanted: str) -> None:
        """Demand what it says of `""` and of its interfaces."""
        for name in ("", *self.names):
            expect(f"the health of {name!r}", wanted, await self.health(name))

    async def expect_refused(self, when: str) -> list[Answer]:
        """Demand that calls are refused, and told to have run nowhere."""
        answers = []
        for interface, method in self.methods:
            answer = await self.call(interface, method)
            expect_that(
                (answer.code, answer.dispatched) == ("UNAVAILABLE", "no"),
                f"{path_of(interface, method)}, {when}: UNAVAILABLE, hsu-dispatched: no",
                answer,
            )
            answers.append(answer)
        return answers

    async def expect_not_serving(self, state: str) -> None:
        """Demand a state, and what holds in it: no call is let in, Core and health answer."""
        with during(f"in {state}"):
            await self.expect_state(state)
            await self.handshake()
            await self.expect_refused(f"in {state}")
            for interface, method in self.methods:
                path = path_of(interface, method)
                answer = await self.ask(path, streams=method.client_streaming, metadata=())
                expect_that(
                    answer.code == "UNAUTHENTICATED",
                    f"{path}, without a token: UNAUTHENTICATED",
                    answer,
                )
            await self.expect_health("NOT_SERVING")
            expect("the health of 'live'", "SERVING", await self.health("live"))

    @property
    def _answer(self) -> float:
        return bounds.ANSWER * self.patience


def path_of(interface: InterfaceInfo, method: MethodInfo) -> str:
    """The path of a method."""
    return f"/{interface.name}/{method.name}"


def state_name(state: int) -> str:
    """A state as people write it, such as `RUNNING`."""
    try:
        return State.Name(state).removeprefix("STATE_")
    except ValueError:
        return f"state {state}"


def status_name(body: bytes) -> str:
    """What an answer of health says, such as `SERVING`."""
    status = health_pb2.HealthCheckResponse.FromString(body).status
    try:
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))
    except ValueError:
        return f"status {status}"


def seconds_of(what: str, told: Duration) -> float:
    """A duration in seconds.

    Raises:
        NotMet: It is longer than protobuf lets one be.
    """
    if abs(told.seconds) > _LONGEST:
        raise NotMet(f"{what}: {_LONGEST} s at the most", f"{told.seconds} s")
    return told.seconds + told.nanos / 1e9


def last_state(steps: Sequence[StartResponse]) -> str:
    """How a start ended."""
    if not steps:
        return "no message"
    reason = f": {steps[-1].reason}" if steps[-1].reason else ""
    return f"{state_name(steps[-1].state)}{reason}"
