"""What a caller reads when a call fails, and what only the log does."""

import asyncio
import logging
from typing import Any, NoReturn

import grpc.aio

from hsu_worker.errors import Dispatch, Internal, RpcError, Unavailable
from hsu_worker.serving.calls import ServedCall
from hsu_worker.serving.tracebacks import without_ours
from hsu_worker.wire.status import error_info, to_status

log = logging.getLogger(__name__)


class Refused(Exception):
    """The call ends before any handler has seen it."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.message)
        error.dispatched = Dispatch.NO
        self.error = error


def not_running(state: str) -> Unavailable:
    """The answer to a call while the worker is not RUNNING."""
    reason = "DRAINING" if state == "DRAINING" else "NOT_RUNNING"
    return Unavailable(
        f"the worker is {state}, and answers calls in RUNNING only",
        details=[error_info(reason, state=state)],
        dispatched=Dispatch.NO,
    )


async def answer_failure(
    context: "grpc.aio.ServicerContext[Any, Any]",
    path: str,
    call: ServedCall | None,
    failure: BaseException,
) -> NoReturn:
    """End a call with the status that belongs to `failure`.

    Raises:
        BaseException: Always: grpc's own AbortError, or the CancelledError of a caller who left.
    """
    match failure:
        case Refused():
            error = failure.error
        case RpcError():
            # Also when it comes from a call that the handler made: this one did reach a handler.
            error = failure
            error.dispatched = Dispatch.YES
        case asyncio.CancelledError() if call is not None and call.cut_off:
            error = Unavailable(call.cut_off, details=[error_info("CUT_OFF")])
        case asyncio.CancelledError() if call is None or call.cancelled:
            # The caller has left. Otherwise something inside the handler was cancelled: a bug.
            raise failure
        case KeyboardInterrupt() | grpc.aio.AbortError():
            # An interceptor that calls context.abort has answered by that.
            raise failure
        case GeneratorExit() if call is None or asyncio.current_task() is not call.task:
            # Our own coroutine is being closed. Within its task only a handler raises this.
            raise failure
        case _:
            error = _internal(path, call, failure)
    await context.abort(*to_status(error))
    raise AssertionError("abort raises")


def _internal(path: str, call: ServedCall | None, failure: BaseException) -> Internal:
    call_id = call.id if call else "-"
    log.error("internal error %s in %s", call_id, path, exc_info=without_ours(failure))
    return Internal(f"internal error {call_id}")
