"""From the path of a call to the method that answers it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import grpc.aio

from hsu_worker.errors import Unimplemented
from hsu_worker.interface import AnyInterface
from hsu_worker.serving.admission import Context, Gate, admission, always_open, stranger
from hsu_worker.serving.calls import Calls
from hsu_worker.serving.failures import Refused, answer_failure
from hsu_worker.serving.handlers import RpcHandler, Served, is_async
from hsu_worker.serving.intercepted import intercepted
from hsu_worker.serving.slots import Slots
from hsu_worker.serving.validation import check_of
from hsu_worker.wire.chain import cycle, waits_for_itself
from hsu_worker.wire.limits import Limits
from hsu_worker.wire.metadata import presents


class Dispatcher(grpc.GenericRpcHandler):
    """All methods that a server serves.

        dispatcher = Dispatcher(token=token, limits=Limits())
        dispatcher.add(InterfaceA, Summarizer(), gate=lifecycle.gate)

    The token is checked before a handler is chosen: of a stranger's call no body is even received.

    Args:
        token: What every call must present; empty: nothing.

        limits: What is accepted at the most.

        unit: The unit that this serves; empty when it is none.
    """

    def __init__(self, *, token: str = "", limits: Limits, unit: str = "") -> None:
        self.token = token
        self.unit = unit
        self.limits = limits
        self.calls = Calls()
        self.slots = Slots(limits, self.calls)
        #: Calls of the framework's own interfaces; they hold nothing up.
        self.own_calls = Calls()
        self._interfaces: list[AnyInterface] = []
        self._handlers: dict[str, RpcHandler] = {}

    def add(
        self,
        interface: AnyInterface,
        service: object,
        *,
        gate: Gate = always_open,
        validate: bool = True,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        """Serve an interface: its calls are counted, take slots, and stand behind `gate`.

        Args:
            interface: What to serve.

            service: Answers its calls.

            gate: Says why calls are refused now.

            validate: Requests have to keep the rules of buf.validate in their `.proto`.

            interceptors: What each call goes through; the first is the outermost.

        Raises:
            AppError: A rule is malformed.
        """
        for served in self._methods(interface, service, gate=gate, calls=self.calls):
            if validate:
                served = replace(served, check=check_of(served.method))
            if interceptors:
                served = intercepted(served, interceptors, keep_token=bool(self.token))
            self._handlers[served.method.path] = served.rpc_handler()

    def add_own(self, interface: AnyInterface, service: object) -> None:
        """Serve an interface of the framework itself, in every state, beside the slots."""
        for served in self._methods(interface, service, gate=always_open, calls=self.own_calls):
            self._handlers[served.method.path] = served.rpc_handler()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> RpcHandler:
        """The handler of one call, as grpc asks for it."""
        path = handler_call_details.method
        try:
            self.authenticate(handler_call_details.invocation_metadata)
        except Refused as refusal:
            return _refusing(path, refusal)
        # Whoever has no token learns nothing of what is served.
        return self._handlers.get(path) or _refusing(
            path, Refused(Unimplemented(self._no_such_method(path)))
        )

    def authenticate(self, metadata: Any) -> None:
        """Let nobody in without the token; with an empty token everybody gets in.

        Raises:
            Refused: The token is missing or wrong.
        """
        if self.token and not presents(metadata, self.token):
            raise stranger()

    def _methods(
        self, interface: AnyInterface, service: object, *, gate: Gate, calls: Calls
    ) -> Iterator[Served]:
        self._interfaces.append(interface)
        for method in interface.methods.values():
            function = getattr(service, method.handler)
            served = Served(
                method=method,
                function=function,
                admit=admission(
                    interface,
                    method,
                    gate=gate,
                    refuse_cycle=partial(self._refuse_cycle, in_thread=not is_async(function)),
                    calls=calls,
                ),
                calls=calls,
                slots=self.slots,
                limited=calls is self.calls,
                message_bytes=self.limits.message_bytes,
            )
            if not served.is_async:
                self.slots.use_threads()
            yield served

    def _refuse_cycle(self, chain: str, *, in_thread: bool) -> None:
        way = cycle(chain, self.unit)
        if way and self.slots.would_wait(in_thread=in_thread):
            what = "threads" if in_thread else "concurrent_calls"
            cure = f"raise App(limits=Limits({what}=...)), or call without waiting for the answer"
            raise Refused(waits_for_itself(self.unit, way, cure))

    def _no_such_method(self, path: str) -> str:
        service, _, name = path.removeprefix("/").rpartition("/")
        for interface in self._interfaces:
            if interface.name == service:
                names = ", ".join(method.name for method in interface.methods.values())
                return f"{service} has no method {name}; it has {names}"
        served = ", ".join(interface.name for interface in self._interfaces)
        return f"{service} is not served here; served are {served}"


def _refusing(path: str, refusal: Refused) -> RpcHandler:
    """Answers without having read anything, whatever the kind of the call is."""

    async def handle(_requests: Any, context: Context) -> None:
        await answer_failure(context, path, None, refusal)

    return grpc.stream_stream_rpc_method_handler(handle)
