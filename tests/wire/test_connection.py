import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from hsu_worker.testing import running
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.serving.kinds import AsyncKinds


async def test_a_peer_far_away_can_be_reached(tmp_path: Path) -> None:
    """grpc takes the least time between two attempts to connect for the time that one may take."""
    ended: list[asyncio.Task[Any]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await asyncio.sleep(0.3)
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async with running(AsyncKinds()) as worker:

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, forth = await asyncio.open_unix_connection(worker.address.path)
            ended.extend(map(asyncio.create_task, (pump(reader, forth), pump(back, writer))))

        path = str(tmp_path / "far")
        async with await asyncio.start_unix_server(pass_on, path):
            connection = Connection.open(Address(path=path))
            answer = await Kinds.client(connection).unary(Ask(text="hello"), timeout=20)
            await connection.close()
            await asyncio.gather(*ended, return_exceptions=True)

    assert "hello" == answer.text


async def test_a_client_on_another_loop_is_told_what_to_take() -> None:
    async with running(AsyncKinds()) as worker:
        client = worker.client(Kinds)
        await client.unary(Ask(), timeout=20)
        with pytest.raises(RuntimeError) as raised:
            await asyncio.to_thread(asyncio.run, client.unary(Ask(), timeout=20))

    assert (
        "this client belongs to another event loop; other threads take a blocking client, "
        "or asyncio.run_coroutine_threadsafe"
    ) == str(raised.value)


async def test_a_status_with_long_trailers_arrives() -> None:
    """grpc's clients drop a status over 8 KiB, and its code with it, unless they are told otherwise."""

    async def refuse(_request: bytes, context: Any) -> None:
        long = (("x-long", "a" * (100 << 10)),)
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", long)

    server = grpc.aio.server()
    methods: Any = {"B": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.A", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = Connection.open(Address(host="127.0.0.1", port=port))
    channel: Any = connection.channel
    code = await channel.unary_unary("/a.A/B")(b"", timeout=20).code()
    await connection.close()
    await server.stop(None)

    assert grpc.StatusCode.NOT_FOUND is code
