"""Pings by which each end of a connection notices that the other one has vanished."""

import asyncio

import pytest

from hsu_worker.conformance.http2 import PREFACE, Frame, Kind, pinging, read_frame
from hsu_worker.errors import Unavailable
from hsu_worker.serving import server
from hsu_worker.wire import connection
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, KindsClient
from tests.serving.test_server import kinds_at

#: Milliseconds instead of 30 and 20 seconds.
INTERVAL, TIMEOUT = 50, 200
#: Pings that are answered before one is not. The third would wait for a minute, were it not for an option.
ANSWERED = 2


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pings does so often, and doesn't wait long."""
    times = {"grpc.keepalive_time_ms": INTERVAL, "grpc.http2.ping_timeout_ms": TIMEOUT}
    options = {**dict(connection._KEEPALIVE_OPTIONS), **times}
    monkeypatch.setattr(connection, "_KEEPALIVE_OPTIONS", tuple(options.items()))


@pytest.mark.parametrize("calls", [False, True], ids=["without a call", "during a call"])
async def test_a_client_may_ask_whether_the_connection_is_there(
    monkeypatch: pytest.MonkeyPatch, calls: bool
) -> None:
    monkeypatch.setattr(server, "PING_INTERVAL", INTERVAL)
    answers = []
    async with kinds_at(Address.parse("tcp:127.0.0.1:0")) as bound, pinging(bound) as client:
        if calls:
            client.call("/hsu.test.v1.Kinds/Unary")
        # The third that comes too soon would be the last.
        for _ in range(6):
            answers.append(await client.ping())
            await asyncio.sleep(2 * INTERVAL / 1000)

    assert [""] * 6 == answers


async def pings_until_its_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Be somebody who answers some pings, and then vanishes; how many came."""
    asked = 0
    try:
        while frame := await read_frame(reader):
            asked += frame.kind == Kind.PING
            if asked <= ANSWERED and (answer := frame.answer):
                writer.write(answer.encoded())
    except (asyncio.IncompleteReadError, OSError):
        return asked
    finally:
        writer.close()


async def test_a_server_notices_a_client_elsewhere_that_has_vanished(soon: None) -> None:
    # Others can reach all of the machine's addresses.
    async with kinds_at(Address.parse("tcp:0.0.0.0:0")) as bound:
        reader, writer = await asyncio.open_connection("127.0.0.1", bound.port)
        writer.write(PREFACE + Frame(Kind.SETTINGS).encoded())

        assert ANSWERED + 1 == await pings_until_its_end(reader, writer)


async def test_a_client_notices_a_server_elsewhere_that_has_vanished(soon: None) -> None:
    asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(Frame(Kind.SETTINGS).encoded())
        asked.set_result(await pings_until_its_end(reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        opened = Connection.open(Address(host="0.0.0.0", port=port))
        with pytest.raises(Unavailable, match="ping timeout"):
            await KindsClient(opened).unary(Ask(), timeout=20)
        await opened.close()

        assert ANSWERED + 1 == await asked


@pytest.mark.parametrize(
    ("address", "seconds"),
    [
        ("unix:/run/x.sock", None),
        ("tcp:127.0.0.1:7000", None),
        ("tcp:localhost:7000", None),
        ("tcp:10.0.0.7:7000", 30),
    ],
)
async def test_nobody_is_asked_who_may_stand_in_a_debugger(
    address: str, seconds: int | None
) -> None:
    opened = Connection.open(Address.parse(address))
    await opened.close()
    options = dict(opened.options)
    time = options.get("grpc.keepalive_time_ms")

    assert seconds == (time and int(time) / 1000)
    # Never without a call.
    assert "grpc.keepalive_permit_without_calls" not in options
