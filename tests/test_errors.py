import copy
import pickle

import grpc
import pytest
from google.protobuf.any_pb2 import Any as PackedAny
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from hsu_worker import (
    HsuError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    RpcError,
    Unavailable,
    errors,
)
from hsu_worker.errors import RPC_ERRORS, Code, Dispatch, StartError


def test_every_code_of_grpc_has_exactly_one_class() -> None:
    grpc_codes = {(code.name, code.value[0]) for code in grpc.StatusCode}
    assert grpc_codes - {("OK", 0)} == {(code.name, code.value) for code in RPC_ERRORS}
    assert [1] * 16 == [
        sum(kind.code is code for kind in RpcError.__subclasses__()) for code in Code
    ]


@pytest.mark.parametrize("code", Code)
def test_a_class_is_named_after_its_code(code: Code) -> None:
    kind = RPC_ERRORS[code]
    assert code.name.replace("_", "").lower() == kind.__name__.lower()
    assert getattr(errors, kind.__name__) is kind
    assert kind.__doc__


def test_an_error_reads_as_code_and_message() -> None:
    assert "INVALID_ARGUMENT: text is empty" == str(InvalidArgument("text is empty"))
    assert "NOT_FOUND" == str(NotFound())
    assert "InvalidArgument('text is empty')" == repr(InvalidArgument("text is empty"))


def test_what_a_handler_leaves_out_is_empty() -> None:
    error = NotFound("no such document")
    assert ("no such document", (), Dispatch.YES) == (
        error.message,
        error.details,
        error.dispatched,
    )


class OwnError(ResourceExhausted):
    """As a user may write one."""


@pytest.mark.parametrize(
    "error",
    [
        *(kind("why", dispatched=Dispatch.UNKNOWN) for kind in RPC_ERRORS.values()),
        InvalidArgument(
            "why",
            details=[ErrorInfo(reason="R"), BadRequest(), PackedAny(type_url="x/y", value=b"z")],
        ),
        StartError("exited with code 3", details=[ErrorInfo(reason="EXITED")]),
        OwnError("enough"),
        NotFound(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled_and_copied(error: RpcError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(error) is type(twin)
        assert (error.message, error.details, error.dispatched, str(error)) == (
            twin.message,
            twin.details,
            twin.dispatched,
            str(twin),
        )


def test_a_start_error_is_unavailable_and_was_not_dispatched() -> None:
    error = StartError("exited with code 3")
    assert isinstance(error, Unavailable)
    assert Dispatch.NO is error.dispatched
    assert "UNAVAILABLE: exited with code 3" == str(error)


def test_every_error_of_ours_is_an_hsu_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = [kind for kind in kinds if issubclass(kind, Exception)]
    assert len(ours) > 25
    assert all(issubclass(kind, HsuError) for kind in ours)
