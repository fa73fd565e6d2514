"""HTTP/2 by hand, as far as it takes to ping: gRPC's libraries show nobody how, and when, they do."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Final, NamedTuple

from hsu_worker.wire.address import Address
from hsu_worker.wire.metadata import Metadata

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Flags of frames.
ACK: Final = 1
_END_HEADERS: Final = 4


class Kind(IntEnum):
    """Of frames; those that have a meaning here."""

    HEADERS = 1
    SETTINGS = 4
    PING = 6
    GOAWAY = 7


class Frame(NamedTuple):
    """A frame."""

    kind: int
    """A `Kind`, mostly."""
    flags: int = 0
    stream: int = 0
    """0: the connection as a whole."""
    payload: bytes = b""

    def encoded(self) -> bytes:
        """As it is on the wire."""
        length, stream = len(self.payload).to_bytes(3, "big"), self.stream.to_bytes(4, "big")
        return length + bytes([self.kind, self.flags]) + stream + self.payload

    @property
    def answer(self) -> "Frame | None":
        """What has to be said to it; None: nothing."""
        if self.flags & ACK or self.kind not in (Kind.SETTINGS, Kind.PING):
            return None
        return Frame(self.kind, ACK, payload=self.payload if self.kind == Kind.PING else b"")


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame.

    Raises:
        asyncio.IncompleteReadError: The connection has ended.

        OSError: It broke.
    """
    head = await reader.readexactly(9)
    payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
    return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)


class Pinger:
    """A connection of a client's that pings.

    Args:
        reader: Where the server's frames come from.

        writer: Where ours go to.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.write(PREFACE + Frame(Kind.SETTINGS).encoded())

    def call(self, path: str, metadata: Metadata = ()) -> None:
        """Begin a call, and keep its request back: it stays open."""
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *((name, str(value)) for name, value in metadata),
        )
        frame = Frame(Kind.HEADERS, _END_HEADERS, 1, _block(headers))
        self._writer.write(frame.encoded())

    async def ping(self) -> str:
        """Ping, and wait for the answer; returns what came instead, or ""."""
        self._writer.write(Frame(Kind.PING, payload=bytes(8)).encoded())
        try:
            while True:
                frame = await read_frame(self._reader)
                if frame.kind == Kind.GOAWAY:
                    # The last stream, an error's number, and what the server says to it.
                    why = int.from_bytes(frame.payload[4:8], "big"), frame.payload[8:].decode()
                    return f"GOAWAY, error {why[0]}: {why[1]!r}"
                if frame.kind == Kind.PING and frame.flags & ACK:
                    return ""
                if answer := frame.answer:
                    self._writer.write(answer.encoded())
        except (asyncio.IncompleteReadError, OSError):
            return "the end of the connection"


@asynccontextmanager
async def pinging(address: Address) -> AsyncGenerator[Pinger, None]:
    """Connect to a server, while the block runs."""
    if address.is_unix:
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield Pinger(reader, writer)
    finally:
        writer.close()


def _block(headers: Sequence[tuple[str, str]]) -> bytes:
    """Headers, in the simplest way that HPACK knows: as they are, each of less than 127 bytes."""
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers
    )
