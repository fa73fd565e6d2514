"""From the path of a call to the method that answers it."""

from typing import Any

import grpc

from hsu_worker.errors import Unimplemented
from hsu_worker.interface import AnyInterface
from hsu_worker.serving.admission import Context, Gate, admission, always_open, stranger
from hsu_worker.serving.calls import Calls
from hsu_worker.serving.failures import Refused, answer_failure
from hsu_worker.serving.handlers import RpcHandler, Served
from hsu_worker.serving.slots import Slots
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
    """

    def __init__(self, *, token: str = "", limits: Limits) -> None:
        self.token = token
        self.limits = limits
        self.slots = Slots(limits)
        self.calls = Calls()
        #: Calls of the framework's own interfaces; they hold nothing up.
        self.own_calls = Calls()
        self._interfaces: list[AnyInterface] = []
        self._handlers: dict[str, RpcHandler] = {}

    def add(self, interface: AnyInterface, service: object, *, gate: Gate = always_open) -> None:
        """Serve an interface: its calls are counted, take slots, and stand behind `gate`."""
        self._add(interface, service, gate=gate, calls=self.calls)

    def add_own(self, interface: AnyInterface, service: object) -> None:
        """Serve an interface of the framework itself, in every state, beside the slots."""
        self._add(interface, service, gate=always_open, calls=self.own_calls)

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

    def _add(self, interface: AnyInterface, service: object, *, gate: Gate, calls: Calls) -> None:
        self._interfaces.append(interface)
        for method in interface.methods.values():
            served = Served(
                method=method,
                function=getattr(service, method.handler),
                admit=admission(interface, method, gate=gate, calls=calls),
                calls=calls,
                slots=self.slots,
                limited=calls is self.calls,
                message_bytes=self.limits.message_bytes,
            )
            if not served.is_async:
                self.slots.use_threads()
            self._handlers[method.path] = served.rpc_handler()

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
