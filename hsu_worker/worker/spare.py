"""A fork that is made before anybody needs it, and waits until it is told what to become.

It shares a socket with its template, and says its pid there when it is ready. Then a request comes, as the
keeper has written it, with its descriptors and one more: the socket to the keeper. To the keeper it tells that
it has taken the request, and says a byte more to the template. Whoever of the two is left alone reads the
end of the socket: a spare that nobody can ask any more ends.
"""

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from hsu_worker.worker.forking import fork_twice, tell
from hsu_worker.worker.process_title import show_as, show_variable
from hsu_worker.worker.rehearsal import rehearse

#: Where a keeper finds who a process belongs to.
MARK: Final = "HSU_KEEPER_ID"
#: Bytes of a request at the most, and descriptors.
MESSAGE_BYTES: Final = 1 << 20
DESCRIPTORS: Final = 4
#: Seconds without a request after which a spare is made: then it is in no start's way.
AFTER: Final = 0.2
#: Seconds in which a spare has taken what it was asked for; one that was stopped would hold up all starts.
ANSWER: Final = 1.0
#: Seconds of a rehearsal at the most: it takes a few hundredths.
REHEARSAL: Final = 10
#: Seconds without a spare after a rehearsal that failed: what is short, such as threads, may be so for long.
AGAIN: Final = 60.0


class Spares:
    """The spare of a template, which has one at the most.

    Args:
        keeper: The template's socket to the keeper.
    """

    def __init__(self, keeper: socket.socket) -> None:
        self._keeper = keeper
        self._socket: socket.socket | None = None
        #: Its pid; 0 while it rehearses.
        self._ready = 0
        self._wanted = True
        self._not_before = 0.0

    def wait(self) -> tuple[Any, list[int]] | None:
        """Wait until the keeper says something, and make a spare meanwhile.

        Returns:
            In the spare, the request that it has taken, with its descriptors.
        """
        while True:
            waiting = [self._keeper] if self._socket is None else [self._keeper, self._socket]
            ready, _, _ = select.select(waiting, [], [], AFTER if self._wanted else None)
            if not ready:
                taken = self._make()
                if taken is not None:
                    return taken
            elif self._socket in ready:
                is_rehearsed = self._ready > 0
                self._ready = int(self._said() or 0)
                if not self._ready:
                    self.close()
                    if not is_rehearsed:
                        self._not_before = time.monotonic() + AGAIN
            else:
                return None

    def take(self, data: bytes, descriptors: list[int]) -> bool:
        """Have the spare become what a request says; False when there is none, or it has ended.

        Raises:
            EOFError: It has ended since it was asked, and only the keeper can know what it told.
        """
        # One that has ended unasked is not replaced before it was missed: the next may fare the same.
        is_missed = self._socket is None or self._ready > 0
        self._wanted = is_missed and time.monotonic() >= self._not_before
        if self._socket is None or not self._ready:
            return False
        try:
            socket.send_fds(self._socket, [data], [*descriptors, self._keeper.fileno()])
        except OSError:
            return False
        else:
            if not select.select([self._socket], [], [], ANSWER)[0]:
                # It may have ended, and been reaped, since that was looked at.
                with suppress(ProcessLookupError):
                    os.kill(self._ready, signal.SIGKILL)
            if not self._said():
                raise EOFError
            return True
        finally:
            self.close()

    def close(self) -> None:
        """Let it go. Every other fork has to: as long as somebody holds the socket, it waits."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._ready = 0

    def _said(self) -> bytes:
        assert self._socket is not None
        try:
            return self._socket.recv(32)
        except ConnectionResetError:
            return b""

    def _make(self) -> tuple[Any, list[int]] | None:
        self._wanted = False
        try:
            self._socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            return None
        for end in (self._socket, far):
            # Whatever an app that was imported beforehand has made of the default.
            end.settimeout(None)
        with far:
            if not fork_twice():
                return None
            self.close()
            self._keeper.close()
            try:
                return _taken(far)
            except BaseException:
                # It is nobody's, and what the app has registered for an end is not meant for it.
                os._exit(1)


def _taken(template: socket.socket) -> tuple[Any, list[int]]:
    show_as([sys.executable, "-m", rehearse.__module__, sys.argv[1]])
    with _nothing_lost(REHEARSAL):
        rehearse()
    gc.collect()
    template.send(str(os.getpid()).encode())
    show_as([sys.executable, "-m", __name__, sys.argv[1]])
    data, descriptors, _, _ = socket.recv_fds(template, MESSAGE_BYTES, DESCRIPTORS + 1)
    if not data:
        os._exit(0)
    request = json.loads(data)
    with socket.socket(fileno=descriptors.pop()) as keeper:
        keeper.settimeout(None)
        # Before it is told of: at the end of a template the keeper ends all that has that one's mark.
        show_variable(MARK, request["env"][MARK])
        tell(keeper, forked=request["id"], pid=os.getpid())
    # The template may have been killed since then, and nothing is lost by it.
    with suppress(OSError):
        template.send(b"t")
    return request, descriptors


@contextmanager
def _nothing_lost(seconds: int) -> Generator[None, None, None]:
    """End the process if it takes longer, whatever it hangs in, and leave no core: grpc aborts without threads."""
    core = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, core[1]))
    handler = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    resource.setrlimit(resource.RLIMIT_CORE, core)
