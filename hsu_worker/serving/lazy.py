"""Services that most processes never need, imported by the first call to them."""

import logging
from collections.abc import Callable
from typing import Any

import grpc

log = logging.getLogger(__name__)

#: Makes the handlers of a service, by path.
Build = Callable[[], "dict[str, grpc.RpcMethodHandler[Any, Any]]"]


class LazyService(grpc.GenericRpcHandler):
    """Answers for some services, and makes their handlers when the first call comes.

    Args:
        services: Full names, such as "grpc.health.v1.Health".

        build: Imports what is needed and returns the handlers by path.
    """

    def __init__(self, services: tuple[str, ...], build: Build) -> None:
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._build = build
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] | None = None

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of one call, as grpc asks for it; None when it is not for us."""
        path = handler_call_details.method
        if not path.startswith(self._prefixes):
            return None
        if self._handlers is None:
            try:
                self._handlers = self._build()
            except Exception:
                # grpc would send the exception's text to the caller.
                log.exception("%s can't be served", path)
                self._handlers = {}
        return self._handlers.get(path)
