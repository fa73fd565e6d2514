"""What a class lacks to be an interface's handlers, each with the line to write."""

import inspect
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from functools import cached_property, partial
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from hsu_worker.authoring.signature import signature_of
from hsu_worker.interface import AnyInterface, Method, Requests

#: Generic classes whose first argument is what they yield.
_STREAMS = (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Requests,
)

_MISSING = object()


def mismatches(cls: type[Any], interface: AnyInterface) -> list[str]:
    """Every difference between a class and an interface, with the line that cures it.

    One entry per method that differs; none when the class implements the interface. Methods that
    the interface doesn't know are the class's own business.
    """
    found: list[str] = []
    for method in interface.methods.values():
        attribute = _find(cls, method.handler)
        if attribute is _MISSING:
            problems, is_sync = [_missing(cls, interface, method)], False
        else:
            handler = _Handler(cls, method, attribute)
            problems, is_sync = handler.problems(), handler.is_sync
        if problems:
            found.append(f"{'; '.join(problems)}; write\n    {handler_line(method, is_sync)}")
    return found


def handler_line(method: Method, is_sync: bool = False) -> str:
    """The line with which a handler begins.

    async def stream_summary(self, request: SummarizeRequest) -> AsyncIterator[SummaryChunk]:
    """
    request, response = _shown(method.request), _shown(method.response)
    argument = (
        f"requests: Requests[{request}]" if method.client_streaming else f"request: {request}"
    )
    if method.server_streaming:
        response = f"{'Iterator' if is_sync else 'AsyncIterator'}[{response}]"
    return f"{'def' if is_sync else 'async def'} {method.handler}(self, {argument}) -> {response}:"


def _find(cls: type[Any], name: str) -> Any:
    """The attribute as it was written; what a Protocol only declares is nobody's handler."""
    for base in cls.__mro__:
        if name in vars(base) and not _is_protocol(base):
            return vars(base)[name]
    return _MISSING


def _missing(cls: type[Any], interface: AnyInterface, method: Method) -> str:
    others = [
        name
        for base in cls.__mro__[:-1]
        for name, value in vars(base).items()
        if name not in interface.methods
        and not name.startswith("__")
        and (callable(value) or isinstance(value, staticmethod | classmethod))
    ]
    if method.name in others:
        return f"{method.handler} is missing; handlers are snake_case, and {method.name} is not"
    plain = {_plain(name): name for name in reversed(others)}
    # Whoever makes no mistake shall not pay for it at each start.
    from difflib import get_close_matches

    near = get_close_matches(_plain(method.handler), plain, n=1, cutoff=0.75)
    if near:
        return f"{method.handler} is missing; {plain[near[0]]} looks like a misspelling of it"
    return f"{method.handler} is missing"


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


