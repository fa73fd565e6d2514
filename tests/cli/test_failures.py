"""A failed call, as a person reads it."""

from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, DebugInfo, ErrorInfo, RetryInfo

from hsu_worker.cli._failures import failure
from hsu_worker.errors import Dispatch, FailedPrecondition, Internal, RpcError, Unavailable
from hsu_worker.wire.reflected import pool_of
from tests.cli.test_json_answers import HELD, packed

POOL = pool_of({"held.proto": HELD})


def lines(error: RpcError) -> list[str]:
    return failure(error, POOL).splitlines()


def test_a_status_without_more_is_one_line() -> None:
    assert ["FAILED_PRECONDITION: not yet"] == lines(FailedPrecondition("not yet"))
    assert ["FAILED_PRECONDITION"] == lines(FailedPrecondition())


def test_a_message_of_several_lines_is_one_thing_and_can_not_move_the_cursor() -> None:
    error = FailedPrecondition("first\nsecond\x1b[2J")
    assert ["FAILED_PRECONDITION: first", "  second [2J"] == lines(error)


def test_the_details_are_lines() -> None:
    details = [
        BadRequest(field_violations=[BadRequest.FieldViolation(field="a", description="is b")]),
        ErrorInfo(reason="R", domain="d", metadata={"z": "2", "a": "1"}),
        ErrorInfo(reason="BARE"),
        RetryInfo(retry_delay=Duration(nanos=512_345_678)),
        DebugInfo(detail="d"),
        packed(3),
        PackedAny(type_url="type.googleapis.com/no.Such", value=b"abc"),
        PackedAny(type_url="type.googleapis.com/held.Held", value=b"\xff"),
    ]
    assert [
        "UNAVAILABLE: x",
        "  a: is b",
        "  reason: R (d), a=1, z=2",
        "  reason: BARE",
        "  try again in 0.5 s",
        '  google.rpc.DebugInfo: {"detail": "d"}',
        '  held.Held: {"number": "3"}',
        "  no.Such: 3 bytes of a type that is not known here",
        "  held.Held: 1 bytes of a type that is not known here",
    ] == lines(Unavailable("x", details=details))


def test_what_reached_nobody_and_what_is_in_a_log_is_said() -> None:
    assert ["UNAVAILABLE: x", "  no handler has seen the call"] == lines(
        Unavailable("x", dispatched=Dispatch.NO)
    )
    assert [
        "INTERNAL: internal error 0123456789abcdef",
        "  the worker's log has the traceback, under this id",
    ] == lines(Internal("internal error 0123456789abcdef"))
