"""Workers that somebody else started are called, and live on."""

import asyncio
import signal
import socket
from asyncio.subprocess import Process
from functools import partial
from pathlib import Path

import pytest

from hsu_worker.errors import StartError
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, running, text
from tests.until import until
from tests.worker.process import serving, write_service


async def serves(process: Process) -> None:
    """Wait for the line in which `serve` says that it answers."""
    assert process.stdout
    assert b"/w" in await asyncio.wait_for(process.stdout.readline(), 20)


def secret_file(file: Path, token: str) -> Path:
    file.write_text(token)
    file.chmod(0o600)
    return file


async def test_a_worker_at_an_address_outlives_the_master(tmp_path: Path) -> None:
    token = secret_file(tmp_path / "token", "the-workers")
    toml = text(f'address = "unix:{tmp_path}/w"', f'token_file = "{token}"')
    arguments = (write_service(tmp_path), f"--listen=unix:{tmp_path}/w", "--token-file=token")
    async with serving(tmp_path, *arguments) as process:
        await serves(process)
        for _ in range(2):
            async with running(tmp_path, toml) as it:
                assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=20)).text
            assert ["starting", "ready", "stopping", "stopped"] == [e.kind for e in it.told]
            assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.wait_for(process.wait(), 20)


async def test_a_worker_at_an_address_that_ends_is_found_again(tmp_path: Path) -> None:
    toml = text(f'address = "unix:{tmp_path}/w"')
    arguments = (write_service(tmp_path), f"--listen=unix:{tmp_path}/w")
    async with running(tmp_path, toml) as it:
        for generation in (1, 2):
            async with serving(tmp_path, *arguments) as process:
                await serves(process)
                await it.kinds.unary(Ask(), timeout=20)
                assert generation == it.master.status()["u"].generation
                process.send_signal(signal.SIGTERM)
                await it.event("exited")


async def start_error(folder: Path, address: object) -> str:
    """What a call says of a unit at an address."""
    async with running(folder, text(f'address = "{address}"')) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=20)
    return caught.value.message


async def test_nobody_at_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for address in (f"unix:{tmp_path}/w", f"tcp:127.0.0.1:{port}"):
        assert (
            f"unit 'u' did not start: nobody listens at {address}; "
            "start the worker there, or correct `address`"
        ) == await start_error(tmp_path, address)


async def test_something_else_at_the_address(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        address = f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        message = await start_error(tmp_path, address)
    # In between stands what grpc says of it.
    first, _, cure = message.partition(f"{address}: ")
    assert "unit 'u' did not start: no worker answers at " == first
    assert cure.endswith("; start the worker there, or correct `address`")
    assert "failed to connect to all addresses" not in message


async def test_a_registered_worker_is_called_and_its_leaving_is_noticed(tmp_path: Path) -> None:
    secret_file(tmp_path / "token", "the-workers")
    async with running(tmp_path, text("register = true")) as it:
        arguments = (
            write_service(tmp_path),
            f"--listen=unix:{tmp_path}/w",
            "--token-file=token",
            f"--register={it.master.address}",
            "--unit=u",
            f"--master-token-file={it.master.token_file}",
        )
        # The call waits for the registration.
        call = asyncio.create_task(it.kinds.unary(Ask(text="hi"), timeout=20))
        async with serving(tmp_path, *arguments) as process:
            assert "hi" == (await call).text
            process.send_signal(signal.SIGTERM)
            exited = await it.event("exited")
            assert 0 == await asyncio.wait_for(process.wait(), 20)

    assert "its registration ended" == exited.detail


async def test_nobody_registers(tmp_path: Path) -> None:
    async with running(tmp_path, text("register = true", 'stall = "100ms"')) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=20)

    assert (
        "unit 'u' did not start: no worker has registered as 'u' for 0.1 s; start one with "
        "`hsu-worker serve MODULE:APP --register ADDRESS --unit NAME`"
    ) == caught.value.message


async def test_a_worker_at_an_address_that_leaves_answers_the_call_that_it_has(
    tmp_path: Path,
) -> None:
    body = (
        "async def unary(self, request):\n"
        "    open('called', 'w').close()\n"
        "    while not os.path.exists('go'):\n"
        "        await asyncio.sleep(0.01)\n"
        "    return Answer(text='done')"
    )
    toml = text(f'address = "unix:{tmp_path}/w"')
    service = write_service(tmp_path, body)
    async with (
        running(tmp_path, toml) as it,
        serving(tmp_path, service, f"--listen=unix:{tmp_path}/w") as process,
    ):
        await serves(process)
        call = asyncio.ensure_future(it.kinds.unary(Ask(), timeout=20))
        await until((tmp_path / "called").exists)
        process.send_signal(signal.SIGTERM)
        # The end of the watch has come, and the master has taken notice of it.
        await until(lambda: it.master.status()["u"].phase != "ready")
        (tmp_path / "go").touch()
        assert "done" == (await call).text
        assert 0 == await asyncio.wait_for(process.wait(), 20)


def _has_lines(it: Running, count: int) -> bool:
    return len(it.lines("mine")) >= count


async def test_a_log_that_was_taken_once_is_not_taken_again(tmp_path: Path) -> None:
    body = (
        "async def unary(self, request):\n"
        "    logging.getLogger('mine').warning('asked for %s', request.text)\n"
        "    return Answer()"
    )
    arguments = (
        write_service(tmp_path, body, before="import logging"),
        f"--listen=unix:{tmp_path}/w",
    )
    async with serving(tmp_path, *arguments) as process:
        await serves(process)
        async with running(tmp_path, text(f'address = "unix:{tmp_path}/w"')) as it:
            for count, word in enumerate(("one", "two", "three"), start=1):
                await it.kinds.unary(Ask(text=word), timeout=20)
                await until(partial(_has_lines, it, count))
                await it.master.stop("u")
            assert [f"asked for {word}" for word in ("one", "two", "three")] == it.lines("mine")
