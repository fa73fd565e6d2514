"""The module that is written beside protoc's: what a user of the interface imports."""

from collections.abc import Iterator, Sequence

from google.protobuf.descriptor_pb2 import MethodDescriptorProto, ServiceDescriptorProto

from hsu_worker.codegen.comments import METHOD, PACKAGE, SERVICE, SYNTAX
from hsu_worker.codegen.imports import Imports
from hsu_worker.codegen.names import blocking_client, client, handlers, public_names
from hsu_worker.codegen.sources import Source, Sources
from hsu_worker.codegen.text import WIDTH, bracketed, docstring, header, stacked
from hsu_worker.interface import snake_case


def render(source: Source, sources: Sources) -> str:
    """The text of one module."""
    imports = Imports(source, sources)
    services = [
        line
        for index, service in enumerate(source.file.service)
        for line in ("", "", *_Service(source, service, index, imports).lines())
    ]
    exporting = list(dict.fromkeys([source, *(other for other, _ in sources.forwarded(source))]))
    lines = [
        *docstring(_doc(source)),
        "",
        *imports.lines(exporting),
        *_all(source, exporting),
        *services,
    ]
    return header(source.name) + "\n".join(lines) + "\n"


def _doc(source: Source) -> str:
    text = source.comments.text
    return text(SYNTAX) or text(PACKAGE) or f"Messages and interfaces of {source.name}."


def _all(source: Source, exporting: Sequence[Source]) -> list[str]:
    names = {name for other in exporting for name in other.exports}
    for service in source.file.service:
        names |= public_names(service.name).keys()
    if not names:
        return ["__all__: list[str] = []"]
    return stacked("__all__ = [", (f'"{name}"' for name in sorted(names)), "]")


class _Service:
    """What is made for one service, in the order in which it is written."""

    def __init__(
        self, source: Source, service: ServiceDescriptorProto, index: int, imports: Imports
    ) -> None:
        self._name = service.name
        self._full_name = f"{source.file.package}.{service.name}".removeprefix(".")
        self._doc = source.comments.text(SERVICE, index)
        self._methods = [
            _Method(method, source.comments.text(SERVICE, index, METHOD, i), imports)
            for i, method in enumerate(service.method)
        ]
        self._imports = imports

    def lines(self) -> Iterator[str]:
        yield from self._handlers()
        yield from ("", "", *self._implements())
        yield from ("", "", *self._client())
        yield from ("", "", *self._blocking_client())
        yield from ("", "", *self._interface())

    def _handlers(self) -> Iterator[str]:
        word = self._imports.word
        yield f"class {handlers(self._name)}({word('Protocol')}):"
        ours = f"What a class marked with `@implements({self._name})` has to have."
        yield from docstring(f"{self._doc}\n\n{ours}".strip(), indent="    ")
        for method in self._methods:
            yield ""
            # Whoever subclasses the protocol and forgets a method has to hear of it.
            yield f"    @{word('abstractmethod')}"
            yield from method.handler()

    def _implements(self) -> Iterator[str]:
        word = self._imports.word
        variable = f"_{self._name}T"
        yield from bracketed(
            f"{variable} = {word('TypeVar')}(",
            [f'"{variable}"', f"bound={handlers(self._name)}"],
            ")",
        )
        yield ""
        yield ""
        yield f"class _Implements{self._name}({word('Protocol')}):"
        yield f"    def __call__(self, cls: type[{variable}], /) -> type[{variable}]: ..."

    def _client(self) -> Iterator[str]:
        yield f"class {client(self._name)}({self._imports.word('Client')}):"
        yield from docstring(f"Calls {self._full_name}.\n\n{self._doc}".strip(), indent="    ")
        for method in self._methods:
            yield ""
            yield from method.call(self._name)

    def _blocking_client(self) -> Iterator[str]:
        yield f"class {blocking_client(self._name)}({self._imports.word('BlockingClient')}):"
        yield from docstring(
            f"Calls {self._full_name}, for programs without an event loop.\n\n{self._doc}".strip(),
            indent="    ",
        )
        yield ""
        yield f"    _client: {client(self._name)}"
        for method in self._methods:
            yield ""
            yield from method.blocking_call()

    def _interface(self) -> Iterator[str]:
        word = self._imports.word
        name = self._name
        yield from bracketed(
            f"{name}: {word('Final')} = {word('Interface')}[",
            [f"_Implements{name}", client(name), blocking_client(name)],
            "](",
        )
        yield f'    {self._imports.own_messages()}.DESCRIPTOR.services_by_name["{name}"],'
        yield f"    client={client(name)},"
        yield f"    blocking_client={blocking_client(name)},"
        yield ")"
        yield from docstring(self._doc or f"Interface {self._full_name}.")


class _Method:
    """One method: in the handlers, in the client, in the blocking client."""

    def __init__(self, method: MethodDescriptorProto, doc: str, imports: Imports) -> None:
        self._name = snake_case(method.name)
        self._doc = docstring(doc, indent=" " * 8)
        self._client_streaming = method.client_streaming
        self._server_streaming = method.server_streaming
        self._argument = "requests" if method.client_streaming else "request"
        self._request = imports.message(method.input_type)
        self._response = imports.message(method.output_type)
        self._word = imports.word

    def handler(self) -> Iterator[str]:
        request = self._request
        if self._client_streaming:
            request = f"{self._word('Requests')}[{request}]"
        reply = self._word("ReplyStream" if self._server_streaming else "Reply")
        yield from bracketed(
            f"def {self._name}(",
            ["self", f"{self._argument}: {request}", "/"],
            f") -> {reply}[{self._response}]:{'' if self._doc else ' ...'}",
            indent="    ",
        )
        yield from self._doc

    def call(self, service: str) -> Iterator[str]:
        if self._server_streaming:
            returns = f"{self._word('AsyncGenerator')}[{self._response}, None]"
        else:
            any_ = self._word("Any")
            returns = f"{self._word('Coroutine')}[{any_}, {any_}, {self._response}]"
        yield from self._head(returns)
        kind = (
            f"{'_stream' if self._client_streaming else '_unary'}"
            f"{'_stream' if self._server_streaming else '_unary'}"
        )
        yield from bracketed(
            f"return self.{kind}(",
            [f'{service}.methods["{self._name}"]', self._argument, "timeout", "metadata"],
            ")",
            indent=" " * 8,
        )

    def blocking_call(self) -> Iterator[str]:
        returns = self._response
        if self._server_streaming:
            returns = f"{self._word('Iterator')}[{returns}]"
        yield from self._head(returns)
        wait = f"return self.{'_iterate' if self._server_streaming else '_wait'}("
        call = f"self._client.{self._name}("
        arguments = [self._argument, "timeout=timeout", "metadata=metadata"]
        line = f"        {wait}{call}{', '.join(arguments)}))"
        if len(line) <= WIDTH:
            yield line
            return
        yield f"        {wait}"
        yield from bracketed(call, arguments, ")", indent=" " * 12)
        yield "        )"

    def _head(self, returns: str) -> Iterator[str]:
        request = self._request
        if self._client_streaming:
            request = f"{self._word('RequestSource')}[{request}]"
        yield from bracketed(
            f"def {self._name}(",
            [
                "self",
                f"{self._argument}: {request}",
                "/",
                "*",
                "timeout: float | None = None",
                f"metadata: {self._word('Metadata')} = ()",
            ],
            f") -> {returns}:",
            indent="    ",
        )
        yield from self._doc
