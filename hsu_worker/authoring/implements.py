"""The decorator that says which interface a class implements."""

import re
from typing import Any, TypeVar, cast

from hsu_worker.authoring.check import mismatches
from hsu_worker.authoring.mistake import mistake
from hsu_worker.errors import InterfaceMismatch
from hsu_worker.interface import AnyInterface, Interface

_MARK = "__hsu_interfaces__"

ImplementsT = TypeVar("ImplementsT")


def implements(interface: Interface[ImplementsT, Any, Any]) -> ImplementsT:
    """Say that a class implements an interface; checks it at once and returns it unchanged.

        @implements(InterfaceA)
        class Summarizer:
            async def summarize(self, request: SummarizeRequest) -> SummarizeResponse: ...

    Stack it for several interfaces. Handlers may come from a base class. A class that was refused
    is as it was before.

    Raises:
        InterfaceMismatch: Handlers are missing, misspelt or of the wrong kind; the message lists
            every one, with the line to write. Or the class says so twice.

        TypeError: What is given is no interface, or what is decorated is no class.
    """
    if not isinstance(cast("object", interface), Interface):
        raise mistake(TypeError(_no_interface(interface)))

    def mark(cls: type[Any], /) -> type[Any]:
        if not isinstance(cast("object", cls), type):
            raise mistake(
                TypeError(
                    f"@implements({interface.descriptor.name}) belongs above a class, "
                    f"and is above {getattr(cls, '__qualname__', repr(cls))}"
                )
            )
        if interface in own_interfaces(cls):
            raise InterfaceMismatch(
                f"{cls.__qualname__} has @implements({interface.descriptor.name}) twice; "
                "remove one of them"
            )
        check(cls, interface)
        setattr(cls, _MARK, (*own_interfaces(cls), interface))
        return cls

    # The generated protocol is the true type: generic over the class that it is given.
    return cast("ImplementsT", mark)


def check(cls: type[Any], interface: AnyInterface) -> None:
    """Do nothing for a class that implements an interface.

    Raises:
        InterfaceMismatch: It does not; the message lists every difference.
    """
    problems = mismatches(cls, interface)
    if problems:
        raise InterfaceMismatch(
            "\n  ".join([f"{cls.__qualname__} does not implement {interface.name}:", *problems])
        )


def own_interfaces(cls: type[Any]) -> tuple[AnyInterface, ...]:
    """The interfaces that a class itself says it implements, in the order of the decorators."""
    own: tuple[AnyInterface, ...] = vars(cls).get(_MARK, ())
    return own


def interfaces_of(cls: type[Any]) -> tuple[AnyInterface, ...]:
    """The interfaces that a class, or a base class of it, says it implements; those of bases first."""
    found: dict[AnyInterface, None] = {}
    for base in reversed(cls.__mro__):
        found |= dict.fromkeys(own_interfaces(base))
    return tuple(found)


def _no_interface(given: object) -> str:
    name = getattr(given, "__name__", repr(given))
    made = re.fullmatch(r"(?:Blocking)?(\w+?)(?:Handlers|Client)", name)
    return (
        f"implements({name}): {name} is no interface; "
        f"write @implements({made[1] if made else 'InterfaceA'}), "
        "with an interface that `hsu-worker gen` made"
    )
