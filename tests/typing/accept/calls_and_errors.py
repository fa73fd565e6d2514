from collections.abc import Mapping
from typing import assert_type

from google.protobuf.duration_pb2 import Duration

from hsu_worker import Call, InvalidArgument, RpcError, current_call

call = current_call()
assert_type(call, Call)
assert_type(call.metadata, Mapping[str, str | bytes])
assert_type(call.time_remaining, float | None)
assert_type(call.method.name, str)
assert_type(call.interface.name, str)


def refuse() -> None:
    raise InvalidArgument("text is empty", details=[Duration(seconds=1)])


try:
    refuse()
except RpcError as error:
    assert_type(error.message, str)
