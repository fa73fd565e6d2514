"""What grpc calls for one method: bytes in, the author's function, bytes out."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

from hsu_worker.authoring.mistake import mistake
from hsu_worker.errors import InvalidArgument, ResourceExhausted
from hsu_worker.interface import Method
from hsu_worker.serving.admission import Admit, Context
from hsu_worker.serving.calls import Calls, ServedCall
from hsu_worker.serving.failures import Refused, answer_failure
from hsu_worker.serving.requests import RequestStream, parser
from hsu_worker.serving.slots import Slots, Unlimited
from hsu_worker.serving.validation import Check
from hsu_worker.wire.status import error_info

RpcHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_MAKE: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_END = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One method and all that its calls need."""

    method: Method
    function: Callable[[Any], Any]
    admit: Admit
    calls: Calls
    slots: Slots
    limited: bool
    """Its calls take slots, as users' calls do."""
    message_bytes: int
    check: Check | None = None
    """What each request has to pass; None: anything will do."""

    @property
    def is_async(self) -> bool:
        """The function is `async def`, and runs on the loop."""
        return is_async(self.function)

    def rpc_handler(self) -> RpcHandler:
        """The closure for this method, as grpc takes it.

        A closure and no interceptors: those cost a tenth of a call.
        """
        handle = _stream_handler(self) if self.method.server_streaming else _unary_handler(self)
        return make_handler(self.method, handle)

    def slot(self) -> asyncio.Semaphore:
        """What an asynchronous call holds while it runs; threads are taken step by step."""
        return self.slots.concurrent if self.limited and self.is_async else Unlimited()


def is_async(function: Callable[..., Any]) -> bool:
    """A handler that runs on the loop, and not in a thread."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def make_handler(method: Method, behaviour: Callable[..., Any], **codecs: Any) -> RpcHandler:
    """Grpc's handler for the kind of a method; without codecs it takes and gives bytes."""
    kind = (method.client_streaming, method.server_streaming)
    handler: RpcHandler = _MAKE[kind](behaviour, **codecs)
    return handler


def responder(served: Served) -> Callable[[Any], Any]:
    """From the request to a coroutine, or to an async generator, whatever the author wrote."""
    if served.is_async:
        return served.function
    return _in_threads(served) if served.method.server_streaming else _in_thread(served)


def _unary_handler(served: Served) -> Callable[[Any, Context], Any]:
    admit, end, slot = served.admit, served.calls.end, served.slot()
    receive, respond, serialize = _receiver(served), responder(served), _serializer(served)
    # `async with` would make two coroutines more for each call.
    acquire, release = slot.acquire, slot.release

    async def handle(body: Any, context: Context) -> bytes:
        call: ServedCall | None = None
        try:
            call = admit(context)
            request = receive(body, context, call)
            await acquire()
            try:
                response = await respond(request)
            finally:
                release()
            return serialize(response)
        except BaseException as failure:
            await answer_failure(context, served.method.path, call, failure)
        finally:
            if call is not None:
                end(call)

    return handle


def _stream_handler(served: Served) -> Callable[[Any, Context], Any]:
    admit, end, slot = served.admit, served.calls.end, served.slot()
    receive, respond, serialize = _receiver(served), responder(served), _serializer(served)

    async def handle(body: Any, context: Context) -> None:
        call: ServedCall | None = None
        try:
            call = admit(context)
            request = receive(body, context, call)
            async with slot:
                responses = respond(request)
                opened = False
                try:
                    async for response in responses:
                        write = context.write(serialize(response))
                        try:
                            await (write if opened else call.open(write))
                        except grpc.aio.InternalError:
                            # What can't be delivered has nobody who waits for it.
                            call.cancel()
                            raise asyncio.CancelledError from None
                        opened = True
                finally:
                    # The caller may have left: without this the handler's `finally` runs whenever.
                    await responses.aclose()
        except BaseException as failure:
            await answer_failure(context, served.method.path, call, failure)
        finally:
            if call is not None:
                end(call)

    return handle


def _in_thread(served: Served) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    function, run = served.function, served.slots.run

    async def respond(request: Any) -> Any:
        response = await run(copy_context(), function, request)
        # A plain `def` may return what an `async def` gave it.
        return await response if inspect.isawaitable(response) else response

    return respond


def _in_threads(served: Served) -> Callable[[Any], AsyncGenerator[Any, None]]:
    """Step a synchronous generator in the pool, always under the same context.

    grpc.aio's own way drops the context, and never closes a generator whose caller has left.
    """
    function, run = served.function, served.slots.run

    async def respond(request: Any) -> AsyncGenerator[Any, None]:
        context = copy_context()
        responses = await run(context, function, request)
        if isinstance(responses, AsyncIterator):
            # A plain `def` that returns what an async generator function gave it.
            try:
                async for response in responses:
                    yield response
            finally:
                if isinstance(responses, AsyncGenerator):
                    await responses.aclose()
            return
        if not isinstance(responses, Iterable):
            raise mistake(
                TypeError(
                    f"the handler of {served.method.path} answered with "
                    f"{type(responses).__qualname__}; "
                    f"expected an iterator of {served.method.response.__qualname__}"
                )
            )
        iterator: Any = iter(responses)
        try:
            while (response := await run(context, next, iterator, _END)) is not _END:
                yield response
        finally:
            if hasattr(iterator, "close"):
                await run(context, iterator.close)

    return respond


def _receiver(served: Served) -> Callable[[Any, Context, ServedCall], Any]:
    method, check = served.method, served.check
    parse = parser(method.path, method.request)

    parse_each = parse if check is None else _checked(parse, check)

    def parse_first(body: bytes, _context: Context, _call: ServedCall) -> Message:
        try:
            return parse_each(body)
        except InvalidArgument as error:
            raise Refused(error) from None

    if method.client_streaming:
        return lambda _body, context, call: RequestStream(context, call, parse_each)
    return parse_first


def _checked(parse: Callable[[bytes], Message], check: Check) -> Callable[[bytes], Message]:
    def parse_valid(body: bytes) -> Message:
        request = parse(body)
        check(request)
        return request

    return parse_valid


def _serializer(served: Served) -> Callable[[Any], bytes]:
    path, expected, most = served.method.path, served.method.response, served.message_bytes

    def serialize(response: Any) -> bytes:
        if not isinstance(response, expected):
            raise mistake(
                TypeError(
                    f"the handler of {path} answered with {type(response).__qualname__}; "
                    f"expected {expected.__qualname__}{_hint(response)}"
                )
            )
        body = response.SerializeToString()
        if len(body) > most:
            raise ResourceExhausted(
                f"the response of {path} has {len(body)} bytes, {most} are possible: "
                "send less, or raise App(limits=Limits(message_bytes=...))",
                details=[error_info("RESPONSE_TOO_LARGE")],
            )
        return body

    return serialize


def _hint(answer: object) -> str:
    """What probably led to an answer of the wrong type."""
    if inspect.isawaitable(answer):
        return "; `await` it before it is returned"
    return "; does every way through it return one?" if answer is None else ""
