"""What a handler raises reaches the caller through the master as it was raised, and no more of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from hsu_worker.errors import RPC_ERRORS, Aborted, Dispatch, Internal, NotFound, RpcError
from hsu_worker.master import BlockingMaster, Config
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import Running, app, running, text

IMPORTS = """
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from hsu_worker.errors import *
"""

RAISES = """
async def unary(self, request):
    raise eval(request.text)
async def client_stream(self, requests):
    raise eval([request.text async for request in requests][-1])
async def server_stream(self, request):
    yield Answer(text="first")
    raise eval(request.text)
def bidi(self, requests):
    for request in requests:
        yield Answer(text="first")
        raise eval(request.text)
"""

#: The same text makes them in the worker and here.
DETAILS = """[
    BadRequest(field_violations=[BadRequest.FieldViolation(field="text", description="too long")]),
    ErrorInfo(reason="TAKEN", domain="test", metadata={"by": "me"}),
    RetryInfo(retry_delay=Duration(seconds=3)),
]"""
TAKEN = f"Aborted('taken: \\u00fc', details={DETAILS})"
NAMES: dict[str, object] = {
    "BadRequest": BadRequest,
    "Duration": Duration,
    "ErrorInfo": ErrorInfo,
    "RetryInfo": RetryInfo,
}


def details() -> list[Message]:
    made: list[Message] = eval(DETAILS, NAMES)
    return made


def _raising(folder: Path) -> str:
    return text(app(folder, RAISES, before=IMPORTS))


async def _unary(it: Running, code: str) -> None:
    await it.kinds.unary(Ask(text=code), timeout=30)


async def _client_stream(it: Running, code: str) -> None:
    await it.kinds.client_stream([Ask(text=code)], timeout=30)


async def _server_stream(it: Running, code: str) -> None:
    async for answer in it.kinds.server_stream(Ask(text=code), timeout=30):
        assert "first" == answer.text


async def _bidi(it: Running, code: str) -> None:
    async for answer in it.kinds.bidi([Ask(text=code)], timeout=30):
        assert "first" == answer.text


CALLS = (_unary, _client_stream, _server_stream, _bidi)


async def _error(it: Running, call: Callable[..., object], code: str) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call(it, code)  # type: ignore[misc]
    return caught.value


async def test_each_class_arrives_with_its_message_and_details(tmp_path: Path) -> None:
    async with running(tmp_path, _raising(tmp_path)) as it:
        for kind in RPC_ERRORS.values():
            error = await _error(it, _unary, f"{kind.__name__}('told', details={DETAILS})")
            assert (kind, "told", details()) == (type(error), error.message, list(error.details))
            assert Dispatch.YES == error.dispatched
        assert 1 == it.master.status()["u"].generation


async def test_each_kind_of_call_brings_the_error(tmp_path: Path) -> None:
    async with running(tmp_path, _raising(tmp_path)) as it:
        for call in CALLS:
            error = await _error(it, call, TAKEN)
            assert (Aborted, "taken: \u00fc") == (type(error), error.message)
            assert details() == list(error.details)
            assert Dispatch.YES == error.dispatched


def test_a_blocking_master_raises_the_same_error(tmp_path: Path) -> None:
    with BlockingMaster(Config.from_text(_raising(tmp_path), folder=tmp_path)) as master:
        client = master.client(Kinds)
        with pytest.raises(Aborted) as of_unary:
            client.unary(Ask(text=TAKEN), timeout=30)
        answers = client.server_stream(Ask(text=TAKEN), timeout=30)
        assert "first" == next(answers).text
        with pytest.raises(Aborted) as of_stream:
            next(answers)

    for caught in (of_unary, of_stream):
        assert "taken: \u00fc" == caught.value.message
        assert details() == list(caught.value.details)


async def test_an_error_of_the_callers_own_request_stream_stays_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        with pytest.raises(ZeroDivisionError):
            await it.kinds.client_stream((Ask(number=1 // n) for n in (1, 0)), timeout=30)
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__.strip("_"))
async def test_an_unexpected_exception_shows_an_id_and_the_log_the_rest(
    tmp_path: Path, call: Callable[..., object]
) -> None:
    async with running(tmp_path, _raising(tmp_path)) as it:
        error = await _error(it, call, "ValueError('the password is swordfish')")
        # The last records of a worker come with its end.
        await it.master.stop("u")
        lines = it.master.log("u")

    assert (Internal, ()) == (type(error), error.details)
    found = re.fullmatch(r"internal error ([0-9a-f]{16})", error.message)
    assert found, error.message
    of_ring = [
        line.text
        for line in lines
        if line.source not in ("stdout", "stderr") and found[1] in line.text
    ]
    assert 1 == len(of_ring), lines
    assert of_ring[0].startswith(f"internal error {found[1]} in /hsu.test.v1.Kinds/")
    assert "Traceback (most recent call last):" in of_ring[0]
    assert "mysvc.py" in of_ring[0]
    assert of_ring[0].rstrip().endswith("ValueError: the password is swordfish")
    # A worker that dies in the next moment has told it on stderr as well.
    of_stderr = [line.text for line in lines if line.source == "stderr"]
    assert [line for line in of_stderr if found[1] in line]
    assert "ValueError: the password is swordfish" in of_stderr


async def test_a_failed_call_neither_ends_nor_restarts_the_worker(tmp_path: Path) -> None:
    async with running(tmp_path, _raising(tmp_path)) as it:
        for code in ("NotFound('a')", "KeyError('b')", "SystemExit(3)"):
            await _error(it, _unary, code)
        error = await _error(it, _unary, "NotFound('still here')")
        assert (NotFound, "still here") == (type(error), error.message)
        assert ["starting", "ready"] == [event.kind for event in it.told]
