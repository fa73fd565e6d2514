"""Calls of its own interfaces: good ones, bad ones, many."""

import asyncio
from collections import Counter
from typing import Final

import grpc

from hsu_worker.conformance import bounds
from hsu_worker.conformance.asking import Answer
from hsu_worker.conformance.check import Lane, Level, check_on
from hsu_worker.conformance.checks.admission import GARBAGE
from hsu_worker.conformance.finding import NotMet, Skipped, during, expect, expect_that
from hsu_worker.conformance.held import Held, held, held_all
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker, path_of
from hsu_worker.errors import RpcError
from hsu_worker.gen.hsu_core import Core, PingRequest
from hsu_worker.wire.chain import CALL_CHAIN
from hsu_worker.wire.chain import REASON as CYCLE
from hsu_worker.wire.limits import Limits
from hsu_worker.wire.metadata import ERROR_DOMAIN

#: Calls that come at the same time.
_AT_ONCE: Final = 50
#: Limits above it are believed, not tried.
_LARGEST: Final = 64 << 20
#: Bytes that the rest of a message, or of the metadata, may take.
_ROOM: Final = 64 << 10
_METADATA_ROOM: Final = 2 << 10


async def _each(worker: Worker) -> list[tuple[str, Answer]]:
    """Each method, called with one message that is empty."""
    return [
        (path_of(interface, method), await worker.call(interface, method))
        for interface, method in worker.methods
    ]


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "D1 D5 S2",
    "Each method that the handshake tells is served in RUNNING, and no call that has run denies it.",
    "Callers trust the handshake, and make a call again that has run nowhere.",
)
async def methods_served(_lab: Lab, worker: Worker) -> None:
    for path, answer in await _each(worker):
        expect_that(
            answer.code not in ("UNIMPLEMENTED", "UNAVAILABLE", "UNAUTHENTICATED"),
            f"{path} served in RUNNING",
            answer,
        )
        expect_that(
            answer.dispatched != "no", f"{path}: not hsu-dispatched: no, it has run", answer
        )
    await worker.expect_state("RUNNING")


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "D4",
    "A request without content is answered, or refused with a status of its own.",
    "It is what any caller sends who has forgotten something; INTERNAL says nothing to him.",
)
async def empty_request(_lab: Lab, worker: Worker) -> None:
    for path, answer in await _each(worker):
        expect_that(
            answer.code not in ("INTERNAL", "UNKNOWN"),
            f"{path}, with an empty message: an answer, or a status of its own",
            answer,
        )


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "D1",
    "Methods and services that it doesn't serve are UNIMPLEMENTED.",
    "A caller that is newer than the worker can then do without.",
    harmless=True,
)
async def unknown_method(_lab: Lab, worker: Worker) -> None:
    for service in (*worker.names[:1], Core.name, "no.such.v1.Interface"):
        answer = await worker.ask(f"/{service}/NoSuchMethod")
        expect_that(
            answer.code == "UNIMPLEMENTED", f"/{service}/NoSuchMethod: UNIMPLEMENTED", answer
        )


async def _malformed(worker: Worker) -> list[Answer]:
    answers = []
    for interface, method in worker.methods:
        path = path_of(interface, method)
        answer = await worker.ask(path, (GARBAGE,), streams=method.client_streaming)
        expect_that(
            answer.code not in ("OK", "UNAVAILABLE"),
            f"{path}, with bytes that are no request: an error",
            answer,
        )
        answers.append(answer)
    return answers


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "D2",
    "Bytes that are no request are an error, and harm nobody else.",
    "Anybody may send them, by an old client or by a wrong address.",
)
async def malformed_request(_lab: Lab, worker: Worker) -> None:
    await _malformed(worker)
    await worker.expect_state("RUNNING")
    for path, answer in await _each(worker):
        expect_that(answer.code != "UNAVAILABLE", f"{path} served after that", answer)


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "D2 D5",
    "Bytes that are no request, behind one in a stream, are an error that is not hsu-dispatched: no.",
    "The handler has begun with the first request; a call made again would do its work twice.",
)
async def malformed_in_stream(_lab: Lab, worker: Worker) -> None:
    paths = [path_of(info, method) for info, method in worker.methods if method.client_streaming]
    if not paths:
        raise Skipped("it has no method that takes a stream of requests")
    for path in paths:
        # Without a field any message is empty bytes.
        answer = await worker.ask(path, (b"", GARBAGE), streams=True)
        expect_that(
            answer.code not in ("OK", "UNAVAILABLE") and answer.dispatched != "no",
            f"{path}, with an empty message and bytes that are no request: an error, "
            "not hsu-dispatched: no",
            answer,
        )
    await worker.expect_state("RUNNING")


