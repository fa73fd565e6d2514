"""The server that a command calls or looks at: the one at an address, or a running master."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from hsu_worker.errors import HsuError, RpcError, Unauthenticated, Unimplemented
from hsu_worker.master.discovery import Place, find_master, server_at
from hsu_worker.master.remote import connect, unanswered
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.reflected import NO_REFLECTION, Reflected
from hsu_worker.wire.status import no_connection


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and what it tells of itself."""

    connection: Connection
    place: Place
    named: bool
    """By its address; otherwise it is the master that was found."""

    async def names(self, timeout: float | None = None) -> list[str]:
        """The full names of its interfaces.

        Raises:
            HsuError: It doesn't answer, has no reflection, or lets nobody in. The message shows
                the cure.
        """
        try:
            return await Reflected(self.connection).names(timeout=timeout)
        except RpcError as error:
            raise self.explained(error) from None

    async def files(
        self, symbols: Iterable[str], timeout: float | None = None
    ) -> dict[str, FileDescriptorProto]:
        """The files that define some symbols, as far as it knows them; raises as `names`."""
        try:
            return await Reflected(self.connection).files(symbols, timeout=timeout)
        except RpcError as error:
            raise self.explained(error) from None

    def explained(self, error: RpcError) -> HsuError:
        """What an error of reflection says of the server; the error itself when it says nothing."""
        if isinstance(error, Unimplemented):
            # A master says so of a unit.
            said = error.message.endswith(NO_REFLECTION)
            who = error.message if said else f"{self} {NO_REFLECTION}"
            return HsuError(
                f"{who}, so its messages are not known; "
                "give their .proto: `call --proto FILE`, `describe FILE`"
            )
        if not self.named:
            return unanswered(self.place, error) or error
        if isinstance(error, Unauthenticated):
            source = self.place.source
            problem = f"refuses the token of {source}" if source else "asks for a token"
            return HsuError(f"{self} {problem}; name the file that holds it with --token-file")
        return self.unreached(error) or error

    def unreached(self, error: RpcError) -> HsuError | None:
        """Why a call had no connection, with the cure; None: it had one."""
        if not self.named:
            return unanswered(self.place, error) if no_connection(error) else None
        if problem := no_connection(error):
            return HsuError(
                f"nothing answers at {self.place.address}: {problem}; start a worker there, as in "
                f"`hsu-worker serve mysvc:app --listen {self.place.address}`"
            )
        return None

    def __str__(self) -> str:
        return f"{'' if self.named else 'the master at '}{self.place.address}"


@asynccontextmanager
async def reached(
    address: str | None, where: str | None, token_file: Path | None
) -> AsyncGenerator[Server, None]:
    """The server at an address or, without one, the master that `where` names or that runs.

    Raises:
        HsuError: There is no master, several, the address is none, or the token can't be read.
    """
    place = (
        server_at(address, token_file=token_file)
        if address
        else find_master(where, token_file=token_file)
    )
    connection = connect(place)
    try:
        yield Server(connection, place, named=bool(address))
    finally:
        await connection.close()
