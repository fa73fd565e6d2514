"""The line with which a launched worker says that it answers, and where."""

from dataclasses import dataclass

from hsu_worker.errors import AddressError, LaunchError
from hsu_worker.wire.address import Address

#: The version of docs/launch-contract.md that this package speaks.
CONTRACT_VERSION = 1

#: Longest announce line, its LF included, in bytes.
MAX_LINE = 1024


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the line says.

    Announcement("9f…", Address.parse("unix:/run/a.sock")).line()
    """

    instance: str
    address: Address
    version: int = CONTRACT_VERSION

    def line(self) -> bytes:
        """The line, with its LF."""
        return f"HSU {self.version} {self.instance} {self.address}\n".encode("ascii")

    @classmethod
    def parse(cls, line: bytes, *, instance: str, asked: Address) -> "Announcement":
        """Read the line of the worker that was launched as `instance`, to listen at `asked`.

        Raises:
            LaunchError: It is no announce line, another instance's, or names an address that was
                not asked for.
        """
        shown = repr(line[:200].decode("utf-8", "replace"))
        if len(line) > MAX_LINE:
            raise LaunchError(
                f"the announce line has {len(line)} bytes, {MAX_LINE} are possible: {shown}"
            )
        try:
            words = line.decode("ascii").removesuffix("\n").split(" ", 3)
        except UnicodeDecodeError:
            raise LaunchError(f"the announce line is not ASCII: {shown}") from None
        if len(words) != 4 or words[0] != "HSU" or not words[1].isdecimal():
            raise LaunchError(
                f"not an announce line: {shown}; "
                f"expected 'HSU {CONTRACT_VERSION} <instance> <address>'"
            )
        if words[1] != str(CONTRACT_VERSION):
            raise LaunchError(
                f"the worker speaks version {words[1]} of the launch contract, "
                f"this master version {CONTRACT_VERSION}; update the older one"
            )
        if words[2] != instance:
            raise LaunchError(
                f"the announce line is another instance's: {words[2]!r}; write this launch's "
                "HSU_INSTANCE"
            )
        try:
            address = Address.parse(words[3])
        except AddressError as error:
            raise LaunchError(f"the announce line names a malformed address: {error}") from None
        if not address.answers(asked):
            raise LaunchError(
                f"the worker listens at {address}, and was asked for {asked}: HSU_LISTEN says where"
            )
        return cls(instance=words[2], address=address)
