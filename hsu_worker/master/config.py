"""`hsu.toml`: which units there are, what they implement and how they are run.

[units.summarizer]
app = "hsu_a_service1:App"
implements = ["hsu.a.v1.InterfaceA"]
idle = "60s"
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hsu_worker.errors import ConfigError
from hsu_worker.master import keys
from hsu_worker.master.config_reader import Reader
from hsu_worker.master.group_table import GroupConfig
from hsu_worker.master.kinds import KINDS
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.tables import UnitConfig

__all__ = ["KINDS", "Config", "GroupConfig", "MasterConfig", "UnitConfig", "keys_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole `hsu.toml`."""

    units: Mapping[str, UnitConfig]
    routes: Mapping[str, str]
    """The unit that calls to an interface go to, where several implement it."""
    folder: Path
    """Relative paths start here."""
    master: MasterConfig
    groups: Mapping[str, GroupConfig] = field(default_factory=dict)
    """What several units share, beside the machine."""
    file: Path | None = None
    """Where it was read; None: it was no file."""

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Config":
        """Read a file.

        Raises:
            ConfigError: There is no such file, or something in it is wrong; every mistake is listed.
        """
        file = Path(path)
        try:
            # An editor may have put a mark before the first character.
            text = file.read_text("utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{file.absolute()}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{file.absolute()}: not UTF-8") from None
        config = cls.from_text(text, folder=file.absolute().parent, name=str(file))
        return replace(config, file=file.absolute())

    @classmethod
    def from_text(
        cls, text: str, *, folder: str | os.PathLike[str] = ".", name: str = "hsu.toml"
    ) -> "Config":
        """Read a text; relative paths in it start at the folder.

        Raises:
            ConfigError: Something in it is wrong; every mistake is listed, after the name.
        """
        absolute = Path(folder).absolute()
        reader = Reader(name, absolute)
        tables = reader.read(text)
        return cls(
            units=tables.units,
            groups=tables.groups,
            routes=tables.routes,
            master=tables.master,
            folder=absolute,
        )


def keys_table() -> str:
    """The keys as Markdown tables, for the documentation."""
    live = ", ".join(f"`{name}`" for name, facts in keys.keys_of(UnitConfig).items() if facts.live)
    return (
        f"`[units.NAME]`, with exactly one of {', '.join(f'`{kind}`' for kind in KINDS)}:\n\n"
        f"{_table(UnitConfig)}\nA change of these needs no new process: {live}.\n\n"
        f"`[groups.NAME]`; a change needs no new process:\n\n{_table(GroupConfig)}\n"
        f"`[master]`; only `memory`, `min_residency` and `max_wait` can change while it runs:\n\n"
        f"{_table(MasterConfig)}"
    )


def _table(table: type) -> str:
    lines = ["| Key | Value | Without it | Meaning |", "| --- | --- | --- | --- |"]
    for name, facts in keys.keys_of(table).items():
        kinds = f" Only with {' or '.join(f'`{kind}`' for kind in facts.kinds)}."
        meaning = facts.doc + (kinds if facts.kinds else "")
        lines.append(f"| `{name}` | {facts.value} | {facts.otherwise} | {meaning} |")
    return "\n".join(lines) + "\n"
