"""What a worker is when it is written by hand: bare grpc.aio, and nothing of ours.

python -m bench.control PATH    # a worker at a Unix socket
python -m bench.control -       # a template: each line of stdin is the path of a fork of it

A worker says `ready PID PATH` on stdout when it answers; it leaves with SIGTERM, and a spawned one
with the end of its stdin, too.
"""

import asyncio
import gc
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator

import grpc.aio

from tests.gen.hsu_test_kinds_pb2 import Answer, Ask


async def unary(request: Ask, _context: object) -> Answer:
    return Answer(text=request.text, payload=request.payload)


async def server_stream(request: Ask, _context: object) -> AsyncIterator[Answer]:
    for number in range(request.number):
        yield Answer(number=number, payload=request.payload)


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(
        unary, request_deserializer=Ask.FromString, response_serializer=Answer.SerializeToString
    ),
    "ServerStream": grpc.unary_stream_rpc_method_handler(
        server_stream,
        request_deserializer=Ask.FromString,
        response_serializer=Answer.SerializeToString,
    ),
}


def handler() -> grpc.GenericRpcHandler:
    """All of the service, as grpc takes it."""
    return grpc.method_handlers_generic_handler("hsu.test.v1.Kinds", HANDLERS)


async def serve(path: str, *, spawned: bool) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    if spawned:
        loop.add_reader(0, asked.set)
    os.write(1, f"ready {os.getpid()} {path}\n".encode())
    await asked.wait()
    await server.stop(0)


def forked() -> str:
    """Fork for each line; returns the path in the forks, and leaves when there are no more lines."""
    importlib.import_module("grpc._utilities")
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, f"ready {os.getpid()} -\n".encode())
    children: list[int] = []
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os.setsid()
            return line.strip()
        children.append(pid)
    for pid in children:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "-":
        asyncio.run(serve(forked(), spawned=False))
    else:
        asyncio.run(serve(sys.argv[1], spawned=True))
