"""Where it listens, and how it says so."""

import asyncio
import errno
import os
import socket

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Level, check
from hsu_worker.conformance.family import check_linux
from hsu_worker.conformance.finding import NotMet, Skipped, expect, expect_that
from hsu_worker.conformance.http2 import pinging
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.launched import Launched
from hsu_worker.gen.hsu_core import Core
from hsu_worker.wire.address import MAX_UNIX_PATH


@check(
    Level.MUST,
    "A1 A2",
    "One announce line, and nothing else, comes to the descriptor, which is then closed.",
    "The master reads it to the end of file, and kills whoever says something else.",
)
async def announce_descriptor(lab: Lab) -> None:
    async with lab.launch() as worker:
        line = f"HSU 1 {worker.variables.instance} {worker.variables.listen}\n".encode()
        await asyncio.wait((worker.announce.ended,), timeout=bounds.SOON * lab.patience)
        expect("the bytes at HSU_ANNOUNCE_FD", line, worker.announce.data)
        expect_that(
            worker.announce.ended.done(),
            f"HSU_ANNOUNCE_FD closed within {bounds.SOON * lab.patience:g} s of the line",
            "somebody still holds it open, the worker or a child",
        )


@check(
    Level.MUST,
    "A4 A2",
    "Without a descriptor the announce line comes on stdout, between other lines.",
    "Whoever launches a worker from a shell or a simple language has no other descriptor to give.",
)
async def announce_stdout(lab: Lab) -> None:
    async with lab.launch(descriptor=False):
        pass


@check(
    Level.MUST,
    "A3",
    "The server answers from the moment of the announce line.",
    "The master connects at once, and takes a worker that refuses it for a liar.",
)
async def announce_answers(lab: Lab) -> None:
    async with lab.spawn() as worker:
        await worker.connected()
        try:
            await asyncio.to_thread(_dial, worker)
        except OSError as error:
            raise NotMet(
                f"a connection to {worker.address}, when the announce line came", str(error)
            ) from None
        worker.told = await worker.handshake()


def _dial(worker: Launched) -> None:
    address = worker.address
    if address.is_unix:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address.path)
    else:
        socket.create_connection((address.host, address.port)).close()


@check(
    Level.MUST,
    "P2 A2",
    "At tcp:127.0.0.1:0 it listens at a free port, and announces which.",
    "Nobody can know beforehand which port will be free.",
)
async def announce_tcp(lab: Lab) -> None:
    async with lab.launch(listen="tcp:127.0.0.1:0") as worker:
        await worker.expect_state("STOPPED")


@check(
    Level.MUST,
    "P1 A2",
    f"It listens at a Unix path of {MAX_UNIX_PATH} bytes that holds spaces.",
    "Paths are those of the user's folders.",
)
async def announce_long_path(lab: Lab) -> None:
    room = MAX_UNIX_PATH - len(os.fsencode(f"{lab.folder}/"))
    if room < len("a b.sock"):
        raise Skipped(f"the temporary folder {lab.folder} has too long a path; set TMPDIR")
    name = "a b".ljust(room - len(".sock"), "c") + ".sock"
    async with lab.launch(listen=f"unix:{lab.folder}/{name}") as worker:
        await worker.expect_state("STOPPED")


@check(
    Level.MUST,
    "P3",
    "Nobody else can listen at its port.",
    "A port that two share sends every second call to the wrong one, and tells nobody.",
)
async def port_not_shared(lab: Lab) -> None:
    check_linux()
    async with lab.launch(listen="tcp:127.0.0.1:0") as worker:
        with _sharing_socket() as other:
            try:
                other.bind(("127.0.0.1", worker.address.port))
            except OSError as error:
                expect("why binding fails", errno.EADDRINUSE, error.errno)
                return
            raise NotMet(
                f"port {worker.address.port} taken: bound without SO_REUSEPORT",
                "a second socket could be bound to it",
            )


@check(
    Level.SHOULD,
    "P4",
    "At a port that somebody else holds it ends, and announces nothing.",
    "An error that is told at the start is found at the start.",
)
async def port_taken(lab: Lab) -> None:
    with _sharing_socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        async with lab.spawn(listen=f"tcp:127.0.0.1:{port}") as worker:
            await ends_unannounced(worker, f"launched at port {port}, which is taken")


@check(
    Level.SHOULD,
    "P5",
    f"While a call runs, it takes HTTP/2 pings every {bounds.PING:g} s.",
    "So a client on another machine sees whether the worker's is still there; most gRPC servers end the "
    "connection for it, and all calls with it, unless they are told otherwise.",
    waits=True,
)
async def keepalive(lab: Lab) -> None:
    async with lab.launch() as worker, pinging(worker.address) as client:
        client.call(Core.methods["ping"].path, worker.connection.metadata)
        # Servers bear two pings that come too soon, and end the connection at the third, which they may answer
        # before. So two of these do come too soon: the second, since what some servers say to the call goes with the
        # answer to the first, and has them forget it; and the last, which shows what became of the one before.
        for number, wait in enumerate((bounds.SETTLE, 0.0, *[1.1 * bounds.PING] * 3, 0.0)):
            await asyncio.sleep(wait)
            try:
                async with asyncio.timeout(bounds.ANSWER * lab.patience):
                    seen = await client.ping()
            except TimeoutError:
                seen = f"none within {bounds.ANSWER * lab.patience:g} s"
            expect_that(not seen, f"an answer to ping {number + 1}", seen)


def _sharing_socket() -> socket.socket:
    """A socket that shares its port with all that do so, too."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


async def ends_unannounced(worker: Launched, after: str) -> None:
    """Demand that it ends by itself, with an error, and without an announcement."""
    how = await worker.ended_unannounced(after)
    expect_that(how.code not in (0, None), f"{after}: an exit code other than 0", str(how))
