"""The Rust HSU by itself: against the kit, and where the kit doesn't look."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from hsu_worker.conformance import Level, Outcome, Report, check, command
from hsu_worker.errors import InvalidArgument, Unavailable
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest, SummarizeResponse
from hsu_worker.gen.hsu_b import Document, IngestRequest, InterfaceB, InterfaceBClient
from hsu_worker.gen.hsu_core import (
    HandshakeRequest,
    PingRequest,
    ShutdownRequest,
    StreamLogsRequest,
)
from tests.languages.launch import launched
from tests.languages.rust.built import WORKER

COMMAND = (str(WORKER),)
TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)
#: It takes seconds: sentences that all share their words.
LONG = SummarizeRequest(text=f"All of it is {' '.join(f'word{i}' for i in range(200))}. " * 2_000)


def with_index(folder: Path) -> tuple[str, ...]:
    """The command, with an index of its own."""
    return ("env", f"HSU_B_INDEX={folder}/index.sqlite3", *COMMAND)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What the kit says of it."""
    folder = tmp_path_factory.mktemp("rust")
    index = {"HSU_B_INDEX": str(folder / "index.sqlite3")}
    return asyncio.run(check(command(list(COMMAND), cwd=folder, env=index)))


@pytest.mark.timeout(300)
def test_the_kit_finds_nothing_that_is_wrong(report: Report) -> None:
    assert report.passes(Level.SHOULD), str(report)


def test_the_kit_leaves_out_only_what_it_has_to_be_helped_with(report: Report) -> None:
    assert [
        "children-environment",
        "health-list",
        "log-dropped",
        "output-flood",
        "start-failed",
        "start-progress",
        "stop-abandons",
        "stuck-release",
        "while-starting",
    ] == sorted(each.check.id for each in report.of(Outcome.SKIPPED))


async def test_it_says_who_it_is_and_what_it_offers(tmp_path: Path) -> None:
    async with launched(tmp_path, with_index(tmp_path)) as worker:
        told = await worker.core.handshake(HandshakeRequest(contract_version=1))
        assert ("hsu-abc-service", "0.1.0", "rust") == (told.name, told.version, told.language)
        assert [(each.name, each.fingerprint) for each in (InterfaceA, InterfaceB)] == [
            (each.name, each.fingerprint) for each in told.interfaces
        ]


async def test_its_log_is_followed_to_its_last_record(tmp_path: Path) -> None:
    async with launched(tmp_path, with_index(tmp_path)) as worker:
        await worker.start()
        logs = worker.core.stream_logs(StreamLogsRequest(follow=True))
        assert 1 == (await anext(logs)).window.oldest
        await worker.core.shutdown(ShutdownRequest())
        records = [record async for message in logs for record in message.records]
        assert list(range(1, len(records) + 1)) == [record.sequence for record in records]
        assert ("hsu.serve", "left") == (records[-1].logger, records[-1].message)
        assert 0 == await worker.exit_code()


async def test_a_stream_of_documents_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    async with launched(tmp_path, with_index(tmp_path)) as worker:
        await worker.start()
        b = InterfaceBClient(worker.connection)
        with pytest.raises(InvalidArgument, match=r"document\.id: empty in message 2"):
            await b.ingest([_document("a"), _document("")])
        assert 2 == (await b.ingest([_document("a"), _document("b")])).added


def _document(id_: str) -> IngestRequest:
    return IngestRequest(document=Document(id=id_, title="T", text="x" * 700_000))


async def test_a_call_that_takes_longer_than_the_grace_is_cut_off(tmp_path: Path) -> None:
    async with launched(tmp_path, with_index(tmp_path)) as worker:
        await worker.start()
        a = InterfaceAClient(worker.connection)
        slow = [asyncio.ensure_future(a.summarize(LONG)) for _ in range(16)]
        while (await worker.core.ping(PingRequest())).calls_in_flight < len(slow):
            assert not any(call.done() for call in slow)
        await worker.core.shutdown(ShutdownRequest(grace=Duration()))
        assert 0 == await worker.exit_code()
        for ended in await asyncio.gather(*slow, return_exceptions=True):
            # One that had not been read yet was made again, and found nobody.
            assert isinstance(ended, SummarizeResponse | Unavailable)


@pytest.mark.parametrize(
    ("variables", "arguments", "code", "problem"),
    [
        ({"HSU_INSTANCE": "x"}, [], 3, 'HSU_INSTANCE="x": not 32 hex digits in lower case'),
        ({}, ["--listen", "unix:x"], 3, 'address "unix:x": the path is not absolute'),
        ({}, ["--listen", "tcp:0.0.0.0:0"], 3, "others in the network could read and make calls"),
        ({"HSU_B_INDEX": "/dev/null/x"}, [], 3, "the start failed: index /dev/null/x: "),
        ({}, ["--nonsense"], 2, "unexpected argument '--nonsense'"),
        ({}, ["more"], 2, "unexpected argument 'more'"),
    ],
)
def test_what_it_can_not_work_with_ends_it_with_a_reason(
    variables: dict[str, str], arguments: list[str], code: int, problem: str
) -> None:
    ran = subprocess.run(
        [*COMMAND, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    assert (code, "") == (ran.returncode, ran.stdout), ran.stderr
    assert problem in ran.stderr
    assert "panicked" not in ran.stderr
