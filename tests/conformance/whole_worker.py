"""A worker on bare grpcio that does all of docs/launch-contract.md: what it must, should and may.

It imports nothing of hsu_worker; the modules of hsu_core.proto and hsu_test_kinds.proto are protoc's,
and their folder is on PYTHONPATH. Variables tell it to do what the kit asks for: WHOLE_SLOW,
WHOLE_FAIL, WHOLE_STUCK, WHOLE_FLOOD and WHOLE_CHILD. tests/conformance/mutants/ breaks it, a line at a time.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

NAMES = ("INSTANCE", "UNIT", "LISTEN", "ANNOUNCE_FD", "TOKEN", "LIFELINE", "MASTER", "MASTER_TOKEN")
HSU = {name: os.environ.pop(f"HSU_{name}", "") for name in NAMES}
TELLS = {name for name in os.environ if name.startswith("WHOLE_")}
if not HSU["LISTEN"].startswith(("unix:/", "tcp:")):
    sys.exit(f"HSU_LISTEN={HSU['LISTEN']!r}: neither a Unix path nor TCP")
if not HSU["TOKEN"]:
    sys.exit("HSU_TOKEN is not set")
if HSU["ANNOUNCE_FD"]:
    os.set_inheritable(int(HSU["ANNOUNCE_FD"]), False)
when_lifeline_ends = [lambda: os._exit(0)]


def watch_lifeline(lifeline):
    while os.read(lifeline, 4096):
        pass
    when_lifeline_ends[-1]()


if HSU["LIFELINE"] != "none":
    threading.Thread(target=watch_lifeline, args=(os.dup(0),), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

import grpc.aio
import hsu_core_pb2 as core
import hsu_test_kinds_pb2 as kinds
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

INTERFACE = kinds.DESCRIPTOR.services_by_name["Kinds"]
CORE = core.DESCRIPTOR.services_by_name["Core"]
HEALTH, REFLECTION = "grpc.health.v1.Health", "ServerReflection/ServerReflectionInfo"
CLAIM, GRACE, RELEASE, UNWIND = 15, 30, 1, 1
RING, SLOTS, MESSAGE, METADATA = 6, 4, 4 << 20, 16 << 10
NO, YES = "no", "yes"


class Refusal(Exception):
    def __init__(self, code, dispatched, reason="", text=""):
        super().__init__(text or reason)
        self.code, self.dispatched, self.reason = getattr(grpc.StatusCode, code), dispatched, reason

    def trailers(self):
        trailers = [("hsu-dispatched", self.dispatched)]
        if self.reason:
            status = status_pb2.Status(code=self.code.value[0], message=str(self))
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain="hsu")
            status.details.add().Pack(info)
            trailers.append(("grpc-status-details-bin", status.SerializeToString()))
        return tuple(trailers)


class Log:
    """Numbered records, of which the last few are kept."""

    def __init__(self):
        self.records, self.next, self.news, self.closed = [], 1, asyncio.Event(), False

    def add(self, level, logger, message):
        record = core.LogRecord(sequence=self.next, level=level, logger=logger, message=message)
        self.records = [*self.records, record][-RING:]
        self.next += 1
        self.ring()

    def ring(self):
        self.news.set()
        self.news = asyncio.Event()

    @property
    def oldest(self):
        return self.records[0].sequence if self.records else self.next


class Worker(grpc.GenericRpcHandler):
    def __init__(self):
        self.state, self.reason, self.claimed = core.STATE_STOPPED, "", False
        self.start, self.began, self.child = None, time.monotonic(), None
        self.changed, self.leaving, self.until = asyncio.Event(), asyncio.Event(), float("inf")
        self.calls, self.cut, self.slots = {}, False, asyncio.Semaphore(SLOTS)
        self.progress, self.log = core.StartResponse(state=core.STATE_STARTING), Log()
        own = {f"/{INTERFACE.full_name}/{m.name}": m for m in INTERFACE.methods}
        self.methods = {f"/{CORE.full_name}/{m.name}": m for m in CORE.methods} | own
        names = (INTERFACE.full_name, CORE.full_name)
        self.reflection = reflection.aio.ReflectionServicer(names)

    # ---- who gets in

    def service(self, details):
        path = details.method
        if path.startswith(f"/{HEALTH}/"):
            return grpc.unary_stream_rpc_method_handler(getattr(self, path.split("/")[2]))
        given = [v for k, v in details.invocation_metadata if k == "authorization"]
        if len(given) != 1 or not hmac.compare_digest(given[0], f"Bearer {HSU['TOKEN']}"):
            refusal = Refusal("UNAUTHENTICATED", NO, text="token needed")
            return grpc.stream_stream_rpc_method_handler(partial(self.refuse, refusal))
        if path in (f"/grpc.reflection.v1.{REFLECTION}", f"/grpc.reflection.v1alpha.{REFLECTION}"):
            return grpc.stream_stream_rpc_method_handler(
                self.reflection.ServerReflectionInfo,
                request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        method = self.methods.get(path)
        if method is None:
            refusal = Refusal("UNIMPLEMENTED", NO, text="no such method")
            return grpc.stream_stream_rpc_method_handler(partial(self.refuse, refusal))
        return grpc.stream_stream_rpc_method_handler(partial(self.answer, method))

    async def refuse(self, refusal, _bodies, context):
        await context.abort(refusal.code, str(refusal), refusal.trailers())

    async def answer(self, method, bodies, context):
        own, key = method.containing_service is INTERFACE, object()
        try:
            if own:
                self.gate()
                self.refuse_cycle(context)
                self.calls[key] = asyncio.current_task(), time.monotonic(), context.time_remaining()
            async with self.slots if own else contextlib.nullcontext():
                requests = self.parsed(method, bodies)
                if not method.client_streaming:
                    requests = await anext(requests)
                async for response in getattr(self, method.name)(requests, context):
                    await context.write(response.SerializeToString())
        except Refusal as refusal:
            await self.refuse(refusal, bodies, context)
        except asyncio.CancelledError:
            if not (own and self.cut):
                raise
            await self.refuse(Refusal("UNAVAILABLE", YES, "CUT_OFF"), bodies, context)
        finally:
            self.calls.pop(key, None)

    def gate(self):
        if self.state != core.STATE_RUNNING:
            draining = self.state == core.STATE_DRAINING
            raise Refusal("UNAVAILABLE", NO, "DRAINING" if draining else "NOT_RUNNING")

    def refuse_cycle(self, context):
        came = dict(context.invocation_metadata()).get("hsu-call-chain", "").split(",")
        if HSU["UNIT"] in came and self.slots.locked():
            raise Refusal("FAILED_PRECONDITION", NO, "CALL_CYCLE")

    async def parsed(self, method, bodies):
        kind = getattr(core if method.containing_service is CORE else kinds, method.input_type.name)
        async for body in bodies:
            try:
                yield kind.FromString(body)
            except DecodeError:
                # The handler of a stream runs by now.
                dispatched = YES if method.client_streaming else NO
                raise Refusal("INVALID_ARGUMENT", dispatched, "MALFORMED_REQUEST") from None

    # ---- the interface

    async def Unary(self, request, context):
        await self.return_metadata(context)
        await asyncio.sleep(request.number / 1000)
        if request.text == "":
            raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")
        yield kinds.Answer(text=request.text)

    async def ClientStream(self, requests, context):
        yield kinds.Answer(number=len([request async for request in requests]))

    async def ServerStream(self, request, context):
        for number in range(request.number):
            yield kinds.Answer(number=number)

    async def Bidi(self, requests, context):
        async for request in requests:
            yield kinds.Answer(text=request.text)

    async def return_metadata(self, context):
        """As gRPC's own interop server does, so that no test of ours needs a third server."""
        sent = dict(context.invocation_metadata())
        first, last = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
        if first in sent:
            await context.send_initial_metadata(((first, sent[first]),))
        if last in sent:
            context.set_trailing_metadata(((last, sent[last]),))

    # ---- Core

    async def Handshake(self, request, context):
        self.claimed = True
        info = core.InterfaceInfo(name=INTERFACE.full_name, fingerprint=fingerprint(INTERFACE))
        for method in INTERFACE.methods:
            info.methods.add(
                name=method.name,
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                input=method.input_type.full_name,
                output=method.output_type.full_name,
            )
        limits = core.Limits(message_bytes=MESSAGE, metadata_bytes=METADATA, log_line_bytes=65536)
        limits.concurrent_calls = limits.threads = SLOTS
        yield core.HandshakeResponse(
            contract_version=1,
            instance=HSU["INSTANCE"],
            name="whole",
            version="1",
            pid=os.getpid(),
            language="python",
            interfaces=[info],
            limits=limits,
            state=self.state,
        )

    async def Start(self, request, context):
        while self.state == core.STATE_STOPPING:
            await self.change()
        if self.state == core.STATE_DRAINING:
            raise Refusal("FAILED_PRECONDITION", NO, text="draining")
        if self.start is None:
            self.turn(core.STATE_STARTING)
            self.start = asyncio.create_task(self.acquire())
        start, told = self.start, None
        while not start.done() and self.state == core.STATE_STARTING:
            if told is not self.progress:
                told = self.progress
                yield told
            else:
                await self.change()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(start)
        failed = start.cancelled() or start.result()
        if failed:
            reason = "stopped before it had started" if start.cancelled() else start.result()
            yield core.StartResponse(state=core.STATE_FAILED, reason=reason)
        else:
            yield core.StartResponse(state=core.STATE_RUNNING)

    async def acquire(self):
        if "WHOLE_SLOW" in TELLS:
            for step in range(1, 21):
                self.progress = core.StartResponse(state=self.state, fraction=step / 20, text="...")
                self.turn(self.state)
                await asyncio.sleep(0.1)
        if "WHOLE_FAIL" in TELLS:
            self.start, self.reason = None, "no model"
            self.turn(core.STATE_FAILED)
            return self.reason
        if "WHOLE_CHILD" in TELLS:
            self.child = self.child or start_child()
        self.log.add(core.LOG_LEVEL_INFO, "whole.start", "running")
        self.log.add(core.LOG_LEVEL_ERROR, "other", "not an error")
        self.turn(core.STATE_RUNNING)
        if "WHOLE_FLOOD" in TELLS:
            threading.Thread(target=flood, daemon=True).start()
        return ""

    async def release(self):
        if "WHOLE_STUCK" in TELLS and self.start is not None:
            await asyncio.sleep(3600)
        self.start = None

    async def Stop(self, request, context):
        if self.state == core.STATE_STARTING:
            self.start.cancel()
            self.start = None
            self.turn(core.STATE_STOPPED)
        if self.state == core.STATE_RUNNING:
            self.turn(core.STATE_STOPPING)
            await self.calls_ended(float("inf"))
            await self.release()
            self.log.add(core.LOG_LEVEL_INFO, "whole.stop", "stopped")
            self.turn(core.STATE_STOPPED)
        while self.state == core.STATE_STOPPING:
            await self.change()
        if self.state == core.STATE_FAILED:
            self.turn(core.STATE_STOPPED)
        yield core.StopResponse(state=self.state)

    async def Ping(self, request, context):
        now = time.monotonic()
        ages = [now - began for _, began, _ in self.calls.values()]
        unbounded = [now - began for _, began, left in self.calls.values() if left is None]
        answer = core.PingResponse(
            payload=request.payload, instance=HSU["INSTANCE"], state=self.state
        )
        answer.busy, answer.calls_in_flight = self.slots.locked(), len(self.calls)
        answer.oldest_call_age.FromNanoseconds(int(max(ages, default=0) * 1e9))
        answer.oldest_unbounded_call_age.FromNanoseconds(int(max(unbounded, default=0) * 1e9))
        yield answer

    async def GetStatus(self, request, context):
        status = core.GetStatusResponse(state=self.state, calls_in_flight=len(self.calls))
        status.reason = self.reason if self.state == core.STATE_FAILED else ""
        yield status

    async def StreamLogs(self, request, context):
        log, restarted = self.log, request.instance not in ("", HSU["INSTANCE"])
        window = core.LogWindow(instance=HSU["INSTANCE"], oldest=log.oldest, next=log.next)
        window.restarted = restarted
        cursor = 1 if restarted else request.sequence or log.oldest
        if cursor > log.next:
            raise Refusal("OUT_OF_RANGE", YES, text="past the record to come")
        yield core.StreamLogsResponse(window=window)
        while True:
            dropped = max(0, log.oldest - cursor)
            taken = [record for record in log.records if record.sequence >= cursor]
            records = [record for record in taken if wanted(record, request)]
            cursor = log.next
            if dropped or records:
                yield core.StreamLogsResponse(dropped=dropped, records=records)
            if not request.follow or log.closed:
                return
            if cursor == log.next:
                await log.news.wait()

    async def Shutdown(self, request, context):
        given = request.grace.ToNanoseconds() / 1e9 if request.HasField("grace") else GRACE
        self.leave(given)
        left = max(0, self.until - time.monotonic())
        answer = core.ShutdownResponse()
        answer.grace.FromMilliseconds(round(left * 1000))
        yield answer

    # ---- health

    async def Check(self, body, context):
        status = self.health(health_pb2.HealthCheckRequest.FromString(body).service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such name")
        await context.write(health_pb2.HealthCheckResponse(status=status).SerializeToString())

    async def Watch(self, body, context):
        name, told = health_pb2.HealthCheckRequest.FromString(body).service, None
        while True:
            status = self.health(name)
            if status != told:
                told = status
                answer = health_pb2.HealthCheckResponse(status=3 if status is None else status)
                await context.write(answer.SerializeToString())
            if self.state == core.STATE_DRAINING:
                return
            await self.change()

    async def List(self, body, context):
        listed = b""
        for name in ("", "live", INTERFACE.full_name):
            # A map's entry: the name, and a HealthCheckResponse. Older packages don't know it.
            entry = bytes([10, len(name), *name.encode(), 18, 2, 8, self.health(name)])
            listed += bytes([10, len(entry)]) + entry
        await context.write(listed)

    def health(self, name):
        if name == "live":
            return health_pb2.HealthCheckResponse.SERVING
        if name in ("", INTERFACE.full_name):
            running = self.state == core.STATE_RUNNING
            return health_pb2.HealthCheckResponse.ServingStatus.Value(
                "SERVING" if running else "NOT_SERVING"
            )
        return None

    # ---- the life

    def turn(self, state):
        if self.state != core.STATE_DRAINING:
            self.state = state
        self.changed.set()
        self.changed = asyncio.Event()

    async def change(self):
        await self.changed.wait()

    def leave(self, grace):
        self.turn(core.STATE_DRAINING)
        self.until = min(self.until, time.monotonic() + grace)
        self.leaving.set()

    async def calls_ended(self, until):
        while self.calls and time.monotonic() < min(until, self.until):
            await asyncio.sleep(0.01)

    def on_signal(self):
        if self.leaving.is_set():
            os._exit(1)
        self.leave(GRACE)

    async def serve(self):
        loop = asyncio.get_running_loop()
        server = grpc.aio.server(
            handlers=[self],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 5000),
                ("grpc.max_receive_message_length", MESSAGE),
                ("grpc.max_metadata_size", METADATA),
                ("grpc.absolute_max_metadata_size", METADATA),
            ],
        )
        address = HSU["LISTEN"]
        port = server.add_insecure_port(address.removeprefix("tcp:"))
        if address.startswith("tcp:"):
            address = f"{address.rpartition(':')[0]}:{port}"
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.on_signal)
        when_lifeline_ends.append(lambda: loop.call_soon_threadsafe(self.leave, 2))
        await server.start()
        line = f"HSU 1 {HSU['INSTANCE']} {address}\n".encode()
        with os.fdopen(int(HSU["ANNOUNCE_FD"] or os.dup(1)), "wb", 0) as announce:
            announce.write(line)
        loop.call_later(CLAIM, lambda: self.claimed or self.leave(0))
        await self.leaving.wait()
        await self.calls_ended(float("inf"))
        self.cut = True
        for task, _, _ in list(self.calls.values()):
            task.cancel()
        unwound = time.monotonic() + UNWIND
        while self.calls and time.monotonic() < unwound:
            await asyncio.sleep(0.01)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.release(), RELEASE)
        self.log.closed = True
        self.log.ring()
        if self.child is not None:
            self.child.kill()
        await server.stop(0.2)
        os._exit(0)


def wanted(record, request):
    below = f"{record.logger}.".startswith(f"{request.logger}.")
    return record.level >= request.level and (not request.logger or below)


def start_child():
    return subprocess.Popen(["sleep", "60"])


def flood():
    for _ in range(52):
        os.write(1, (b"x" * 1023 + b"\n") * 1024)


def fingerprint(service):
    lines, seen, queue = set(), set(), []
    for method in service.methods:
        kind = "us"[method.client_streaming] + "us"[method.server_streaming]
        names = f"{method.input_type.full_name} {method.output_type.full_name}"
        lines.add(f"M {method.name} {kind} {names}\n")
        queue += [method.input_type, method.output_type]
    while queue:
        message = queue.pop()
        for field in message.fields if message.full_name not in seen else ():
            target = field.message_type or field.enum_type
            kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
            count = "repeated" if field.is_repeated else "singular"
            name = target.full_name if target else "-"
            lines.add(f"F {message.full_name} {field.number} {count} {kind} {name}\n")
            queue += [field.message_type] if field.message_type else []
        seen.add(message.full_name)
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


async def main():
    await Worker().serve()


asyncio.run(main())
