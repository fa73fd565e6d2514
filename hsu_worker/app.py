"""The services that one worker serves, by interface."""

import inspect
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from hsu_worker.authoring.check import mismatches
from hsu_worker.authoring.implements import interfaces_of, own_interfaces
from hsu_worker.authoring.lifespan import lifespan_names, lifespans_of
from hsu_worker.authoring.rules import unenforceable
from hsu_worker.errors import AppError
from hsu_worker.interface import AnyInterface
from hsu_worker.wire.limits import Limits

if TYPE_CHECKING:
    # Importing it takes a while, and whoever only makes an App needn't.
    from grpc.aio import ClientInterceptor, ServerInterceptor

#: What every worker serves by itself.
BUILT_IN = frozenset(
    {
        "hsu.core.v1.Core",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)

#: What a name or a version may look like; both appear in logs and on command lines.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")


class App:
    """What a worker serves.

        app = App(Summarizer(), name="summarizer", version="1.2.0")

    Args:
        services: Instances of classes marked with `@implements`; each interface once.

        name: Told in the handshake. The first service's class name when it isn't given.

        version: Told in the handshake.

        limits: What the worker accepts at the most.

        validate: Requests have to keep the rules of buf.validate in their `.proto`, and are
            answered INVALID_ARGUMENT when they don't. False: nobody looks at the rules.

        interceptors: Of `grpc.aio.ServerInterceptor`; calls of the services go through them, the
            first is the outermost. Core, health and reflection don't.

        client_interceptors: Of grpc.aio's kinds for clients; calls that the services make with
            `client_of` go through them.

        blocked_loop: Seconds for which nothing may keep the event loop from turning; the log then
            names the handler or the lifespan, and the line. None: nobody looks.

    Raises:
        AppError: A service implements no interface, two implement the same one, the name won't
            do, rules can't be enforced, or something is no interceptor or no time. The message
            lists every problem.
    """

    def __init__(
        self,
        *services: object,
        name: str = "",
        version: str = "",
        limits: Limits | None = None,
        validate: bool = True,
        interceptors: "Sequence[ServerInterceptor]" = (),
        client_interceptors: "Sequence[ClientInterceptor]" = (),
        blocked_loop: float | None = 1.0,
    ) -> None:
        by_name: dict[str, object] = {}
        problems = [] if services else ["no service is given; write App(MyService())"]
        for place, service in enumerate(services):
            if any(service is other for other in services[:place]):
                problems.append(f"{type(service).__qualname__} is given twice; give it once")
                continue
            problems += _problems(service)
            for interface in interfaces_of(type(service)):
                if validate and (problem := unenforceable(interface)):
                    problems.append(problem)
                other = by_name.setdefault(interface.name, service)
                if other is not service:
                    problems.append(
                        f"{interface.name} is implemented by both {type(other).__qualname__} "
                        f"and {type(service).__qualname__}; give App one of the two"
                    )
        if services and not name:
            name = type(services[0]).__name__
        problems += _word_problems("name", name) if name else []
        problems += _word_problems("version", version) if version else []
        if blocked_loop is not None and not blocked_loop > 0:
            problems.append(f"blocked_loop={blocked_loop} won't do; write seconds, or None")
        problems += [problem for each in interceptors if (problem := _interceptor_problem(each))]
        problems += _client_interceptor_problems(client_interceptors)
        if limits is not None and not isinstance(cast("object", limits), Limits):
            problems.append(f"limits are {limits!r}; write limits=Limits(message_bytes=...)")
        if problems:
            raise AppError("\n".join(problems))
        self.services: Mapping[AnyInterface, object] = MappingProxyType(
            {
                interface: service
                for service in services
                for interface in interfaces_of(type(service))
            }
        )
        self.name = name
        self.version = version
        self.limits = limits or Limits()
        self.validate = validate
        self.interceptors = tuple(interceptors)
        self.client_interceptors = tuple(client_interceptors)
        self.blocked_loop = blocked_loop

    @asynccontextmanager
    async def lifespans(self) -> AsyncGenerator[None, None]:
        """Enter the lifespans of all services in order; leave them in reverse.

        One that raises on entry leaves those before it; one that raises on exit doesn't keep the
        others from being left. What they tell with `report_progress` is passed on as it is: two
        lifespans that both go from 0 to 1 are seen to do so one after the other.
        """
        async with AsyncExitStack() as stack:
            for service in {id(service): service for service in self.services.values()}.values():
                for manager in lifespans_of(service):
                    await stack.enter_async_context(manager)
            yield

    def __repr__(self) -> str:
        return f"<App {self.name}: {', '.join(interface.name for interface in self.services)}>"


def _problems(service: object) -> list[str]:
    """Why one service can't be served."""
    cls = type(service)
    if isinstance(service, type):
        return [f"{service.__qualname__} is a class; write App({service.__qualname__}())"]
    interfaces = interfaces_of(cls)
    if not interfaces:
        return [
            f"{cls.__qualname__} implements no interface; write @implements(...) above the class"
        ]
    problems = [
        f"{cls.__qualname__} implements {interface.name}, which every worker serves by itself; "
        f"take @implements({interface.descriptor.name}) away"
        for interface in interfaces
        if interface.name in BUILT_IN
    ]
    # A subclass may have overridden what its base was checked for.
    for interface in interfaces:
        if interface not in own_interfaces(cls):
            problems += [
                f"{cls.__qualname__} does not implement {interface.name}: {problem}"
                for problem in mismatches(cls, interface)
            ]
    try:
        lifespan_names(cls)
    except TypeError as error:
        problems.append(str(error))
    return problems


def _interceptor_problem(given: object) -> str:
    """Why something can't intercept calls; "" when it can."""
    function = getattr(given, "intercept_service", None)
    if isinstance(given, type) and function is not None:
        return f"interceptors: {given.__qualname__} is a class; write {given.__qualname__}()"
    name = type(given).__qualname__
    if function is None:
        return f"interceptors: {name} is none; derive it from grpc.aio.ServerInterceptor"
    if not inspect.iscoroutinefunction(function):
        return (
            f"interceptors: {name} is one for threads; derive it from grpc.aio.ServerInterceptor, "
            "and write async def intercept_service"
        )
    return ""


def _client_interceptor_problems(given: Sequence[object]) -> list[str]:
    if not given:
        return []
    # Only a worker that calls others needs what these are made of.
    from hsu_worker.wire.interceptors import check_interceptors

    try:
        check_interceptors(given)
    except TypeError as error:
        return [f"client_{error}"]
    return []


def _word_problems(what: str, word: str) -> list[str]:
    if _WORD.fullmatch(word):
        return []
    rule = "up to 100 ASCII letters, digits and . _ + -, the first no punctuation"
    return [f"{what} {word!r} won't do; write App(..., {what}=...) with {rule}"]
