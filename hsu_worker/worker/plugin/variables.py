"""The variables by which a host of go-plugin tells a plugin how to live."""

import grp
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hsu_worker.errors import LaunchError

_VERSIONS: Final = "PLUGIN_PROTOCOL_VERSIONS"
#: What a host sets; all of it is for this process alone.
_NAMES: Final = (
    _VERSIONS,
    "PLUGIN_CLIENT_CERT",
    "PLUGIN_UNIX_SOCKET_DIR",
    "PLUGIN_UNIX_SOCKET_GROUP",
    "PLUGIN_MULTIPLEX_GRPC",
    "PLUGIN_MIN_PORT",
    "PLUGIN_MAX_PORT",
)

_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginVariables:
    """What a host says.

    variables = PluginVariables.take(os.environ)    # read once, and gone from the environment
    """

    versions: tuple[int, ...]
    """Those of its own protocol that the host can work with."""
    certificate: str
    """The host's certificate, in PEM: it will present it, and wants one back. Empty: no TLS."""
    folder: str
    """Where the socket has to be; empty: anywhere."""
    group: int | None
    """Who else may open the socket."""
    multiplexes: bool
    """The host wants to put several connections into one."""

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> "PluginVariables | None":
        """Read the variables and delete them, so that no child takes itself for a plugin.

        Returns:
            None when no host has launched this process. The variables then stay.

        Raises:
            LaunchError: One or more hold what they can't. The message lists all of them.
        """
        if not environ.get(_VERSIONS):
            return None
        given = {name: environ.pop(name, "") for name in _NAMES}
        problems: list[str] = []
        versions = tuple(
            int(word) for word in given[_VERSIONS].split(",") if _DIGITS.fullmatch(word)
        )
        if not versions:
            problems.append(f"{_VERSIONS}={given[_VERSIONS]!r}: no number in it")
        folder = given["PLUGIN_UNIX_SOCKET_DIR"]
        if folder and not Path(folder).is_dir():
            problems.append(f"PLUGIN_UNIX_SOCKET_DIR={folder!r}: no such folder")
        if (not folder.startswith("/") and folder) or "|" in folder:
            # The handshake line is cut at each |.
            problems.append(f"PLUGIN_UNIX_SOCKET_DIR={folder!r}: not absolute, or holds a |")
        group = given["PLUGIN_UNIX_SOCKET_GROUP"]
        number: int | None = None
        try:
            number = _group(group)
        except KeyError:
            problems.append(f"PLUGIN_UNIX_SOCKET_GROUP={group!r}: no such group")
        if problems:
            raise LaunchError("\n".join(problems))
        return cls(
            versions=versions,
            certificate=given["PLUGIN_CLIENT_CERT"],
            folder=folder,
            group=number,
            multiplexes=given["PLUGIN_MULTIPLEX_GRPC"] in ("1", "t", "T", "true", "TRUE", "True"),
        )

    def agreed(self, wanted: int | None) -> int:
        """The version of the host's protocol to speak: its newest, or the one that is wanted.

        Raises:
            LaunchError: The host can't work with that one.
        """
        if wanted is None:
            return max(self.versions)
        if wanted not in self.versions:
            known = ", ".join(map(str, sorted(self.versions)))
            raise LaunchError(
                f"--plugin-version {wanted}: the host that launched this process speaks {known}"
            )
        return wanted


def _group(name: str) -> int | None:
    if not name:
        return None
    return int(name) if _DIGITS.fullmatch(name) else grp.getgrnam(name).gr_gid
