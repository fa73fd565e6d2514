"""What it does with its variables and its descriptors."""

from typing import Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.check import Lane, Level, check, check_on
from hsu_worker.conformance.checks.announcement import ends_unannounced
from hsu_worker.conformance.family import ancestors, descriptor, family_of
from hsu_worker.conformance.finding import Skipped, expect, expect_that, needs
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.launched import Launched
from hsu_worker.conformance.worker import Worker

_MALFORMED: Final = "nowhere:at all"
_FLOOD: Final = 50 << 20


@check(
    Level.MUST,
    "E3",
    "Variables that begin with HSU_ and that it doesn't know change nothing.",
    "A later version of the contract adds some, and a user's own may begin so.",
)
async def unknown_variables(lab: Lab) -> None:
    new = {
        "HSU_": "",
        "HSU_CONTRACT": "99",
        "HSU_LISTEN_ALSO": "tcp:127.0.0.1:0",
        "HSU_WORKER": "no",
    }
    async with lab.launch(changes=new, run=True) as worker:
        await worker.expect_state("RUNNING")


@check(
    Level.MUST,
    "E4",
    "With a malformed HSU_LISTEN it announces nothing, and ends with an error.",
    "A worker that guesses serves somewhere, and nobody knows where.",
)
async def malformed_variable(lab: Lab) -> None:
    async with lab.spawn(changes={"HSU_LISTEN": _MALFORMED}) as worker:
        await ends_unannounced(worker, f"launched with HSU_LISTEN={_MALFORMED!r}")


@check(
    Level.SHOULD,
    "E5",
    "It then names the variable on stderr.",
    "That line is all that the master can show for a worker that never came.",
)
async def malformed_variable_told(lab: Lab) -> None:
    async with lab.spawn(changes={"HSU_LISTEN": _MALFORMED}) as worker:
        await worker.exited(bounds.ANNOUNCE, f"launched with HSU_LISTEN={_MALFORMED!r}")
        await worker.output_ended()
        errors = [line for source, line in worker.lines if source == "stderr"]
        expect_that(
            any("HSU_LISTEN" in line for line in errors),
            "a line on stderr with HSU_LISTEN",
            "\n".join(errors) or "nothing on stderr",
        )


@check(
    Level.SHOULD,
    "E6",
    "Without HSU_TOKEN it announces nothing, and ends with an error.",
    "A worker without a token serves everybody who can connect.",
)
async def token_needed(lab: Lab) -> None:
    async with lab.spawn(changes={"HSU_TOKEN": None}) as worker:
        await ends_unannounced(worker, "launched without HSU_TOKEN")


@check_on(
    Lane.RUNNING,
    Level.MUST,
    "E2",
    "Its children find none of the launch variables.",
    "One of them is the token, and each would take itself for a launched worker.",
)
async def children_environment(_lab: Lab, worker: Worker) -> None:
    assert isinstance(worker, Launched)
    members = family_of(worker)
    # A process that was only forked shows its parent's first environment, whatever was deleted.
    commands = {members[pid].command for pid in ancestors(worker.told.pid, members)}
    children = {pid: member for pid, member in members.items() if member.command not in commands}
    if not children:
        raise Skipped("it has no children to look at, once it runs")
    given = {f"{name}={value}".encode() for name, value in worker.variables.environment().items()}
    for pid, member in children.items():
        leaked = sorted(
            variable.partition(b"=")[0].decode() for variable in given & member.environment
        )
        expect(f"launch variables in its child {pid}, {member.shown}", [], leaked)


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "L12",
    "Descriptor 0 is not the lifeline any more, for the code that it runs.",
    "Code that reads stdin would eat the lifeline, and wait for ever.",
)
async def standard_input_empty(_lab: Lab, worker: Worker) -> None:
    assert isinstance(worker, Launched)
    now = descriptor(worker.told.pid, 0)
    expect_that(
        now != f"pipe:[{worker.inodes['stdin']}]",
        "another descriptor 0 than the lifeline, such as /dev/null",
        f"descriptor 0 is {now}, the lifeline",
    )


@check_on(
    Lane.RUNNING,
    Level.SHOULD,
    "O1",
    "Descriptors 1 and 2 stay the pipes that it was given.",
    "What goes through a pipe and a thread of its own is lost when it crashes.",
)
async def output_pipes(_lab: Lab, worker: Worker) -> None:
    assert isinstance(worker, Launched)
    for number, name in ((1, "stdout"), (2, "stderr")):
        expect(
            f"descriptor {number}",
            f"pipe:[{worker.inodes[name]}]",
            descriptor(worker.told.pid, number),
        )


@check(
    Level.MUST,
    "O2",
    "However much it writes, it goes on and answers.",
    "A worker that waits for its own output is dead, and looks alive.",
)
async def output_flood(lab: Lab) -> None:
    if not lab.help.flood:
        raise needs("a worker that can be told to write 50 MiB", "--flood NAME=VALUE")
    async with lab.launch(env=lab.help.flood, run=True) as worker:
        await lab.until(
            lambda: worker.written >= _FLOOD,
            bounds.START,
            lambda: (f"{_FLOOD >> 20} MiB of output", f"{worker.written >> 20} MiB"),
        )
        await worker.expect_state("RUNNING")
