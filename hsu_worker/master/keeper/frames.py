"""Requests and events on the socket to the master."""

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from . import HEADER


class Frames:
    """Reads requests with their descriptors, and writes events; raises EOFError when the master is gone."""

    def __init__(self, master: socket.socket) -> None:
        self._master = master
        self._input = bytearray()
        self._descriptors: list[int] = []
        self._output = bytearray()

    def fileno(self) -> int:
        return self._master.fileno()

    @property
    def unsent(self) -> bool:
        """Something waits until the socket takes it."""
        return bool(self._output)

    def close(self) -> None:
        self._master.close()
        self._close_descriptors()

    def requests(self) -> Iterator[tuple[bytes, list[int]]]:
        """The requests that have come, each with its descriptors, which are closed after it."""
        while self._read():
            body = bytes(self._input[HEADER.size :])
            taken = self._descriptors
            self._input.clear()
            self._descriptors = []
            try:
                yield body, taken
            finally:
                for descriptor in taken:
                    os.close(descriptor)

    def send(self, event: dict[str, object]) -> None:
        """Write an event, with the next flush."""
        body = json.dumps(event).encode()
        self._output += HEADER.pack(len(body)) + body

    def flush(self) -> None:
        """Write what the socket takes now."""
        try:
            while self._output:
                del self._output[: self._master.send(self._output)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            raise EOFError from None

    def _read(self) -> bool:
        """Whether a frame is complete."""
        # Never more than its frame is read: what comes with it is then its own.
        while lacking := self._lacking():
            try:
                data, descriptors, _, _ = socket.recv_fds(self._master, min(lacking, 1 << 16), 16)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                data, descriptors = b"", []
            self._descriptors += descriptors
            if not data:
                raise EOFError
            self._input += data
        return True

    def _lacking(self) -> int:
        """The number of bytes that the frame still lacks."""
        if len(self._input) < HEADER.size:
            return HEADER.size - len(self._input)
        (length,) = HEADER.unpack_from(self._input)
        return int(HEADER.size + length - len(self._input))

    def _close_descriptors(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def number_of(body: bytes) -> dict[str, Any]:
    """The id of a request that is otherwise malformed, as far as it has one."""
    try:
        number = json.loads(body)["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return {"id": number} if isinstance(number, int) else {}
