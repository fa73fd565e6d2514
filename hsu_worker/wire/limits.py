"""What a server accepts at the most."""

from dataclasses import dataclass
from typing import Final

#: grpc's sizes are C's `int`.
MOST: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one worker, told in its handshake.

    app = App(Summarizer(), limits=Limits(message_bytes=64 << 20))
    """

    message_bytes: int = 4 << 20
    """One message, each way, in bytes. gRPC's own default."""
    metadata_bytes: int = 16 << 10
    """The metadata of one call, in bytes."""
    log_line_bytes: int = 64 << 10
    """One line of output, or the message of one log record, in bytes."""
    concurrent_calls: int = 100
    """Calls of async handlers that run at the same time; further ones wait."""
    threads: int = 8
    """Threads for sync handlers; further calls wait."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value: object = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MOST:
                raise ValueError(f"Limits({name}={value!r}): must be a whole number, 1 to {MOST}")
