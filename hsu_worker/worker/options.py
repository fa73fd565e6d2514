"""How a worker serves that no master has launched."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hsu_worker.wire.address import Address
from hsu_worker.wire.secret_file import read_token
from hsu_worker.worker.log_format import LogFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMaster:
    """A master that runs, and what lets one in."""

    address: Address
    token: str = field(default="", repr=False)
    token_file: str = ""
    """Where it came from; empty: from no file."""

    def token_now(self) -> str:
        """What lets one in by now: a master that is started again has another token.

        Raises:
            ConfigError: The file can't be read, or holds no token.
        """
        return read_token(Path(self.token_file)) if self.token_file else self.token


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A unit of a master that the worker stands for."""

    master: KnownMaster
    unit: str
    stand_in: bool = False
    """The master launches workers of its own for that unit: this one takes their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What `hsu-worker serve` was told."""

    app: str
    """What to serve: `module:attribute`."""
    app_dir: str
    """The folder that is searched for it first."""
    factory: bool = False
    """The attribute is a function that makes the app."""
    listen: tuple[Address, ...] = ()
    """Empty: a private socket for a stand-in, else any free port of this machine."""
    token: str = field(default="", repr=False)
    """What callers must present; empty: nothing."""
    token_file: str = ""
    """Where it came from, for the line that says how to call."""
    membership: Membership | None = None
    master: KnownMaster | None = None
    """For the calls that the services make; None: that of the unit that it stands for."""
    capture: bool = True
    """Put the lines of stdout and stderr into the log, too."""
    log_level: str = "INFO"
    log_format: LogFormat = "text"

    @property
    def calls_go_to(self) -> KnownMaster | None:
        """The master for the calls that the services make."""
        if self.master is None and self.membership is not None:
            return self.membership.master
        return self.master

    def to_json(self) -> str:
        """One line for another process; it holds the tokens."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Serving":
        """What `to_json` made."""
        given = json.loads(line)
        given["listen"] = tuple(Address(**each) for each in given["listen"])
        if master := given["master"]:
            given["master"] = _master(master)
        if membership := given["membership"]:
            given["membership"] = Membership(
                **membership | {"master": _master(membership["master"])}
            )
        return cls(**given)


def _master(given: dict[str, Any]) -> KnownMaster:
    return KnownMaster(address=Address(**given.pop("address")), **given)
