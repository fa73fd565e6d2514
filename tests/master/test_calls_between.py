"""A worker calls another unit, through the master that launched it."""

from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from hsu_worker.errors import FailedPrecondition, Unauthenticated
from hsu_worker.master import BlockingMaster, Config, Master
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import KINDS, app, running, text
from tests.worker.process import ROOT, serving, write_service

ASKS = """async def unary(self, request):
    from hsu_worker.errors import HsuError
    from hsu_worker.master import Master
    async with Master.connect() as master:
        if request.text == 'stop':
            try:
                await master.stop('u')
            except HsuError as error:
                return Answer(text=type(error).__name__)
        other = master.client(Kinds, unit='other')
        answer = await other.client_stream([request] * 3, timeout=20)
    return Answer(number=answer.number)"""


async def test_a_worker_calls_another_unit_and_nothing_else(tmp_path: Path) -> None:
    toml = text(
        app(tmp_path, ASKS),
        "[units.other]",
        'app = "mysvc:Service"',
        f"implements = {KINDS}",
        f'env = {{PYTHONPATH = "{ROOT}"}}',
        "[routes]",
        '"hsu.test.v1.Kinds" = "u"',
    )
    async with running(tmp_path, toml) as it:
        assert 3 == (await it.kinds.unary(Ask(), timeout=30)).number
        status = it.master.status()
        assert ("ready", "ready") == (status["u"].phase, status["other"].phase)
        # Its token is for calls; what becomes of units is the user's to say.
        assert "NoMaster" == (await it.kinds.unary(Ask(text="stop"), timeout=30)).text
        assert "ready" == it.master.status()["u"].phase


async def test_the_token_of_a_worker_ends_with_it(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        await it.master.start("u")
        (token,) = it.master._tokens._issued
        assert it.master.address is not None
        connection = Connection.open(it.master.address, token=token)
        client = Kinds.client(connection)
        assert "hi" == (await client.unary(Ask(text="hi"), timeout=30)).text
        await it.master.stop("u")
        with pytest.raises(Unauthenticated):
            await client.unary(Ask(text="hi"), timeout=30)
        await connection.close()


#: Calls the other unit, which calls this one, as often as the number says.
THERE = """
there = client_of(Kinds, unit='there')
async def unary(self, request):
    if not request.number:
        call = current_call()
        return Answer(text=f"{call.id} {call.metadata['hsu-call-chain']} {call.time_remaining:.0f}")
    return await self.there.unary(Ask(number=request.number - 1))
"""

#: In a module of its own, as a plain function.
AND_BACK = """
from hsu_worker import *
from tests.gen.hsu_test_kinds import *
from tests.serving.kinds import AsyncKinds

@implements(Kinds)
class Back(AsyncKinds):
    back = blocking_client_of(Kinds, unit='u')
    def unary(self, request):
        return self.back.unary(request)
"""


def there_and_back(folder: Path, *rules: str) -> str:
    (folder / "back.py").write_text(AND_BACK)
    return text(
        app(folder, THERE),
        *rules,
        "[units.there]",
        'app = "back:Back"',
        f"implements = {KINDS}",
        f'env = {{PYTHONPATH = "{ROOT}"}}',
        "[routes]",
        '"hsu.test.v1.Kinds" = "u"',
    )


async def test_units_call_each_other_by_the_name_of_the_interface_alone(tmp_path: Path) -> None:
    async with running(tmp_path, there_and_back(tmp_path)) as it:
        metadata = [("hsu-call-id", "0123abcd")]
        answer = await it.kinds.unary(Ask(number=2), timeout=40, metadata=metadata)
        call_id, chain, left = answer.text.split()
        assert ("0123abcd", "u,there,u,there") == (call_id, chain)
        assert 0 < int(left) <= 40


async def test_a_unit_that_would_wait_for_itself_is_told_so(tmp_path: Path) -> None:
    async with running(tmp_path, there_and_back(tmp_path, "concurrency = 1")) as it:
        with pytest.raises(FailedPrecondition) as refused:
            await it.kinds.unary(Ask(number=1), timeout=40)

    assert (
        "unit 'u' has no room for a call that it may be waiting for itself: u → there → u; "
        "raise its `concurrency`, or call without waiting for the answer"
    ) == refused.value.message


async def test_a_worker_served_by_hand_calls_the_units_of_the_master_that_it_is_told(
    tmp_path: Path,
) -> None:
    calling = """
other = client_of(Kinds)
async def bidi(self, requests):
    async for answer in self.other.bidi(requests):
        yield answer
"""
    async with running(tmp_path, text(app(tmp_path))) as it:
        folder = tmp_path / "by hand"
        folder.mkdir()
        assert it.master.address is not None
        command = [write_service(folder, calling), "--listen", f"unix:{folder}/s"]
        where = str(Path(it.master.address.path).parent)
        for process_of in (
            serving(folder, *command, "--master", where),
            serving(folder, *command, HSU_MASTER=str(it.master.address)),
        ):
            async with process_of as process:
                assert process.stdout
                await process.stdout.readline()
                connection = Connection.open(Address(path=f"{folder}/s"))
                answers = Kinds.client(connection).bidi([Ask(text="a"), Ask(text="b")], timeout=30)
                assert ["a", "b"] == [answer.text async for answer in answers]
                await connection.close()
        async with serving(folder, *command) as process:
            assert process.stdout
            await process.stdout.readline()
            connection = Connection.open(Address(path=f"{folder}/s"))
            with pytest.raises(FailedPrecondition) as refused:
                [_ async for _ in Kinds.client(connection).bidi([Ask()], timeout=30)]
            await connection.close()

    assert (
        "hsu.test.v1.Kinds can't be called: this worker knows no master; let one start it, or "
        "name one: hsu-worker serve ... --master ADDRESS, or HSU_MASTER"
    ) == refused.value.message


class Noting(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        self.seen.append(request.text)
        return await continuation(client_call_details, request)


async def test_the_clients_of_a_master_go_through_its_interceptors(tmp_path: Path) -> None:
    noting, remote = Noting(), Noting()
    config = Config.from_text(text(app(tmp_path)), folder=tmp_path)
    async with Master(config, interceptors=[noting]) as master:
        assert "a" == (await master.client(Kinds).unary(Ask(text="a"), timeout=30)).text
        await master.restart("u")
        assert "b" == (await master.client(Kinds).unary(Ask(text="b"), timeout=30)).text
        where = str(master.address)
        async with Master.connect(where, interceptors=[remote]) as connected:
            assert "c" == (await connected.client(Kinds, unit="u").unary(Ask(text="c"))).text

    assert (["a", "b"], ["c"]) == (noting.seen, remote.seen)


def test_a_blocking_master_has_them_too(tmp_path: Path) -> None:
    noting = Noting()
    (tmp_path / "hsu.toml").write_text(text(app(tmp_path)))
    with BlockingMaster.from_file(tmp_path / "hsu.toml", interceptors=[noting]) as master:
        assert "a" == master.client(Kinds).unary(Ask(text="a"), timeout=30).text
    assert ["a"] == noting.seen


def test_a_master_refuses_what_is_no_interceptor(tmp_path: Path) -> None:
    config = Config.from_text(text(app(tmp_path)), folder=tmp_path)
    with pytest.raises(TypeError, match="interceptors: Noting is a class"):
        Master(config, interceptors=[Noting])  # type: ignore[list-item]
