"""The call that is being handled, and the start that is being made."""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final, TypeAlias, cast

from hsu_worker.interface import AnyInterface, Method
from hsu_worker.wire.metadata import IDENTIFIED

#: Takes how much of a start is done, from 0 to 1, and what is being done.
ProgressReport: TypeAlias = Callable[[float, str], None]


class Call:
    """One call of one method, as its handler may see it.

    Handlers get it from `current_call()`.
    """

    __slots__ = ("_cancelled", "_id", "_metadata", "deadline", "interface", "method", "peer")

    def __init__(
        self,
        *,
        interface: AnyInterface,
        method: Method,
        metadata: Mapping[str, str | bytes],
        peer: str,
        deadline: float | None,
        id: str,  # noqa: A002  the word that everybody looks for
    ) -> None:
        self.interface = interface
        self.method = method
        self._metadata = metadata
        self.peer = peer
        """Who calls, as grpc writes it: `unix:` or `ipv4:127.0.0.1:40312`."""
        self.deadline = deadline
        """In `time.monotonic()` seconds; None when the caller set none."""
        self._id = id
        self._cancelled = False

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """What the caller sent along, without the token."""
        return self._metadata

    @property
    def id(self) -> str:
        """The same in the caller's errors, in the log, and in calls that the handler makes."""
        return self._id

    @property
    def cancelled(self) -> bool:
        """The caller has gone, or the deadline has passed; a sync handler should look now and then."""
        return self._cancelled

    @property
    def time_remaining(self) -> float | None:
        """Seconds to the deadline, 0 when it has passed; None when there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def cancel(self) -> None:
        """Note that nobody waits for the answer any more. Called by the dispatch."""
        self._cancelled = True


#: What the wire knows as something that has an id.
CURRENT_CALL: Final = cast("ContextVar[Call]", IDENTIFIED)
PROGRESS: ContextVar[ProgressReport] = ContextVar("hsu_progress")


def current_call() -> Call:
    """The call that this handler handles; in its threads too.

        async def summarize(self, request):
            log.info("called by %s", current_call().peer)

    Raises:
        LookupError: No call is being handled here, as in a lifespan or in a test that calls the
            handler by itself.
    """
    try:
        return CURRENT_CALL.get()
    except LookupError:
        raise LookupError(
            "current_call() outside a call: it works in handlers and what they run"
        ) from None


def report_progress(fraction: float, text: str = "") -> None:
    """Tell the master how far a long start is; each report also extends the time it may take.

        @lifespan
        def loaded(self):
            for i, shard in enumerate(shards):
                report_progress(i / len(shards), f"loading {shard.name}")

    Outside a lifespan that a worker runs it does nothing.

    Args:
        fraction: From 0 to 1; what lies outside is moved to the nearest of the two.

        text: What is being done.
    """
    report = PROGRESS.get(None)
    if report is not None:
        report(min(1.0, max(0.0, fraction)), text)
