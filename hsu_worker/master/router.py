"""Which unit a call goes to."""

from hsu_worker.errors import Dispatch, Unimplemented
from hsu_worker.master.config import Config
from hsu_worker.master.nearest import no_unit, offered

CORE = "hsu.core.v1.Core"


class Router:
    """Finds the unit for an interface.

    Router(config).unit_for("hsu.a.v1.InterfaceA", None)    # "summarizer"
    """

    def __init__(self, config: Config) -> None:
        self._implements: dict[str, tuple[str, ...]]
        self._units: dict[str, str]
        self.follow(config)

    def follow(self, config: Config) -> None:
        """Route as another configuration says, from now on."""
        self._implements = {name: unit.implements for name, unit in config.units.items()}
        self._units = {}
        for name, interfaces in self._implements.items():
            for interface in interfaces:
                self._units[interface] = config.routes.get(interface, name)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Every interface that calls can go to."""
        return tuple(self._units)

    def unit_for(self, interface: str, unit: str | None = None) -> str:
        """The name of the unit.

        Args:
            interface: Its full name, such as `hsu.a.v1.InterfaceA`.

            unit: The unit that the caller named (metadata `hsu-unit`), if it did.

        Raises:
            Unimplemented: No unit, or not the one named, implements the interface.
        """
        if unit is not None:
            return self._named(interface, unit)
        if interface in self._units:
            return self._units[interface]
        if interface == CORE:
            raise _nowhere(f"every unit has {CORE}; name one in the metadata 'hsu-unit'")
        there = offered(interface, self._units, show=lambda name: f"{name} ({self._units[name]})")
        raise _nowhere(f"no unit implements {interface}; {there}")

    def _named(self, interface: str, unit: str) -> str:
        if unit not in self._implements:
            raise _nowhere(no_unit(unit, self._implements))
        if interface != CORE and interface not in self._implements[unit]:
            there = offered(interface, self._implements[unit], "it implements")
            raise _nowhere(f"unit {unit!r} does not implement {interface}; {there}")
        return unit


def _nowhere(message: str) -> Unimplemented:
    return Unimplemented(message, dispatched=Dispatch.NO)
