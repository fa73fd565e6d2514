"""Who may register with a master, and who stands for a unit."""

import asyncio
import signal
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hsu_worker.errors import Dispatch, Unauthenticated
from hsu_worker.gen.hsu_core import RegisterRequest, RegisterResponse, RegistryClient
from hsu_worker.master import Config, Master
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import KINDS, Running, app, running, text
from tests.worker.process import ROOT, serving, write_service

TAKEN = "unit 'u' has a registered worker already"

#: Tells which worker answers.
WHO = """
async def unary(self, request):
    return Answer(text=os.environ["WHO"])
"""


def secret_file(file: Path, token: str) -> Path:
    file.write_text(token)
    file.chmod(0o600)
    return file


def arguments(folder: Path, it: Running, name: str, *, token_file: Path | None = None) -> list[str]:
    """Those of a worker that registers as `u`."""
    return [
        write_service(folder, WHO),
        f"--listen=unix:{folder}/{name}",
        f"--token-file={secret_file(folder / f'{name}.token', f'token-of-{name}')}",
        f"--register={it.master.address}",
        "--unit=u",
        f"--master-token-file={token_file or it.master.token_file}",
    ]


async def line_with(process: Process, found: str) -> str:
    """The next line of stderr that holds a text."""
    assert process.stderr
    async with asyncio.timeout(20):
        while line := (await process.stderr.readline()).decode():
            if found in line:
                return line
    raise AssertionError(f"it ended without a word of {found!r}")


async def who(it: Running) -> str:
    return (await it.kinds.unary(Ask(), timeout=20)).text


async def test_a_second_worker_is_refused_and_takes_over_when_the_first_leaves(
    tmp_path: Path,
) -> None:
    async with (
        running(tmp_path, text("register = true")) as it,
        serving(tmp_path, *arguments(tmp_path, it, "a"), WHO="a") as first,
    ):
        assert "a" == await who(it)
        async with serving(tmp_path, *arguments(tmp_path, it, "b"), WHO="b") as second:
            line = await line_with(second, "refuses the registration")
            assert line.endswith(f"{it.master.address} refuses the registration: {TAKEN}\n")
            # Whoever was refused changes nothing for those who call.
            assert "a" == await who(it)
            first.send_signal(signal.SIGTERM)
            await it.event("exited")
            # It asks again, after a pause.
            assert "b" == await who(it)
            assert 0 == await asyncio.wait_for(first.wait(), 20)

    assert 2 == max(event.generation for event in it.told)


async def registered(it: Running, token: str, request: RegisterRequest) -> RegisterResponse:
    assert it.master.address
    connection = Connection.open(it.master.address, token=token)
    answers = RegistryClient(connection).register(request, timeout=20)
    try:
        return await anext(answers)
    finally:
        await answers.aclose()
        await connection.close()


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_the_registry_asks_for_the_masters_token(tmp_path: Path, token: str) -> None:
    request = RegisterRequest(unit="u", address=f"unix:{tmp_path}/w", instance="i", token="t")
    async with running(tmp_path, text("register = true")) as it:
        with pytest.raises(Unauthenticated) as caught:
            await registered(it, token, request)
        # With the token it comes as far as being asked who it is.
        assert it.master.token_file
        answer = await registered(it, it.master.token_file.read_text(), request)

    assert Dispatch.NO == caught.value.dispatched
    assert (
        "the token is missing or wrong: send `authorization: Bearer <token>`"
        == caught.value.message
    )
    assert not answer.accepted
    assert answer.reason.startswith(
        f"the worker at unix:{tmp_path}/w is not the one that was asked for: "
    )


async def test_a_worker_with_a_wrong_master_token_says_so_and_is_not_called(
    tmp_path: Path,
) -> None:
    wrong = secret_file(tmp_path / "wrong", "not-the-masters")
    async with running(tmp_path, text("register = true")) as it:
        stranger = arguments(tmp_path, it, "a", token_file=wrong)
        async with serving(tmp_path, *stranger, WHO="a") as process:
            line = await line_with(process, f"registration with {it.master.address}")
            assert line.endswith(
                "UNAUTHENTICATED: the token is missing or wrong: send `authorization: Bearer <token>`; "
                "name the file that holds its token with --master-token-file\n"
            )
            assert "not-the-masters" not in line
            async with serving(tmp_path, *arguments(tmp_path, it, "b"), WHO="b"):
                assert "b" == await who(it)


async def test_a_registered_worker_calls_others_after_its_master_was_started_again(
    tmp_path: Path,
) -> None:
    v = "\n".join(
        ["[units.v]", app(tmp_path), f"implements = {KINDS}", f'env = {{PYTHONPATH = "{ROOT}"}}']
    )
    routes = '[routes]\n"hsu.test.v1.Kinds" = "u"'
    config = Config.from_text(f"{text('register = true')}\n{v}\n{routes}", folder=tmp_path)
    (tmp_path / "w").mkdir()
    passes_on = """
other = client_of(Kinds, unit="v")
async def unary(self, request):
    return await self.other.unary(request)
"""
    module = write_service(tmp_path / "w", passes_on)
    address = Address(host="127.0.0.1", port=0)
    async with AsyncExitStack() as stack:
        for asked in ("first", "second"):
            async with Master(config, listen=[address]) as master:
                address = master.addresses[-1]
                assert master.token_file
                token = secret_file(tmp_path / "token", master.token_file.read_text())
                if asked == "first":
                    worker = serving(
                        tmp_path / "w",
                        module,
                        f"--register={address}",
                        "--unit=u",
                        f"--master-token-file={token}",
                    )
                    await stack.enter_async_context(worker)
                answer = await master.client(Kinds).unary(Ask(text=asked), timeout=30)
                assert asked == answer.text
