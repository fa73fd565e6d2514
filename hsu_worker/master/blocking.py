"""The same master for programs without an event loop."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from hsu_worker.interface import Interface, check_interface
from hsu_worker.master.changes import Changes
from hsu_worker.master.config import Config
from hsu_worker.master.event import Event
from hsu_worker.master.logs import LogLine
from hsu_worker.master.master import Master
from hsu_worker.master.unit_status import UnitStatus
from hsu_worker.wire.blocking import Portal
from hsu_worker.wire.interceptors import ClientInterceptor

BlockingClientT = TypeVar("BlockingClientT")


class BlockingMaster:
    """A `Master` on a loop in a thread of its own; works in a script and in a notebook.

        with BlockingMaster.from_file("hsu.toml") as master:
            reply = master.client(InterfaceA).summarize(SummarizeRequest(text=text), timeout=5)

    Args:
        config: The units.

        on_event: Called with each `Event`, on the loop's thread.

        interceptors: As for `Master`; they run on the loop's thread.
    """

    def __init__(
        self,
        config: Config,
        *,
        on_event: Callable[[Event], None] | None = None,
        interceptors: Sequence[ClientInterceptor] = (),
    ) -> None:
        self._master = Master(config, on_event=on_event, interceptors=interceptors)
        self._portal = Portal()
        self._stack = ExitStack()

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        on_event: Callable[[Event], None] | None = None,
        interceptors: Sequence[ClientInterceptor] = (),
    ) -> "BlockingMaster":
        """As `Master.from_file`."""
        return cls(Config.from_file(path), on_event=on_event, interceptors=interceptors)

    def __enter__(self) -> Self:
        self._master.check_left()
        with ExitStack() as stack:
            stack.enter_context(self._portal)
            self._portal.wait(self._master.__aenter__())
            stack.callback(self._leave)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def client(
        self, interface: Interface[Any, Any, BlockingClientT], *, unit: str = ""
    ) -> BlockingClientT:
        """A typed blocking client; otherwise as `Master.client`."""
        check_interface(interface)
        return interface.blocking_client(self._master.client(interface, unit=unit), self._portal)

    def start(self, unit: str) -> int:
        """As `Master.start`."""
        return self._portal.wait(self._master.start(unit))

    def stop(self, unit: str, *, hold: bool = False) -> None:
        """As `Master.stop`."""
        self._portal.wait(self._master.stop(unit, hold=hold))

    def restart(self, unit: str) -> int:
        """As `Master.restart`."""
        return self._portal.wait(self._master.restart(unit))

    def swap(
        self, unit: str, *, app: str | None = None, command: Sequence[str] | None = None
    ) -> int:
        """As `Master.swap`."""
        return self._portal.wait(self._master.swap(unit, app=app, command=command))

    def reload(self) -> Changes:
        """As `Master.reload`."""
        return self._portal.wait(self._master.reload())

    def status(self) -> Mapping[str, UnitStatus]:
        """As `Master.status`."""

        async def status() -> Mapping[str, UnitStatus]:
            return self._master.status()

        return self._portal.wait(status())

    def why(self, unit: str) -> list[Event]:
        """As `Master.why`."""
        return self._master.why(unit)

    def log(self, unit: str) -> list[LogLine]:
        """As `Master.log`."""
        return self._master.log(unit)

    def _leave(self) -> None:
        self._portal.wait(self._master.__aexit__(None, None, None))
