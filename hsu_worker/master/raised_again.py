"""One failure for many who wait: each raises an exception of its own."""

from hsu_worker.errors import RpcError, StartError


def same_error(error: RpcError) -> RpcError:
    """The same error once more: one exception raised by many callers would collect their frames."""
    if isinstance(error, StartError):
        return StartError(error.message, details=error.details)
    return type(error)(error.message, details=error.details, dispatched=error.dispatched)
