"""One keeper process, and the socket to it."""

import asyncio
import errno
import json
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from hsu_worker.errors import LaunchError
from hsu_worker.master import keeper

_log = logging.getLogger(__name__)

#: Seconds in which a keeper has to leave once its socket is closed.
LEAVE_BOUND: Final = keeper.GRACE + keeper.GIVE_UP + 2.0

#: What passes by itself, and seconds until the next try.
BUSY: Final = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)
BUSY_PAUSE: Final = 0.05


class KeeperLink:
    """
    Starts a keeper process, and brings requests there and events back.

    Args:
        mark: The id of this master's keepers.

        received: Takes each event.

        ended: Called once, when the keeper has ended by itself, after its last event.

        first: A request that is there before the keeper is; None: there is none.

    Raises:
        LaunchError: The keeper could not be started.
    """

    def __init__(
        self,
        mark: str,
        received: Callable[[Mapping[str, Any]], None],
        ended: Callable[["KeeperLink"], None],
        first: Mapping[str, object] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = received
        self._ended = ended
        self._input = bytearray()
        self._output: deque[tuple[bytes, list[int]]] = deque()
        self._open = True
        outer = os.environ.get(keeper.MARK)
        try:
            self._socket, far = socket.socketpair()
        except OSError as error:
            raise LaunchError(f"the keeper could not be started: {error}") from error
        self._socket.setblocking(False)
        if first is not None:
            # A master that is killed in between would leave a keeper that spares nobody.
            self.send(first)
        with far:
            try:
                self._popen = subprocess.Popen(
                    [sys.executable, "-I", "-S", keeper.PROGRAM, str(os.getpid())],
                    # It may run below another keeper, which has to find its own mark as well.
                    env={**os.environ, keeper.MARK: f"{outer}/{mark}" if outer else mark},
                    cwd="/",
                    stdin=far.fileno(),
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                self._loop.remove_writer(self._socket)
                self._socket.close()
                raise LaunchError(f"the keeper could not be started: {error}") from error
        self._loop.add_reader(self._socket, self._receive)

    def send(self, request: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        """
        Send a request, now or when the socket takes it; nothing tells if the keeper ends before.

        Raises:
            LaunchError: This process has no descriptors left to send some.
            OSError: A descriptor is closed.
        """
        if not self._open:
            return
        body = json.dumps(request).encode()
        # Sending may have to wait, and the caller may close its own meanwhile.
        copies: list[int] = []
        try:
            for descriptor in descriptors:
                copies.append(os.dup(descriptor))  # noqa: PERF401 - the ones before a failure are closed
        except OSError as error:
            for copy in copies:
                os.close(copy)
            if error.errno != errno.EMFILE:
                raise
            raise LaunchError(
                "the master has no free file descriptors: raise the limit (`ulimit -n`)"
            ) from error
        self._output.append((keeper.HEADER.pack(len(body)) + body, copies))
        if len(self._output) == 1:
            self._flush()

    def _flush(self) -> None:
        if not self._open:
            return
        try:
            while self._output:
                frame, descriptors = self._output[0]
                if descriptors:
                    sent = socket.send_fds(self._socket, [frame], descriptors)
                else:
                    sent = self._socket.send(frame)
                # They travel with the first byte.
                for descriptor in descriptors:
                    os.close(descriptor)
                self._output[0] = frame[sent:], []
                if sent == len(frame):
                    self._output.popleft()
            self._loop.remove_writer(self._socket)
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._socket, self._flush)
        except OSError as error:
            self._loop.remove_writer(self._socket)
            if error.errno in BUSY:
                self._loop.call_later(BUSY_PAUSE, self._flush)
            else:
                # What the keeper still told is read first; then comes the end.
                self._drop_output()

    def _drop_output(self) -> None:
        for _, descriptors in self._output:
            for descriptor in descriptors:
                os.close(descriptor)
        self._output.clear()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._disconnect()
            # Whatever is still to be ended of it, another one will soon do its work.
            self._popen.kill()
            self._ended(self)
            return
        self._input += data
        while len(self._input) >= keeper.HEADER.size:
            (length,) = keeper.HEADER.unpack_from(self._input)
            end = keeper.HEADER.size + length
            if len(self._input) < end:
                return
            event = json.loads(self._input[keeper.HEADER.size : end])
            del self._input[:end]
            self._received(event)

    def _disconnect(self) -> None:
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._drop_output()
        # A process that the application has forked may hold it, too.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    async def close(self) -> bool:
        """
        Close the socket, upon which the keeper ends all that it started; wait for its own end.

        Returns whether it could do its work.
        """
        if self._open:
            self._disconnect()
        try:
            return await asyncio.to_thread(self._popen.wait, LEAVE_BOUND) == 0
        except subprocess.TimeoutExpired:
            _log.error("the keeper did not leave within %.1f s: it is killed", LEAVE_BOUND)
            self._popen.kill()
            await asyncio.to_thread(self._popen.wait)
            return False