class _Handler:
    """One attribute of a class, judged by what calling it would do."""

    def __init__(self, cls: type[Any], method: Method, attribute: Any) -> None:
        self.name = method.handler
        self.method = method
        self.bound = _bind(attribute, cls)
        self.function = _innermost(self.bound)
        self.is_coroutine = inspect.iscoroutinefunction(self.function)
        self.yields = inspect.isasyncgenfunction(self.function) or inspect.isgeneratorfunction(
            self.function
        )

    @property
    def is_sync(self) -> bool:
        return inspect.isfunction(self.function) and not (
            self.is_coroutine or inspect.isasyncgenfunction(self.function)
        )

    def problems(self) -> list[str]:
        if not callable(self.bound):
            return [f"{self.name} is no method, but of type {type(self.bound).__qualname__}"]
        found = [self._arity(), self._kind()]
        # What a decorator copied from the function under it tells nothing about the decorator.
        if not hasattr(self.function, "__wrapped__"):
            found += [self._request_type(), self._response_type()]
        return [problem for problem in found if problem]

    @cached_property
    def _signature(self) -> inspect.Signature | None:
        try:
            return signature_of(self.bound, follow_wrapped=False)
        except (TypeError, ValueError):
            return None

    def _arity(self) -> str:
        given = "requests" if self.method.client_streaming else "request"
        signature = self._signature
        if signature is None:
            # A method without even `self`; any other callable without a signature is believed.
            is_bare = inspect.ismethod(self.bound)
            return f"{self.name}() can't be called with self and the {given}" if is_bare else ""
        try:
            signature.bind(object())
        except TypeError:
            names = [
                p.replace(annotation=p.empty, default=p.empty)
                for p in signature.parameters.values()
            ]
            shown = signature.replace(parameters=names, return_annotation=signature.empty)
            problem = f"{self.name}{shown} can't be called with the {given} alone"
            if "context" in signature.parameters:
                problem += " (current_call() tells what `context` told)"
            return problem
        return ""

    def _kind(self) -> str:
        if self.method.server_streaming and self.is_coroutine:
            return f"{self.name} answers with a stream, and has no `yield`"
        if self.yields and not self.method.server_streaming:
            return f"{self.name} answers with one message, and has a `yield`"
        return ""

    def _request_type(self) -> str:
        signature = self._signature
        first = next(iter(signature.parameters.values()), None) if signature else None
        if first is None or first.kind is inspect.Parameter.KEYWORD_ONLY:
            return ""
        hint, wanted = self._hint(first.name), self.method.request
        if not self.method.client_streaming:
            if hint is wanted:
                return ""
            if _is_stream(hint):
                return f"{self.name} takes a stream, and is given one {_shown(wanted)}"
            return _differs(f"{self.name} takes", hint, wanted)
        if _is_stream(hint):
            return _differs(f"{self.name} takes a stream of", _yielded(hint), wanted)
        if _is_class(hint) and hint is not object:
            return f"{self.name} takes {_shown(hint)}, and is given a stream"
        return ""

    def _response_type(self) -> str:
        hint, wanted = self._hint("return"), self.method.response
        if self._kind():
            return ""
        if not self.method.server_streaming:
            if hint is wanted:
                return ""
            if _is_stream(hint):
                return f"{self.name} answers with one message, and returns {_shown(hint)}"
            if typing.get_origin(hint) in (Awaitable, Coroutine):
                hint = typing.get_args(hint)[-1]
            return _differs(f"{self.name} returns", hint, wanted)
        if _is_stream(hint):
            return _differs(f"{self.name} yields", _yielded(hint), wanted)
        if _is_class(hint) and hint is not object and not self.yields:
            return f"{self.name} answers with a stream, and returns {_shown(hint)}"
        return ""

    def _hint(self, name: str) -> Any:
        """What an annotation means; Any, when that can't be told."""
        try:
            annotations = getattr(self.function, "__annotations__", {})
            holder = types.SimpleNamespace(__annotations__={name: annotations.get(name, Any)})
            return typing.get_type_hints(holder, getattr(self.function, "__globals__", {}))[name]
        except Exception:  # evaluating an annotation can raise anything
            return Any


def _bind(attribute: Any, cls: type[Any]) -> Any:
    """The attribute as an instance would give it; making an instance is not for us."""
    if isinstance(attribute, property | cached_property) or not hasattr(attribute, "__get__"):
        return attribute
    try:
        return attribute.__get__(object(), cls)
    except Exception:  # a descriptor of the user's own, which wants a true instance
        return lambda _request: None


def _innermost(bound: Any) -> Any:
    while inspect.ismethod(bound) or isinstance(bound, partial):
        bound = bound.__func__ if inspect.ismethod(bound) else bound.func
    return bound


def _is_protocol(cls: object) -> bool:
    return isinstance(cls, type) and bool(vars(cls).get("_is_protocol"))


def _is_class(hint: Any) -> bool:
    """It is a class, perhaps with arguments, and says more than Any and protocols do."""
    origin = typing.get_origin(hint) or hint
    vague = origin in (Any, types.UnionType) or _is_protocol(origin)
    return isinstance(origin, type) and not vague


def _is_stream(hint: Any) -> bool:
    """It is an iterator, or something to iterate that is no collection."""
    origin = typing.get_origin(hint) or hint
    return (
        _is_class(hint)
        and issubclass(origin, AsyncIterable | Iterable)
        and not issubclass(origin, Collection | Message)
    )


def _yielded(hint: Any) -> Any:
    known = typing.get_origin(hint) in _STREAMS
    return typing.get_args(hint)[0] if known else Any


def _differs(what: str, hint: Any, wanted: type[Message]) -> str:
    """A sentence, when an annotation clearly is another class than the one wanted."""
    if not _is_class(hint) or issubclass(wanted, typing.get_origin(hint) or hint):
        return ""
    # Two Python classes of one message differ in nothing that matters on the wire.
    if _full_name(hint) == wanted.DESCRIPTOR.full_name:
        return ""
    return f"{what} {_shown(hint)} instead of {_shown(wanted)}"


def _full_name(hint: Any) -> str:
    """The full name of a message class; empty for anything else."""
    descriptor = getattr(hint, "DESCRIPTOR", None)
    return descriptor.full_name if isinstance(descriptor, Descriptor) else ""


def _shown(hint: Any) -> str:
    if hint is type(None):
        return "None"
    if name := _full_name(hint):
        return name.removeprefix(f"{hint.DESCRIPTOR.file.package}.")
    arguments = ", ".join(_shown(argument) for argument in typing.get_args(hint))
    name = getattr(typing.get_origin(hint) or hint, "__qualname__", str(hint))
    return f"{name}[{arguments}]" if arguments else name
