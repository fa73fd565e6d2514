"""grpc.health.v1: the state of a server as load balancers and probes ask for it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import grpc
import grpc.aio

from hsu_worker.errors import InvalidArgument
from hsu_worker.serving.admission import Context
from hsu_worker.serving.failures import Refused, answer_failure
from hsu_worker.serving.lazy import LazyService
from hsu_worker.serving.requests import parser

SERVICE: Final = "grpc.health.v1.Health"

#: SERVING for as long as the process answers at all, also while it drains: a liveness probe on
#: "" would kill a process that is finishing its calls.
LIVE: Final = "live"


class Health:
    """Answers Check, Watch and List. Nobody needs a token for them.

    Args:
        serving: Whether calls of an interface are answered now; None for one that isn't known.
            "" stands for all of them.

        names: The interfaces to list.

        changed: Waits until an answer may be another one.
    """

    def __init__(
        self,
        serving: Callable[[str], bool | None],
        names: Callable[[], Iterable[str]],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._serving = serving
        self._names = names
        self._changed = changed
        self._closed = False

    def handler(self) -> LazyService:
        """What the server asks for the handlers."""
        return LazyService((SERVICE,), self._build)

    def close(self) -> None:
        """Let every Watch end with its next message."""
        self._closed = True

    def _build(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        from grpc_health.v1 import health_pb2

        # Any: the messages of `List` came with a later version than the oldest that we run on.
        pb: Any = health_pb2

        statuses = {
            True: pb.HealthCheckResponse.SERVING,
            False: pb.HealthCheckResponse.NOT_SERVING,
        }

        def status(name: str) -> Any:
            answer = True if name == LIVE else self._serving(name)
            return None if answer is None else statuses[answer]

        async def check(request: Any, context: Context) -> None:
            found = status(request.service)
            if found is None:
                await context.abort(
                    grpc.StatusCode.NOT_FOUND, f"{request.service} is not served here"
                )
            await context.write(pb.HealthCheckResponse(status=found))

        async def watch(request: Any, context: Context) -> None:
            told = None
            while True:
                found = status(request.service)
                if found is None:
                    found = pb.HealthCheckResponse.SERVICE_UNKNOWN
                if found != told:
                    told = found
                    await context.write(pb.HealthCheckResponse(status=found))
                elif self._closed:
                    return
                else:
                    await self._changed()

        async def list_all(_request: Any, context: Context) -> None:
            if not hasattr(pb, "HealthListResponse"):
                await context.abort(
                    grpc.StatusCode.UNIMPLEMENTED, "List needs grpcio-health-checking 1.85"
                )
            await context.write(
                pb.HealthListResponse(
                    statuses={
                        name: pb.HealthCheckResponse(status=status(name))
                        for name in ("", LIVE, *self._names())
                    }
                )
            )

        # List's own request is empty too, and as young as its response.
        methods = {"Check": check, "Watch": watch, "List": list_all}
        return {
            path: grpc.unary_stream_rpc_method_handler(
                _answering(path, pb.HealthCheckRequest, method),
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, method in methods.items()
            if (path := f"/{SERVICE}/{name}")
        }


def _answering(
    path: str, request: Any, method: Callable[[Any, Context], Awaitable[None]]
) -> Callable[[bytes, Context], Awaitable[None]]:
    parse = parser(path, request)

    async def answer(body: bytes, context: Context) -> None:
        try:
            await method(parse(body), context)
        except InvalidArgument as error:
            await answer_failure(context, path, None, Refused(error))
        except grpc.aio.InternalError:
            # Whoever asked has left while the answer was written.
            return

    return answer