@check_on(
    Lane.RUNNING,
    Level.MAY,
    "D3",
    "They are INVALID_ARGUMENT, with the reason MALFORMED_REQUEST.",
    "INTERNAL, which most gRPC servers answer, sounds like a bug of the worker.",
)
async def malformed_reason(_lab: Lab, worker: Worker) -> None:
    for answer in await _malformed(worker):
        expect_that(
            (answer.code, answer.reason) == ("INVALID_ARGUMENT", "hsu MALFORMED_REQUEST"),
            "INVALID_ARGUMENT, ErrorInfo hsu MALFORMED_REQUEST",
            answer,
        )


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "M1",
    "A message of nearly message_bytes is taken, and sent back.",
    "Callers are told that limit, and rely on it.",
)
async def message_limit(_lab: Lab, worker: Worker) -> None:
    limit = _message_limit(worker)
    if limit > _LARGEST:
        raise Skipped(f"message_bytes is {limit}, and the kit sends {_LARGEST} at the most")
    payload = bytes(max(limit - _ROOM, 1))
    request = _unknown_field(payload)
    for interface, method in worker.methods:
        answer = await worker.call(interface, method, request)
        expect_that(
            answer.code not in ("RESOURCE_EXHAUSTED", "UNAVAILABLE"),
            f"{path_of(interface, method)}, with {len(request)} of {limit} bytes: taken",
            answer,
        )
    try:
        sent_back = (await worker.ping(payload)).payload
    except RpcError as error:
        raise NotMet(f"a Ping with {len(payload)} of {limit} bytes", str(error)) from None
    expect_that(sent_back == payload, "the whole payload", f"{len(sent_back)} bytes of it")


def _unknown_field(value: bytes) -> bytes:
    """A message that holds a value, and that any method takes for an empty one."""
    one = PingRequest(payload=value).SerializeToString()
    # The highest number that a field can have, instead of 1.
    return b"\xfa\xff\xff\xff\x0f" + one.removeprefix(b"\x0a")


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "M2",
    "A larger one is RESOURCE_EXHAUSTED, and harms nobody else.",
    "Without a limit one call can take all memory.",
)
async def message_over_limit(_lab: Lab, worker: Worker) -> None:
    limit = _message_limit(worker)
    if limit > _LARGEST:
        raise Skipped(f"message_bytes is {limit}, and the kit sends {_LARGEST} at the most")
    request = PingRequest(payload=bytes(limit + 1)).SerializeToString()
    answer = await worker.ask(Core.methods["ping"].path, (request,))
    expect_that(
        answer.code == "RESOURCE_EXHAUSTED",
        f"a Ping of {len(request)} bytes: RESOURCE_EXHAUSTED",
        answer,
    )
    await worker.expect_state("RUNNING")


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "M4",
    "Messages that are compressed with gzip are taken.",
    "A caller that compresses does so with all its calls.",
)
async def compressed_requests(_lab: Lab, worker: Worker) -> None:
    request = _unknown_field(bytes(_ROOM))
    for interface, method in worker.methods:
        path, gzip = path_of(interface, method), grpc.Compression.Gzip
        answer = await worker.ask(
            path, (request,), streams=method.client_streaming, compression=gzip
        )
        expect_that(
            answer.code != "UNIMPLEMENTED", f"{path}, with a message of gzip: taken", answer
        )


