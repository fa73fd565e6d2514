"""A process that has imported what workers on grpcio import, and forks one for each request.

`zygote.py STUBS`; descriptor 0 is a socket. A request is JSON with the descriptors that the worker gets; the
answers are its pid, and how it ended.
"""

import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from typing import Any

#: All that tests/conformance/whole_worker.py imports; no gRPC object is made before a fork.
IMPORTED = (
    "grpc.aio",
    "hsu_core_pb2",
    "hsu_test_kinds_pb2",
    "google.rpc.error_details_pb2",
    "grpc_health.v1.health_pb2",
    "grpc_reflection.v1alpha.reflection",
)
LARGEST = 1 << 20


def work(request: dict[str, Any], descriptors: list[int]) -> None:
    os.setsid()
    for number in (0, 1, 2):
        os.dup2(descriptors[number], number)
    os.environ.clear()
    os.environ.update(request["env"])
    if len(descriptors) > 3:
        announce = os.dup(descriptors[3])
        os.set_inheritable(announce, True)
        os.environ["HSU_ANNOUNCE_FD"] = str(announce)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(request["cwd"])
    code = 1
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
        print(left, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    for name in IMPORTED:
        importlib.import_module(name)
    near = socket.socket(fileno=0)
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def tell(**event: int) -> None:
        near.send(json.dumps(event).encode())

    while True:
        ready, _, _ = select.select([near.fileno(), waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if not pid:
                    break
                tell(exited=pid, code=os.waitstatus_to_exitcode(status))
        if near.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(near, LARGEST, 4)
            if not data:
                return
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                near.detach()
                work(json.loads(data), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            tell(forked=pid)


main()
