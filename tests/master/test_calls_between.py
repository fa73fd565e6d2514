"""A worker calls another unit, through the master that launched it."""

from pathlib import Path

import pytest

from hsu_worker.errors import Unauthenticated
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import KINDS, app, running, text
from tests.worker.process import ROOT

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