def _message_limit(worker: Worker) -> int:
    return worker.told.limits.message_bytes or Limits().message_bytes


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "M3",
    "Metadata of nearly metadata_bytes is taken.",
    "Traces and tokens of users travel there.",
)
async def metadata_limit(_lab: Lab, worker: Worker) -> None:
    limit = min(worker.told.limits.metadata_bytes or Limits().metadata_bytes, 1 << 20)
    more = [*worker.connection.metadata]
    room = limit - _METADATA_ROOM - sum(len(name) + len(value) + 32 for name, value in more)
    while room > 100:
        value = "x" * min(room - 50, 1000)
        more.append((f"x-{len(more)}", value))
        room -= len(value) + 50
    answer = await worker.ask(Core.methods["ping"].path, metadata=tuple(more))
    expect_that(answer.code == "OK", f"a Ping with {limit - room} bytes of metadata: OK", answer)


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "D8",
    f"{_AT_ONCE} calls at once all end as one alone does.",
    "Those that find no room wait; nobody is told to come again.",
)
async def concurrent_calls(_lab: Lab, worker: Worker) -> None:
    for interface, method in worker.methods:
        alone = await worker.call(interface, method)
        calls = (worker.call(interface, method) for _ in range(_AT_ONCE))
        ends = Counter(answer.code for answer in await asyncio.gather(*calls))
        expect(
            f"how {_AT_ONCE} calls of {path_of(interface, method)} end",
            {alone.code: _AT_ONCE},
            dict(ends),
        )
    told = await worker.ping()
    expect("calls in flight after the last one", 0, told.calls_in_flight)
    await worker.expect_state("RUNNING")


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "N2",
    "A call that came through its own unit is refused, as CALL_CYCLE, when it finds no room.",
    "The room may be taken by the call that waits for it: neither would ever end.",
)
async def call_cycle(lab: Lab, worker: Worker) -> None:
    assert lab.unit is not None
    came = (*worker.connection.metadata, (CALL_CHAIN, f"other,{lab.unit.name},another"))
    async with held_all(lab, worker) as calls:
        slow = calls[0].slow
        answer = await worker.ask(slow.path, (slow.request,), streams=slow.streams, metadata=came)
    expect_that(
        (answer.code, answer.dispatched, answer.reason)
        == ("FAILED_PRECONDITION", "no", f"{ERROR_DOMAIN} {CYCLE}"),
        f"{slow.path}, with all slots taken: FAILED_PRECONDITION, hsu-dispatched: no, {CYCLE}",
        answer,
    )
    with during("with room"):
        answer = await worker.ask(slow.path, (slow.request,), streams=slow.streams, metadata=came)
        expect_that(answer.dispatched != "no", f"{slow.path}: an answer", answer)


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "D6",
    "Errors that handlers make carry hsu-dispatched: yes.",
    "Whoever reads it knows that the call has run, and must not be made again blindly.",
)
async def errors_dispatched(_lab: Lab, worker: Worker) -> None:
    errors = [
        (path, answer)
        for path, answer in await _each(worker)
        if answer.code not in ("OK", "UNIMPLEMENTED", "UNAVAILABLE")
    ]
    if not errors:
        raise Skipped("no method refuses an empty message")
    for path, answer in errors:
        expect_that(answer.dispatched == "yes", f"{path}: hsu-dispatched: yes", answer)


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "D7",
    "A call ends soon after its caller has gone.",
    "Work for nobody takes the place of work for somebody.",
)
async def cancellation(lab: Lab, worker: Worker) -> None:
    async with held(lab, worker) as call:
        await call.cancel()
        await _ends(lab, worker, call, "cancelled")


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "D7",
    "A call ends soon after its deadline.",
    "The caller has given up by then.",
)
async def deadline(lab: Lab, worker: Worker) -> None:
    seconds = 2 * bounds.SETTLE
    async with held(lab, worker, timeout=seconds) as call:
        answer = await call.answer
        expect_that(
            answer.code in ("DEADLINE_EXCEEDED", "CANCELLED"), f"its end after {seconds} s", answer
        )
        await _ends(lab, worker, call, "past its deadline")


async def _ends(lab: Lab, worker: Worker, call: Held, what: str) -> None:
    """Demand the end of a call at the worker: it is not counted, and Stop doesn't wait for it."""

    async def over() -> bool:
        return (await worker.ping()).calls_in_flight == 0

    await lab.until(
        over, bounds.SOON, lambda: (f"no call in flight: {call.slow.path} was {what}", "1 is told")
    )
    try:
        expect("what Stop answers", "STOPPED", await worker.stop(timeout=bounds.SOON))
    except RpcError as error:
        raise NotMet(
            f"an end of {call.slow.path}, {what}: Stop answers within {bounds.SOON:g} s", str(error)
        ) from None
