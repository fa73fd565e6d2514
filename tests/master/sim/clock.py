"""An event loop whose time jumps to the next timer when there is nothing else to do."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Seconds that are no time: what is due so soon is due now.
_INSTANT: Final = 1e-6

#: Called at each turn of the loop, and told whether all is done that can be done before time passes.
Watch = Callable[[bool], None]


class _Selector(selectors.SelectSelector):
    """Waits for no file; passes the time that it would wait."""

    passed = 0.0

    def __init__(self, watch: Watch | None) -> None:
        super().__init__()
        self._watch = watch

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if self._watch is not None:
            self._watch(not ready and (timeout is None or timeout > _INSTANT))
        if not ready and timeout is not None:
            self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 1,000 s, so that a time that was never set is noticed; or when another one has ended."""

    def __init__(self, since: float = 1000.0, watch: Watch | None = None) -> None:
        self._since = since
        self._passing = _Selector(watch)
        super().__init__(self._passing)

    def time(self) -> float:
        return self._since + self._passing.passed


def run(work: Coroutine[Any, Any, T], watch: Watch | None = None) -> T:
    """Run something to its end, for a day at the most; it may leave no task behind."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(watch=watch)) as runner:
        return runner.run(_alone(work))


async def _alone(work: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(86_400):
        result = await work
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks that were left behind: {left}"
    return result
