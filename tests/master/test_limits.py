"""A message over a worker's limit ends its own call, and nothing else."""

from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from hsu_worker.errors import ResourceExhausted
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, running, text

SIZED = """
async def unary(self, request):
    if request.text:
        Path("handled").touch()
    return Answer(payload=bytes(request.number))
async def client_stream(self, requests):
    return Answer(number=sum([len(request.payload) async for request in requests]))
async def server_stream(self, request):
    yield Answer(text="first")
    yield Answer(payload=bytes(request.number))
"""

LIMIT = 4 << 20
OVER = 5 << 20


def raised_limit(folder: Path, limit: int) -> str:
    """The service in an app with a limit of its own."""
    app(folder, SIZED)
    with (folder / "mysvc.py").open("a") as module:
        module.write(f"\nAPP = App(Service(), limits=Limits(message_bytes={limit}))\n")
    return 'app = "mysvc:APP"'


async def still_serves(it: Running) -> None:
    """It answers, and it is the worker that it was."""
    assert 7 == len((await it.kinds.unary(Ask(number=7), timeout=30)).payload)
    assert ["starting", "ready"] == [event.kind for event in it.told]


async def test_a_request_over_the_limit_is_refused_before_the_handler(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, SIZED))) as it:
        with pytest.raises(ResourceExhausted) as caught:
            await it.kinds.unary(Ask(text="x", payload=bytes(OVER)), timeout=30)
        await still_serves(it)

    # The payload's field and the text's have some bytes of their own.
    assert f"larger than max ({OVER + 8} vs. {LIMIT})" in caught.value.message
    assert not (tmp_path / "handled").exists()


async def test_a_request_over_the_limit_in_a_stream_ends_the_call(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, SIZED))) as it:
        small = Ask(payload=bytes(10))
        with pytest.raises(ResourceExhausted) as caught:
            await it.kinds.client_stream([small, Ask(payload=bytes(OVER)), small], timeout=30)
        assert 20 == (await it.kinds.client_stream([small, small], timeout=30)).number
        await still_serves(it)

    assert f"larger than max ({OVER + 5} vs. {LIMIT})" in caught.value.message


async def test_a_response_over_the_limit_says_what_to_do(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, SIZED))) as it:
        with pytest.raises(ResourceExhausted) as caught:
            await it.kinds.unary(Ask(number=OVER), timeout=30)
        await still_serves(it)

    assert (
        f"the response of /hsu.test.v1.Kinds/Unary has {OVER + 5} bytes, {LIMIT} are possible: "
        "send less, or raise App(limits=Limits(message_bytes=...))"
    ) == caught.value.message
    (detail,) = caught.value.details
    assert isinstance(detail, ErrorInfo)
    assert ("RESPONSE_TOO_LARGE", "hsu") == (detail.reason, detail.domain)


async def test_a_response_over_the_limit_in_a_stream_comes_after_those_before(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, text(app(tmp_path, SIZED))) as it:
        answers = it.kinds.server_stream(Ask(number=OVER), timeout=30)
        assert "first" == (await anext(answers)).text
        with pytest.raises(ResourceExhausted, match=r"the response of .* 4194304 are possible"):
            await anext(answers)
        await still_serves(it)


async def test_a_raised_limit_holds_through_the_master_both_ways(tmp_path: Path) -> None:
    async with running(tmp_path, text(raised_limit(tmp_path, 3 * LIMIT))) as it:
        request = Ask(payload=bytes(2 * LIMIT), number=2 * LIMIT)
        assert 2 * LIMIT == len((await it.kinds.unary(request, timeout=30)).payload)
        with pytest.raises(ResourceExhausted):
            await it.kinds.unary(Ask(payload=bytes(3 * LIMIT)), timeout=30)
        await still_serves(it)


async def test_a_lowered_limit_holds_through_the_master(tmp_path: Path) -> None:
    async with running(tmp_path, text(raised_limit(tmp_path, 1000))) as it:
        for request in (Ask(payload=bytes(1001)), Ask(number=1001)):
            with pytest.raises(ResourceExhausted):
                await it.kinds.unary(request, timeout=30)
        await still_serves(it)


async def test_metadata_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, SIZED))) as it:
        with pytest.raises(ResourceExhausted):
            await it.kinds.unary(Ask(text="x"), timeout=30, metadata=[("x", "y" * (17 << 10))])
        await it.kinds.unary(Ask(), timeout=30, metadata=[("x", "y" * (12 << 10))])
        await still_serves(it)

    assert not (tmp_path / "handled").exists()
