"""Server interceptors of grpc.aio around the handlers of one method.

They run inside the dispatch: after the token, the state and the parsing, so that they see messages,
and `current_call()` tells them of the call; before the rules of buf.validate and the slot.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message

from hsu_worker.errors import InvalidArgument, Unimplemented
from hsu_worker.interface import Method
from hsu_worker.serving.admission import Context
from hsu_worker.serving.calls import ServedCall
from hsu_worker.serving.failures import Refused
from hsu_worker.serving.handlers import RpcHandler, Served, make_handler, responder
from hsu_worker.serving.requests import PassedRequests
from hsu_worker.wire.metadata import AUTHORIZATION

#: The context of the call that is being handled, as its interceptors see it.
_CONTEXT: ContextVar["_Context"] = ContextVar("hsu_servicer_context")

_BEHAVIOURS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def intercepted(
    served: Served, interceptors: Sequence[grpc.aio.ServerInterceptor], *, keep_token: bool
) -> Served:
    """The same method, answered through interceptors; the first is the outermost.

    Args:
        served: The method.

        interceptors: As `grpc.aio.server` takes them.

        keep_token: Nobody but this server may read the metadata `authorization`: it is the token.
    """
    method = served.method
    name = _BEHAVIOURS[method.client_streaming, method.server_streaming]
    inner = _inner(served)

    async def found(_details: Any) -> RpcHandler:
        return inner

    select: Callable[[Any], Awaitable[RpcHandler | None]] = found
    for interceptor in reversed(interceptors):
        select = partial(interceptor.intercept_service, select)

    def admit(context: Context) -> ServedCall:
        call = served.admit(context)
        _CONTEXT.set(_Context(context, method, keep_token=keep_token))
        return call

    async def begun(request: Any) -> Any:
        context = _CONTEXT.get()
        handler = await select(_CallDetails(method.path, context.invocation_metadata()))
        if handler is None:
            raise Unimplemented(f"an interceptor found no handler for {method.path}")
        behaviour = getattr(handler, name)
        if behaviour is None:
            raise TypeError(f"an interceptor gave {method.path} a handler without {name}")
        return behaviour(request, context)

    async def answer(request: Any) -> Any:
        response = await begun(request)
        return await response if inspect.isawaitable(response) else response

    async def answers(request: Any) -> AsyncGenerator[Any, None]:
        responses = await begun(request)
        if inspect.isawaitable(responses):
            # It calls context.write.
            await responses
        elif isinstance(responses, Iterator):
            for response in responses:
                yield response
        else:
            async with aclosing(responses):
                async for response in responses:
                    yield response

    return replace(
        served,
        function=answers if method.server_streaming else answer,
        admit=admit,
        # What the inner handler does must not be done twice.
        limited=False,
        check=served.check if method.client_streaming else None,
    )


def _inner(served: Served) -> RpcHandler:
    """What interceptors get from `continuation`: a handler of messages."""
    method, slot, respond = served.method, served.slot(), responder(served)

    def received(request: Any) -> Any:
        if method.client_streaming:
            return PassedRequests.of(request, method)
        if served.check is not None:
            try:
                served.check(request)
            except InvalidArgument as error:
                raise Refused(error) from None
        return request

    async def one(request: Any, _context: Any) -> Any:
        request = received(request)
        async with slot:
            return await respond(request)

    async def several(request: Any, _context: Any) -> AsyncGenerator[Any, None]:
        request = received(request)
        async with slot, aclosing(respond(request)) as responses:
            async for response in responses:
                yield response

    return make_handler(
        method,
        several if method.server_streaming else one,
        request_deserializer=method.request.FromString,
        response_serializer=_serialize,
    )


@dataclass
class _CallDetails(grpc.HandlerCallDetails):
    """What interceptors are told of a call."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...]


class _Context:
    """grpc's context of a call, for messages instead of bytes."""

    def __init__(self, context: Context, method: Method, *, keep_token: bool) -> None:
        self._context = context
        self._parse = method.request.FromString
        self._keep_token = keep_token

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What the caller sent along."""
        metadata: Any = self._context.invocation_metadata() or ()
        if self._keep_token:
            return tuple(pair for pair in metadata if pair[0] != AUTHORIZATION)
        return tuple(metadata)

    async def read(self) -> Any:
        """The next request."""
        body: Any = await self._context.read()
        return body if body is grpc.aio.EOF else self._parse(body)

    async def write(self, message: Message) -> None:
        """Send an answer."""
        await self._context.write(message.SerializeToString())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
