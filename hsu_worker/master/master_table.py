"""The table `[master]` of an `hsu.toml`."""

# ruff: noqa: RUF009  (`key` makes a field, as `dataclasses.field` does)

from dataclasses import dataclass
from pathlib import Path

from hsu_worker.master import values
from hsu_worker.master.group_table import MAX_WAIT, MEMORY, MIN_RESIDENCY
from hsu_worker.master.keys import key


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConfig:
    """The table `[master]`."""

    runtime_dir: Path | None = key(
        values.path,
        "The folder for sockets and state, relative to the file's folder.",
        value="path",
        otherwise="a folder of its own in the user's runtime directory",
    )
    message_bytes: int = key(
        values.message_size,
        "The largest message that the gateway passes on, each way.",
        value='`"64MiB"`',
        default="64MiB",
    )
    memory: int | None = key(
        values.size,
        f"{MEMORY}; those that it did not launch don't count.",
        value='`"8GB"`',
        otherwise="no bound",
        live=True,
    )
    min_residency: float = key(
        values.duration(),
        f"With `memory`: {MIN_RESIDENCY[0].lower()}{MIN_RESIDENCY[1:]}",
        value="duration",
        default="1s",
        live=True,
    )
    max_wait: float = key(
        values.duration(zero=False),
        f"With `memory`: {MAX_WAIT[0].lower()}{MAX_WAIT[1:]}",
        value="duration",
        default="30s",
        live=True,
    )
