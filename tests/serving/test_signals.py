"""What a process that serves does at signals, beside leaving."""

import ctypes
import os
import signal
import threading
import time
from pathlib import Path

from hsu_worker.serving.signals import signals_lead_to

LIBC = ctypes.CDLL(None, use_errno=True)


def told(thread: int, file: str) -> str:
    """What the kernel tells of a thread."""
    return Path(f"/proc/self/task/{thread}/{file}").read_text()


async def test_native_code_that_waits_in_the_kernel_goes_on_waiting() -> None:
    read, write = os.pipe()
    reader = threading.get_native_id()

    def interrupt() -> None:
        # Its number, and its arguments.
        while told(reader, "syscall").split()[1:2] != [hex(read)]:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        while "\nShdPnd:\t0000000000000000\n" not in told(reader, "status"):
            time.sleep(0.001)
        os.write(write, b"x")

    asked: list[str] = []
    with signals_lead_to(asked.append):
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        taken = LIBC.read(read, ctypes.create_string_buffer(1), 1)
        interrupter.join()
    os.close(read)
    os.close(write)

    assert 1 == taken
