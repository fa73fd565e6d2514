"""The fixture `run_worker`. Every pytest run of every user imports this file: it stays small."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hsu_worker.testing import BlockingWorker


@pytest.fixture
def run_worker() -> "Generator[Callable[..., BlockingWorker], None, None]":
    """Run services in this process, and call them with blocking clients.

        def test_summaries_are_short(run_worker):
            worker = run_worker(Summarizer())
            reply = worker.client(InterfaceA).summarize(SummarizeRequest(text=TEXT))

    Takes what `running_blocking` takes; may be called several times. All workers end with the test.
    """
    # Imported by the first test that asks: it brings grpc along.
    from hsu_worker.testing import running_blocking

    with ExitStack() as stack:

        def run(*services: object, **options: Any) -> "BlockingWorker":
            return stack.enter_context(running_blocking(*services, **options))

        yield run
