"""The variables by which a master tells a worker how to live."""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, fields

from hsu_worker.errors import AddressError, LaunchError
from hsu_worker.wire.address import Address

_INSTANCE = re.compile(r"[0-9a-f]{32}")
_DIGITS = re.compile(r"[0-9]{1,9}")
_TOKEN = re.compile(r"[!-~]*")


#: The master that launched this process, or for which it stands in, and the token for it.
_own_master: list[tuple[Address, str]] = []


def own_master() -> tuple[Address, str] | None:
    """Where the master that this process belongs to listens, and what lets this process in."""
    return _own_master[-1] if _own_master else None


def remember_master(address: Address, token: str) -> None:
    """Let `own_master` tell which master this process belongs to."""
    _own_master.append((address, token))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchVariables:
    """Each field is the variable `HSU_<NAME>`; docs/launch-contract.md says what it means.

    token = LaunchVariables.take(os.environ).token    # read once, and gone from the environment
    """

    instance: str
    unit: str = ""
    listen: str = ""
    announce_fd: str = ""
    token: str = field(default="", repr=False)
    lifeline: str = "stdin"
    master: str = ""
    master_token: str = field(default="", repr=False)

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> "LaunchVariables | None":
        """Read the variables and delete them, so that no child inherits them.

        Returns:
            None when the process was not launched by a master: `HSU_INSTANCE` is not set. The
            variables then stay.

        Raises:
            LaunchError: One or more hold what they can't. The message lists all of them.
        """
        if "HSU_INSTANCE" not in environ:
            return None
        given = {
            each.name: environ.pop(name)
            for each in fields(cls)
            if (name := f"HSU_{each.name.upper()}") in environ
        }
        variables = cls(**given)
        problems = list(variables._problems())
        if problems:
            raise LaunchError("\n".join(problems))
        return variables

    def _problems(self) -> Iterator[str]:
        if not _INSTANCE.fullmatch(self.instance):
            yield f"HSU_INSTANCE={self.instance!r}: not 32 hex digits in lower case"
        if not self.listen:
            yield "HSU_LISTEN is not set: write unix:<path> or tcp:127.0.0.1:0"
        if not self.token:
            # Without one the worker would answer everybody.
            yield "HSU_TOKEN is not set: write what callers have to present"
        for name in ("listen", "master"):
            if text := getattr(self, name):
                try:
                    Address.parse(text)
                except AddressError as error:
                    yield f"HSU_{name.upper()}: {error}"
        if self.announce_fd and not _DIGITS.fullmatch(self.announce_fd):
            yield f"HSU_ANNOUNCE_FD={self.announce_fd!r}: not a descriptor's number"
        if self.lifeline not in ("stdin", "none"):
            yield f"HSU_LIFELINE={self.lifeline!r}: neither 'stdin' nor 'none'"
        for name in ("token", "master_token"):
            if not _TOKEN.fullmatch(getattr(self, name)):
                # Never with its value: error texts end in logs.
                yield f"HSU_{name.upper()}: holds something else than printable ASCII, no spaces"

    def remember_master(self) -> None:
        """Let `own_master` tell it, now that the environment doesn't."""
        if self.master:
            remember_master(Address.parse(self.master), self.master_token)

    @property
    def address(self) -> Address:
        """Where to listen."""
        return Address.parse(self.listen)

    def environment(self) -> Mapping[str, str]:
        """The variables, for the worker's environment; empty ones are left out."""
        return {
            f"HSU_{each.name.upper()}": value
            for each in fields(self)
            if (value := getattr(self, each.name))
        }
