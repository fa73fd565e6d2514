"""A worker that runs already, and that nobody has launched."""

from hsu_worker.conformance.check import Lane, Level, check_on
from hsu_worker.conformance.finding import Skipped, expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.worker import Worker
from hsu_worker.gen.hsu_core import Core


@check_on(
    Lane.UNLAUNCHED,
    Level.MUST,
    "U1",
    "On TCP, without a token, nobody may start it or read its log.",
    "Whoever can connect could do so otherwise.",
    harmless=True,
)
async def open_to_all(_lab: Lab, worker: Worker) -> None:
    if worker.token or worker.address.is_unix:
        raise Skipped("it takes a worker that listens on TCP and asks for no token")
    # Stop and Shutdown are not tried: they would be obeyed by one that doesn't refuse them.
    for method in (Core.methods["start"], Core.methods["stream_logs"]):
        answer = await worker.ask(method.path)
        expect_that(answer.code == "PERMISSION_DENIED", f"{method.name}: PERMISSION_DENIED", answer)
