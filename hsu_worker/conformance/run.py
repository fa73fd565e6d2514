"""Makes the checks, several at the same time."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from google.protobuf.message import DecodeError

from hsu_worker.conformance import bounds
from hsu_worker.conformance.catalog import chosen
from hsu_worker.conformance.check import Check, Lane
from hsu_worker.conformance.described import encoded
from hsu_worker.conformance.finding import NotMet, Skipped
from hsu_worker.conformance.help import Help
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.report import Outcome, Report, Result
from hsu_worker.conformance.target import Running, Target, command, shown
from hsu_worker.conformance.worker import Worker
from hsu_worker.errors import ConfigError, LaunchError, RpcError
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.tables import UnitConfig

#: Makes progress known: the result, how many there are, and how many there will be.
OnResult = Callable[[Result, int, int], None]


def _silent(_result: Result, _done: int, _of: int) -> None:
    """Nobody has to know."""


async def check(
    target: Target,
    *,
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    help: Help = Help(),  # noqa: A002, B008  frozen
    jobs: int = 0,
    patience: float = 1.0,
    on_result: OnResult = _silent,
) -> Report:
    """Check a worker against docs/launch-contract.md.

        report = await check(["./bin/worker"])
        assert report.passed, str(report)

    Args:
        target: A command, a unit of an `hsu.toml`, or a worker that runs already: see `command`
            and `Running`.

        only: The ids of the checks to make; none: all.

        skip: The ids of checks to leave out.

        help: What the worker can be told to do, for checks that need it.

        jobs: How many checks are made at the same time; 0: as many as suit this machine.

        patience: Multiplies all times that the worker is given; raise it on a slow machine.

        on_result: Called after each check.

    Raises:
        LaunchError: Nothing came of the first launch; or nobody answers at the address.

        ConfigError: There is no such check, or none that could be made; or the slow method isn't one
            of the worker's.
    """
    checks = _made_of(target, chosen(only, skip), set(only))
    unit = target if isinstance(target, UnitConfig | Running) else command(target)
    began = time.monotonic()
    async with _lab(unit, help, patience) as lab:
        alone = len(checks) == 1 and not (lab.careful or help.slow_method)
        if not alone:
            await _try_first(lab)
        results = await _make_all(checks, lab, jobs or default_jobs(), on_result, alone=alone)
    return Report(target=shown(unit), results=results, seconds=time.monotonic() - began)


def _made_of(target: Target, checks: Sequence[Check], named: set[str]) -> list[Check]:
    """Those that can be made of such a worker."""
    if isinstance(target, Running):
        fit = [each for each in checks if each.harmless]
        why = "changes the worker: it is made of one that is launched for it"
    else:
        fit = [each for each in checks if each.lane is not Lane.UNLAUNCHED]
        why = "is made of a worker that nobody has launched; name its address"
    unfit = [each.id for each in checks if each.id in named and each not in fit]
    if unfit:
        raise ConfigError("\n".join(f"check {name!r} {why}" for name in unfit))
    if not fit:
        raise ConfigError("no check is left to make; name fewer to leave out")
    return fit


def default_jobs() -> int:
    """Enough to keep the machine busy while others wait, and not so many that all are late."""
    return max(4, 2 * (os.cpu_count() or 1))


@asynccontextmanager
async def _lab(
    target: UnitConfig | Running,
    help: Help,  # noqa: A002
    patience: float,
) -> AsyncGenerator[Lab, None]:
    # Short: it is a part of the paths of sockets.
    folder = Path(tempfile.mkdtemp(prefix="hsu-c-"))
    try:
        async with Keeper() as keeper:
            running = await _met(target, patience) if isinstance(target, Running) else None
            lab = Lab(
                unit=None if isinstance(target, Running) else target,
                running=running,
                help=help,
                keeper=keeper,
                folder=folder,
                patience=patience,
            )
            try:
                yield lab
            finally:
                await lab.close()
                if running is not None:
                    await running.connection.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _met(target: Running, patience: float) -> Worker:
    worker = Worker(patience)
    worker.open(target.address, target.token)
    try:
        worker.told = await worker.handshake()
    except (RpcError, DecodeError) as error:
        await worker.connection.close()
        raise LaunchError(f"no worker could be asked at {target.address}: {error}") from None
    return worker


async def _try_first(lab: Lab) -> None:
    """See whether a launch comes to anything, before a hundred do not."""
    try:
        async with lab.shared(Lane.STOPPED) as worker:
            if lab.help.slow_method:
                pool = await lab.pool(worker)
                encoded(pool, lab.help.slow_method, lab.help.slow_request)
    except Skipped as reason:
        raise ConfigError(str(reason)) from None
    except (LaunchError, ConfigError):
        raise
    except Exception:  # noqa: S110
        # It came, and is another than it should be: the checks say how.
        pass


async def _make_all(
    checks: Sequence[Check], lab: Lab, jobs: int, on_result: OnResult, *, alone: bool
) -> list[Result]:
    results: dict[str, Result] = {}
    slots = asyncio.Semaphore(jobs)

    async def make(each: Check) -> None:
        results[each.id] = await _make(each, lab, alone=alone)
        on_result(results[each.id], len(results), len(checks))

    async def make_own(each: Check) -> None:
        async with slots:
            await make(each)

    async def make_in(lane: Lane) -> None:
        for each in checks:
            if each.lane is lane:
                await make(each)

    if alone:
        # Nothing came of a launch before, so this one may fail for all.
        await make(checks[0])
        return list(results.values())
    async with asyncio.TaskGroup() as group:
        # Those that wait begin first, and take no slot.
        for each in checks:
            if each.lane is Lane.WAITING:
                group.create_task(make(each))
        for lane in (Lane.STOPPED, Lane.RUNNING, Lane.UNLAUNCHED):
            group.create_task(make_in(lane))
        for each in checks:
            if each.lane is Lane.OWN:
                group.create_task(make_own(each))
    return [results[each.id] for each in checks]


async def _make(each: Check, lab: Lab, *, alone: bool) -> Result:
    began = time.monotonic()
    within = bounds.CHECK * lab.patience
    expected, seen, output, reason = "", "", list[str](), ""
    try:
        async with asyncio.timeout(within):
            await each.run(lab)
    except Skipped as error:
        reason = str(error)
    except NotMet as finding:
        expected, seen, output = finding.expected, finding.seen, finding.output
    except LaunchError as error:
        if alone:
            raise
        expected, seen = "a launch", str(error)
    except TimeoutError:
        expected, seen = f"an end of the check within {within:g} s", "it lasts longer"
    # What the kernel told of it is gone when it has ended.
    except (RpcError, OSError) as error:
        expected, seen = each.claim, str(error)
    except grpc.aio.AioRpcError as error:
        expected, seen = each.claim, f"{error.code().name} {error.details()!r}"
    # Whatever a worker sends, the others' checks go on, and it gets its report.
    except Exception as error:
        expected = each.claim
        seen = f"its answer can't be read: {type(error).__name__}: {error}"
    outcome = Outcome.SKIPPED if reason else Outcome.FAILED if expected else Outcome.PASSED
    return Result(
        check=each,
        outcome=outcome,
        expected=expected,
        seen=seen,
        output=output,
        reason=reason,
        seconds=time.monotonic() - began,
    )
