import asyncio
import gc
import os
import socket
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker import Limits
from hsu_worker.errors import AddressError
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient
from tests.serving.kinds import AsyncKinds
from tests.until import until


@asynccontextmanager
async def kinds_at(address: Address) -> AsyncGenerator[Address, None]:
    dispatcher = Dispatcher(limits=Limits())
    dispatcher.add(Kinds, AsyncKinds())
    async with listening(dispatcher, address) as bound:
        yield bound


async def answers(address: Address) -> bool:
    connection = Connection.open(address)
    answer = await KindsClient(connection).unary(Ask(text="a"), timeout=10)
    await connection.close()
    return answer.text == "a"


@pytest.mark.parametrize("text", ["tcp:127.0.0.1:0", "tcp:[::1]:0", "tcp:localhost:0"])
async def test_port_0_takes_a_free_port_and_tells_it(text: str) -> None:
    async with kinds_at(Address.parse(text)) as bound:
        assert bound.answers(Address.parse(text))
        assert await answers(bound)


async def test_a_second_server_on_a_tcp_port_is_refused() -> None:
    async with kinds_at(Address.parse("tcp:127.0.0.1:0")) as bound:
        with pytest.raises(AddressError) as raised:
            async with kinds_at(bound):
                pass
        assert await answers(bound)

    assert str(raised.value) == (
        f"address {bound}: in use by another server; choose another port, or 0 for any free one"
    )


async def test_a_port_can_be_taken_again_at_once() -> None:
    async with kinds_at(Address.parse("tcp:127.0.0.1:0")) as bound:
        assert await answers(bound)
    async with kinds_at(bound):
        assert await answers(bound)


async def test_a_host_that_does_not_exist_is_an_address_error() -> None:
    with pytest.raises(AddressError, match="can't listen there"):
        async with kinds_at(Address.parse("tcp:no-such-host.invalid:0")):
            pass


async def test_a_socket_is_private_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with kinds_at(Address(path=str(path))) as bound:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await answers(bound)

    assert os.listdir(tmp_path) == []


async def test_the_umask_is_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with kinds_at(Address(path=str(tmp_path / "a.sock"))):
            assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


async def test_a_second_server_on_a_socket_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "a.sock"))
    async with kinds_at(address):
        with pytest.raises(AddressError) as raised:
            async with kinds_at(address):
                pass
        assert await answers(address)

    assert str(raised.value) == (
        f"address {address}: in use by another server; choose another path"
    )


async def test_a_socket_where_a_stranger_listens_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        with pytest.raises(AddressError, match="in use by another server"):
            async with kinds_at(Address(path=str(path))):
                pass
        assert path.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    # What a server leaves that was killed: a socket nobody listens at, and a lock nobody holds.
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    (tmp_path / "a.sock.lock").touch()
    async with kinds_at(Address(path=str(path))) as bound:
        assert await answers(bound)


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(AddressError) as raised:
        async with kinds_at(Address(path=str(path))):
            pass

    assert str(raised.value) == (
        f"address unix:{path}: a file that is no socket is there; remove it"
    )
    assert path.read_text() == "precious"


async def test_a_folder_is_not_told_to_be_removed(tmp_path: Path) -> None:
    with pytest.raises(AddressError) as raised:
        async with kinds_at(Address(path=str(tmp_path))):
            pass

    assert str(raised.value) == f"address unix:{tmp_path}: it is a folder; name a file in it"


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AddressError) as raised:
        async with kinds_at(Address(path=str(tmp_path / "no" / "a.sock"))):
            pass

    assert str(raised.value) == (
        f"address unix:{tmp_path}/no/a.sock: the folder {tmp_path}/no does not exist; create it"
    )


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    address = Address(path=str(tmp_path / "a.sock"))
    entered = False
    steps = 0
    while not entered:
        manager = kinds_at(address)
        entering = asyncio.ensure_future(manager.__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        entered = entering.done()
        entering.cancel()
        if entered:
            await manager.__aexit__(None, None, None)
        else:
            with pytest.raises(asyncio.CancelledError):
                await entering
        assert [] == os.listdir(tmp_path)
        steps += 1
    # What ends badly is told when it is collected.
    gc.collect()
    assert steps > 2
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert [] == complaints


async def test_a_hundred_servers_race_for_one_socket_and_one_gets_it(tmp_path: Path) -> None:
    address = Address(path=str(tmp_path / "a.sock"))
    done = asyncio.Event()

    async def compete() -> bool:
        try:
            async with kinds_at(address):
                await done.wait()
        except AddressError:
            return False
        return True

    racers = [asyncio.create_task(compete()) for _ in range(100)]
    await until(lambda: sum(racer.done() for racer in racers) == 99)
    assert await answers(address)
    done.set()

    assert sum(await asyncio.gather(*racers)) == 1
