"""Where a server listens: `unix:/run/x.sock` or `tcp:127.0.0.1:7000`.

Most workers listen at a path, so what only hosts need is imported when there is one.
"""

import re
from dataclasses import dataclass, replace

from hsu_worker.errors import MalformedAddress

#: Longest Unix path, in bytes. Linux takes 107 and macOS 103; the contract leaves some room.
MAX_UNIX_PATH = 100

_CURE = "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"

# grpc reads a path as a URI, and a list at each comma: it would listen elsewhere than the path says.
_ESCAPES = frozenset("%?#,")

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_DIGITS = re.compile(r"[0-9]{1,5}")

_ALL_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class Address:
    """An address of the launch contract: a Unix path, or a host with a port.

    Address.parse("tcp:127.0.0.1:0").target    # "127.0.0.1:0", as grpc writes it
    """

    path: str = ""
    """The absolute path of a Unix socket; empty for TCP."""
    host: str = ""
    port: int = 0
    """0, when listening: any free port."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            MalformedAddress: It is malformed; the message shows the cure.
        """
        kind, _, rest = text.partition(":")
        if kind == "unix":
            return cls(path=_path(text, rest))
        if kind == "tcp":
            host, _, port = rest.rpartition(":")
            return cls(port=_port(text, port), host=_host(text, host))
        raise MalformedAddress(f"address {text!r}: neither a Unix path nor TCP; {_CURE}")

    @property
    def is_unix(self) -> bool:
        """It is a Unix path."""
        return bool(self.path)

    @property
    def is_local(self) -> bool:
        """Only this machine can reach it."""
        if self.is_unix or self.host == "localhost":
            return True
        import ipaddress

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def called_at(self) -> "Address":
        """What one of this machine calls when a server listens here: no host is all hosts."""
        return replace(self, host=_ALL_HOSTS.get(self.host, self.host))

    @property
    def target(self) -> str:
        """As grpc writes it."""
        if self.is_unix:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def check_local(self, unless: str = "add --insecure-remote") -> None:
        """Refuse to listen where others could read and make calls, unless they are welcome.

        Args:
            unless: How somebody says that they are.

        Raises:
            MalformedAddress: Not only this machine can reach it.
        """
        if not self.is_local:
            raise MalformedAddress(
                f"address {self}: others in the network could read and make calls; "
                f"listen at tcp:127.0.0.1:0, or {unless}"
            )

    def check_dialled(self) -> None:
        """Refuse to dial what only a server can listen at.

        Raises:
            MalformedAddress: The port is 0.
        """
        if not self.is_unix and self.port == 0:
            raise MalformedAddress(
                f"address '{self}': port 0 can't be dialled; write the worker's port"
            )

    def answers(self, asked: "Address") -> bool:
        """A worker that was asked to listen at `asked` may say that it listens here."""
        if asked.is_unix or asked.port:
            return self == asked
        return self.host == asked.host and self.port > 0

    def __str__(self) -> str:
        return self.target if self.is_unix else f"tcp:{self.target}"


def is_port(text: str) -> bool:
    """The text is the number of a port, or 0."""
    return text.isascii() and text.isdigit() and int(text) <= 65535


def _path(text: str, path: str) -> str:
    if not path.startswith("/"):
        raise MalformedAddress(f"address {text!r}: the path is not absolute; {_CURE}")
    if not path.isascii() or not path.isprintable() or set(path) & _ESCAPES:
        raise MalformedAddress(
            f"address {text!r}: the path holds something else than printable ASCII, "
            "or one of % ? # ,; choose another folder"
        )
    if len(path) > MAX_UNIX_PATH:
        raise MalformedAddress(
            f"address {text!r}: the path has {len(path)} bytes, "
            f"{MAX_UNIX_PATH} are possible; choose a shorter folder"
        )
    return path


def _host(text: str, host: str) -> str:
    if host.startswith("[") and host.endswith("]") and "%" not in host:
        import ipaddress

        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            pass
    elif _NAME.fullmatch(host):
        return host.lower()
    raise MalformedAddress(
        f"address {text!r}: {host!r} is no host; {_CURE}, or tcp:[::1]:0 for IPv6"
    )


def _port(text: str, port: str) -> int:
    if not _DIGITS.fullmatch(port) or int(port) > 65535:
        raise MalformedAddress(f"address {text!r}: {port!r} is not a port; {_CURE}")
    return int(port)
