"""Who may call, and who claims it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.asking import Answer
from hsu_worker.conformance.check import Lane, Level, check, check_on
from hsu_worker.conformance.family import family_of
from hsu_worker.conformance.finding import Skipped, during, expect, expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker, path_of
from hsu_worker.errors import RpcError
from hsu_worker.gen.hsu_core import Core, StreamLogsRequest
from hsu_worker.wire.metadata import AUTHORIZATION, Metadata, bearer
from hsu_worker.wire.reflected import V1, V1ALPHA

#: What no protobuf message is.
GARBAGE: Final = b"\xff\xff\xff\xff"


#: The methods of Core that change nothing.
_READING: Final = ("Ping", "Handshake", "GetStatus")


def _paths(lab: Lab, worker: Worker) -> list[tuple[str, bool]]:
    """All that needs the token, and whether it takes a stream."""
    core = [
        (method.path, False)
        for method in Core.methods.values()
        if method.name in _READING or not lab.careful
    ]
    own = [(path_of(info, method), method.client_streaming) for info, method in worker.methods]
    reflection = [(f"/{version}/ServerReflectionInfo", True) for version in (V1, V1ALPHA)]
    return [*core, *([] if lab.careful else own), *reflection]


async def _refused(lab: Lab, worker: Worker, metadata: Metadata, what: str) -> list[Answer]:
    """Demand that nothing can be called with some metadata, and nothing changes; returns the refusals."""
    if not worker.token:
        raise Skipped("it is called without a token")
    state, answers = await worker.state(), []
    for path, streams in _paths(lab, worker):
        answer = await worker.ask(path, streams=streams, metadata=metadata)
        # Nobody has to refuse what he does not serve.
        if answer.code != "UNIMPLEMENTED":
            expect_that(answer.code == "UNAUTHENTICATED", f"{path} {what}: UNAUTHENTICATED", answer)
            answers.append(answer)
    # Others may start or stop one that serves them.
    if not lab.careful:
        await worker.expect_state(state)
    return answers


async def _refused_in_both(lab: Lab, worker: Worker, what: str, *forms: Metadata) -> None:
    """Demand so with each of some metadata, in STOPPED and in RUNNING."""
    for metadata in forms:
        await _refused(lab, worker, metadata, what)
    if not lab.careful:
        await worker.run()
        with during("in RUNNING"):
            for metadata in forms:
                await _refused(lab, worker, metadata, what)


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "T1",
    "Whoever presents no token is UNAUTHENTICATED in STOPPED and RUNNING, and nothing happens.",
    "Whoever can connect could stop the worker otherwise.",
    harmless=True,
)
async def token_missing(lab: Lab, worker: Worker) -> None:
    await _refused_in_both(lab, worker, "without a token", ())


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "T1",
    "Whoever presents another token is UNAUTHENTICATED in STOPPED and RUNNING, and nothing happens.",
    "A token that isn't compared is none.",
    harmless=True,
)
async def token_wrong(lab: Lab, worker: Worker) -> None:
    others = ("x" * len(worker.token), worker.token[:-1], f"{worker.token}x")
    await _refused_in_both(lab, worker, "with another token", *map(bearer, others))


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "T3",
    "A token is presented once, as Bearer, in exactly this way.",
    "What two readers understand in two ways lets somebody in whom one of them would not.",
)
async def token_exact(_lab: Lab, worker: Worker) -> None:
    path = Core.methods["ping"].path
    token = worker.token
    odd: Sequence[tuple[str, Metadata]] = (
        ("with the token twice", (*bearer(token), *bearer(token))),
        ("with a wrong token and the right one", (*bearer("wrong"), *bearer(token))),
        ("with the right token and a wrong one", (*bearer(token), *bearer("wrong"))),
        ("with 'bearer' in lower case", ((AUTHORIZATION, f"bearer {token}"),)),
        ("with the scheme Basic", ((AUTHORIZATION, f"Basic {token}"),)),
        ("with the token alone", ((AUTHORIZATION, token),)),
    )
    for what, metadata in odd:
        answer = await worker.ask(path, metadata=metadata)
        expect_that(answer.code == "UNAUTHENTICATED", f"Ping {what}: UNAUTHENTICATED", answer)


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "T2",
    "The token is asked for before a request is parsed.",
    "Nobody should make a worker work, or find a fault in its parser, without a token.",
)
async def token_before_parsing(lab: Lab, worker: Worker) -> None:
    for path, streams in _paths(lab, worker):
        answer = await worker.ask(path, (GARBAGE,), streams=streams, metadata=bearer("wrong"))
        if answer.code != "UNIMPLEMENTED":
            expect_that(
                answer.code == "UNAUTHENTICATED",
                f"{path} with another token and bytes that are no request: UNAUTHENTICATED",
                answer,
            )


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "D6",
    "UNAUTHENTICATED carries the trailer hsu-dispatched: no.",
    "So a caller knows that it may try again with another token.",
)
async def token_refusal_dispatched(lab: Lab, worker: Worker) -> None:
    for answer in await _refused(lab, worker, (), "without a token"):
        expect_that(answer.dispatched == "no", "hsu-dispatched: no", answer)


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "T4",
    "Health answers without a token.",
    "Probes of other systems have none.",
    harmless=True,
)
async def health_free(_lab: Lab, worker: Worker) -> None:
    expect("the health of 'live', without a token", "SERVING", await worker.health("live"))


@check(
    Level.MUST,
    "T6",
    "The token is in none of its output, log, errors and command lines.",
    "Those are read by more people than may call it.",
)
async def token_secret(lab: Lab) -> None:
    async with lab.launch(run=True) as worker:
        texts = []
        for metadata in ((), bearer("wrong"), worker.connection.metadata):
            for path, streams in (*_paths(lab, worker), ("/no.such.Service/Method", False)):
                if not path.endswith(("/Stop", "/Shutdown")):
                    answer = await worker.ask(path, (GARBAGE,), streams=streams, metadata=metadata)
                    texts.append((f"the status of {path}", answer.message))
        with suppress(RpcError):
            logs = worker.core.stream_logs(StreamLogsRequest(), timeout=bounds.ANSWER)
            texts += [("its log", str(batch)) async for batch in logs]
        unseen: Skipped | None = None
        try:
            texts += [
                (f"the command line of process {pid}", member.command.decode("utf-8", "replace"))
                for pid, member in family_of(worker).items()
            ]
        except Skipped as reason:
            unseen = reason
        await worker.shutdown(0)
        await worker.exited(bounds.LEAVE, "Shutdown")
        await worker.output_ended()
        texts += [(f"its {source}", line) for source, line in worker.lines]
        for where, text in texts:
            expect_that(worker.token not in text, f"{where}: no token", "the token is there")
    if unseen is not None:
        raise unseen


@check(
    Level.MUST,
    "T7",
    f"It leaves when nobody has claimed it for {bounds.CLAIM:g} s, and a wrong token claims nothing.",
    "A master that dies between the launch and the handshake leaves workers that nobody knows.",
    waits=True,
)
async def unclaimed_leaves(lab: Lab) -> None:
    async with lab.spawn() as worker:
        await worker.connected()
        early = bounds.CLAIM * 2 / 3
        until = time.monotonic() + early
        handshake = Core.methods["handshake"].path
        await worker.ask(handshake, metadata=bearer("wrong"))
        await asyncio.wait((worker.exit,), timeout=max(0.0, until - time.monotonic()))
        expect_that(worker.alive, f"life for {bounds.CLAIM:g} s", f"it ended within {early:g} s")
        await worker.leaves(bounds.CLAIM / 3 + bounds.LEAVE, "unclaimed")


@check(
    Level.MUST,
    "T8",
    f"Once claimed it stays, though nobody calls for more than {bounds.CLAIM:g} s.",
    "A worker that is idle belongs to its master, which decides when it stops.",
    waits=True,
)
async def claimed_stays(lab: Lab) -> None:
    async with lab.launch() as worker:
        await asyncio.wait((worker.exit,), timeout=bounds.CLAIM * 1.2)
        expect_that(worker.alive, f"life after {bounds.CLAIM * 1.2:g} s", "it has ended")
        await worker.expect_state("STOPPED")
