import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from hsu_worker.errors import DeadlineExceeded, Dispatch, RpcError, StartError, Unavailable
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.gated import Asked, Scripts, call, gateway, worker

TWO = """\
[units.first]
command = ["./u"]
implements = ["hsu.test.v1.Kinds"]
[units.second]
command = ["./u"]
implements = ["hsu.test.v1.Kinds", "x.v1.Other"]
[routes]
"hsu.test.v1.Kinds" = "first"
"""

NOWHERE = (
    "no unit implements no.such.Service; configured: hsu.test.v1.Kinds (first), x.v1.Other (second)"
)
CORE = "hsu.core.v1.Core"


async def who(requests: Any, context: Any) -> None:
    await context.write(b"worker")


async def refused(
    *, sent: str = "secret", toml: str = TWO, lent: Connection | RpcError | None = None, **how: Any
) -> tuple[Any, list[Asked]]:
    """Make a call through a gateway; returns what the caller saw, and which leases were asked for."""
    async with (
        worker(Scripts(Who=who, Ping=who)) as direct,
        gateway(lent or direct, toml=toml, sent=sent) as (loans, _, through),
    ):
        method = how.pop("method", "Who")
        return await call(through, method, **how), loans.asked


@pytest.mark.parametrize("sent", ["", "wrong"])
@pytest.mark.parametrize("service", ["hsu.test.v1.Kinds", "no.such.Service"])
async def test_nobody_gets_in_without_the_token(sent: str, service: str) -> None:
    seen, asked = await refused(sent=sent, service=service)

    assert seen.code is grpc.StatusCode.UNAUTHENTICATED
    assert seen.message == "the token is missing or wrong: send `authorization: Bearer <token>`"
    assert seen.trailer("hsu-dispatched") == "no"
    assert asked == []


@pytest.mark.parametrize(
    ("metadata", "unit"),
    [({}, "first"), ({"hsu-unit": "first"}, "first"), ({"hsu-unit": "second"}, "second")],
)
async def test_a_call_goes_to_the_unit_that_it_names_or_to_the_route(
    metadata: dict[str, str], unit: str
) -> None:
    seen, asked = await refused(metadata=metadata)

    assert (seen.code, seen.answers) == (grpc.StatusCode.OK, [b"worker"])
    assert [(lease.interface, lease.unit, lease.what, lease.start) for lease in asked] == [
        ("hsu.test.v1.Kinds", unit, "a call of hsu.test.v1.Kinds/Who at the gateway", True)
    ]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"service": "no.such.Service"},
            NOWHERE,
        ),
        (
            {"metadata": {"hsu-unit": "third"}},
            "there is no unit 'third'; configured: first, second",
        ),
        (
            {"service": "x.v1.Other", "metadata": {"hsu-unit": "first"}},
            "unit 'first' does not implement x.v1.Other; it implements: hsu.test.v1.Kinds",
        ),
        (
            {"service": CORE, "method": "Ping"},
            "every unit has hsu.core.v1.Core; name one in the metadata 'hsu-unit'",
        ),
    ],
)
async def test_a_call_that_no_unit_can_take_is_told_who_can(
    how: dict[str, Any], message: str
) -> None:
    seen, asked = await refused(**how)

    assert (seen.code, seen.message) == (grpc.StatusCode.UNIMPLEMENTED, message)
    assert seen.trailer("hsu-dispatched") == "no"
    assert asked == []


@pytest.mark.parametrize(
    ("method", "command"), [("Start", "start"), ("Stop", "stop"), ("Shutdown", "stop")]
)
async def test_the_life_of_a_worker_belongs_to_the_master(method: str, command: str) -> None:
    seen, asked = await refused(service=CORE, method=method, metadata={"hsu-unit": "second"})

    assert seen.code is grpc.StatusCode.PERMISSION_DENIED
    assert seen.message == (
        f"hsu.core.v1.Core/{method} belongs to the master: write `hsu-worker {command} second`, "
        "or call hsu.master.v1.Master"
    )
    assert seen.trailer("hsu-dispatched") == "no"
    assert asked == []


