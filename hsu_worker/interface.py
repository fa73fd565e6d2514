"""What an interface is: a name, methods, message types, a fingerprint, and the clients for it."""

import asyncio
import hashlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

T_co = TypeVar("T_co", covariant=True)
ImplementsT_co = TypeVar("ImplementsT_co", covariant=True)
ClientT_co = TypeVar("ClientT_co", covariant=True)
BlockingClientT_co = TypeVar("BlockingClientT_co", covariant=True)

_T = TypeVar("_T")

#: What a handler that answers with one message may return: the message, or (async def) a promise of it.
Reply: TypeAlias = Awaitable[_T] | _T

#: What a handler that answers with a stream may return: an async generator or a generator.
ReplyStream: TypeAlias = AsyncIterator[_T] | Iterator[_T]


class Requests(AsyncIterator[T_co], Iterator[T_co]):
    """The requests of a stream, for an async handler (`async for`) and for a sync one (`for`).

    Iterating it with `for` on the event loop's thread would block the loop for ever, so that
    raises RuntimeError, with the cure.
    """

    @abstractmethod
    async def __anext__(self) -> T_co: ...

    @abstractmethod
    def __next__(self) -> T_co: ...

    def __aiter__(self) -> "Requests[T_co]":
        return self

    def __iter__(self) -> "Requests[T_co]":
        return self


def refuse_blocking(what: str) -> None:
    """Raise RuntimeError if called on a thread that runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{what} would block the event loop; write `async for` instead of `for`, "
        "or make the handler a plain `def`"
    )


def check_interface(given: object) -> None:
    """Whoever passes a client class, a name or a message is told what to pass.

    Raises:
        TypeError: It is no interface.
    """
    if not isinstance(given, Interface):
        name = getattr(given, "__name__", repr(given))
        raise TypeError(
            f"{name} is no interface; pass the one that `hsu-worker gen` made, such as InterfaceA"
        )


def snake_case(name: str) -> str:
    """The Python name of a method: `StreamSummary` → `stream_summary`, `GetHTTPInfo` → `get_http_info`."""
    out: list[str] = []
    for i, char in enumerate(name):
        after_lower = i > 0 and (name[i - 1].islower() or name[i - 1].isdigit())
        ends_acronym = 0 < i < len(name) - 1 and name[i - 1].isupper() and name[i + 1].islower()
        if char.isupper() and (after_lower or ends_acronym) and out[-1] != "_":
            out.append("_")
        out.append(char.lower())
    return "".join(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of an interface, as its descriptor says."""

    name: str
    """As in the `.proto`: `StreamSummary`."""
    handler: str
    """The Python name: `stream_summary`."""
    path: str
    """`/hsu.a.v1.InterfaceA/StreamSummary`."""
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    idempotent: bool
    """The `.proto` says NO_SIDE_EFFECTS or IDEMPOTENT: running it twice does no harm."""

    @classmethod
    def of(
        cls, descriptor: MethodDescriptor, *, service: str = "", idempotent: bool = False
    ) -> "Method":
        """The method that a descriptor describes.

        Args:
            descriptor: From any pool.

            service: The full name of a service that has the same method; empty: its own.

            idempotent: It is, whatever the `.proto` says.
        """
        return cls(
            name=descriptor.name,
            handler=snake_case(descriptor.name),
            path=f"/{service or descriptor.containing_service.full_name}/{descriptor.name}",
            request=GetMessageClass(descriptor.input_type),
            response=GetMessageClass(descriptor.output_type),
            client_streaming=descriptor.client_streaming,
            server_streaming=descriptor.server_streaming,
            idempotent=idempotent
            or descriptor.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
        )

    @property
    def kind(self) -> str:
        """`unary`, `client stream`, `server stream` or `bidirectional stream`."""
        return kind_of(self.client_streaming, self.server_streaming)


def kind_of(client_streaming: bool, server_streaming: bool) -> str:
    """See `Method.kind`."""
    return {
        (False, False): "unary",
        (True, False): "client stream",
        (False, True): "server stream",
        (True, True): "bidirectional stream",
    }[client_streaming, server_streaming]


class Interface(Generic[ImplementsT_co, ClientT_co, BlockingClientT_co]):
    """One gRPC service of a `.proto`, with the types that `hsu-worker gen` made for it.

    Generated code makes these; a user names them:

        @implements(InterfaceA)
        class Summarizer: ...

        summarizer = master.client(InterfaceA)

    The three type parameters let the type checkers check a class against the interface and infer
    both clients.
    """

    def __init__(
        self,
        descriptor: ServiceDescriptor,
        *,
        client: Callable[[Any], ClientT_co],
        blocking_client: Callable[[Any, Any], BlockingClientT_co],
    ) -> None:
        self.descriptor = descriptor
        self.client = client
        self.blocking_client = blocking_client

    @property
    def name(self) -> str:
        """The full name: `hsu.a.v1.InterfaceA`."""
        return self.descriptor.full_name

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """The methods by their Python names, in the order of the `.proto`."""
        methods = map(Method.of, self.descriptor.methods)
        return MappingProxyType({method.handler: method for method in methods})

    @cached_property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self.descriptor)

    def __repr__(self) -> str:
        return f"<Interface {self.name}>"


#: Any interface, where the types don't matter.
AnyInterface: TypeAlias = Interface[Any, Any, Any]

#: What a `.proto` calls the types of fields.
TYPE_KEYWORDS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def fingerprint(service: ServiceDescriptor) -> str:
    """SHA-256, in hex, over what makes two ends understand each other.

    The lines are those of docs/launch-contract.md: one `M` line per method, one `F` line per field
    of each message that the methods reach, sorted bytewise. Bytes of descriptors are no use here:
    they differ from tool to tool.
    """
    lines: set[str] = set()
    seen: set[str] = set()
    queue: list[Descriptor] = []
    for method in service.methods:
        kinds = "us"[method.client_streaming] + "us"[method.server_streaming]
        lines.add(
            f"M {method.name} {kinds} {method.input_type.full_name} {method.output_type.full_name}"
        )
        queue += [method.input_type, method.output_type]
    while queue:
        message = queue.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            target = field.message_type or field.enum_type
            lines.add(
                f"F {message.full_name} {field.number} "
                f"{'repeated' if field.is_repeated else 'singular'} "
                f"{TYPE_KEYWORDS[field.type]} {target.full_name if target else '-'}"
            )
            if field.message_type:
                queue.append(field.message_type)
    text = "".join(f"{line}\n" for line in sorted(lines, key=str.encode))
    return hashlib.sha256(text.encode()).hexdigest()
