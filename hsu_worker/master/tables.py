"""The tables of `hsu.toml`, key by key."""

# ruff: noqa: RUF009  (`key` makes a field, as `dataclasses.field` does)

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hsu_worker.master import values
from hsu_worker.master.keys import key
from hsu_worker.master.kinds import UnitKind
from hsu_worker.master.policy.trouble import Restart

_LAUNCHED = ("app", "command")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitConfig(UnitKind):
    """One table `[units.NAME]`. Times are in seconds."""

    idle: float = key(
        values.duration(never=True),
        'Stop the process this long after the last call; `"never"` keeps it.',
        value="duration",
        default="300s",
        kinds=_LAUNCHED,
        live=True,
    )
    depends_on: tuple[str, ...] = key(
        values.unit_names,
        "Units that have to be ready before it starts. They are not stopped for being idle while it runs,"
        " and the master stops them after it.",
        value='`["database"]`',
        default=[],
        otherwise="none",
        kinds=_LAUNCHED,
    )
    warm: float | None = key(
        values.duration(zero=False),
        "After `idle` leave its lifespans only, and stop the process this much later; a call has it enter"
        " them again.",
        value="duration",
        otherwise="the process stops after `idle`",
        kinds=_LAUNCHED,
        live=True,
    )
    stall: float = key(
        values.duration(zero=False),
        "Give up a start that has shown no progress for this long.",
        value="duration",
        default="30s",
        live=True,
    )
    start_timeout: float = key(
        values.duration(zero=False),
        "Give up a start that takes longer than this, progress or not.",
        value="duration",
        default="10m",
        live=True,
    )
    pinned: bool = key(
        values.flag,
        "Never stop it for being idle.",
        value="`true` or `false`",
        default=False,
        kinds=_LAUNCHED,
        live=True,
    )
    preload: bool = key(
        values.flag,
        "Start it with the master, before somebody calls it.",
        value="`true` or `false`",
        default=False,
        live=True,
    )
    concurrency: int | None = key(
        values.count,
        "How many calls a worker of it may have at the same time; further ones wait.",
        value="number",
        otherwise="no bound",
        live=True,
    )
    replicas: int = key(
        values.count,
        "How many workers it may have at the same time: another one is started when those that run have"
        " `concurrency` calls each. A call goes to the one that has the fewest.",
        value="number",
        default=1,
        kinds=_LAUNCHED,
        live=True,
    )
    scale_down: float | None = key(
        values.duration(never=True),
        "With `replicas`: stop a further worker this long after its last call.",
        value="duration",
        otherwise="as `idle`",
        kinds=_LAUNCHED,
        live=True,
    )
    restart: Restart = key(
        values.one_of(*Restart, make=Restart),
        "What follows when the worker ends by itself: `on-demand` starts it at the next call,"
        " `on-failure` at once unless it left with exit code 0, `always` at once; after `never`"
        " calls are refused until somebody starts it.",
        value=" or ".join(f'`"{each}"`' for each in Restart),
        default="on-demand",
        live=True,
    )
    backoff: float = key(
        values.duration(),
        "The longest delay of the second start after failures; it doubles with each further one,"
        " and the true delay is anything below it.",
        value="duration",
        default="500ms",
        live=True,
    )
    backoff_most: float = key(
        values.duration(),
        "The longest delay of all.",
        value="duration",
        default="30s",
        live=True,
    )
    healthy: float = key(
        values.duration(),
        "After serving for this long, earlier failures are forgotten.",
        value="duration",
        default="60s",
        live=True,
    )
    breaker: int = key(
        values.count,
        "After this many failures within `breaker_window` calls are refused at once.",
        value="number",
        default=5,
        live=True,
    )
    breaker_window: float = key(
        values.duration(zero=False),
        "See `breaker`.",
        value="duration",
        default="60s",
        live=True,
    )
    breaker_retry: float = key(
        values.duration(),
        "After this long, one start is tried behind an open breaker.",
        value="duration",
        default="30s",
        live=True,
    )
    ping: float = key(
        values.duration(never=True, zero=False),
        "How often a worker that runs has to show that it answers; three misses end it.",
        value="duration",
        default="10s",
    )
    ping_timeout: float = key(
        values.duration(zero=False),
        "How long it may take to answer.",
        value="duration",
        default="5s",
    )
    max_call: float = key(
        values.duration(never=True, zero=False),
        "A call without a deadline that runs for longer, while all slots of its worker are taken,"
        " counts as a miss.",
        value="duration",
        default="never",
    )
    drain: float = key(
        values.duration(),
        "Before a stop, give the calls that are running this long to end.",
        value="duration",
        default="30s",
        live=True,
    )
    grace: float = key(
        values.duration(),
        "Kill the process this long after it was asked to end (SIGTERM, then SIGKILL).",
        value="duration",
        default="10s",
        kinds=_LAUNCHED,
    )
    queue: int = key(
        values.count,
        "How many calls may wait for a start; further ones are refused.",
        value="number",
        default=1000,
        live=True,
    )
    listen: Literal["unix", "tcp"] = key(
        values.one_of("unix", "tcp"),
        "Whether the worker listens on a Unix socket or on a port of 127.0.0.1.",
        value='`"unix"` or `"tcp"`',
        default="unix",
        kinds=_LAUNCHED,
    )
    cwd: Path = key(
        values.existing_folder,
        "The folder that the process runs in, relative to the file's folder.",
        value="path",
        default=".",
        otherwise="the file's folder",
        kinds=_LAUNCHED,
    )
    env: Mapping[str, str] = key(
        values.variables,
        "Variables of the process's environment; they win over `env_file` and `pass_env`.",
        value='`{MODE = "fast"}`',
        default={},
        otherwise="none",
        kinds=_LAUNCHED,
        secret=True,
    )
    pass_env: tuple[str, ...] = key(
        values.variable_names,
        "Names of the master's variables that the process gets, if they are set.",
        value='`["API_KEY"]`',
        default=[],
        otherwise="none",
        kinds=_LAUNCHED,
    )
    env_file: Path | None = key(
        values.env_file,
        "A file of `NAME=VALUE` lines for the environment, of mode 0600; read at each start.",
        value="path",
        kinds=_LAUNCHED,
    )
    python: Path = key(
        values.interpreter,
        "The Python interpreter of an `app`.",
        value="path",
        otherwise="the master's",
        kinds=("app",),
        factory=lambda: Path(sys.executable),
    )
    launcher: Literal["fork", "spawn"] = key(
        values.one_of("fork", "spawn"),
        "How the process of an `app` is made: a fork of one that has imported what every worker"
        " needs answers ten times as soon; `spawn` is for what does not survive a fork, and what is"
        " done where forks aren't safe.",
        value='`"fork"` or `"spawn"`',
        default="fork",
        kinds=("app",),
    )
    preimport: bool = key(
        values.flag,
        "Fork it from a process that has imported the app's module, too.",
        value="`true` or `false`",
        default=False,
        kinds=("app",),
    )
    lifetime: Literal["bound", "survive"] = key(
        values.lifetime,
        "Whether the process ends with the master (`bound`), or outlives it, and is adopted when the master is"
        " started again with the same file (`survive`). Only on Linux.",
        value='`"bound"` or `"survive"`',
        default="bound",
        kinds=_LAUNCHED,
    )
    survivor: Literal["adopt", "stop"] = key(
        values.one_of("adopt", "stop"),
        "What a master that is started does with a process that has outlived the one before.",
        value='`"adopt"` or `"stop"`',
        default="adopt",
        kinds=_LAUNCHED,
        live=True,
    )
    prewarm: int | None = key(
        values.count,
        "Have so many further processes of it launched and greeted, for the next starts to take. They"
        " have imported the app, and not entered its lifespans.",
        value="number",
        otherwise="none",
        kinds=("app", "command"),
        live=True,
    )
    open_files: int | None = key(
        values.open_files,
        "How many file descriptors each of its processes may have.",
        value="number",
        otherwise="the master's limit",
        kinds=_LAUNCHED,
    )
    address_space: int | None = key(
        values.address_space,
        "How much memory each of its processes may map; what it can't get then fails there. Libraries map"
        " far more than they use.",
        value='`"8GiB"`',
        otherwise="the master's limit",
        kinds=_LAUNCHED,
    )
    nice: int | None = key(
        values.niceness,
        "How much it gives way to others on the processor: 1 a little, 19 wholly.",
        value="number",
        otherwise="as the master",
        kinds=_LAUNCHED,
    )
    cpus: tuple[int, ...] | None = key(
        values.processors,
        "The processors that it may use, by number; only on Linux.",
        value="`[0, 1]`",
        otherwise="those of the master",
        kinds=_LAUNCHED,
    )
    restart_above: int | None = key(
        values.own_size,
        "Start another one in its place when its process has more memory of its own than this; looked at with"
        " each `ping`, and done once per `healthy` at the most. Only on Linux.",
        value='`"2GiB"`',
        otherwise="never",
        kinds=_LAUNCHED,
    )
    memory: int | None = key(
        values.size,
        "What a worker of it takes, for the budgets of the machine and of its groups.",
        value='`"2GB"`',
        otherwise="what the last one took",
        kinds=_LAUNCHED,
        live=True,
    )
    groups: tuple[str, ...] = key(
        values.groups,
        "The groups, each a table `[groups.NAME]`, that it shares something in.",
        value='`["gpu"]`',
        default=[],
        otherwise="none",
        kinds=_LAUNCHED,
        live=True,
    )
    strict: bool = key(
        values.flag,
        "Refuse a worker whose interfaces differ from those that the master knows;"
        " without it, a difference is logged.",
        value="`true` or `false`",
        default=False,
    )
    token_file: Path | None = key(
        values.token_file,
        "A file with the token of a worker at an `address`, of mode 0600.",
        value="path",
        kinds=("address",),
    )
    log_file: Path | None = key(
        values.path,
        "A file for its output and log records, relative to the file's folder; JSON Lines.",
        value="path",
        live=True,
    )
    log_size: int = key(
        values.size,
        "Before the log file grows larger, it is renamed to `NAME.1`, that to `NAME.2`, and so on.",
        value='`"10MB"` or `"10MiB"`',
        default="10MiB",
        live=True,
    )
    log_keep: int = key(
        values.count,
        "How many renamed log files are kept.",
        value="number",
        default=3,
        live=True,
    )

    @property
    def argv(self) -> list[str]:
        """The command of one that is launched."""
        if self.app:
            return [str(self.python), "-m", "hsu_worker.worker", self.app]
        return list(self.command or ())
