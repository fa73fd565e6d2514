"""A worker on bare grpcio, written from docs/launch-contract.md; it imports nothing of hsu_worker.

It does what a worker must do, and little more. The modules of hsu_core.proto and hsu_a.proto are
protoc's; their folder is on PYTHONPATH.
"""

import asyncio
import contextlib
import hmac
import os
import signal
import threading

NAMES = ("INSTANCE", "UNIT", "LISTEN", "ANNOUNCE_FD", "TOKEN", "LIFELINE", "MASTER", "MASTER_TOKEN")
HSU = {name: os.environ.pop(f"HSU_{name}", "") for name in NAMES}
when_lifeline_ends = [lambda: os._exit(0)]


def watch_lifeline():
    while os.read(0, 4096):
        pass
    when_lifeline_ends[-1]()


if HSU["LIFELINE"] != "none":
    threading.Thread(target=watch_lifeline, daemon=True).start()

# The lifeline is watched by now: what follows may take its time.
import grpc.aio
import hsu_a_pb2 as a
import hsu_a_pb2_grpc as a_grpc
import hsu_core_pb2 as core
import hsu_core_pb2_grpc as core_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

INTERFACE = a.DESCRIPTOR.services_by_name["InterfaceA"]
NOT_DISPATCHED = (("hsu-dispatched", "no"),)


class Doorkeeper(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation, details):
        given = "\n".join(v for k, v in details.invocation_metadata if k == "authorization")
        welcome = hmac.compare_digest(given.encode(), f"Bearer {HSU['TOKEN']}".encode())
        if welcome or details.method.startswith("/grpc.health.v1.Health/"):
            return await continuation(details)
        return grpc.stream_stream_rpc_method_handler(self.refuse)

    async def refuse(self, _requests, context):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "token needed", NOT_DISPATCHED)


class Worker(core_grpc.CoreServicer, a_grpc.InterfaceAServicer):
    def __init__(self):
        self.state, self.until, self.calls, self.claimed = (
            core.STATE_STOPPED,
            float("inf"),
            0,
            False,
        )
        self.health, self.leaving = health.aio.HealthServicer(), asyncio.Event()
        self.stopping = None

    async def turn(self, state):
        self.state = state
        serving = "SERVING" if state == core.STATE_RUNNING else "NOT_SERVING"
        for name in ("", INTERFACE.full_name):
            await self.health.set(name, health_pb2.HealthCheckResponse.ServingStatus.Value(serving))

    def leave(self, grace):
        self.state = core.STATE_DRAINING
        self.until = min(self.until, asyncio.get_running_loop().time() + grace)
        self.leaving.set()

    @contextlib.asynccontextmanager
    async def call(self, context):
        if self.state != core.STATE_RUNNING:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not running", NOT_DISPATCHED)
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    async def calls_ended(self):
        while self.calls and asyncio.get_running_loop().time() < self.until:
            await asyncio.sleep(0.01)

    async def Summarize(self, request, context):
        async with self.call(context):
            return a.SummarizeResponse(summary=" ".join(c.text for c in first_sentences(request)))

    async def StreamSummary(self, request, context):
        async with self.call(context):
            for chunk in first_sentences(request):
                await asyncio.sleep(0.01)  # where true work would be
                yield chunk

    async def Handshake(self, request, context):
        self.claimed = True
        offered = core.InterfaceInfo(name=INTERFACE.full_name)
        for method in INTERFACE.methods:
            info = offered.methods.add(name=method.name, server_streaming=method.server_streaming)
            info.input, info.output = method.input_type.full_name, method.output_type.full_name
        identity = {"contract_version": 1, "instance": HSU["INSTANCE"], "pid": os.getpid()}
        return core.HandshakeResponse(interfaces=[offered], **identity)

    async def Start(self, request, context):
        if self.state == core.STATE_STOPPING:
            await asyncio.shield(self.stopping)
        if self.leaving.is_set():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "draining")
        await self.turn(core.STATE_RUNNING)  # there is nothing to acquire
        yield core.StartResponse(state=core.STATE_RUNNING)

    async def Stop(self, request, context):
        if self.state == core.STATE_RUNNING:
            self.state = core.STATE_STOPPING
            self.stopping = asyncio.ensure_future(self.stop())
        if self.state == core.STATE_STOPPING:
            await asyncio.shield(self.stopping)  # a caller who leaves ends nothing
        leaving = self.leaving.is_set()
        return core.StopResponse(state=core.STATE_DRAINING if leaving else core.STATE_STOPPED)

    async def stop(self):
        await self.turn(self.state)
        await self.calls_ended()
        if not self.leaving.is_set():
            await self.turn(core.STATE_STOPPED)

    async def Ping(self, request, context):
        identity = {"instance": HSU["INSTANCE"], "state": self.state}
        return core.PingResponse(payload=request.payload, **identity)

    async def Shutdown(self, request, context):
        self.leave(request.grace.ToMilliseconds() / 1000 if request.HasField("grace") else 30)
        return core.ShutdownResponse()


def first_sentences(request):
    texts = [f"{text.strip()}." for text in request.text.split(".") if text.strip()]
    return [
        a.SummaryChunk(text=text, rank=i + 1) for i, text in enumerate(texts[: request.sentences])
    ]


async def serve():
    loop, worker = asyncio.get_running_loop(), Worker()
    server = grpc.aio.server(interceptors=[Doorkeeper()], options=[("grpc.so_reuseport", 0)])
    core_grpc.add_CoreServicer_to_server(worker, server)
    a_grpc.add_InterfaceAServicer_to_server(worker, server)
    health_pb2_grpc.add_HealthServicer_to_server(worker.health, server)
    await worker.turn(core.STATE_STOPPED)
    await worker.health.set("live", health_pb2.HealthCheckResponse.SERVING)
    address = HSU["LISTEN"]
    port = server.add_insecure_port(address.removeprefix("tcp:"))
    if address.startswith("tcp:"):
        address = f"{address.rpartition(':')[0]}:{port}"
    await server.start()
    when_lifeline_ends.append(lambda: loop.call_soon_threadsafe(worker.leave, 2))
    loop.add_signal_handler(signal.SIGTERM, worker.leave, 30)
    with os.fdopen(int(HSU["ANNOUNCE_FD"] or os.dup(1)), "w") as announce:
        announce.write(f"HSU 1 {HSU['INSTANCE']} {address}\n")
    loop.call_later(15, lambda: worker.claimed or worker.leave(0))
    await worker.leaving.wait()
    await worker.turn(core.STATE_DRAINING)
    await worker.calls_ended()
    await server.stop(0.2)
    os._exit(0)


asyncio.run(serve())
