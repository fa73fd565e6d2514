import logging
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from hsu_worker import App, Requests, implements, lifespan
from hsu_worker.errors import AppError
from hsu_worker.gen.hsu_a import (
    InterfaceA,
    SummarizeRequest,
    SummarizeResponse,
    SummaryChunk,
)
from hsu_worker.gen.hsu_core import STATE_RUNNING, Core, GetStatusRequest, StreamLogsRequest
from hsu_worker.testing import BlockingWorker, running, running_blocking
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds, SyncKinds


class Counted(AsyncKinds):
    def __init__(self) -> None:
        self.seen: list[str] = []

    @lifespan
    def loaded(self) -> Iterator[None]:
        self.seen.append("entered")
        yield
        self.seen.append("left")


@implements(InterfaceA)
class Summarizer:
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        return SummarizeResponse(summary=request.text[:3])

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
        yield SummaryChunk(text=request.text)


async def test_lifespans_are_entered_before_and_left_after_the_block() -> None:
    service = Counted()
    async with running(service) as worker:
        inside = list(service.seen)
        status = await worker.client(Core).get_status(GetStatusRequest())

    assert inside == ["entered"]
    assert service.seen == ["entered", "left"]
    assert status.state == STATE_RUNNING


async def test_lifespans_are_left_when_the_test_fails() -> None:
    service = Counted()
    with pytest.raises(ZeroDivisionError):
        async with running(service):
            raise ZeroDivisionError

    assert service.seen == ["entered", "left"]


async def test_several_services_answer_behind_one_address() -> None:
    async with running(AsyncKinds(), Summarizer()) as worker:
        answer = await worker.client(Kinds).unary(Ask(text="a"))
        summary = await worker.client(InterfaceA).summarize(SummarizeRequest(text="abcdef"))

    assert (answer.text, summary.summary) == ("a", "abc")


async def test_an_app_is_served_as_it_is() -> None:
    app = App(AsyncKinds(), name="mine")
    async with running(app) as worker:
        assert worker.app is app


async def test_the_socket_is_in_a_private_folder_that_goes_away() -> None:
    async with running(AsyncKinds()) as worker:
        folder = Path(worker.address.path).parent
        mode = stat.S_IMODE(folder.stat().st_mode)

    assert mode == 0o700
    assert not folder.exists()


async def test_what_a_lifespan_raises_is_raised_in_the_test() -> None:
    class Failing(AsyncKinds):
        @lifespan
        def loaded(self) -> Iterator[None]:
            Path("no model").read_bytes()
            yield

    with pytest.raises(FileNotFoundError, match="no model"):
        async with running(Failing()):
            pass


@implements(InterfaceA)
class Leaking(Summarizer):
    @lifespan
    async def loaded(self) -> AsyncIterator[None]:
        yield
        raise RuntimeError("not released")


async def test_what_a_lifespan_raises_when_it_is_left_is_raised_in_the_test() -> None:
    with pytest.raises(RuntimeError, match="not released"):
        async with running(Leaking()):
            pass


async def test_a_test_that_fails_says_why_it_did_and_nothing_else() -> None:
    with pytest.raises(ZeroDivisionError):
        async with running(Leaking()):
            raise ZeroDivisionError


async def test_a_class_instead_of_an_instance_is_refused() -> None:
    with pytest.raises(AppError):
        async with running(AsyncKinds):
            pass


async def test_log_records_can_be_read_as_from_any_worker() -> None:
    async with running(AsyncKinds()) as worker:
        logging.getLogger("mine").warning("careful", extra={"n": 1})
        records = [
            record
            async for response in worker.client(Core).stream_logs(StreamLogsRequest(logger="mine"))
            for record in response.records
        ]

    assert [(record.message, dict(record.fields)) for record in records] == [
        ("careful", {"n": "1"})
    ]


async def test_no_handler_stays_at_the_root_logger() -> None:
    before = list(logging.getLogger().handlers)
    async with running(AsyncKinds()):
        pass

    assert logging.getLogger().handlers == before


def test_a_synchronous_test_uses_blocking_clients() -> None:
    service = Counted()
    with running_blocking(service) as worker:
        client = worker.client(Kinds)
        one = client.unary(Ask(text="a"))
        all_ = client.client_stream(Ask(text=text) for text in "abc")
        several = [answer.number for answer in client.server_stream(Ask(number=3))]
        both = [answer.text for answer in client.bidi([Ask(text="x"), Ask(text="y")])]

    assert (one.text, all_.text, several, both) == ("a", "a b c", [0, 1, 2], ["x", "y"])
    assert service.seen == ["entered", "left"]


def test_a_synchronous_test_that_leaves_a_stream_early_ends() -> None:
    class Endless(SyncKinds):
        def server_stream(self, request: Ask) -> Iterator[Answer]:
            while True:
                yield Answer()

    with running_blocking(Endless()) as worker:
        for _ in worker.client(Kinds).server_stream(Ask()):
            break


def test_the_fixture_runs_several_workers(run_worker: Callable[..., BlockingWorker]) -> None:
    first, second = run_worker(AsyncKinds()), run_worker(SyncKinds())

    assert first.address != second.address
    assert first.client(Kinds).unary(Ask(text="a")).text == "a"
    assert second.client(Kinds).unary(Ask(text="b")).text == "b"


def test_the_plugin_brings_no_grpc_along() -> None:
    code = (
        "import sys, hsu_worker.pytest_plugin\n"
        "print([name for name in ('grpc', 'hsu_worker.serving', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_fixture_works_in_a_users_test_without_any_setting(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from hsu_worker import implements\n"
        "from hsu_worker.gen.hsu_a import *\n"
        "@implements(InterfaceA)\n"
        "class Summarizer:\n"
        "    def summarize(self, request):\n"
        "        return SummarizeResponse(summary=request.text)\n"
        "    def stream_summary(self, request):\n"
        "        yield SummaryChunk()\n"
        "def test_it(run_worker):\n"
        "    client = run_worker(Summarizer()).client(InterfaceA)\n"
        "    assert client.summarize(SummarizeRequest(text='a')).summary == 'a'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


async def test_a_handler_can_be_tested_by_calling_it() -> None:
    async def asks() -> AsyncIterator[Ask]:
        yield Ask(text="a")

    requests: Requests[Ask] = asks()  # type: ignore[assignment]
    assert (await AsyncKinds().client_stream(requests)).number == 1