async def test_the_rest_of_core_is_passed_on() -> None:
    seen, asked = await refused(service=CORE, method="Ping", metadata={"hsu-unit": "second"})

    assert (seen.code, seen.answers) == (grpc.StatusCode.OK, [b"worker"])
    assert [(lease.interface, lease.unit) for lease in asked] == [(CORE, "second")]


@pytest.mark.parametrize("service", ["hsu.core.v1.Registry", "hsu.master.v1.Master"])
async def test_what_the_master_answers_itself_is_not_for_the_gateway(service: str) -> None:
    seen, asked = await refused(service=service)

    assert seen.message.startswith(f"{service} is not served here")
    assert asked == []


@pytest.mark.parametrize("wait", ["", "-1", "1.5", "1s", "1" * 10])
async def test_a_malformed_wait_is_refused_with_the_cure(wait: str) -> None:
    seen, asked = await refused(metadata={"hsu-wait": wait})

    assert seen.code is grpc.StatusCode.INVALID_ARGUMENT
    assert seen.message == (
        f"metadata 'hsu-wait': {wait!r} is no number of milliseconds; "
        "send a whole number such as 500, or 0 to start nothing"
    )
    assert seen.trailer("hsu-dispatched") == "no"
    assert asked == []


@pytest.mark.parametrize(
    ("wait", "timeout", "start", "until"),
    [
        (None, None, True, None),
        (None, 50, True, 50),
        ("20000", None, True, 20),
        ("20000", 50, True, 20),
        ("50000", 20, True, 20),
        ("0", None, False, None),
        ("0", 50, False, 50),
    ],
)
async def test_the_wait_and_the_deadline_bound_the_lease(
    wait: str | None, timeout: float | None, start: bool, until: float | None
) -> None:
    before = asyncio.get_running_loop().time()
    metadata = {} if wait is None else {"hsu-wait": wait}
    _, (lease,) = await refused(metadata=metadata, timeout=timeout)

    assert lease.start is start
    if until is None:
        assert lease.deadline is None
    else:
        assert lease.deadline is not None
        assert lease.deadline - before == pytest.approx(until, abs=10)


async def test_a_wait_that_runs_out_is_unavailable_and_was_not_dispatched() -> None:
    late = DeadlineExceeded("unit 'first': the time ran out", dispatched=Dispatch.NO)
    async with gateway(late, toml=TWO) as (_, _, through):
        with pytest.raises(Unavailable) as raised:
            await Kinds.client(through).unary(Ask(), timeout=50, metadata=[("hsu-wait", "10")])

    assert raised.value.message == "unit 'first': the time ran out; `hsu-wait` is 10 ms"
    assert raised.value.dispatched is Dispatch.NO
    (info,) = raised.value.details
    assert isinstance(info, ErrorInfo)
    assert (info.reason, dict(info.metadata)) == ("NOT_RUNNING", {"unit": "first"})


async def test_a_deadline_that_runs_out_in_the_lease_is_a_deadline() -> None:
    late = DeadlineExceeded("unit 'first': the time ran out", dispatched=Dispatch.NO)
    seen, _ = await refused(lent=late, timeout=10, metadata={"hsu-wait": "20000"})

    assert (seen.code, seen.message) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "unit 'first': the time ran out",
    )
    assert seen.trailer("hsu-dispatched") == "no"


async def test_a_start_that_fails_is_told_once_with_its_reason() -> None:
    seen, asked = await refused(lent=StartError("unit 'first' did not start: no such file"))

    assert (seen.code, seen.message) == (
        grpc.StatusCode.UNAVAILABLE,
        "unit 'first' did not start: no such file",
    )
    assert seen.trailer("hsu-dispatched") == "no"
    assert len(asked) == 1


async def test_a_bug_in_the_lease_is_not_told_to_the_caller() -> None:
    class Broken:
        def lease(self, *_: object, **__: object) -> Any:
            raise ZeroDivisionError("secret text")

    async with gateway(toml=TWO) as (loans, _, through):
        loans.lease = Broken().lease  # type: ignore[method-assign]
        seen = await call(through, "Who")

    assert (seen.code, seen.message) == (grpc.StatusCode.INTERNAL, "internal error -")
