"""`serve --log-format json`: all that machines have to read is JSON."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import Internal
from hsu_worker.wire.address import Address
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.worker.process import connected, serving, write_service

LOGS = """
async def unary(self, request):
    logging.getLogger("mine").warning("asked for %s", request.text, extra={"n": 1})
    1 / 0
def server_stream(self, request):
    logging.getLogger("mine").warning("asked for more")
    yield Answer(text=current_call().id)
"""


def lines(errors: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in errors.splitlines()]


async def test_where_it_listens_and_what_it_logs(tmp_path: Path) -> None:
    target = write_service(tmp_path, LOGS, before="import logging")
    async with serving(tmp_path, target, "--log-format", "json") as process:
        assert process.stdout
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        assert process.pid == told["pid"]
        async with connected(Address.parse(told["addresses"][0])) as connection:
            kinds = Kinds.client(connection)
            with pytest.raises(Internal) as caught:
                await kinds.unary(Ask(text="hello"), timeout=20)
            [answer] = [each async for each in kinds.server_stream(Ask(), timeout=20)]
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()

    told = lines(errors)
    first, second = (line for line in told if line["logger"] == "mine")
    assert ("WARNING", "asked for hello", {"n": 1}) == (
        first["level"],
        first["message"],
        first["fields"],
    )
    # The id that the caller has leads to all that its call has logged; in threads too.
    assert caught.value.message.endswith(first["call"])
    assert answer.text == second["call"]
    [failure] = (line for line in told if "exception" in line)
    assert (first["call"], "ERROR") == (failure["call"], failure["level"])
    assert failure["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("before", "body", "arguments", "message", "exception"),
    [
        ("1 / 0", "", [], "'mysvc:Service' could not be loaded", "division by zero"),
        (
            "",
            "@lifespan\ndef loaded(self):\n    raise ValueError('no model')\n    yield",
            [],
            "'mysvc:Service' could not start: ValueError: no model",
            "",
        ),
        (
            "",
            "",
            ["--listen", "tcp:192.0.2.1:0"],
            "address tcp:192.0.2.1:0: can't listen there: Cannot assign requested address",
            "",
        ),
    ],
)
async def test_why_it_can_not_start(
    tmp_path: Path, before: str, body: str, arguments: list[str], message: str, exception: str
) -> None:
    target = write_service(tmp_path, body, before=before)
    options = ("--log-format", "json", "--insecure-remote")
    async with serving(tmp_path, target, *options, *arguments) as process:
        out, errors = await process.communicate()

    last = lines(errors)[-1]
    assert (3, b"", "ERROR", message) == (process.returncode, out, last["level"], last["message"])
    assert last.get("exception", "").endswith(exception)
