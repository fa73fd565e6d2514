"""What is checked."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A worker that runs already. It is asked, and not changed."""

    address: Address
    token: str = field(default="", repr=False)
    """What it asks for; empty: nothing."""


#: A command, a unit of an `hsu.toml`, or a worker that runs already.
Target: TypeAlias = Sequence[str] | UnitConfig | Running


def command(
    argv: Sequence[str],
    *,
    cwd: str | os.PathLike[str] = ".",
    env: Mapping[str, str] | None = None,
    pass_env: Sequence[str] = (),
    implements: Sequence[str] = (),
) -> UnitConfig:
    """A command with what belongs to it.

        report = await check(command(["./bin/worker"], env={"MODE": "fast"}))

    Args:
        argv: The program and its arguments.

        cwd: The folder that it runs in.

        env: Variables of its environment. Of this process's own it gets what a master would pass
            on: `PATH`, `HOME`, `LANG`, `TMPDIR`, `VIRTUAL_ENV`, and what begins with `OTEL_`.

        pass_env: The names of more variables that it gets.

        implements: The interfaces that it has to offer.
    """
    return UnitConfig(
        name="check",
        command=tuple(argv),
        cwd=Path(cwd).absolute(),
        env=dict(env or {}),
        pass_env=tuple(pass_env),
        implements=tuple(implements),
    )


def shown(target: UnitConfig | Running) -> str:
    """A target, for people."""
    return str(target.address) if isinstance(target, Running) else shlex.join(target.argv)
