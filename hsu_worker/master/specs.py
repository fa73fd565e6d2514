"""How the generations of one unit are launched, and who waits for another one to take the place."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hsu_worker.errors import ConfigError, RpcError
from hsu_worker.master import policy, values
from hsu_worker.master.tables import UnitConfig


class Specs:
    """Launch specifications, by the numbers that the policy has for them.

    Args:
        config: How the unit is launched until something else takes its place.
    """

    def __init__(self, config: UnitConfig) -> None:
        self._known = {0: config}
        self._asked: asyncio.Future[int] | None = None

    def __getitem__(self, spec: int) -> UnitConfig:
        return self._known[spec]

    async def ask(self, config: UnitConfig, feed: Callable[[int], None]) -> int:
        """Ask for a worker that is launched like this in the place of the present one.

        Args:
            config: How it is launched.

            feed: Asks the policy, with the specification's number.

        Returns:
            The generation, once the policy says that it is done.

        Raises:
            FailedPrecondition: It is refused, or has failed.
        """
        spec = self.add(config)
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # Whoever asked may have gone.
        asked.add_done_callback(lambda done: done.exception())
        previous, self._asked = self._asked, asked
        feed(spec)
        if asked.done() and asked.exception() is not None:
            # It was refused at once: the one that is under way is not ended by that.
            self._asked = previous
        return await asyncio.shield(asked)

    def answer(self, generation: int, error: RpcError | None = None) -> None:
        """Tell whoever asked; the first answer holds."""
        # How the next ones are launched doesn't hang on who still waits.
        if self._asked is not None and not self._asked.done():
            if error is None:
                self._asked.set_result(generation)
            else:
                self._asked.set_exception(error)

    def add(self, config: UnitConfig) -> int:
        """The number of a further one."""
        spec = max(self._known) + 1
        self._known[spec] = config
        return spec

    def adjust(self, keys: Mapping[str, Any]) -> None:
        """Change keys of all of them."""
        self._known = {spec: replace(config, **keys) for spec, config in self._known.items()}

    def forget(self, state: policy.State) -> None:
        """Keep those that are launched, or will be."""
        used = {state.spec, *(each.spec for each in state.generations)}
        self._known = {spec: self._known[spec] for spec in used}


def replacement(
    old: UnitConfig, app: str | None, command: Sequence[str] | None, folder: Path
) -> UnitConfig:
    """How a unit is launched as another implementation; with neither, as the same again.

    Raises:
        ConfigError: That can't be launched.
    """
    if app is not None and command is not None:
        raise ConfigError("a swap takes an app or a command, not both")
    if old.kind not in ("app", "command"):
        raise ConfigError(
            f"unit {old.name!r} can't be swapped: this master did not start its worker"
        )
    if app is not None:
        return replace(old, app=values.import_string(app, folder), command=None)
    if command is not None:
        return replace(old, app=None, command=values.command(list(command), folder))
    return old
